#pragma once

/*
 * What the measuring programs share. Each is one side of a comparison: it connects once, then does what the
 * lines on its standard input say and answers each with one line of JSON, so that bench.py can have the sides
 * take turns. Whatever goes wrong ends the program with a word on standard error.
 */

#include <stddef.h>

typedef struct Samples {
        double *us; /* owned */
        size_t n;
        size_t n_max;
} Samples;

/* One command: `args` are the n_args words behind its name. It prints one line. */
typedef struct Command {
        const char *name;
        size_t n_args;
        void (*run)(void *side, char **args);
} Command;

#define COMMAND_ARGS_MAX 4

/* Obeys standard input until it ends. `commands` ends with a row without a name. */
void commands_run(const Command *commands, void *side);

/* Monotonic, the same in every process of the machine. */
double now_us(void);

void samples_add(Samples *samples, double us);
/* Prints `"n": ..., "median_us": ...` and so on, without braces, sorting the samples; empties them. */
void samples_print(Samples *samples);

size_t to_size(const char *text);

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *must_alloc(size_t size);
