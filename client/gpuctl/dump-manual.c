/*
 * Host tool: copies the manual page from the standard input to the standard output, with the rows of
 * commands.def in place of the line @COMMANDS@. `make` runs it, and its output is checked in.
 */

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For each structure a function that prints the words of its required fields, which stand in order. */

static void print_word(const char *name) {
        putchar(' ');
        for (; *name; name++)
                putchar(toupper((unsigned char)*name));
}

#define WORD_REQUIRED(name_) print_word(name_);
#define WORD_OPTIONAL(name_)
#define WORD_SINCE(since_, value_) WORD_OPTIONAL

#define STRUCT(name_, doc_)                        __attribute__((unused)) static void words_##name_(void) {
#define FIELD(struct_, name_, kind_, need_, doc_)  WORD_##need_(#name_)
#define CHOICE(struct_, name_, enum_, need_, doc_) WORD_##need_(#name_)
#define END_STRUCT(name_)                          }
#define COMMAND(name_, args_, WORDS_, doc_, more_)
#include "proto/rows.h"
#include "proto/methods.def"
#include "client/gpuctl/commands.def"
#include "proto/view.h"
#undef COMMAND

static void words_none(void) {
}

/* `...` in bold. */
static void print_text(const char *text) {
        bool is_bold = false;

        for (; *text; text++)
                if (*text == '`') {
                        is_bold = !is_bold;
                        fputs(is_bold ? "\\fB" : "\\fR", stdout);
                } else {
                        printf(*text == '-' ? "\\-" : "%c", *text);
                }
        putchar('\n');
}

static void print_command(const char *name, void (*print_words)(void), const char *more_words,
                          const char *doc, const char *more) {
        fputs(".TP\n.BI \"", stdout);
        for (; *name; name++)
                fputs(*name == '_' ? "\\-" : (char[]){*name, '\0'}, stdout);
        fputs("\" \"", stdout);
        print_words();
        fputs(more_words, stdout);
        fputs("\"\n", stdout);
        print_text(doc);
        if (*more)
                print_text(more);
}

static void print_commands(void) {
#define MORE_ONCE ""
#define MORE_EACH "..."
#define COMMAND(name_, args_, WORDS_, doc_, more_)                                                           \
        print_command(#name_, words_##args_, MORE_##WORDS_, doc_, more_);
#include "proto/rows.h"
#include "client/gpuctl/commands.def"
#include "proto/view.h"
#undef COMMAND
}

int main(void) {
        char *line = NULL;
        size_t n_line = 0;

        while (getline(&line, &n_line, stdin) >= 0)
                if (strcmp(line, "@COMMANDS@\n") == 0)
                        print_commands();
                else
                        fputs(line, stdout);
        free(line);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
