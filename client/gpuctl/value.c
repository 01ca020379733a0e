/* Parses a value by its field's kind. help.c explains the forms. */

#include "client/gpuctl/value.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cleanup.h"
#include "client/gpuctl/complain.h"
#include "proto/guess.h"

/* What a suffix multiplies with: "K" and "KiB" with 1024, "KB" with 1000. 0: there is no such suffix. */
static uint64_t suffix_factor(const char *suffix) {
        static const char letters[] = "KMGTPE";
        const char *letter;
        uint64_t base, factor = 1;

        if (!*suffix)
                return 1;
        letter = strchr(letters, toupper((unsigned char)*suffix));
        if (!letter || (suffix[1] && strcmp(suffix + 1, "iB") != 0 && strcmp(suffix + 1, "B") != 0))
                return 0;
        base = suffix[1] == 'B' ? 1000 : 1024;
        for (const char *c = letters; c <= letter; c++)
                factor *= base;
        return factor;
}

/* 0.DIGITS times `factor`, rounded down: exact, as no floating point is. */
static uint64_t scale_fraction(const char *digits, size_t n_digits, uint64_t factor) {
        uint64_t value = 0;

        while (n_digits-- > 0)
                value = (value + (uint64_t)(digits[n_digits] - '0') * factor) / 10;
        return value;
}

bool parse_size(const char *text, uint64_t *ret_value) {
        bool is_hex = text[0] == '0' && tolower((unsigned char)text[1]) == 'x';
        uint64_t factor, fraction = 0;
        unsigned long long value;
        const char *digits;
        size_t n_digits = 0;
        char *end;

        if (!isdigit((unsigned char)text[0]))
                return false;
        errno = 0;
        value = strtoull(text, &end, is_hex ? 16 : 10);
        if (errno)
                return false;
        digits = end + 1;
        if (*end == '.' && !is_hex) {
                n_digits = strspn(digits, "0123456789");
                end += 1 + n_digits;
                /* A part of a byte is none. */
                if (n_digits == 0 || !*end)
                        return false;
        }
        factor = suffix_factor(end);
        if (factor == 0)
                return false;
        fraction = scale_fraction(digits, n_digits, factor);
        if (value > (UINT64_MAX - fraction) / factor)
                return false;
        *ret_value = value * factor + fraction;
        return true;
}

/* Decimal digits and no more. */
static bool parse_plain(const char *text, char **ret_end, uint64_t *ret_value) {
        errno = 0;
        *ret_value = strtoull(text, ret_end, 10);
        return isdigit((unsigned char)text[0]) && !errno;
}

bool parse_duration(const char *text, uint64_t *ret_seconds) {
        static const struct {
                const char *name;
                uint64_t seconds;
        } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
        uint64_t value;
        char *end;

        if (!parse_plain(text, &end, &value))
                return false;
        for (size_t i = 0; i < N_ELEMENTS(units); i++)
                if (strcmp(end, units[i].name) == 0) {
                        *ret_seconds = value * units[i].seconds;
                        return value <= UINT64_MAX / units[i].seconds;
                }
        return false;
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

static int parse_bin(const ProtoField *field, const char *text, struct gpud_bin *ret_bin, void **ret_owned) {
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
        *ret_owned = STEAL(bytes);
        return EXIT_SUCCESS;
}

const char *choices_to_text(const ProtoEnum *choices, char ret_text[CHOICES_TEXT_MAX]) {
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

/* A user or group by its number, or by its name here. */
static bool parse_id(const ProtoField *field, const char *text, uint64_t *ret_value) {
        const struct passwd *user;
        const struct group *group;
        char *end;

        if (parse_plain(text, &end, ret_value) && !*end)
                return true;
        user = field->kind == PROTO_UID ? getpwnam(text) : NULL;
        group = field->kind == PROTO_GID ? getgrnam(text) : NULL;
        *ret_value = user ? user->pw_uid : group ? group->gr_gid : 0;
        return user || group;
}

static int parse_number(const ProtoField *field, const char *text, uint64_t *ret_value) {
        const char *wanted;
        bool is_good;

        switch (field->kind) {
        case PROTO_MODE:
                is_good = parse_octal(text, ret_value);
                wanted = "octal mode like 0640";
                break;
        case PROTO_UID:
                is_good = parse_id(field, text, ret_value);
                wanted = "user of this machine, and no number";
                break;
        case PROTO_GID:
                is_good = parse_id(field, text, ret_value);
                wanted = "group of this machine, and no number";
                break;
        case PROTO_DURATION:
                is_good = parse_duration(text, ret_value);
                wanted = "time like 90 (seconds), 15min, 12h or 7d";
                break;
        default:
                is_good = parse_size(text, ret_value);
                wanted = "number of bytes like 4096, 64K, 1.5G or 10GB";
        }
        if (!is_good)
                return complain(EXIT_USAGE, "%s: \"%s\" is no %s", field->name, text, wanted);
        if (*ret_value > proto_kind_get_max(field->kind))
                return complain(EXIT_USAGE,
                                field->kind == PROTO_MODE ? "%s: %s exceeds %04" PRIo64
                                                          : "%s: %s exceeds %" PRIu64,
                                field->name, text, proto_kind_get_max(field->kind));
        return EXIT_SUCCESS;
}

int value_parse(const ProtoField *field, const char *text, void *ret_value, void **ret_owned) {
        char *end;

        *ret_owned = NULL;
        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                if (parse_bool(text, ret_value))
                        return EXIT_SUCCESS;
                return complain(EXIT_USAGE, "%s: \"%s\" is neither true nor false", field->name, text);
        case PROTO_WIRE_U64:
                return parse_number(field, text, ret_value);
        case PROTO_WIRE_F64:
                *(double *)ret_value = strtod(text, &end);
                if (end != text && !*end)
                        return EXIT_SUCCESS;
                return complain(EXIT_USAGE, "%s: \"%s\" is no number", field->name, text);
        case PROTO_WIRE_STR:
                *(const char **)ret_value = text;
                return EXIT_SUCCESS;
        case PROTO_WIRE_BIN:
                return parse_bin(field, text, ret_value, ret_owned);
        case PROTO_WIRE_UUID:
                if (gpud_uuid_from_string(text, ret_value))
                        return EXIT_SUCCESS;
                return complain(EXIT_USAGE,
                                "%s: \"%s\" is no handle; those are UUIDs, which --no-trunc shows whole",
                                field->name, text);
        case PROTO_WIRE_ENUM:
                return parse_enum(field, text, ret_value);
        case PROTO_WIRE_STRUCT:
        case PROTO_WIRE_LIST:
                break;
        }
        return complain(EXIT_USAGE, "%s cannot be given on the command line", field->name);
}
