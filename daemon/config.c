/* The configuration file, an INI file read by inih: one table row per key. */

#include "daemon/config.h"

#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/util/clock.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"
#include "daemon/util/macros.h"
#include "proto/socket.h"

/* A parser puts `value` where the row says. Returns NULL, or what the value should have been. */
typedef const char *(*ParseFn)(Config *config, void *place, const char *value);

typedef struct Key {
        const char *section;
        const char *name;
        ParseFn parse;
        size_t offset; /* in Config */
} Key;

/* A whole number with an optional suffix K, M or G, powers of 1024. */
static bool parse_number(const char *value, uint64_t *ret_number) {
        static const char suffixes[] = "KMG";
        unsigned long long number;
        const char *suffix;
        char *end;

        if (value[0] < '0' || value[0] > '9')
                return false;
        errno = 0;
        number = strtoull(value, &end, 0);
        if (errno)
                return false;
        if (*end) {
                suffix = strchr(suffixes, *end);
                if (!suffix || end[1])
                        return false;
                for (const char *unit = suffixes; unit <= suffix; unit++)
                        if (__builtin_mul_overflow(number, 1024ULL, &number))
                                return false;
        }
        *ret_number = number;
        return true;
}

static const char *parse_size(Config *config, void *place, const char *value) {
        (void)config;
        if (!parse_number(value, place) || *(uint64_t *)place == 0)
                return "a number above 0, as 4096, 64M or 1G";
        return NULL;
}

static const char *parse_bool(Config *config, void *place, const char *value) {
        static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

        (void)config;
        for (size_t i = 0; i < N_ELEMENTS(words); i++)
                if (strcasecmp(value, words[i]) == 0) {
                        *(bool *)place = i % 2 == 1;
                        return NULL;
                }
        return "true or false";
}

static const char *parse_string(Config *config, void *place, const char *value) {
        char **text = place;
        char *copy;

        (void)config;
        if (!value[0])
                return "a value";
        copy = strdup(value);
        if (!copy)
                return "less memory";
        free(*text);
        *text = copy;
        return NULL;
}

static const char *parse_mode(Config *config, void *place, const char *value) {
        char *end;
        unsigned long mode = strtoul(value, &end, 8);

        (void)config;
        if (!value[0] || *end || mode > 0777)
                return "an octal mode, as 0660";
        *(mode_t *)place = (mode_t)mode;
        return NULL;
}

static const char *parse_group(Config *config, void *place, const char *value) {
        const struct group *group = getgrnam(value);
        uint64_t gid;

        (void)config;
        if (group)
                *(gid_t *)place = group->gr_gid;
        else if (parse_number(value, &gid) && gid < UINT32_MAX)
                *(gid_t *)place = (gid_t)gid;
        else
                return "a group that exists";
        return NULL;
}

static const char *parse_log_level(Config *config, void *place, const char *value) {
        LogLevel level;

        (void)config;
        (void)place;
        if (!log_level_from_string(value, &level))
                return "error, warning, info or debug";
        log_set_level(level);
        return NULL;
}

static const char *parse_spin(Config *config, void *place, const char *value) {
        uint64_t spin_us;

        if (!parse_number(value, &spin_us) || spin_us > 1000000)
                return "microseconds, at most 1000000";
        *(uint64_t *)place = spin_us * NS_PER_US;
        config->has_spin = true;
        return NULL;
}

static const char *parse_copy(Config *config, void *place, const char *value) {
        static const char *const words[] = {
                [GPU_COPY_AUTO] = "auto",
                [GPU_COPY_SHADER] = "shader",
                [GPU_COPY_COMMAND] = "command",
        };

        (void)config;
        for (size_t i = 0; i < N_ELEMENTS(words); i++)
                if (strcmp(value, words[i]) == 0) {
                        *(GpuCopy *)place = (GpuCopy)i;
                        return NULL;
                }
        return "auto, shader or command";
}

static const char *add_admin(Config *config, const char *word) {
        const struct passwd *user = getpwnam(word);
        uid_t *uids = reallocarray(config->admins.uids, config->admins.n_uids + 1, sizeof(*uids));
        uint64_t uid;

        if (!uids)
                return "less memory";
        config->admins.uids = uids;
        if (user)
                uid = user->pw_uid;
        else if (!parse_number(word, &uid) || uid >= UINT32_MAX)
                return "users that exist, separated by commas";
        uids[config->admins.n_uids++] = (uid_t)uid;
        return NULL;
}

