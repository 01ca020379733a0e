/* The script for zsh: a function for each command, each noun and the whole, on top of zsh's _arguments. */

#include "client/gpuctl/completion.h"

#include <stdio.h>
#include <string.h>

static const char script_head[] =
        "#compdef gpuctl\n"
        "# Completion of gpuctl for zsh, printed by `gpuctl completion zsh`.\n"
        "\n"
        "_gpuctl_bytes() {\n"
        "        compset -P @ && _files\n"
        "}\n"
        "\n"
        "# _gpuctl_ask VALUES: completes what gpud knows.\n"
        "_gpuctl_ask() {\n"
        "        local line\n"
        "        local -a found\n"
        "        for line in ${(f)\"$($gpuctl_asked completion zsh --values=$1 --word=${(Q)PREFIX} 2> "
        "/dev/null)\"}; do\n"
        "                found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
        "        done\n"
        "        _describe -t $1 $1 found\n"
        "}\n"
        "\n"
        "# _gpuctl_choose PREFIX WORD:DOC...: completes one of the words, then goes on with its function.\n"
        "_gpuctl_choose() {\n"
        "        local curcontext=$curcontext name state line\n"
        "        local -a choices=(\"${@:2}\")\n"
        "        _arguments -C $gpuctl_options $gpuctl_first '1: :->word' '*:: :->rest' && return\n"
        "        gpuctl_first=()\n"
        "        name=$1_${line[1]//-/_}\n"
        "        case $state in\n"
        "        word) _describe -t commands command choices ;;\n"
        "        rest) (( $+functions[$name] )) && $name ;;\n"
        "        esac\n"
        "}\n"
        "\n"
        "_gpuctl_take() {\n"
        "        [[ -z $is_help ]] && _arguments $gpuctl_options \"$@\"\n"
        "}\n";

static const char script_middle[] = "\n"
                                    "_gpuctl() {\n"
                                    "        local is_help i\n"
                                    "        local -a gpuctl_asked=(${(Q)words[1]} --timeout=1)\n"
                                    "        i=${words[(i)--socket=*]}\n"
                                    "        (( i <= $#words )) && gpuctl_asked+=(${(Q)words[i]})\n"
                                    "        i=${words[(i)--socket]}\n"
                                    "        (( i < $#words )) && gpuctl_asked+=(--socket ${(Q)words[i+1]})\n"
                                    "        local -a gpuctl_first=('--version[print the version]')\n"
                                    "        local -a gpuctl_options=(";

static const char script_tail[] = ")\n"
                                  "        _gpuctl_choose _gpuctl $gpuctl_words\n"
                                  "}\n"
                                  "\n"
                                  "# The words behind help are another command's.\n"
                                  "_gpuctl_help() {\n"
                                  "        local is_help=1\n"
                                  "        _gpuctl_choose _gpuctl $gpuctl_words\n"
                                  "}\n"
                                  "\n"
                                  "if [[ $funcstack[1] == _gpuctl ]]; then\n"
                                  "        _gpuctl \"$@\"\n"
                                  "else\n"
                                  "        compdef _gpuctl gpuctl\n"
                                  "fi\n";

static void print_value(const ProtoField *field) {
        char name[NAME_TEXT_MAX];

        printf(":%s:", name_to_text(field->name, name));
        switch (completion_get_source(field)) {
        case COMPLETION_NONE:
                /* Shows the name. Not of a word while an option is typed, which zsh then would not insert. */
                if (field->is_required)
                        printf("_guard \"[^-]#\" %s", name);
                else
                        putchar(' ');
                break;
        case COMPLETION_WORDS:
                putchar('(');
                completion_print_values(field);
                putchar(')');
                break;
        case COMPLETION_FILES:
                fputs("_files", stdout);
                break;
        case COMPLETION_BYTES:
                fputs("_gpuctl_bytes", stdout);
                break;
        case COMPLETION_USERS:
                fputs("_users", stdout);
                break;
        case COMPLETION_ASKED:
                printf("{_gpuctl_ask %s}", completion_get_values(field));
                break;
        }
}

/* What _arguments is told of each field. */
static void print_fields(const ProtoStruct *type, bool is_repeated) {
        const ProtoField *fields[COMPLETION_FIELDS_MAX];
        size_t n_fields = completion_get_fields(type, fields), n = 0;
        const ProtoField *field;

        for (size_t i = 0; i < n_fields; i++) {
                field = fields[i];
                fputs(" \\\n                '", stdout);
                if (field->is_required && is_repeated) {
                        putchar('*');
                } else if (field->is_required) {
                        printf("%zu", ++n);
                } else {
                        completion_print_option(field);
                        fputs(field->kind == PROTO_BOOL ? "[" : "=[", stdout);
                        completion_print_quoted(field->doc, "'\\''", "\\[]");
                        putchar(']');
                }
                if (field->is_required || field->kind != PROTO_BOOL)
                        print_value(field);
                putchar('\'');
        }
}

static void print_name(const char *name) {
        putchar('_');
        for (; *name; name++)
                putchar(*name == '-' ? '_' : *name);
}

static void print_command(const CompletionRow *row) {
        /* The function of help is part of the script's tail. */
        if (strcmp(row->noun, "help") == 0)
                return;
        fputs("\n_gpuctl", stdout);
        print_name(row->noun);
        if (*row->verb)
                print_name(row->verb);
        fputs("() {\n        _gpuctl_take", stdout);
        print_fields(row->args, row->is_repeated);
        puts("\n}");
}

/* "'word:doc'", with the last word of the command. */
static void print_word(const CompletionRow *row) {
        printf(" \\\n                '%s:", *row->verb ? row->verb : row->noun);
        completion_print_quoted(row->doc, "'\\''", "\\");
        putchar('\'');
}

static void print_noun(const char *noun) {
        printf("\n_gpuctl_%s() {\n        _gpuctl_choose _gpuctl_%s", noun, noun);
        completion_each_method(print_word, noun);
        puts("\n}");
}

static void print_noun_word(const char *noun) {
        printf(" \\\n                %s", noun);
}

void completion_print_zsh(void) {
        fputs(script_head, stdout);
        completion_each_command(print_command);
        completion_each_noun(print_noun);
        fputs(script_middle, stdout);
        print_fields(&proto_struct_options, false);
        fputs(")\n        local -a gpuctl_words=(", stdout);
        completion_each_own(print_word);
        completion_each_noun(print_noun_word);
        fputs(script_tail, stdout);
}
