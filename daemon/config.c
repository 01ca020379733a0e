/*
 * The configuration: the rows of config.def as a table, a parser for each kind of value, and the INI file
 * that they are read from.
 */

#include "daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/util/error.h"
#include "daemon/util/log.h"
#include "daemon/util/macros.h"
#include "proto/guess.h"
#include "proto/socket.h"

#define CONFIG_KEYS_MAX 64 /* that a mistyped one is compared with */

/* The number that a macro stands for, as text. */
#define OPTION_TEXT(macro_)  OPTION_TEXT_(macro_)
#define OPTION_TEXT_(value_) #value_

#define WORDS(Words_)                            static const ConfigWord words_##Words_[] = {
#define WORD(Words_, NAME_, value_, text_, doc_) {text_, NAME_, doc_},
#define END_WORDS(Words_)                                                                                    \
        { 0 }                                                                                                \
        }                                                                                                    \
        ;
#define OPTIONS(options_, Type_, section_) static const char section_of_##options_[] = #section_;
#include "daemon/config.def"

#define RANGE(least_, most_) .least = least_, .most = most_
#define ANY                  .least = NULL
#define LIVE                 true
#define START                false
#define ROW(options_, name_, KIND_, default_, when_, doc_, ...)                                              \
        {.section = section_of_##options_,                                                                   \
         .name = #name_,                                                                                     \
         .kind = CONFIG_##KIND_,                                                                             \
         .offset = offsetof(Config, options_.name_),                                                         \
         .value = default_,                                                                                  \
         .is_live = when_,                                                                                   \
         .doc = doc_,                                                                                        \
         __VA_ARGS__},
#define KEY(options_, name_, KIND_, default_, range_, when_, doc_)                                           \
        ROW(options_, name_, KIND_, default_, when_, doc_, range_)
