#pragma once

/*
 * Users and groups that gpud's user namespace has no id for. The kernel shows all of them as one, the
 * overflow id: so whoever has it could be anybody.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct IdMap {
        const char *path; /* of the map, below /proc */
        uint32_t overflow;
} IdMap;

typedef struct IdMaps {
        IdMap uids;
        IdMap gids;
} IdMaps;

void id_maps_init(IdMaps *maps);

/* Whether several users or groups may be behind `id`. */
bool id_map_is_ambiguous(const IdMap *map, uint32_t id);
