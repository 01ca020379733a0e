/* The script for bash: one function, which reads the words before the cursor and looks up what may follow. */

#include "client/gpuctl/completion.h"

#include <stdio.h>

/* Words between blanks. */
static void print_first(const CompletionRow *row) {
        printf(" %s", row->noun);
}

static void print_second(const CompletionRow *row) {
        printf(" %s", row->verb);
}

static void print_noun_word(const char *noun) {
        printf(" %s", noun);
}

/* bash ends a word at = : and @. The script joins the parts, and replies what is to take the place of $2. */
static const char script_head[] =
        "# Completion of gpuctl for bash, printed by `gpuctl completion bash`.\n"
        "_gpuctl() {\n"
        "        local rest=${COMP_LINE#*\"${COMP_WORDS[0]}\"} line=() word=${COMP_WORDS[0]} next i\n"
        "        local path='' n='' option='' is_help='' socket=''\n"
        "        local key value words='' is_file='' is_bytes='' is_user='' asked=''\n"
        "        local options='";

static const char script_walk[] =
        " --version'\n"
        "        for ((i = 1; i <= COMP_CWORD; i++)); do\n"
        "                next=${COMP_WORDS[i]}\n"
        "                if [[ $rest == [[:blank:]]* ]]; then\n"
        "                        line+=(\"$word\")\n"
        "                        word=$next\n"
        "                else\n"
        "                        word+=$next\n"
        "                fi\n"
        "                rest=${rest#*\"$next\"}\n"
        "        done\n"
        "        for next in \"${line[@]:1}\"; do\n"
        "                if [[ $option ]]; then\n"
        "                        [[ $option == --socket ]] && socket=$next\n"
        "                        option=''\n"
        "                elif [[ $next == -?* ]]; then\n"
        "                        [[ $next == --socket=* ]] && socket=${next#*=}\n"
        "                        [[ \" $options \" == *\" $next= \"* ]] && option=$next\n"
        "                elif [[ $n ]]; then\n"
        "                        n=$((n + 1))\n"
        "                elif [[ $next == help && ! $path ]]; then\n"
        "                        is_help=1\n"
        "                else\n"
        "                        path=${path:+$path }${next//_/-}\n"
        "                        options=${options% --version}\n"
        "                        case $path in\n";

static const char script_key[] = "                        esac\n"
                                 "                fi\n"
                                 "        done\n"
                                 "        [[ $is_help && $n ]] && return\n"
                                 "        value=$word\n"
                                 "        if [[ $option ]]; then\n"
                                 "                key=\"$path $option\"\n"
                                 "        elif [[ $word == --*=* ]]; then\n"
                                 "                key=\"$path ${word%%=*}\" value=${word#*=}\n"
                                 "        elif [[ $word == -* ]]; then\n"
                                 "                key='' words=$options\n"
                                 "        else\n"
                                 "                key=\"$path $n\"\n"
                                 "        fi\n"
                                 "        case $key in\n";

static const char script_tail[] =
        "        esac\n"
        "        if [[ $is_file ]]; then\n"
        "                compopt -o default\n"
        "                return\n"
        "        elif [[ $is_bytes && $value == @* ]]; then\n"
        "                compopt -o nospace\n"
        "                mapfile -t COMPREPLY < <(compgen -f -P \"${word%\"${value#@}\"}\" -- "
        "\"${value#@}\")\n"
        "        elif [[ $is_user ]]; then\n"
        "                mapfile -t COMPREPLY < <(compgen -u -P \"${word%\"$value\"}\" -- \"$value\")\n"
        "        elif [[ $asked ]]; then\n"
        "                _gpuctl_ask\n"
        "        else\n"
        "                mapfile -t COMPREPLY < <(compgen -W \"$words\" -P \"${word%\"$value\"}\" -- "
        "\"$value\")\n"
        "        fi\n"
        "        COMPREPLY=(\"${COMPREPLY[@]#\"${word%\"$2\"}\"}\")\n"
        "        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
        "}\n"
        "\n"
        "# Replies what gpud knows: as it is where the word began with a quote, else with backslashes.\n"
        "_gpuctl_ask() {\n"
        "        local quote='' plain=$value\n"
        "        if [[ $value == [\\'\\\"]* ]]; then\n"
        "                quote=${value:0:1} plain=${value:1}\n"
        "        else\n"
        "                plain=${value//\\\\}\n"
        "        fi\n"
        "        while IFS=$'\\t' read -r next _; do\n"
        "                [[ $quote ]] || printf -v next %q \"$next\"\n"
        "                COMPREPLY+=(\"${word%\"$value\"}$quote$next\")\n"
        "        done < <(\"${line[0]}\" ${socket:+\"--socket=$socket\"} --timeout=1 \\\n"
        "                completion bash \"--values=$asked\" \"--word=$plain\" 2> /dev/null)\n"
        "}\n"
        "complete -F _gpuctl gpuctl\n";

