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
        "        local path='' n='' option='' is_help=''\n"
        "        local key value words='' is_file='' is_bytes=''\n"
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
        "                        option=''\n"
        "                elif [[ $next == -?* ]]; then\n"
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

static const char script_tail[] = "        esac\n"
                                  "        if [[ $is_file ]]; then\n"
                                  "                compopt -o default\n"
                                  "                return\n"
                                  "        elif [[ $is_bytes && $value == @* ]]; then\n"
                                  "                compopt -o nospace\n"
                                  "                mapfile -t COMPREPLY < <(compgen -f -P "
                                  "\"${word%\"${value#@}\"}\" -- \"${value#@}\")\n"
                                  "        else\n"
                                  "                mapfile -t COMPREPLY < <(compgen -W \"$words\" -P "
                                  "\"${word%\"$value\"}\" -- \"$value\")\n"
                                  "        fi\n"
                                  "        COMPREPLY=(\"${COMPREPLY[@]#\"${word%\"$2\"}\"}\")\n"
                                  "        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
                                  "}\n"
                                  "complete -F _gpuctl gpuctl\n";

static void print_options(const ProtoStruct *type) {
        for (const ProtoField *field = type->fields; field < type->fields + type->n_fields; field++) {
                if (field->is_required)
                        continue;
                putchar(' ');
                completion_print_option(field);
                if (field->kind != PROTO_BOOL)
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
        if (completion_get_source(field) == COMPLETION_WORDS) {
                fputs(" words='", stdout);
                completion_print_values(field);
                puts("' ;;");
        } else {
                puts(completion_get_source(field) == COMPLETION_FILES ? " is_file=1 ;;" : " is_bytes=1 ;;");
        }
}

/* What is offered as a value: of an option by its name, of a word by how many others it follows. */
static void print_values(const CompletionRow *row) {
        const ProtoField *field;
        size_t n_before = 0;

        for (size_t i = 0; i < row->args->n_fields; i++) {
                field = &row->args->fields[i];
                if (completion_get_source(field) != COMPLETION_NONE) {
                        fputs("        '", stdout);
                        completion_print_command(row);
                        putchar(' ');
                        if (field->is_required)
                                printf("%zu", n_before);
                        else
                                completion_print_option(field);
                        fputs("')", stdout);
                        print_value(field);
                }
                n_before += field->is_required;
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
