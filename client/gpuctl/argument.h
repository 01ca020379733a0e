#pragma once

/* Words of the command line into the structure that a method takes, by its table. */

#include "client/gpuctl/gpuctl.h"

#define ARGUMENT_OWNED_MAX 8

typedef struct Arguments {
        const ProtoStruct *type;
        void *values;                    /* the structure; owned */
        void *owned[ARGUMENT_OWNED_MAX]; /* bytes that its fields point at */
        size_t n_owned;
} Arguments;

/*
 * Reads `words`: required fields by position or as --field=value, optional ones as --field=value or --field
 * value; '-' and '_' are the same. Also takes the options of gpuctl itself. `what` names the command in
 * complaints. Deinit is due whatever it returns.
 */
int arguments_init(Arguments *arguments, Gpuctl *ctl, const char *what, const ProtoStruct *type,
                   const char *const *words, size_t n_words);
void arguments_deinit(Arguments *arguments);

/* Takes an option of gpuctl itself at words[*index] and steps past it. False if it is none of them. */
bool gpuctl_take_option(Gpuctl *ctl, const char *const *words, size_t n_words, size_t *index, int *ret_exit);

/*
 * A number of bytes: digits, or 0x and hexadecimal ones, with K, M, G or T (powers of 1024) or KiB ...
 * behind.
 */
bool parse_size(const char *text, uint64_t *ret_value);