#define CHOICE(options_, name_, Words_, default_, when_, doc_)                                               \
        ROW(options_, name_, CHOICE, default_, when_, doc_, .words = words_##Words_)
const ConfigKey config_keys[] = {
#include "daemon/config.def"
        {0},
};

/* Puts what `value` says into `place`. Returns 0, CONFIG_E_VALUE or -ENOMEM. */
typedef int (*ParseFn)(const ConfigKey *key, void *place, const char *value);

/* Whether `value` is empty and the key may go without one. */
static bool is_unset(const ConfigKey *key, const char *value) {
        return !*value && !*key->value;
}

/* A whole number. It may have a suffix K, M, G or T, a power of 1024, unless it is octal. */
static bool number_from_string(const char *text, bool is_octal, uint64_t *ret_number) {
        static const char suffixes[] = "KMGT";
        unsigned long long number;
        const char *suffix;
        char *end;

        if (!isdigit((unsigned char)text[0]))
                return false;
        errno = 0;
        number = strtoull(text, &end, is_octal ? 8 : 0);
        if (errno)
                return false;
        if (*end) {
                suffix = strchr(suffixes, *end);
                if (is_octal || !suffix || end[1])
                        return false;
                for (const char *unit = suffixes; unit <= suffix; unit++)
                        if (__builtin_mul_overflow(number, 1024ULL, &number))
                                return false;
        }
        *ret_number = number;
        return true;
}

static bool is_in_range(const ConfigKey *key, uint64_t number) {
        bool is_octal = key->kind == CONFIG_MODE;
        uint64_t least;
        uint64_t most;

        return number_from_string(key->least, is_octal, &least) &&
               number_from_string(key->most, is_octal, &most) && number >= least && number <= most;
}

static int parse_number(const ConfigKey *key, void *place, const char *value) {
        uint64_t number = OPTION_UNSET;

        if (!is_unset(key, value) &&
            (!number_from_string(value, false, &number) || !is_in_range(key, number)))
                return CONFIG_E_VALUE;
        *(uint64_t *)place = number;
        return 0;
}

static int parse_mode(const ConfigKey *key, void *place, const char *value) {
        uint64_t mode;

        if (!number_from_string(value, true, &mode) || !is_in_range(key, mode))
                return CONFIG_E_VALUE;
        *(mode_t *)place = (mode_t)mode;
        return 0;
}

static int parse_bool(const ConfigKey *key, void *place, const char *value) {
        static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

        (void)key;
        for (size_t i = 0; i < N_ELEMENTS(words); i++)
                if (strcasecmp(value, words[i]) == 0) {
                        *(bool *)place = i % 2 == 1;
                        return 0;
                }
        return CONFIG_E_VALUE;
}

static int parse_choice(const ConfigKey *key, void *place, const char *value) {
        for (const ConfigWord *word = key->words; word->text; word++)
                if (strcmp(value, word->text) == 0) {
                        *(int *)place = word->value; /* an enumeration of WORDS */
                        return 0;
                }
        return CONFIG_E_VALUE;
}

static int parse_path(const ConfigKey *key, void *place, const char *value) {
        char **path = place;
        char *copy;

        if (!is_in_range(key, strlen(value)))
                return CONFIG_E_VALUE;
        copy = strdup(value);
        if (!copy)
                return error_origin(-ENOMEM);
        free(*path);
        *path = copy;
        return 0;
}

static int parse_group(const ConfigKey *key, void *place, const char *value) {
        const struct group *group = getgrnam(value);
        uint64_t gid = NO_GROUP;

        if (group)
                gid = group->gr_gid;
        else if (!is_unset(key, value) && (!number_from_string(value, false, &gid) || gid >= NO_GROUP))
                return CONFIG_E_VALUE;
        *(gid_t *)place = (gid_t)gid;
        return 0;
}

static int add_user(void *place, const char *word) {
        OptionUsers *users = place;
        const struct passwd *user = getpwnam(word);
        uid_t *uids;
        uint64_t uid;

        if (user)
                uid = user->pw_uid;
        else if (!number_from_string(word, false, &uid) || uid >= (uid_t)-1)
                return CONFIG_E_VALUE;
        uids = reallocarray(users->uids, users->n_uids + 1, sizeof(*uids));
        if (!uids)
                return error_origin(-ENOMEM);
        users->uids = uids;
        users->uids[users->n_uids++] = (uid_t)uid;
        return 0;
}

static int add_name(void *place, const char *word) {
        OptionNames *list = place;
        char **names = reallocarray(list->names, list->n_names + 1, sizeof(*names));

        if (!names)
                return error_origin(-ENOMEM);
        list->names = names;
        list->names[list->n_names] = strdup(word);
        if (!list->names[list->n_names])
                return error_origin(-ENOMEM);
        list->n_names++;
        return 0;
}

/* Calls `add` for every word between the commas. */
static int parse_list(void *place, const char *value, int (*add)(void *place, const char *word)) {
        char *copy = strdup(value);
        char *state = NULL;
        int r = 0;

        if (!copy)
                return error_origin(-ENOMEM);
        for (char *word = strtok_r(copy, ", \t", &state); word && !r; word = strtok_r(NULL, ", \t", &state))
                r = add(place, word);
        free(copy);
        return r;
}

static int parse_users(const ConfigKey *key, void *place, const char *value) {
        (void)key;
        return parse_list(place, value, add_user);
}

static int parse_names(const ConfigKey *key, void *place, const char *value) {
        (void)key;
        return parse_list(place, value, add_name);
}

/* What are not numbers is compared by what it points to. */
static bool is_same_path(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b) == 0;
}

static bool is_same_users(const void *a, const void *b) {
        const OptionUsers *x = a, *y = b;

        return x->n_uids == y->n_uids &&
               (x->n_uids == 0 || memcmp(x->uids, y->uids, x->n_uids * sizeof(*x->uids)) == 0);
}

static bool is_same_names(const void *a, const void *b) {
        const OptionNames *x = a, *y = b;

        for (size_t i = 0; i < x->n_names && i < y->n_names; i++)
                if (strcmp(x->names[i], y->names[i]) != 0)
                        return false;
        return x->n_names == y->n_names;
}

