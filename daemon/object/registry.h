#pragma once

/*
 * Everything that has a handle. There is one registry per daemon; the loop thread alone uses it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/gpu/instance.h"
#include "daemon/object/lease.h"
#include "daemon/object/mem.h"
#include "daemon/object/name.h"
#include "daemon/object/session.h"
#include "daemon/object/user.h"
#include "daemon/options.h"
#include "daemon/util/list.h"
#include "daemon/util/slab.h"

struct Registry {
        GpuInstance *gpu;    /* borrowed */
        const GpuHost *host; /* borrowed; runs what is too slow for the loop */
        Slab mems;           /* dying ones too */
        NameTable names;     /* by device, owner and name */
        Slab sessions;       /* those too that have ended and are not reaped */
        List ending;         /* Session.link, of the latter */
        List revoked;        /* Mem.link */
        UserTable users;
        LeaseTable leases;
        size_t n_sessions; /* that have not ended */
        size_t n_mems;     /* those with a handle */
        size_t n_shms;
        uint64_t n_released;     /* references and pages of metadata so far: what bounds a turn */
        RegistryOptions options; /* what nobody chose is filled in */
};

void registry_init(Registry *registry, GpuInstance *gpu, const GpuHost *host, const RegistryOptions *options);

/* What is registered already stays, also where it is more than the new options allow. */
void registry_set_options(Registry *registry, const RegistryOptions *options);

/* Drops the persistent references. Requires: all sessions have ended and are reaped. */
void registry_close(Registry *registry);

/* Requires: it is closed, and no work is in flight on any mem's memory. Works on a zeroed structure. */
void registry_deinit(Registry *registry);

/* Makes a mem that has its handle and is zero else. Returns 0 or -ENOMEM. */
int registry_new_mem(Mem **ret_mem, Registry *registry);

/* Makes the mem's handle unknown. */
void registry_unlink_mem(Registry *registry, Mem *mem);

/* Gives the mem's place back. Requires: its handle is unknown. */
void registry_free_mem(Registry *registry, Mem *mem);

/*
 * Has the processor fetch the mem of `id`, should it be there, all of it at once: of a million none is in a
 * cache, and to wait for one takes as long as a small request.
 */
void registry_prefetch_mem(const Registry *registry, const struct gpud_uuid *id);

/* Returns a mem that is ready; NULL if there is none. */
Mem *registry_find_mem(Registry *registry, const struct gpud_uuid *id);

/* The same by the number in the slab. A mem keeps its number: so a listing can stop anywhere and go on. */
Mem *registry_find_mem_number(Registry *registry, uint32_t number);

/* The same by device, owner and name. */
Mem *registry_find_name(Registry *registry, const GpuDevice *device, uid_t uid, const char *name);

/* Makes a session that has its id and is zero else. Returns 0 or -ENOMEM. */
int registry_new_session(Session **ret_session, Registry *registry);

void registry_free_session(Registry *registry, Session *session);

/* Returns a session that has not ended; NULL if there is none. By its number as with mems. */
Session *registry_find_session(Registry *registry, const struct gpud_uuid *id);
Session *registry_find_session_number(Registry *registry, uint32_t number);

/* Returns a device by id (`vulkan:0`), UUID or PCI address; NULL if there is none. */
GpuDevice *registry_find_device(Registry *registry, const char *text);

/*
 * Goes on dropping what ended sessions held, and who held what was revoked, a part in each loop turn. Returns
 * whether there is more.
 */
bool registry_reap(Registry *registry);

/* Gives memory kept for `uid` back to the devices if none of its sessions is left to use it. */
void registry_trim(Registry *registry, uid_t uid);

/* Returns when, by the boot clock, registry_expire() has something to do; 0: there is no lease. */
uint64_t registry_get_lease_ns(Registry *registry);

/* Ends leases that have run out at `now_ns` of the boot clock, of many a part. */
void registry_expire(Registry *registry, uint64_t now_ns);
