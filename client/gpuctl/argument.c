/* Parses words by field kind. Sizes, handles and bytes have the forms that help.c explains. */

#include "client/gpuctl/argument.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cleanup.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"

bool parse_size(const char *text, uint64_t *ret_value) {
        static const char suffixes[] = "KMGTPE";
        unsigned long long value;
        const char *suffix;
        unsigned shift;
        char *end;

        if (!isdigit((unsigned char)text[0]))
                return false;
        errno = 0;
        value = strtoull(text, &end, text[0] == '0' && tolower((unsigned char)text[1]) == 'x' ? 16 : 10);
        if (errno)
                return false;
        if (*end) {
                suffix = strchr(suffixes, toupper((unsigned char)*end));
                if (!suffix || (end[1] && strcmp(end + 1, "iB") != 0))
                        return false;
                shift = 10 * (unsigned)(suffix - suffixes + 1);
                if (value > UINT64_MAX >> shift)
                        return false;
                value <<= shift;
        }
        *ret_value = value;
        return true;
}

/* Permission bits are octal, as chmod has them. */
static bool parse_octal(const char *text, uint64_t *ret_value) {
        char *end;

        errno = 0;
        *ret_value = strtoull(text, &end, 8);
        return isdigit((unsigned char)text[0]) && !*end && !errno;
}

static bool parse_bool(const char *text, bool *ret_value) {
        static const char *const words[] = {"false", "true", "no", "yes", "0", "1"};

        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (strcmp(text, words[i]) == 0) {
                        *ret_value = i % 2;
                        return true;
                }
        return false;
}

static int hex_digit(char c) {
        return isdigit((unsigned char)c)    ? c - '0'
               : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                            : -1;
}

static bool parse_hex(const char *text, unsigned char *ret_bytes, size_t n_bytes) {
        int high, low;

        for (size_t i = 0; i < n_bytes; i++) {
                high = hex_digit(text[2 * i]);
                low = hex_digit(text[2 * i + 1]);
                if (high < 0 || low < 0)
                        return false;
                ret_bytes[i] = (unsigned char)(high * 16 + low);
        }
        return true;
}

static void file_closep(FILE **file) {
        if (*file && *file != stdin)
                fclose(*file);
}

/* Whole contents of a small file, at most `limit` bytes. The caller frees it. */
static int read_small_file(const char *name, const char *path, size_t limit, void **ret_data,
                           size_t *ret_size) {
        _cleanup_(file_closep) FILE *file = NULL;
        _cleanup_(freep) char *data = NULL;
        size_t n;

        file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
        if (!file)
                return complain(EXIT_FAILED, "%s: %s: %s", name, path, strerror(errno));
        data = malloc(limit + 1);
        if (!data)
                abort();
        n = fread(data, 1, limit + 1, file);
        if (ferror(file))
                return complain(EXIT_FAILED, "%s: %s: %s", name, path, strerror(errno));
        if (n > limit)
                return complain(EXIT_USAGE, "%s: %s has more than %zu bytes", name, path, limit);
        *ret_data = STEAL(data);
        *ret_size = n;
        return EXIT_SUCCESS;
}

static int parse_bin(Arguments *arguments, const ProtoField *field, const char *text,
                     struct gpud_bin *ret_bin) {
        size_t limit = field->max ? field->max : GPUD_MESSAGE_MAX;
        _cleanup_(freep) void *bytes = NULL;
        size_t n = 0;
        int r;

        if (text[0] == '@') {
                r = read_small_file(field->name, text + 1, limit, &bytes, &n);
                if (r)
                        return r;
        } else if (strncmp(text, "0x", 2) == 0) {
                n = strlen(text + 2) / 2;
                bytes = malloc(n + 1);
                if (!bytes)
                        abort();
                if (strlen(text + 2) % 2 || !parse_hex(text + 2, bytes, n))
                        return complain(EXIT_USAGE, "%s: \"%s\" is not an even number of hexadecimal digits",
                                        field->name, text);
        } else {
                *ret_bin = (struct gpud_bin){text, strlen(text)};
                return EXIT_SUCCESS;
        }
        *ret_bin = (struct gpud_bin){bytes, n};
        arguments->owned[arguments->n_owned++] = STEAL(bytes);
        return EXIT_SUCCESS;
}

#define CHOICES_TEXT_MAX 256

/* "session, persistent" */
static const char *choices_to_text(const ProtoEnum *choices, char ret_text[CHOICES_TEXT_MAX]) {
        ret_text[0] = '\0';
        for (size_t i = 0; i < choices->n_values; i++) {
                strncat(ret_text, i ? ", " : "", CHOICES_TEXT_MAX - strlen(ret_text) - 1);
                strncat(ret_text, choices->values[i].text, CHOICES_TEXT_MAX - strlen(ret_text) - 1);
        }
        return ret_text;
}

static int parse_enum(const ProtoField *field, const char *text, unsigned *ret_value) {
        char names[CHOICES_TEXT_MAX];

        for (size_t i = 0; i < field->choices->n_values; i++)
                if (name_is(text, field->choices->values[i].text)) {
                        *ret_value = (unsigned)i;
                        return EXIT_SUCCESS;
                }
        return complain(EXIT_USAGE, "%s: \"%s\" is none of: %s", field->name, text,
                        choices_to_text(field->choices, names));
}

