/* One bound after the other, from the process outwards; the first that is too narrow is told. */

#include "client/headroom.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/macros.h"
#include "proto/types.h"

/* What is left to all others, of a bound of any size. */
#define LEAVE_MAX   (UINT64_C(256) << 20)
#define LEAVE_SHARE 16

/* The files of a control group with a memory controller. */
typedef struct Version {
        const char *file_system;
        const char *option; /* that its mount has, or NULL */
        const char *limit;
        const char *usage;
        const char *cached[2]; /* of memory.stat: page cache, which the kernel takes back when it needs it */
} Version;

static const Version versions[] = {
        {"cgroup",
         "memory",
         "memory.limit_in_bytes",
         "memory.usage_in_bytes",
         {"total_active_file", "total_inactive_file"}},
        {"cgroup2", NULL, "memory.max", "memory.current", {"active_file", "inactive_file"}},
};

#define N_VERSIONS (sizeof(versions) / sizeof(*versions))

/* Where the hierarchy of a version is mounted, and this process's group in it. */
typedef struct Place {
        char top[PATH_MAX];
        char path[PATH_MAX];
} Place;

static uint64_t to_leave(uint64_t limit) {
        uint64_t share = limit / LEAVE_SHARE;

        return share < LEAVE_MAX ? share : LEAVE_MAX;
}

/* ---- files of the kernel ---- */

static void file_closep(FILE **file) {
        if (*file)
                fclose(*file);
}

static FILE *open_file(const char *root, const char *folder, const char *name) {
        char path[3 * PATH_MAX];

        snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
        return fopen(path, "re");
}

/* False where there is no such file, or it has no number: there is no limit. */
static bool read_number(const char *folder, const char *name, uint64_t *ret_number) {
        _cleanup_(file_closep) FILE *file = open_file("", folder, name);

        return file && fscanf(file, "%" SCNu64, ret_number) == 1;
}

/* The number in the line of `key`, or 0. */
static uint64_t find_number(const char *root, const char *folder, const char *name, const char *key) {
        _cleanup_(file_closep) FILE *file = open_file(root, folder, name);
        char word[64];
        uint64_t number;

        while (file && fscanf(file, "%63s %" SCNu64 "%*[^\n]", word, &number) == 2)
                if (strcmp(word, key) == 0)
                        return number;
        return 0;
}

static bool list_has(const char *list, const char *word) {
        size_t n = strlen(word);

        for (;; list++) {
                if (strncmp(list, word, n) == 0 && (list[n] == ',' || list[n] == '\0'))
                        return true;
                list = strchr(list, ',');
                if (!list)
                        return false;
        }
}

/* ---- the machine ---- */

static int check_machine(uint64_t size, const char *root, ProtoFault *fault) {
        uint64_t total = find_number(root, "/proc", "meminfo", "MemTotal:") << 10;
        uint64_t available = find_number(root, "/proc", "meminfo", "MemAvailable:") << 10;

        if (total == 0 || (available > to_leave(total) && size <= available - to_leave(total)))
                return 0;
        return proto_fault(fault, GPUD_E_SYSTEM_CALL,
                           "no host memory for a region of %" PRIu64 " bytes: of the machine's %" PRIu64
                           " bytes %" PRIu64 " are left",
                           size, total, available);
}

/* ---- control groups ---- */

static int check_group(uint64_t size, const Version *version, const Place *place, ProtoFault *fault) {
        char folder[2 * PATH_MAX];
        uint64_t limit, usage = 0;

        snprintf(folder, sizeof(folder), "%s%s", place->top, place->path);
        if (!read_number(folder, version->limit, &limit))
                return 0;
        read_number(folder, version->usage, &usage);
        for (size_t i = 0; i < 2 && (usage > limit || size + to_leave(limit) > limit - usage); i++) {
                uint64_t cached = find_number("", folder, "memory.stat", version->cached[i]);

                usage -= cached < usage ? cached : usage;
        }
        if (usage <= limit && size + to_leave(limit) <= limit - usage)
                return 0;
        return proto_fault(fault, GPUD_E_SYSTEM_CALL,
                           "no host memory for a region of %" PRIu64 " bytes: %s = %" PRIu64
                           " of control group %.80s leaves %" PRIu64 " bytes",
                           size, version->limit, limit, place->path[0] ? place->path : "/",
                           usage < limit ? limit - usage : 0);
}

