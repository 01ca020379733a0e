#pragma once

/* Objects that arguments name. In a handler's structure each stands behind the text that named it. */

#include "daemon/object/mem.h"
#include "daemon/object/shm.h"
#include "daemon/rpc/request.h"
#include "proto/types.h"

typedef struct MemRef {
        struct gpud_uuid id;
        Mem *mem; /* NULL: the argument is absent */
} MemRef;

typedef struct ShmRef {
        struct gpud_uuid id;
        Shm *shm; /* NULL: the argument is absent */
} ShmRef;

typedef struct DeviceRef {
        const char *id;
        GpuDevice *device; /* NULL: the argument is absent */
} DeviceRef;

/* Has the processor fetch the allocations that the decoded arguments name, and that are looked up soon. */
void request_prefetch(Request *request);

/* Looks up the objects that the arguments name, checks the caller's right to each. Returns 0 or a GPUD_E_. */
int request_resolve(Request *request);