static int parse_number(const ProtoField *field, const char *text, uint64_t *ret_value) {
        if (field->kind == PROTO_MODE)
                return parse_octal(text, ret_value)
                               ? EXIT_SUCCESS
                               : complain(EXIT_USAGE, "%s: \"%s\" is no octal mode like 0640", field->name,
                                          text);
        if (parse_size(text, ret_value))
                return EXIT_SUCCESS;
        return complain(EXIT_USAGE, "%s: \"%s\" is no number like 4096, 64K or 2G", field->name, text);
}

/* Puts the value into the structure. */
static int set_field(Arguments *arguments, const ProtoField *field, const char *text) {
        void *value = (char *)arguments->values + field->offset;
        char *end;
        int r = EXIT_SUCCESS;

        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                if (!parse_bool(text, value))
                        r = complain(EXIT_USAGE, "%s: \"%s\" is neither true nor false", field->name, text);
                break;
        case PROTO_WIRE_U64:
                r = parse_number(field, text, value);
                break;
        case PROTO_WIRE_F64:
                *(double *)value = strtod(text, &end);
                if (end == text || *end)
                        r = complain(EXIT_USAGE, "%s: \"%s\" is no number", field->name, text);
                break;
        case PROTO_WIRE_STR:
                *(const char **)value = text;
                break;
        case PROTO_WIRE_BIN:
                r = parse_bin(arguments, field, text, value);
                break;
        case PROTO_WIRE_UUID:
                if (!gpud_uuid_from_string(text, value))
                        r = complain(EXIT_USAGE,
                                     "%s: \"%s\" is no handle; handles are UUIDs, `gpuctl ls` shows them",
                                     field->name, text);
                break;
        case PROTO_WIRE_ENUM:
                r = parse_enum(field, text, value);
                break;
        case PROTO_WIRE_STRUCT:
        case PROTO_WIRE_LIST:
                r = complain(EXIT_USAGE, "%s cannot be given on the command line", field->name);
                break;
        }
        if (r == EXIT_SUCCESS && field->has_offset != PROTO_NO_OFFSET)
                *((bool *)arguments->values + field->has_offset) = true;
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

static const ProtoField *find_option(const ProtoStruct *type, const char *name) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (name_is(name, type->fields[i].name))
                        return &type->fields[i];
        return NULL;
}

static int complain_option(const char *what, const ProtoStruct *type, const char *name) {
        const ProtoStruct *types[] = {&proto_struct_options, type};
        const char *candidates[64] = {NULL};
        char text[NAME_TEXT_MAX];
        const char *found;
        size_t n = 0;

        for (size_t k = 0; k < N_ELEMENTS(types); k++)
                for (size_t i = 0; i < types[k]->n_fields && n < N_ELEMENTS(candidates); i++)
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
                       size_t *index, uint64_t *seen) {
        const char *word = words[*index] + 2;
        const char *equals = strchr(word, '=');
        const ProtoField *field;
        const char *value;
        char name[64];

        snprintf(name, sizeof(name), "%.*s", (int)(equals ? equals - word : (ptrdiff_t)strlen(word)), word);
        (*index)++;
        field = find_option(arguments->type, name);
        if (!field)
                return complain_option(what, arguments->type, name);
        if (*seen & UINT64_C(1) << (field - arguments->type->fields))
                return complain(EXIT_USAGE, "%s: --%s is given twice", what, name);
        *seen |= UINT64_C(1) << (field - arguments->type->fields);
        if (equals)
                value = equals + 1;
        else if (field->wire == PROTO_WIRE_BOOL)
                value = "true";
        else if (*index < n_words)
                value = words[(*index)++];
        else
                return complain(EXIT_USAGE, "%s: --%s needs a value", what, name);
        return set_field(arguments, field, value);
}

/* The next required field that has no value yet. */
static const ProtoField *next_required(const ProtoStruct *type, uint64_t seen) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].is_required && !(seen & UINT64_C(1) << i))
                        return &type->fields[i];
        return NULL;
}

static int take_positional(Arguments *arguments, const char *what, const char *word, uint64_t *seen) {
        const ProtoField *field = next_required(arguments->type, *seen);

        if (!field)
                return complain(EXIT_USAGE, "%s: \"%s\" is one word too many; see `gpuctl help %s`", what,
                                word, what);
        *seen |= UINT64_C(1) << (field - arguments->type->fields);
        return set_field(arguments, field, word);
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
        uint64_t seen = 0;
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
                                    ? take_option(arguments, what, words, n_words, &i, &seen)
                                    : complain(EXIT_USAGE, "%s has no option %s; see `gpuctl help %s`", what,
                                               words[i], what);
                }
        }
        for (i = 0; r == EXIT_SUCCESS && !ctl->is_help && i < n_positionals; i++)
                r = take_positional(arguments, what, positionals[i], &seen);
        if (r == EXIT_SUCCESS && !ctl->is_help && next_required(arguments->type, seen))
                r = complain_missing(what, next_required(arguments->type, seen));
        return r;
}

int arguments_init(Arguments *arguments, Gpuctl *ctl, const char *what, const ProtoStruct *type,
                   const char *const *words, size_t n_words) {
        *arguments = (Arguments){.type = type, .values = calloc(1, type->size)};
        if (!arguments->values)
                abort();
        return take_words(arguments, ctl, what, words, n_words);
}

void arguments_deinit(Arguments *arguments) {
        for (size_t i = 0; i < arguments->n_owned; i++)
                free(arguments->owned[i]);
        free(arguments->values);
}