static const char *add_device(Config *config, const char *word) {
        char **devices = reallocarray(config->devices, config->gpu.n_devices + 1, sizeof(*devices));

        if (!devices)
                return "less memory";
        config->devices = devices;
        config->gpu.devices = (const char *const *)devices;
        devices[config->gpu.n_devices] = strdup(word);
        if (!devices[config->gpu.n_devices])
                return "less memory";
        config->gpu.n_devices++;
        return NULL;
}

/* Calls `add` for every word between the commas. */
static const char *parse_list(Config *config, const char *value,
                              const char *(*add)(Config *config, const char *word)) {
        const char *expected = NULL;
        char *copy = strdup(value);
        char *state = NULL;

        if (!copy)
                return "less memory";
        for (char *word = strtok_r(copy, ", \t", &state); word && !expected;
             word = strtok_r(NULL, ", \t", &state))
                expected = add(config, word);
        free(copy);
        return expected;
}

static const char *parse_admins(Config *config, void *place, const char *value) {
        (void)place;
        return parse_list(config, value, add_admin);
}

static const char *parse_devices(Config *config, void *place, const char *value) {
        (void)place;
        return parse_list(config, value, add_device);
}

static const Key keys[] = {
        {"gpud", "socket", parse_string, offsetof(Config, socket)},
        {"gpud", "socket_mode", parse_mode, offsetof(Config, socket_mode)},
        {"gpud", "socket_group", parse_group, offsetof(Config, socket_group)},
        {"gpud", "admins", parse_admins, 0},
        {"gpud", "log_level", parse_log_level, 0},
        {"gpud", "connections_max", parse_size, offsetof(Config, connections_max)},
        {"gpud", "shm_max", parse_size, offsetof(Config, shm_max)},
        {"gpu", "devices", parse_devices, 0},
        {"gpu", "validation", parse_bool, offsetof(Config, gpu.validation)},
        {"gpu", "force_staging", parse_bool, offsetof(Config, gpu.force_staging)},
        {"gpu", "copy", parse_copy, offsetof(Config, gpu.copy)},
        {"gpu", "staging_bytes", parse_size, offsetof(Config, gpu.staging_bytes)},
        {"gpu", "segment_max", parse_size, offsetof(Config, gpu.segment_max)},
        {"gpu", "block_max", parse_size, offsetof(Config, gpu.block_max)},
        {"gpu", "spin_us", parse_spin, offsetof(Config, spin_ns)},
};

int config_init(Config *ret_config) {
        *ret_config = (Config){
                .socket = strdup(PROTO_SOCKET_DEFAULT),
                .socket_mode = CONFIG_SOCKET_MODE,
                .socket_group = (gid_t)-1,
                .connections_max = CONFIG_CONNECTIONS_MAX,
                .shm_max = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4,
        };
        return ret_config->socket ? 0 : error_origin(-ENOMEM);
}

void config_deinit(Config *config) {
        for (size_t i = 0; i < config->gpu.n_devices; i++)
                free(config->devices[i]);
        free(config->devices);
        free(config->admins.uids);
        free(config->socket);
}

typedef struct Reader {
        Config *config;
        const char *path;
        bool has_failed;
} Reader;

/* inih's handler: 1 goes on. The line number needs inih built with it, as Debian's is. */
static int on_key(void *userdata, const char *section, const char *name, const char *value) {
        Reader *reader = userdata;
        const char *expected;

        for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
                if (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].name, name) != 0)
                        continue;
                expected = keys[i].parse(reader->config, (char *)reader->config + keys[i].offset, value);
                if (!expected)
                        return 1;
                log_error("%s: [%s] %s = %s: expected %s", reader->path, section, name, value, expected);
                reader->has_failed = true;
                return 0;
        }
        log_error("%s: unknown key \"%s\" in section [%s]", reader->path, name, section);
        reader->has_failed = true;
        return 0;
}

int config_read(Config *config, const char *path) {
        Reader reader = {.config = config, .path = path};
        int r = ini_parse(path, on_key, &reader);

        if (r < 0) {
                log_error("cannot read %s: %s", path, strerror(errno));
                return -errno;
        }
        if (r > 0) {
                log_error("%s:%d: %s", path, r,
                          reader.has_failed ? "the line is refused, see above"
                                            : "this is no \"key = value\" or \"[section]\"");
                return -EINVAL;
        }
        return 0;
}

const char *config_get_key(size_t index) {
        return index < N_ELEMENTS(keys) ? keys[index].name : NULL;
}
