/* Which word is which field's. What each means, value.c knows. */

#include "client/gpuctl/argument.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cleanup.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/value.h"
#include "proto/guess.h"

/* Puts the value into the structure; what names an allocation is resolved later, when gpud can be asked. */
static int set_field(Arguments *arguments, void *values, const ProtoField *field, const char *text) {
        void *value = (char *)values + field->offset;
        void *owned = NULL;
        int r = EXIT_SUCCESS;

        if (field->object == PROTO_OBJECT_MEM && !gpud_uuid_from_string(text, value))
                arguments->names[arguments->n_names++] = (ArgumentName){field, text};
        else
                r = value_parse(field, text, value, &owned);
        if (owned)
                arguments->owned[arguments->n_owned++] = owned;
        if (r == EXIT_SUCCESS && field->has_offset != PROTO_NO_OFFSET)
                *((bool *)values + field->has_offset) = true;
        return r;
}

/*
 * Whether the word is this option of gpuctl's, and its value: behind a '=', or the next word; NULL if none
 * is.
 */
static bool take_value(const char *option, const char *const *words, size_t n_words, size_t *index,
                       const char **ret_value) {
        const char *word = words[*index];
        size_t n = strlen(option);

        if (strncmp(word, option, n) != 0 || (word[n] && word[n] != '='))
                return false;
        if (word[n])
                *ret_value = word + n + 1;
        else
                *ret_value = *index + 1 < n_words ? words[++*index] : NULL;
        return true;
}

static int set_timeout(Gpuctl *ctl, const char *text) {
        double seconds;
        char *end;

        seconds = strtod(text, &end);
        if (end == text || *end || !(seconds >= 0 && seconds <= UINT32_MAX / 1000))
                return complain(EXIT_USAGE, "--timeout: \"%s\" is no number of seconds from 0 to %u", text,
                                UINT32_MAX / 1000);
        ctl->timeout_ms = (uint32_t)(seconds * 1000);
        /* 0 would be for ever. */
        if (seconds > 0 && ctl->timeout_ms == 0)
                ctl->timeout_ms = 1;
        return EXIT_SUCCESS;
}

bool gpuctl_take_option(Gpuctl *ctl, const char *const *words, size_t n_words, size_t *index, int *ret_exit) {
        const char *word = words[*index];
        const char *value;

        *ret_exit = EXIT_SUCCESS;
        if (strcmp(word, "--json") == 0) {
                ctl->is_json = true;
        } else if (name_is(word, "--no-trunc")) {
                ctl->is_whole = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
                ctl->is_help = true;
        } else if (take_value("--socket", words, n_words, index, &value)) {
                ctl->socket = value;
                if (!value)
                        *ret_exit = complain(EXIT_USAGE, "--socket needs a path");
        } else if (take_value("--timeout", words, n_words, index, &value)) {
                *ret_exit = value ? set_timeout(ctl, value)
                                  : complain(EXIT_USAGE, "--timeout needs a number of seconds");
        } else {
                return false;
        }
        (*index)++;
        return true;
}

const ProtoField *arguments_find_field(const ProtoStruct *type, const char *name) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (name_is(name, type->fields[i].name) && !arguments_is_hidden(&type->fields[i]))
                        return &type->fields[i];
        return NULL;
}

bool arguments_has_names(const ProtoStruct *type) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].object == PROTO_OBJECT_MEM)
                        return true;
        return false;
}

bool arguments_is_hidden(const ProtoField *field) {
        return field->kind == PROTO_CURSOR;
}

/* A field of either structure: of the method's own, or of the one that chooses among names. */
typedef struct Place {
        const ProtoField *field;
        void *values;
        uint64_t *seen;
        uint64_t bit;
} Place;

