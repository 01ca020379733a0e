/*
 * A region is a memfd, mapped here and registered with gpud. It is sealed, so that neither side can shrink it
 * under the other, which would fault. What it may not have is refused before it has a page, and it has all of
 * them before gpud sees it, which would take those that lack.
 */

#include "client/region.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/bulk.h"
#include "client/cleanup.h"
#include "client/client.h"
#include "client/headroom.h"

/* Since Linux 5.14; the C library may be older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define POPULATE_BYTES ((size_t)64 << 20)

/* ---- limits ---- */

/* What gpud lets a session have, asked once. */
static int learn_limits(struct gpud_client *client) {
        struct gpud_session_hello_result hello;
        int r;

        if (client->has_limits)
                return 0;
        r = gpud_session_hello(client, NULL, &hello);
        if (r < 0)
                return r;
        client->limits = hello.limits;
        client->has_limits = true;
        return 0;
}

/* Refuses in gpud's words what it would refuse. */
static int check_session(struct gpud_client *client, size_t size) {
        const struct gpud_limits *limits = &client->limits;
        uint64_t n = 0, n_bytes = 0;
        int r;

        r = learn_limits(client);
        if (r < 0)
                return r;
        for (const struct gpud_region *region = client->regions; region; region = region->next) {
                n++;
                n_bytes += region->size;
        }
        if (n >= limits->shms_max)
                return client_fail(client, GPUD_E_RESOURCE_EXHAUSTED,
                                   "the session has %" PRIu64 " regions, limit shms_max = %" PRIu64, n,
                                   limits->shms_max);
        /* Before protocol 3 gpud did not tell it, which is 0 then. */
        if (limits->shm_max > 0 && (n_bytes > limits->shm_max || size > limits->shm_max - n_bytes))
                return client_fail(client, GPUD_E_RESOURCE_EXHAUSTED,
                                   "size %zu and the session's %" PRIu64
                                   " bytes of regions exceed shm_max = %" PRIu64,
                                   size, n_bytes, limits->shm_max);
        return 0;
}

static int fail_region(struct gpud_client *client, const char *what, size_t size) {
        char text[128];

        return client_fail(client, GPUD_E_SYSTEM_CALL, "%s a region of %zu bytes: %s", what, size,
                           headroom_error_to_string(errno, text, sizeof(text)));
}

/* Past RLIMIT_FSIZE the kernel sends SIGXFSZ, which ends a process that does not expect it. */
static int check_process(struct gpud_client *client, size_t size) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
            size > limit.rlim_cur) {
                errno = EFBIG;
                return fail_region(client, "the memfd of", size);
        }
        return -headroom_check(size, "", &client->fault);
}

/* ---- memory ---- */

static int open_memfd(int *ret_fd, struct gpud_client *client, size_t size) {
        _cleanup_(fd_closep) int fd = -1;

        fd = memfd_create("gpud-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return fail_region(client, "the memfd of", size);
        *ret_fd = fd;
        fd = -1;
        return 0;
}

static int region_map(struct gpud_region *region, struct gpud_client *client, int fd) {
        void *data;

        data = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
                return fail_region(client, "mapping", region->size);
        region->data = data;
        return 0;
}

/*
 * Has the kernel find all pages now, so that none can lack at the first touch, which is SIGBUS. Step by step,
 * since others want memory as well.
 */
static int region_populate(const struct gpud_region *region, struct gpud_client *client) {
        size_t step;
        int r;

        for (size_t i = 0; i < region->size; i += step) {
                step = region->size - i < POPULATE_BYTES ? region->size - i : POPULATE_BYTES;
                r = i == 0 ? 0 : -headroom_check(step, "", &client->fault);
                if (r < 0)
                        return r;
                do
                        r = madvise((char *)region->data + i, step, MADV_POPULATE_WRITE);
                while (r < 0 && errno == EINTR);
                /* An older kernel does not know the advice. */
                if (r < 0)
                        return errno == EINVAL ? 0 : fail_region(client, "no host memory for", region->size);
        }
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
        r = check_session(client, size);
        if (r == 0)
                r = check_process(client, size);
        if (r == 0)
                r = open_memfd(&fd, client, size);
        if (r == 0)
                r = region_map(region, client, fd);
        if (r == 0)
                r = region_populate(region, client);
        if (r == 0)
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

/* ---- the arena ---- */

static size_t arena_size_for(uint64_t size) {
        size_t large = copier_count_threads() * ARENA_SIZE_THREAD;

        if (size <= ARENA_SIZE_SMALL)
                return ARENA_SIZE_SMALL;
        return large > ARENA_SIZE_MIN ? large : ARENA_SIZE_MIN;
}

/* Where there is no room for so large an arena, a smaller one makes a copy slower only. */
static int arena_new(struct gpud_client *client, size_t size) {
        int r;

        do {
                r = gpud_region_new(client, size, &client->arena);
                size = size / 2 / BULK_GRAIN * BULK_GRAIN;
        } while ((r == -GPUD_E_SYSTEM_CALL || r == -GPUD_E_RESOURCE_EXHAUSTED) && size > 0);
        return r;
}

int region_arena_get(struct gpud_client *client, uint64_t size, struct gpud_region **ret_region) {
        size_t wanted = arena_size_for(size);
        int r = 0;

        if (client->arena && client->arena_wanted < wanted)
                region_arena_free(client);
        if (!client->arena) {
                r = arena_new(client, wanted);
                client->arena_wanted = wanted;
        }
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
