#pragma once

/* Shared-memory regions of a client, and the arena: the region that gpud_write() and gpud_read() copy through. */

#include "client/gpud.h"

#define ARENA_SLOTS     4
#define ARENA_SLOT_SIZE (4 * 1024 * 1024)

struct gpud_region {
        struct gpud_client *client; /* NULL once the client is closed */
        struct gpud_region *next;   /* gpud_client.regions */
        struct gpud_uuid id;
        void *data;
        size_t size;
        bool is_imported;
};

/* The client's arena, made when first wanted. It stays the client's. */
int region_arena_get(struct gpud_client *client, struct gpud_region **ret_region);
void region_arena_free(struct gpud_client *client);

/* Leaves the regions without their client, which goes away. */
void region_orphan_all(struct gpud_client *client);