static bool find_place(Arguments *arguments, const char *name, Place *ret_place) {
        const ProtoStruct *types[] = {arguments->type, &proto_struct_name_options};
        void *values[] = {arguments->values, &arguments->name_options};
        size_t n_types = arguments_has_names(arguments->type) ? 2 : 1;
        const ProtoField *field;

        for (size_t i = 0; i < n_types; i++) {
                field = arguments_find_field(types[i], name);
                if (!field)
                        continue;
                *ret_place = (Place){
                        .field = field,
                        .values = values[i],
                        .seen = &arguments->seen[i],
                        .bit = UINT64_C(1) << (field - types[i]->fields),
                };
                return true;
        }
        return false;
}

static int complain_option(const char *what, const ProtoStruct *type, const char *name) {
        const ProtoStruct *types[] = {&proto_struct_options, type, &proto_struct_name_options};
        size_t n_types = arguments_has_names(type) ? 3 : 2;
        const char *candidates[64] = {NULL};
        char text[NAME_TEXT_MAX];
        const char *found;
        size_t n = 0;

        for (size_t k = 0; k < n_types; k++)
                for (size_t i = 0; i < types[k]->n_fields && n < N_ELEMENTS(candidates); i++)
                        if (!arguments_is_hidden(&types[k]->fields[i]))
                                candidates[n++] = types[k]->fields[i].name;
        found = guess(name, candidates, n);
        if (found && strcmp(found, name) == 0)
                return complain(EXIT_USAGE, "%s: --%s takes no value", what, name);
        if (found)
                return complain(EXIT_USAGE, "%s has no option --%s; did you mean --%s?", what, name,
                                name_to_text(found, text));
        return complain(EXIT_USAGE, "%s has no option --%s; see `gpuctl help %s`", what, name, what);
}

/* --name=value, --name value, or --name alone for a bool. */
static int take_option(Arguments *arguments, const char *what, const char *const *words, size_t n_words,
                       size_t *index) {
        const char *word = words[*index] + 2;
        const char *equals = strchr(word, '=');
        const char *value;
        char name[64];
        Place place;

        snprintf(name, sizeof(name), "%.*s", (int)(equals ? equals - word : (ptrdiff_t)strlen(word)), word);
        (*index)++;
        if (!find_place(arguments, name, &place))
                return complain_option(what, arguments->type, name);
        if (*place.seen & place.bit)
                return complain(EXIT_USAGE, "%s: --%s is given twice", what, name);
        *place.seen |= place.bit;
        if (equals)
                value = equals + 1;
        else if (place.field->wire == PROTO_WIRE_BOOL)
                value = "true";
        else if (*index < n_words)
                value = words[(*index)++];
        else
                return complain(EXIT_USAGE, "%s: --%s needs a value", what, name);
        return set_field(arguments, place.values, place.field, value);
}

/* The next required field that has no value yet. */
static const ProtoField *next_required(const Arguments *arguments) {
        const ProtoStruct *type = arguments->type;

        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].is_required && !(arguments->seen[0] & UINT64_C(1) << i))
                        return &type->fields[i];
        return NULL;
}

static void set_seen(Arguments *arguments, const ProtoField *field) {
        arguments->seen[0] |= UINT64_C(1) << (field - arguments->type->fields);
}

/* With a word too few the device is the one that may be left out. */
static void leave_out_device(Arguments *arguments, size_t n_positionals) {
        const ProtoField *field, *device = NULL;
        Arguments rest = *arguments;
        size_t n = 0;

        while ((field = next_required(&rest))) {
                set_seen(&rest, field);
                n++;
                if (field->kind == PROTO_DEVICE)
                        device = field;
        }
        if (!device || n_positionals >= n)
                return;
        arguments->device = device;
        set_seen(arguments, device);
}