static const struct {
        ParseFn parse;
        const char *expected; /* in words, for config_get_expected(): before the range, */
        const char *unit;     /* and behind it */
        size_t size;
        bool (*is_same)(const void *a, const void *b); /* NULL: byte by byte */
} kinds[] = {
        [CONFIG_BOOL] = {parse_bool, "yes or no", "", sizeof(bool), NULL},
        [CONFIG_COUNT] = {parse_number, "a number from ", "", sizeof(uint64_t), NULL},
        [CONFIG_SIZE] = {parse_number, "a size from ", "", sizeof(uint64_t), NULL},
        [CONFIG_MICROSECONDS] = {parse_number, "a number from ", "", sizeof(uint64_t), NULL},
        [CONFIG_MODE] = {parse_mode, "an octal number from ", "", sizeof(mode_t), NULL},
        [CONFIG_PATH] = {parse_path, "a path of ", " bytes", sizeof(char *), is_same_path},
        [CONFIG_GROUP] = {parse_group, "a group that exists, by name or number", "", sizeof(gid_t), NULL},
        [CONFIG_USERS] = {parse_users, "users that exist, by name or number, separated by commas", "",
                          sizeof(OptionUsers), is_same_users},
        [CONFIG_NAMES] = {parse_names, "names separated by commas", "", sizeof(OptionNames), is_same_names},
        [CONFIG_CHOICE] = {parse_choice, "", "", sizeof(int), NULL},
};

static void *find_place(Config *config, const ConfigKey *key) {
        return (char *)config + key->offset;
}

int config_set(Config *config, const ConfigKey *key, const char *value) {
        return kinds[key->kind].parse(key, find_place(config, key), value);
}

int config_init(Config *config) {
        int r;

        *config = (Config){0};
        for (const ConfigKey *key = config_keys; key->name; key++) {
                r = config_set(config, key, key->value);
                if (r)
                        return error_fold(r);
        }
        return 0;
}

static void names_deinit(OptionNames *list) {
        for (size_t i = 0; i < list->n_names; i++)
                free(list->names[i]);
        free(list->names);
}

void config_deinit(Config *config) {
        for (const ConfigKey *key = config_keys; key->name; key++) {
                void *place = find_place(config, key);

                if (key->kind == CONFIG_PATH)
                        free(*(char **)place);
                else if (key->kind == CONFIG_USERS)
                        free(((OptionUsers *)place)->uids);
                else if (key->kind == CONFIG_NAMES)
                        names_deinit(place);
        }
}

const ConfigKey *config_find_key(const char *section, const char *name) {
        for (const ConfigKey *key = config_keys; key->name; key++)
                if (strcmp(key->section, section) == 0 && strcmp(key->name, name) == 0)
                        return key;
        return NULL;
}

bool config_is_same(const Config *a, const Config *b, const ConfigKey *key) {
        const void *x = (const char *)a + key->offset, *y = (const char *)b + key->offset;

        return kinds[key->kind].is_same ? kinds[key->kind].is_same(x, y)
                                        : memcmp(x, y, kinds[key->kind].size) == 0;
}

static void config_swap(Config *a, Config *b, const ConfigKey *key) {
        char *x = find_place(a, key), *y = find_place(b, key);

        for (size_t i = 0; i < kinds[key->kind].size; i++) {
                char byte = x[i];

                x[i] = y[i];
                y[i] = byte;
        }
}

void config_update(Config *config, Config *next) {
        for (const ConfigKey *key = config_keys; key->name; key++) {
                if (config_is_same(config, next, key))
                        continue;
                if (key->is_live) {
                        config_swap(config, next, key);
                        log_info("[%s] %s changes", key->section, key->name);
                } else {
                        log_warning(
                                "[%s] %s cannot change while gpud runs: it does when gpud is started again",
                                key->section, key->name);
                }
        }
}

void config_get_expected(const ConfigKey *key, char *ret_text, size_t n_text) {
        bool has_range = key->least != NULL;
        int n = snprintf(ret_text, n_text, "%s%s%s%s%s", kinds[key->kind].expected,
                         has_range ? key->least : "", has_range ? " to " : "", has_range ? key->most : "",
                         kinds[key->kind].unit);

        for (const ConfigWord *word = key->words; word && word->text; word++)
                n += snprintf(ret_text + n, n_text - (size_t)n, "%s%s",
                              word == key->words ? ""
                              : word[1].text     ? ", "
                                                 : " or ",
                              word->text);
}

typedef struct Reader {
        Config *config;
        const char *path;
        FILE *file;
        char *text; /* owned; the line that was read last, */
        size_t n_text;
        unsigned line; /* and its number */
        int read_r;    /* why it could not read on: -errno */
        int r;         /* of the keys */
} Reader;