static void print_options(const ProtoStruct *type) {
        const ProtoField *fields[COMPLETION_FIELDS_MAX];
        size_t n = completion_get_fields(type, fields);

        for (size_t i = 0; i < n; i++) {
                if (fields[i]->is_required)
                        continue;
                putchar(' ');
                completion_print_option(fields[i]);
                if (fields[i]->kind != PROTO_BOOL)
                        putchar('=');
        }
}

static void print_command(const CompletionRow *row) {
        fputs("                        '", stdout);
        completion_print_command(row);
        fputs("') n=0 options+='", stdout);
        print_options(row->args);
        puts("' ;;");
}

static void print_value(const ProtoField *field) {
        switch (completion_get_source(field)) {
        case COMPLETION_NONE:
                break;
        case COMPLETION_WORDS:
                fputs(" words='", stdout);
                completion_print_values(field);
                putchar('\'');
                break;
        case COMPLETION_FILES:
                fputs(" is_file=1", stdout);
                break;
        case COMPLETION_BYTES:
                fputs(" is_bytes=1", stdout);
                break;
        case COMPLETION_USERS:
                fputs(" is_user=1", stdout);
                break;
        case COMPLETION_ASKED:
                printf(" asked=%s", completion_get_values(field));
                break;
        }
        puts(" ;;");
}

/* What is offered as a value: of an option by its name, of a word by how many others it follows. */
static void print_values(const CompletionRow *row) {
        const ProtoField *fields[COMPLETION_FIELDS_MAX];
        size_t n = completion_get_fields(row->args, fields), n_before = 0;

        for (size_t i = 0; i < n; i++) {
                if (completion_get_source(fields[i]) != COMPLETION_NONE) {
                        fputs("        '", stdout);
                        completion_print_command(row);
                        putchar(' ');
                        if (!fields[i]->is_required)
                                completion_print_option(fields[i]);
                        else if (!row->is_repeated)
                                printf("%zu", n_before);
                        fputs(fields[i]->is_required && row->is_repeated ? "'[0-9]*)" : "')", stdout);
                        print_value(fields[i]);
                }
                n_before += fields[i]->is_required;
        }
}

static void print_noun(const char *noun) {
        printf("        '%s ') words='", noun);
        completion_each_method(print_second, noun);
        puts("' ;;");
}

void completion_print_bash(void) {
        const ProtoStruct *options = &proto_struct_options;

        fputs(script_head, stdout);
        print_options(options);
        fputs(script_walk, stdout);
        completion_each_command(print_command);
        fputs(script_key, stdout);
        fputs("        ' ') words='", stdout);
        completion_each_own(print_first);
        completion_each_noun(print_noun_word);
        puts("' ;;");
        completion_each_noun(print_noun);
        completion_each_command(print_values);
        for (size_t i = 0; i < options->n_fields; i++)
                if (options->fields[i].kind != PROTO_BOOL) {
                        fputs("        *' ", stdout);
                        completion_print_option(&options->fields[i]);
                        fputs("')", stdout);
                        print_value(&options->fields[i]);
                }
        fputs(script_tail, stdout);
}
