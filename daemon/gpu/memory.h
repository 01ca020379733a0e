#pragma once

/*
 * One allocation of a client. Embedded in its owner's structure; its fields are this layer's.
 *
 * A small one is a range of a block, a large or exportable one has driver memory of its own, in several
 * segments where it is long. It reads as zero when it is handed out, padding included.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/util/error.h"
#include "daemon/util/list.h"

typedef struct GpuBacking GpuBacking;
typedef struct GpuBlock GpuBlock;
typedef struct GpuDevice GpuDevice;
typedef struct GpuMemory GpuMemory;

struct GpuMemory {
        GpuDevice *device;
        uint64_t size;
        List accesses; /* GpuAccess.memory_link, in order of arrival; pending: a link of GpuPool.waiting */
        union {
                void (*ready)(GpuMemory *memory, int r); /* while pending */
                void (*gone)(GpuMemory *memory);         /* once deinit was called */
        };
        union {
                GpuBlock *block;     /* of a small one */
                GpuBacking *backing; /* of a large one */
        };
        uint32_t owner;
        uint32_t node; /* of GpuPool.tlsf; 0 for a large one */
        bool is_small;
        bool is_pending;
        bool is_dying;
        bool is_internal;  /* a block, not a client's: not in the ledger's `used` */
        bool is_dirty;     /* something but zeros may be in it */
        bool is_crowded;   /* accesses wait for others to end: see hazard.c */
        uint16_t n_active; /* accesses that are compared with others */
};

/*
 * Allocates `size` bytes, more than 0. `owner` decides which allocations may lie in one block, no more.
 *
 * Returns 0 if the memory is ready now; `ready` will not be called. Returns REQUEST_LATER if `ready` will be
 * called, once, with 0, GPU_E_NO_MEMORY or GPU_E_LOST. Returns GPU_E_NO_MEMORY or GPU_E_LOST if refused. When
 * refused, now or in ready(), there is nothing to deinit.
 */
int gpu_memory_init(GpuMemory *memory, GpuDevice *device, uint32_t owner, uint64_t size, bool exportable,
                    void (*ready)(GpuMemory *memory, int r));

/*
 * Gives the memory back once the ops on it have completed; new ones must not be submitted. Never waits and
 * never fails: `gone` is called once, perhaps before this returns, perhaps just before the last op completes,
 * and then the structure may be freed. A `ready` that is due will not be called.
 */
void gpu_memory_deinit(GpuMemory *memory, void (*gone)(GpuMemory *memory));