/* A word too many is often a name, which is an option here. */
static int complain_word(const Arguments *arguments, const char *what, const char *word) {
        const ProtoStruct *type = arguments->type;
        char name[NAME_TEXT_MAX];

        if (type == &proto_struct_mem_free_args)
                return complain(EXIT_USAGE, "%s: \"%s\" is one word too many; `gpuctl rm` takes several",
                                what, word);
        for (size_t i = 0; i < type->n_fields; i++)
                if (!type->fields[i].is_required && !(arguments->seen[0] & UINT64_C(1) << i) &&
                    (type->fields[i].object == PROTO_OBJECT_MEM ||
                     strncmp(type->fields[i].name, "name", 4) == 0))
                        return complain(EXIT_USAGE, "%s: \"%s\" is one word too many; did you mean --%s=%s?",
                                        what, word, name_to_text(type->fields[i].name, name), word);
        return complain(EXIT_USAGE, "%s: \"%s\" is one word too many; see `gpuctl help %s`", what, word,
                        what);
}

static int take_positional(Arguments *arguments, const char *what, const char *word) {
        const ProtoField *field = next_required(arguments);

        if (!field && arguments->more) {
                arguments->more[arguments->n_more++] = word;
                return EXIT_SUCCESS;
        }
        if (!field)
                return complain_word(arguments, what, word);
        set_seen(arguments, field);
        return set_field(arguments, arguments->values, field, word);
}

static int complain_missing(const char *what, const ProtoField *field) {
        char names[CHOICES_TEXT_MAX];

        if (field->kind == PROTO_ENUM)
                return complain(EXIT_USAGE, "%s: %s is missing, one of: %s", what, field->name,
                                choices_to_text(field->choices, names));
        return complain(EXIT_USAGE, "%s: %s is missing; see `gpuctl help %s`", what, field->name, what);
}

/* Options first, so that a required field given as one leaves its place to the next word. */
static int take_words(Arguments *arguments, Gpuctl *ctl, const char *what, const char *const *words,
                      size_t n_words) {
        _cleanup_(freep) const char **positionals = NULL;
        size_t n_positionals = 0, i = 0;
        bool is_plain = false;
        int r = EXIT_SUCCESS;

        positionals = calloc(n_words + 1, sizeof(*positionals));
        if (!positionals)
                abort();
        while (r == EXIT_SUCCESS && i < n_words) {
                if (!is_plain && strcmp(words[i], "--") == 0) {
                        is_plain = true;
                        i++;
                } else if (is_plain || words[i][0] != '-' || !words[i][1]) {
                        positionals[n_positionals++] = words[i++];
                } else if (!gpuctl_take_option(ctl, words, n_words, &i, &r)) {
                        r = words[i][1] == '-'
                                    ? take_option(arguments, what, words, n_words, &i)
                                    : complain(EXIT_USAGE, "%s has no option %s; see `gpuctl help %s`", what,
                                               words[i], what);
                }
        }
        if (r || ctl->is_help)
                return r;
        leave_out_device(arguments, n_positionals);
        for (i = 0; r == EXIT_SUCCESS && i < n_positionals; i++)
                r = take_positional(arguments, what, positionals[i]);
        if (r == EXIT_SUCCESS && next_required(arguments))
                r = complain_missing(what, next_required(arguments));
        return r;
}

int arguments_init(Arguments *arguments, Gpuctl *ctl, const char *what, const ProtoStruct *type,
                   bool is_repeated, const char *const *words, size_t n_words) {
        *arguments = (Arguments){.type = type, .values = calloc(1, type->size)};
        if (is_repeated)
                arguments->more = calloc(n_words + 1, sizeof(*arguments->more));
        if (!arguments->values || (is_repeated && !arguments->more))
                abort();
        return take_words(arguments, ctl, what, words, n_words);
}

int arguments_next(Arguments *arguments) {
        const ProtoField *last = arguments->type->fields;

        for (size_t i = 0; i < arguments->type->n_fields; i++)
                if (arguments->type->fields[i].is_required)
                        last = &arguments->type->fields[i];
        arguments->n_names = 0;
        return set_field(arguments, arguments->values, last, arguments->more[arguments->i_more++]);
}

void arguments_deinit(Arguments *arguments) {
        for (size_t i = 0; i < arguments->n_owned; i++)
                free(arguments->owned[i]);
        free(arguments->more);
        free(arguments->values);
}
