#pragma once

/*
 * Shared-memory regions of a client, and the arena: the one that gpud_write() and gpud_read() copy through.
 */

#include "client/gpud.h"

/*
 * Bytes of the arena. Large enough to keep every copying thread and gpud at work, small enough to stay in the
 * caches in between; and a program that never copies much is not to hold much.
 */
#define ARENA_SIZE_SMALL  (4 * 1024 * 1024)
#define ARENA_SIZE_MIN    (16 * 1024 * 1024)
#define ARENA_SIZE_THREAD (4 * 1024 * 1024) /* for each thread that copies */

struct gpud_region {
        struct gpud_client *client; /* NULL once the client is closed */
        struct gpud_region *next;   /* gpud_client.regions */
        struct gpud_uuid id;
        void *data;
        size_t size;
        bool is_imported;
};

/*
 * The client's arena, which stays the client's. It is made when first wanted, and anew when a copy of `size`
 * bytes wants the large one. 0 or a GPUD_E_ code negated.
 */
int region_arena_get(struct gpud_client *client, uint64_t size, struct gpud_region **ret_region);
void region_arena_free(struct gpud_client *client);

/* Leaves the regions without their client, which goes away. */
void region_orphan_all(struct gpud_client *client);
