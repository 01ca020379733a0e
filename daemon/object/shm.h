#pragma once

/*
 * A registered shared-memory region: a client's memfd, mapped here and, where the driver can, imported so
 * that the GPU reads and writes it directly. The session owns the handle; the mapping stays until the copies
 * in flight through it have ended.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/host.h"
#include "daemon/gpu/region.h"
#include "daemon/object/session.h"
#include "daemon/util/list.h"
#include "proto/fault.h"
#include "proto/types.h"

typedef struct Shm {
        GpuRegion region;
        struct gpud_uuid id;
        Session *session;
        const GpuHost *host;
        List session_link; /* Session.shms */
        void *map;
        uint64_t size;
        bool is_ready;                                                        /* can be found */
        void (*ready)(struct Shm *shm, int r, bool imported, void *userdata); /* NULL once told */
        void (*released)(void *userdata);                                     /* NULL: nobody waits */
        void *userdata;
        GpuTask unmap;
} Shm;

/*
 * Registers `size` bytes of the memfd `fd`, which stays the caller's. Returns 0: `ready` is called later,
 * once, with 0, or with GPUD_E_CONNECTION_LOST if the session ends first. Or GPUD_E_INVALID_ARGUMENT,
 * GPUD_E_OUT_OF_RANGE or GPUD_E_RESOURCE_EXHAUSTED, with `fault` filled in; or -errno.
 */
int shm_new(Session *session, int fd, uint64_t size,
            void (*ready)(Shm *shm, int r, bool imported, void *userdata), void *userdata, ProtoFault *fault);

/* Takes the handle away; the region goes when the copies in flight through it have ended. */
void shm_free(Shm *shm);

/* shm_free(); `released` is called when the region is gone. */
void shm_release(Shm *shm, void (*released)(void *userdata), void *userdata);

/* Returns a region of the session's own that is ready; NULL if there is none. */
Shm *shm_find(Session *session, const struct gpud_uuid *id);
