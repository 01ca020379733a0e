#pragma once

/*
 * The configuration: the defaults of config.def, overridden by a file, overridden by the command line. Only
 * the start of the daemon and a reload write to it.
 */

#include <stddef.h>

#include "daemon/options.h"

typedef struct Config Config;
typedef struct ConfigKey ConfigKey;
typedef struct ConfigSource ConfigSource;
typedef struct ConfigWord ConfigWord;

struct Config {
#define OPTIONS(options_, Type_, section_) Type_ options_;
#include "daemon/config.def"
};

typedef enum ConfigKind {
        CONFIG_BOOL,
        CONFIG_COUNT,
        CONFIG_SIZE,
        CONFIG_MICROSECONDS,
        CONFIG_MODE,
        CONFIG_PATH,
        CONFIG_GROUP,
        CONFIG_USERS,
        CONFIG_NAMES,
        CONFIG_CHOICE,
} ConfigKind;

struct ConfigWord {
        const char *text;
        int value;
        const char *doc;
};

/* A row of config.def. */
struct ConfigKey {
        const char *section;
        const char *name;
        ConfigKind kind;
        size_t offset;           /* in Config */
        const char *value;       /* the default */
        const char *least;       /* NULL: the kind has no range */
        const char *most;        /* included */
        const ConfigWord *words; /* of a CHOICE; the last is followed by one without text */
        bool is_live;            /* a reload changes it */
        const char *doc;
};

/* Where a configuration comes from, besides the defaults. */
struct ConfigSource {
        const char *path;   /* of the file; NULL: none */
        const char *socket; /* by the command line; NULL: as the file says */
};

/* In the order of the table, in which the keys of a section stand together. One without a name is last. */
extern const ConfigKey config_keys[];

/* Enough for what config_get_expected() says. */
#define CONFIG_EXPECTED_SIZE 160

enum {
        CONFIG_E_VALUE = 1, /* the value is not what the key takes */
};

/* Takes the defaults. Returns 0 or -ENOMEM, and then deinit is due all the same. */
int config_init(Config *config);

/* Works on a zeroed structure. */
void config_deinit(Config *config);

/*
 * Reads the file to its end, then takes what the command line says. Returns 0, -EINVAL or -errno; the log
 * then has a line for each fault: file, line, section, key, value, and what is expected.
 */
int config_read(Config *config, const ConfigSource *source);

/* Whether the key has the same value in both. */
bool config_is_same(const Config *a, const Config *b, const ConfigKey *key);

/*
 * Takes over what may change while gpud runs and is another in `next`, which gets the old values. The log
 * says what changes, and what would have to.
 */
void config_update(Config *config, Config *next);

/* NULL if there is none. */
const ConfigKey *config_find_key(const char *section, const char *name);

/* Replaces the key's value; of a list, adds to it. Returns 0, CONFIG_E_VALUE or -ENOMEM. */
int config_set(Config *config, const ConfigKey *key, const char *value);

/* What values the key takes, as it goes on after "expected": "a number from 1 to 1M". */
void config_get_expected(const ConfigKey *key, char *ret_text, size_t n_text);
