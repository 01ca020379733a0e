#pragma once

/*
 * An allocation of device memory: the handle, its owner, rights and lifetime. It lives while a session
 * holds it or it is persistent; the registry finds it. The bytes are a GpuMemory, which outlives the handle
 * for as long as work on it is in flight.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/gpu/memory.h"
#include "daemon/object/lease.h"
#include "daemon/object/session.h"
#include "daemon/util/list.h"
#include "proto/types.h"

typedef struct MemName MemName;

/* Permission bits as in a file's mode, for one class of users. */
typedef enum MemRight {
        MEM_RIGHT_X = 1, /* export */
        MEM_RIGHT_W = 2, /* write and fill */
        MEM_RIGHT_R = 4,
} MemRight;

#define MEM_LINE 64 /* bytes of a cache line */

/*
 * An element of Registry.mems. With a million of them any one is in no cache: what every request looks at
 * comes first, in one line, then the memory, then what few have.
 */
struct Mem {
        _Alignas(MEM_LINE) struct gpud_uuid id;
        Hold first_hold; /* of the session that allocated; spares nearly every mem a second block of memory */
        uint64_t size;
        uint32_t n_holds;
        uid_t uid;
        gid_t gid;
        uint16_t mode;
        bool is_persistent : 1;
        bool is_sealed : 1;
        bool is_exportable : 1;
        bool has_memory : 1;  /* false: not yet, or the GPU layer refused */
        bool is_ready : 1;    /* its memory is there: it can be found */
        bool is_given_up : 1; /* by its owner: it stays for who holds it */

        _Alignas(MEM_LINE) GpuMemory memory;

        Registry *registry;
        uint64_t created_ns;                            /* by the boot clock */
        Lease *lease;                                   /* NULL: none */
        MemName *name;                                  /* NULL: none */
        uint64_t n_refs;                                /* of all holds */
        List link;                                      /* Registry.revoked */
        struct gpud_bin meta;                           /* owned */
        void *other_holds;                              /* Hold by session, of tsearch() */
        void (*ready)(Mem *mem, int r, void *userdata); /* pending allocation: whom to tell */
        void *userdata;
};
_Static_assert(offsetof(Mem, memory) == MEM_LINE && sizeof(Mem) <= 4 * MEM_LINE,
               "lines are as they were meant");

typedef struct MemParams {
        GpuDevice *device;
        uint64_t size;
        const char *name; /* NULL: none */
        uint16_t mode;
        bool is_persistent;
        bool is_exportable;
        uint64_t ttl_s; /* 0: no lease */
        struct gpud_bin meta;
} MemParams;

/* What mem_publish() changes at once. */
typedef struct MemPublication {
        const char *name; /* NULL: as it is */
        uint16_t mode;
        bool is_persistent; /* false: as it is */
        bool is_sealed;     /* likewise */
        bool replaces;      /* the owner's other allocation of that name is given up */
        uint64_t ttl_s;     /* 0: the lease is as it is */
} MemPublication;

/*
 * Allocates for `session`, which holds the result. Returns 0 and *ret_mem is ready; GPUD_E_ALREADY_EXISTS or
 * GPUD_E_OUT_OF_MEMORY or GPUD_E_DEVICE_LOST; -ENOMEM; or REQUEST_LATER: `ready` is called once, with 0 or a
 * GPUD_E_ code, after which a failed mem is gone. If the session ends first, it is called with
 * GPUD_E_CONNECTION_LOST.
 */
int mem_new(Mem **ret_mem, Session *session, const MemParams *params,
            void (*ready)(Mem *mem, int r, void *userdata), void *userdata);

/* Gives the allocation up if nothing refers to it: then its handle is unknown, and the mem may be gone. */
void mem_release_unused(Mem *mem);

/* Returns the rights of the session's user, a mask of MemRight; 0: for this user it does not exist. */
unsigned mem_get_rights(const Mem *mem, const Session *session);

/*
 * Whether the allocation exists for the session: it does for the owner, for who holds it, whatever the mode
 * says now, and until it is given up for all to whom the mode gives a right.
 */
bool mem_is_visible(Mem *mem, Session *session);

/* Names the allocation; NULL takes its name away. Returns 0, GPUD_E_ALREADY_EXISTS or -ENOMEM. */
int mem_set_name(Mem *mem, const char *name);

/* Replaces the metadata by a copy of `meta`. Returns 0 or -ENOMEM. */
int mem_set_meta(Mem *mem, const struct gpud_bin *meta);

/*
 * Has the lease end `ttl_s` seconds from now. Requires: the allocation is persistent. Returns 0, or -ENOMEM,
 * and the lease is as it was.
 */
int mem_set_lease(Mem *mem, uint64_t ttl_s);

/* Takes the lease away, if there is one. */
void mem_end_lease(Mem *mem);

/* Takes the persistent reference away. The allocation goes with it if no session holds it. */
void mem_unpersist(Mem *mem);

/*
 * Its owner frees it: takes its name and the persistent reference away, for ever. The allocation stays for
 * the sessions that hold it, and goes now if there is none.
 */
void mem_give_up(Mem *mem);

/*
 * Gives the allocation up and makes its handle unknown. The sessions' references go with registry_reap(),
 * since there may be thousands.
 */
void mem_revoke(Mem *mem);

/*
 * Publishes, in one step or not at all. Requires: it is not given up. Returns 0; GPUD_E_ALREADY_EXISTS;
 * GPUD_E_BUSY if the name is to be taken over from an allocation that is not ready; or -ENOMEM.
 */
int mem_publish(Mem *mem, const MemPublication *publication);

/* Returns one of its holds: that of the session that allocated, while there is one; NULL if there is none. */
Hold *mem_find_hold(Mem *mem);

/* Logs, at the level of debugging, what becomes of the allocation and by whom; `session` may be NULL. */
void mem_log(const Mem *mem, const Session *session, const char *event);

/* Fills in what clients are told of the allocation; the texts point into the mem. */
void mem_get_info(Mem *mem, struct gpud_mem_info *ret_info);