/* Finds this process's group: of the line ID:CONTROLLERS:PATH. */
static bool find_group(const char *root, const Version *version, char *ret_path, size_t n_path) {
        _cleanup_(file_closep) FILE *file = open_file(root, "/proc", "self/cgroup");
        _cleanup_(freep) char *line = NULL;
        size_t n_line = 0;
        char *controllers, *path;

        while (file && getline(&line, &n_line, file) > 0) {
                line[strcspn(line, "\n")] = '\0';
                controllers = strchr(line, ':');
                path = controllers ? strchr(controllers + 1, ':') : NULL;
                if (!path)
                        continue;
                *path = '\0';
                if (version->option ? !list_has(controllers + 1, version->option) : controllers[1] != '\0')
                        continue;
                snprintf(ret_path, n_path, "%s", path + 1);
                return true;
        }
        return false;
}

/*
 * Whether a line of mountinfo mounts the hierarchy with the group at `path`, and where. In a container the
 * mount may show a part of the hierarchy, and this process in it.
 */
static bool read_mount(char *line, const Version *version, const char *path, Place *ret_place,
                       const char *root) {
        char top[PATH_MAX], mount[PATH_MAX], file_system[32], options[1024];
        char *rest = strstr(line, " - ");
        size_t n;

        if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", top, mount) != 2 ||
            sscanf(rest + 3, "%31s %*s %1023s", file_system, options) != 2)
                return false;
        if (strcmp(file_system, version->file_system) != 0 ||
            (version->option && !list_has(options, version->option)))
                return false;
        n = strcmp(top, "/") == 0 ? 0 : strlen(top);
        if (strncmp(path, top, n) != 0 || (path[n] != '/' && path[n] != '\0'))
                return false;
        snprintf(ret_place->top, sizeof(ret_place->top), "%s%s", root, mount);
        snprintf(ret_place->path, sizeof(ret_place->path), "%s", path + n);
        return true;
}

static bool find_place(const char *root, const Version *version, Place *ret_place) {
        _cleanup_(file_closep) FILE *file = NULL;
        _cleanup_(freep) char *line = NULL;
        char path[PATH_MAX];
        size_t n_line = 0;

        if (!find_group(root, version, path, sizeof(path)))
                return false;
        file = open_file(root, "/proc", "self/mountinfo");
        while (file && getline(&line, &n_line, file) > 0)
                if (read_mount(line, version, path, ret_place, root))
                        return true;
        return false;
}

/* This process's group and all above it. */
static int check_groups(uint64_t size, const char *root, const Version *version, ProtoFault *fault) {
        Place place;
        char *slash;
        int r;

        if (!find_place(root, version, &place))
                return 0;
        while ((slash = strrchr(place.path, '/')) && slash[1] == '\0')
                *slash = '\0';
        for (;;) {
                r = check_group(size, version, &place, fault);
                slash = strrchr(place.path, '/');
                if (r || !slash)
                        return r;
                *slash = '\0';
        }
}

int headroom_check(uint64_t size, const char *root, ProtoFault *fault) {
        int r;

        r = check_machine(size, root, fault);
        for (size_t i = 0; i < N_VERSIONS && r == 0; i++)
                r = check_groups(size, root, &versions[i], fault);
        return r;
}

/* ---- limits of the process ---- */

const char *headroom_error_to_string(int error, char *ret_text, size_t n_text) {
        static const struct {
                int error;
                int resource;
                const char *name;
        } limits[] = {
                {EFBIG, RLIMIT_FSIZE, "RLIMIT_FSIZE"},
                {EMFILE, RLIMIT_NOFILE, "RLIMIT_NOFILE"},
                {ENOMEM, RLIMIT_AS, "RLIMIT_AS"},
        };
        struct rlimit limit;

        snprintf(ret_text, n_text, "%s", strerror(error));
        for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
                if (error == limits[i].error && getrlimit(limits[i].resource, &limit) == 0 &&
                    limit.rlim_cur != RLIM_INFINITY)
                        snprintf(ret_text, n_text, "%s, limit %s = %ju", strerror(error), limits[i].name,
                                 (uintmax_t)limit.rlim_cur);
        return ret_text;
}
