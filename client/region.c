/*
 * A region is a memfd, mapped here and registered with gpud. It is sealed, so that neither side can shrink it
 * under the other, which would fault.
 */

#include "client/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cleanup.h"
#include "client/client.h"

static int open_memfd(int *ret_fd, struct gpud_client *client, size_t size) {
        _cleanup_(fd_closep) int fd = -1;

        fd = memfd_create("gpud-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return client_fail(client, GPUD_E_SYSTEM_CALL, "memfd_create: %s", strerror(errno));
        if (ftruncate(fd, (off_t)size) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return client_fail(client, GPUD_E_SYSTEM_CALL, "memfd of %zu bytes: %s", size,
                                   strerror(errno));
        *ret_fd = fd;
        fd = -1;
        return 0;
}

static int region_map(struct gpud_region *region, struct gpud_client *client, int fd) {
        void *data;

        data = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
                return client_fail(client, GPUD_E_SYSTEM_CALL, "mapping %zu bytes: %s", region->size,
                                   strerror(errno));
        region->data = data;
        return 0;
}

/* From now on the region is one of the client's, and freeing it tells gpud so. */
static int region_register(struct gpud_region *region, struct gpud_client *client, int fd) {
        const struct gpud_shm_register_args args = {.size = region->size};
        struct gpud_shm_register_result result;
        int r;

        r = gpud_shm_register(client, &args, fd, &result);
        if (r < 0)
                return r;
        region->id = result.shm;
        region->is_imported = result.imported;
        region->client = client;
        region->next = client->regions;
        client->regions = region;
        return 0;
}

static void region_freep(struct gpud_region **region) {
        gpud_region_free(*region);
}

int gpud_region_new(struct gpud_client *client, size_t size, struct gpud_region **ret_region) {
        _cleanup_(region_freep) struct gpud_region *region = NULL;
        _cleanup_(fd_closep) int fd = -1;
        int r;

        *ret_region = NULL;
        if (size == 0 || size > PTRDIFF_MAX)
                return client_fail(client, GPUD_E_INVALID_ARGUMENT, "size is %zu, it must be 1 to %td", size,
                                   PTRDIFF_MAX);
        region = calloc(1, sizeof(*region));
        if (!region)
                return client_fail(client, GPUD_E_SYSTEM_CALL, "out of memory in this process");
        region->size = size;
        r = open_memfd(&fd, client, size);
        if (r < 0)
                return r;
        r = region_map(region, client, fd);
        if (r < 0)
                return r;
        r = region_register(region, client, fd);
        if (r < 0)
                return r;
        *ret_region = STEAL(region);
        return 0;
}

static void unlink_region(struct gpud_region *region) {
        struct gpud_region **link = &region->client->regions;

        while (*link != region)
                link = &(*link)->next;
        *link = region->next;
}

void gpud_region_free(struct gpud_region *region) {
        struct gpud_shm_ref args;

        if (!region)
                return;
        if (region->client) {
                unlink_region(region);
                /* gpud ends what is in flight before it releases. If gpud is gone, so is its mapping. */
                args.shm = region->id;
                if (gpud_shm_release_submit(region->client, &args, NULL, NULL) == 0)
                        client_flush(region->client);
        }
        if (region->data)
                munmap(region->data, region->size);
        free(region);
}

void *gpud_region_data(const struct gpud_region *region) {
        return region->data;
}

size_t gpud_region_size(const struct gpud_region *region) {
        return region->size;
}

struct gpud_uuid gpud_region_id(const struct gpud_region *region) {
        return region->id;
}

bool gpud_region_imported(const struct gpud_region *region) {
        return region->is_imported;
}

static size_t arena_size_for(uint64_t size) {
        size_t large = copier_count_threads() * ARENA_SIZE_THREAD;

        if (size <= ARENA_SIZE_SMALL)
                return ARENA_SIZE_SMALL;
        return large > ARENA_SIZE_MIN ? large : ARENA_SIZE_MIN;
}

int region_arena_get(struct gpud_client *client, uint64_t size, struct gpud_region **ret_region) {
        int r = 0;

        if (client->arena && client->arena->size == ARENA_SIZE_SMALL && size > ARENA_SIZE_SMALL)
                region_arena_free(client);
        if (!client->arena)
                r = gpud_region_new(client, arena_size_for(size), &client->arena);
        *ret_region = client->arena;
        return r;
}

void region_arena_free(struct gpud_client *client) {
        gpud_region_free(client->arena);
        client->arena = NULL;
}

void region_orphan_all(struct gpud_client *client) {
        for (struct gpud_region *region = client->regions; region; region = region->next)
                region->client = NULL;
        client->regions = NULL;
}
