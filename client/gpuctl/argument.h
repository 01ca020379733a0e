#pragma once

/* Words of the command line into the structure that a method takes, by its table. */

#include "client/gpuctl/command.h"

#define ARGUMENT_OWNED_MAX 8
#define ARGUMENT_NAMES_MAX 4

/* An allocation that is called by its name: of which handle, gpud knows. */
typedef struct ArgumentName {
        const ProtoField *field;
        const char *text;
} ArgumentName;

typedef struct Arguments {
        const ProtoStruct *type;
        void *values;                           /* the structure; owned */
        struct gpud_name_options name_options;  /* --device and --uid, where the structure has them not */
        uint64_t seen[2];                       /* bits of the fields of both that have a value */
        ArgumentName names[ARGUMENT_NAMES_MAX]; /* still to be resolved */
        size_t n_names;
        const ProtoField *device; /* required and left out, still to be resolved; or NULL */
        const char **more;        /* words for the last required field, one after the other; owned */
        size_t n_more, i_more;
        void *owned[ARGUMENT_OWNED_MAX]; /* what fields point at */
        size_t n_owned;
} Arguments;

/*
 * Reads `words`: required fields by position or as --field=value, optional ones as --field=value or --field
 * value; '-' and '_' are the same. Also takes the options of gpuctl itself. `what` names the command in
 * complaints. `is_repeated`: words beyond the fields are further values of the last required one. Deinit is
 * due whatever it returns.
 */
int arguments_init(Arguments *arguments, Gpuctl *ctl, const char *what, const ProtoStruct *type,
                   bool is_repeated, const char *const *words, size_t n_words);
void arguments_deinit(Arguments *arguments);

/* Asks gpud for what the words leave open: handles of names, and the one device there is. */
int arguments_resolve(Arguments *arguments, Gpuctl *ctl, const char *what);

/* The id of the one device there is, for the caller to free; complains if there are more or none. */
int resolve_device(Gpuctl *ctl, const char *what, char **ret_device);

/* Puts the next of the further words into its field. Requires: i_more < n_more. */
int arguments_next(Arguments *arguments);

/* A field by its name with '-' or '_'; NULL if there is none that a command line may give. */
const ProtoField *arguments_find_field(const ProtoStruct *type, const char *name);

/* Whether a field is an allocation, which may be called by its name. */
bool arguments_has_names(const ProtoStruct *type);

/* Whether the field is for programs only: a list's cursor, which gpuctl turns itself. */
bool arguments_is_hidden(const ProtoField *field);

/* Takes an option of gpuctl itself at words[*index] and steps past it. False if it is none of them. */
bool gpuctl_take_option(Gpuctl *ctl, const char *const *words, size_t n_words, size_t *index, int *ret_exit);
