/*
 * The script for fish: one `complete` for each word and option, under the condition of the words before it.
 */

#include "client/gpuctl/completion.h"

#include <stdio.h>

static const char script_head[] =
        "# Completion of gpuctl for fish, printed by `gpuctl completion fish`.\n"
        "\n"
        "function __gpuctl_words --description 'Words before the cursor, without options and their values'\n"
        "        set -l is_value 0\n"
        "        for word in (commandline -opc)[2..-1]\n"
        "                if test $is_value = 1\n"
        "                        set is_value 0\n"
        "                else if string match -qr -- '^--[^=]+$' $word\n"
        "                        contains -- $word $__gpuctl_flags; or set is_value 1\n"
        "                else if not string match -qr -- '^-.' $word\n"
        "                        string replace -a -- _ - $word\n"
        "                end\n"
        "        end\n"
        "end\n"
        "\n"
        "function __gpuctl_wants --description 'Whether these are the words, maybe after help'\n"
        "        set -l words (__gpuctl_words)\n"
        "        test \"$words[1]\" = help; and set -e words[1]\n"
        "        test \"$words\" = \"$argv\"\n"
        "end\n"
        "\n"
        "function __gpuctl_in --description 'Whether the words begin with these'\n"
        "        set -l words (__gpuctl_words)\n"
        "        set -l n (count $argv)\n"
        "        test (count $words) -ge $n; and test \"$words[1..$n]\" = \"$argv\"\n"
        "end\n"
        "\n"
        "function __gpuctl_at --description 'Whether so many words follow these'\n"
        "        set -l words (__gpuctl_words)\n"
        "        test (count $words) = (math (count $argv) - 1 + $argv[1]); and __gpuctl_in $argv[2..-1]\n"
        "end\n"
        "\n"
        "function __gpuctl_bytes\n"
        "        set -l word (commandline -ct | string replace -r -- '^--[^=]*=' '')\n"
        "        string match -q -- '@*' $word; or return\n"
        "        __fish_complete_path (string sub -s 2 -- $word) | string replace -r -- '^' @\n"
        "end\n"
        "\n"
        "function __gpuctl_ask --description 'What gpud knows'\n"
        "        set -l words (commandline -opc)\n"
        "        set -l word (commandline -ct | string replace -r -- '^--[^=]*=' '' | string unescape)\n"
        "        set -l socket (string match -r -- '^--socket=.*' $words)\n"
        "        set -l i (contains -i -- --socket $words); and set socket --socket=$words[(math $i + 1)]\n"
        "        $words[1] $socket --timeout=1 completion fish --values=$argv[1] --word=$word 2> /dev/null\n"
        "end\n"
        "\n"
        "complete -c gpuctl -f\n"
        "complete -c gpuctl -n __gpuctl_wants -l version -d 'print the version'\n";

static void print_doc(const char *doc) {
        fputs(" -d '", stdout);
        completion_print_quoted(doc, "\\'", "\\");
        putchar('\'');
}

static void print_source(const ProtoField *field) {
        switch (completion_get_source(field)) {
        case COMPLETION_NONE:
                break;
        case COMPLETION_WORDS:
                fputs(" -a '", stdout);
                completion_print_values(field);
                putchar('\'');
                break;
        case COMPLETION_FILES:
                fputs(" -F", stdout);
                break;
        case COMPLETION_BYTES:
                fputs(" -a '(__gpuctl_bytes)'", stdout);
                break;
        case COMPLETION_USERS:
                fputs(" -a '(__fish_complete_users)'", stdout);
                break;
        case COMPLETION_ASKED:
                printf(" -a '(__gpuctl_ask %s)'", completion_get_values(field));
                break;
        }
}

static void print_option(const ProtoField *field) {
        char name[NAME_TEXT_MAX];

        printf(" -l %s", name_to_text(field->name, name));
        if (field->kind != PROTO_BOOL) {
                fputs(completion_get_source(field) == COMPLETION_FILES ? " -r" : " -x", stdout);
                print_source(field);
        }
        print_doc(field->doc);
        putchar('\n');
}

static void print_command(const CompletionRow *row) {
        const ProtoField *fields[COMPLETION_FIELDS_MAX];
        size_t n = completion_get_fields(row->args, fields), n_before = 0;
        const ProtoField *field;

        for (size_t i = 0; i < n; i++) {
                field = fields[i];
                if (!field->is_required) {
                        fputs("complete -c gpuctl -n '__gpuctl_in ", stdout);
                        completion_print_command(row);
                        putchar('\'');
                        print_option(field);
                } else if (completion_get_source(field) != COMPLETION_NONE) {
                        if (row->is_repeated)
                                fputs("complete -c gpuctl -n '__gpuctl_in ", stdout);
                        else
                                printf("complete -c gpuctl -n '__gpuctl_at %zu ", n_before);
                        completion_print_command(row);
                        putchar('\'');
                        print_source(field);
                        print_doc(field->doc);
                        putchar('\n');
                }
                n_before += field->is_required;
        }
}

/* The last word of a command, after the words before it. */
static void print_word(const CompletionRow *row) {
        if (*row->verb)
                printf("complete -c gpuctl -n '__gpuctl_wants %s' -a %s", row->noun, row->verb);
        else
                printf("complete -c gpuctl -n __gpuctl_wants -a %s", row->noun);
        print_doc(row->doc);
        putchar('\n');
}

static void print_noun(const char *noun) {
        printf("complete -c gpuctl -n __gpuctl_wants -a %s\n", noun);
}

static void print_flags(const ProtoStruct *type) {
        for (const ProtoField *field = type->fields; field < type->fields + type->n_fields; field++)
                if (!field->is_required && field->kind == PROTO_BOOL) {
                        putchar(' ');
                        completion_print_option(field);
                }
}

static void print_flags_of(const CompletionRow *row) {
        print_flags(row->args);
}

void completion_print_fish(void) {
        const ProtoStruct *options = &proto_struct_options;

        fputs(script_head, stdout);
        fputs("\n# Options without a value.\nset -g __gpuctl_flags --version", stdout);
        print_flags(options);
        completion_each_command(print_flags_of);
        puts("\n");
        for (size_t i = 0; i < options->n_fields; i++) {
                fputs("complete -c gpuctl", stdout);
                print_option(&options->fields[i]);
        }
        completion_each_own(print_word);
        completion_each_noun(print_noun);
        completion_each_method(print_word, NULL);
        completion_each_command(print_command);
}
