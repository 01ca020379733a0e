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

/* Longer than a gpud takes that has just been started by this very connection. */
#define GPUCTL_TIMEOUT_MS 30000

typedef struct Gpuctl {
        const char *socket;  /* of --socket, or NULL */
        uint32_t timeout_ms; /* of --timeout: gpud may be silent for so long; 0: for ever */
        bool is_json;
        bool is_whole;          /* --no-trunc: nothing is shortened to fit the terminal */
        bool is_help;           /* --help: explain the command, do not run it */
        bool is_terminal;       /* stdout is one: people read it */
        bool is_error_terminal; /* stderr is one: progress may be shown */
        bool is_colour;
        struct gpud_client *client; /* NULL until wanted */
} Gpuctl;

/* Connects, once. */
int gpuctl_connect(Gpuctl *ctl);

/* Runs the method of the schema with arguments already parsed. */
int verb_run(Gpuctl *ctl, const ProtoMethod *method, void *args);

/*
 * Calls a method that replies with a list, part by part to its end, and hands each item to `take`. The item
 * lives until `take` returns. Requires: connected. Moves the cursor in `args`. 0 or a GPUD_E_ code negated.
 */
typedef void VerbItemFn(const void *item, void *userdata);
int verb_each(Gpuctl *ctl, const ProtoMethod *method, void *args, VerbItemFn *take, void *userdata);

/* Explains the command that is exactly these words, or the verbs of a noun; no words: what there is. */
int help_print(const char *const *words, size_t n_words);

/* Explains the command that the words begin with. */
int help_print_first(const char *const *words, size_t n_words);
