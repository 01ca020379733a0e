/* /proc/self/uid_map and gid_map: lines of first id inside, first id outside, how many. */

#include "daemon/net/idmap.h"

#include <inttypes.h>
#include <stdio.h>

#define IDS_ALL UINT32_MAX /* in the map of the first namespace: every id but -1, which is none */

#define OVERFLOW_DEFAULT 65534 /* the kernel's */

static uint32_t read_overflow(const char *path) {
        FILE *file = fopen(path, "re");
        uint32_t id;

        if (!file || fscanf(file, "%" SCNu32, &id) != 1)
                id = OVERFLOW_DEFAULT;
        if (file)
                fclose(file);
        return id;
}

void id_maps_init(IdMaps *maps) {
        *maps = (IdMaps){
                .uids = {"/proc/self/uid_map", read_overflow("/proc/sys/kernel/overflowuid")},
                .gids = {"/proc/self/gid_map", read_overflow("/proc/sys/kernel/overflowgid")},
        };
}

/* Whether every id has its own. Read each time, but seldom: a map may be written after gpud's start. */
static bool is_full(const IdMap *map) {
        FILE *file = fopen(map->path, "re");
        uint32_t inside, outside, count;
        uint64_t n = 0;

        if (!file)
                return true; /* a kernel without user namespaces */
        while (fscanf(file, "%" SCNu32 " %" SCNu32 " %" SCNu32, &inside, &outside, &count) == 3)
                n += count;
        fclose(file);
        return n >= IDS_ALL;
}

bool id_map_is_ambiguous(const IdMap *map, uint32_t id) {
        return id == map->overflow && !is_full(map);
}