static bool has_section(const char *section) {
        for (const ConfigKey *key = config_keys; key->name; key++)
                if (strcmp(key->section, section) == 0)
                        return true;
        return false;
}

/* The key that was meant: of the same name in another section, or of one that is much like it. */
static const ConfigKey *guess_key(const char *name) {
        const char *names[CONFIG_KEYS_MAX] = {0}, *found;
        size_t n = 0;

        for (const ConfigKey *key = config_keys; key->name && n < CONFIG_KEYS_MAX; key++)
                names[n++] = key->name;
        found = guess(name, names, n);
        for (const ConfigKey *key = config_keys; found && key->name; key++)
                if (strcmp(key->name, found) == 0)
                        return key;
        return NULL;
}

static void complain_key(const Reader *reader, const char *section, const char *name, const char *value) {
        const ConfigKey *meant = guess_key(name);
        const char *what = has_section(section) ? "key" : "section";

        if (meant)
                log_error("%s:%u: [%s] %s = %s: there is no such %s; did you mean %s in [%s]?", reader->path,
                          reader->line, section, name, value, what, meant->name, meant->section);
        else
                log_error("%s:%u: [%s] %s = %s: there is no such %s", reader->path, reader->line, section,
                          name, value, what);
}

/* A handler of inih. It notes a fault and lets inih go on, so that one look finds those of all keys. */
static int on_key(void *userdata, const char *section, const char *name, const char *value) {
        const ConfigKey *key = config_find_key(section, name);
        char expected[CONFIG_EXPECTED_SIZE];
        Reader *reader = userdata;
        int r;

        if (!key) {
                complain_key(reader, section, name, value);
                reader->r = -EINVAL;
                return 1;
        }
        r = config_set(reader->config, key, value);
        if (r == CONFIG_E_VALUE) {
                config_get_expected(key, expected, sizeof(expected));
                log_error("%s:%u: [%s] %s = %s: expected %s", reader->path, reader->line, section, name,
                          value, expected);
                reader->r = -EINVAL;
        } else if (r) {
                reader->r = r;
        }
        return 1;
}

/*
 * inih's fgets(). It counts the lines, since the handler is not told where it is. It takes away blanks in
 * front, by which inih would make a line part of the one before, and lines of which inih would make two.
 */
static char *read_line(char *text, int n_text, void *userdata) {
        Reader *reader = userdata;
        const char *line;

        if (getline(&reader->text, &reader->n_text, reader->file) < 0) {
                reader->read_r = ferror(reader->file) ? -errno : 0;
                return NULL;
        }
        reader->line++;
        line = reader->text + strspn(reader->text, " \t");
        if (strlen(line) >= (size_t)n_text) {
                log_error(
                        "%s:%u: the line has %zu bytes, limit %d; words of a list may stand in several lines",
                        reader->path, reader->line, strlen(line), n_text - 1);
                reader->r = -EINVAL;
                line = "\n";
        }
        return strcpy(text, line);
}

static int read_file(Reader *reader) {
        int line = ini_parse_stream(read_line, reader, on_key, reader);

        if (reader->read_r)
                return reader->read_r;
        if (line < 0)
                return -ENOMEM;
        if (line > 0) {
                log_error("%s:%d: expected \"key = value\" or \"[section]\"", reader->path, line);
                reader->r = -EINVAL;
        }
        return 0;
}

/* Returns 0, -EINVAL or -errno. */
static int config_read_file(Config *config, const char *path) {
        Reader reader = {.config = config, .path = path, .file = fopen(path, "re")};
        int r = reader.file ? read_file(&reader) : -errno;

        if (r)
                log_error("cannot read %s: %s", path, strerror(-r));
        if (reader.file)
                fclose(reader.file);
        free(reader.text);
        return r ? r : reader.r;
}

int config_read(Config *config, const ConfigSource *source) {
        const ConfigKey *key = config_find_key("gpud", "socket");
        char expected[CONFIG_EXPECTED_SIZE];
        int r = 0;

        if (source->path)
                r = config_read_file(config, source->path);
        if (r || !source->socket)
                return r;
        r = config_set(config, key, source->socket);
        if (r == CONFIG_E_VALUE) {
                config_get_expected(key, expected, sizeof(expected));
                log_error("--socket %s: expected %s", source->socket, expected);
                return -EINVAL;
        }
        return r;
}
