#pragma once

/*
 * What every part of gpuctl knows: how it was called and the connection. One command runs per process, on one
 * thread. Functions that return `int` return an exit code: EXIT_SUCCESS, or after a line on stderr one of
 * errors.def's (1 failed, 2 usage, 3 refused, 4 no daemon).
 */

#include <stdbool.h>
#include <stddef.h>

#include "client/gpud.h"
#include "proto/table.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

typedef struct Gpuctl {
        const char *socket; /* of --socket, or NULL */
        bool is_json;
        bool is_help;           /* --help: explain the command, do not run it */
        bool is_terminal;       /* stdout is one: people read it */
        bool is_error_terminal; /* stderr is one: progress may be shown */
        bool is_colour;
        struct gpud_client *client; /* NULL until wanted */
} Gpuctl;

/* A command with a shape of its own. Methods of the schema need none. */
typedef struct Command {
        const char *name;
        const char *doc;
        const ProtoStruct *args; /* its words and options, in the schema's terms */
        int (*run)(Gpuctl *ctl, const void *args);
} Command;

extern const Command gpuctl_commands[];
extern const size_t gpuctl_n_commands;

const Command *command_find(const char *name);

/* There is no command of this word, or if it is a noun, of this verb (NULL: none was given). */
int command_complain(const char *word, const char *verb);

int command_status(Gpuctl *ctl, const void *args);
int command_ls(Gpuctl *ctl, const void *args);
int command_put(Gpuctl *ctl, const void *args);
int command_get(Gpuctl *ctl, const void *args);
extern const ProtoStruct put_options;
extern const ProtoStruct get_options;

/* Connects, once. */
int gpuctl_connect(Gpuctl *ctl);

/* Runs the method of the schema with arguments already parsed. */
int verb_run(Gpuctl *ctl, const ProtoMethod *method, void *args);

/* `words` are those behind `help`; none: what there is. */
int help_print(const char *const *words, size_t n_words);
