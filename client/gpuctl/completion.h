#pragma once

/*
 * `completion` prints what lets a shell complete gpuctl's words. The script knows what this gpuctl knows: its
 * commands, the methods of the schema, their options, the values of enumerations, and where a file goes. For
 * names, handles and devices it calls gpuctl, with the --socket of the line, to ask gpud.
 */

#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"

/* Each prints a whole script. */
void completion_print_bash(void);
void completion_print_zsh(void);
void completion_print_fish(void);

/* A command of one word or of two; `verb` is empty where it is one. */
typedef struct CompletionRow {
        char noun[NAME_TEXT_MAX];
        char verb[NAME_TEXT_MAX];
        const char *doc;
        const ProtoStruct *args;
        bool is_repeated; /* the last word may be several */
} CompletionRow;

typedef void CompletionFn(const CompletionRow *row);

/* gpuctl's own commands; the methods of `noun`, or if it is NULL all; the former and then the latter. */
void completion_each_own(CompletionFn *print);
void completion_each_method(CompletionFn *print, const char *noun);
void completion_each_command(CompletionFn *print);
void completion_each_noun(void (*print)(const char *noun));

/* What a shell can offer as the value of a field. */
typedef enum CompletionSource {
        COMPLETION_NONE,
        COMPLETION_WORDS,
        COMPLETION_FILES,
        COMPLETION_BYTES, /* files behind an @ */
        COMPLETION_USERS,
        COMPLETION_ASKED, /* of gpud, when the shell completes */
} CompletionSource;

CompletionSource completion_get_source(const ProtoField *field);

/* What to ask gpud for, of a field whose source is that: "mem", "device". */
const char *completion_get_values(const ProtoField *field);

/* `completion --values` */
int completion_print_asked(Gpuctl *ctl, enum gpud_completion_values values, const char *word);

/* The fields that a command line may give, those that choose among names behind the structure's own. */
#define COMPLETION_FIELDS_MAX 32
size_t completion_get_fields(const ProtoStruct *type, const ProtoField *ret_fields[COMPLETION_FIELDS_MAX]);

/* "mem alloc" */
void completion_print_command(const CompletionRow *row);
/* "--ttl-s" */
void completion_print_option(const ProtoField *field);
/* "session persistent", of a field whose source is words. */
void completion_print_values(const ProtoField *field);
/* Text between single quotes. A quote in it becomes `quote`; the characters of `escaped` get a backslash. */
void completion_print_quoted(const char *text, const char *quote, const char *escaped);
