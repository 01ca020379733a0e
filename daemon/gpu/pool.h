#pragma once

/*
 * Blocks for the small allocations of one owner on one device. Free ranges of a block are always zero: a
 * block is zeroed when it is fresh, and a range that was written is zeroed before it is free again. So what
 * is allocated and freed without being written costs the device nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/memory.h"
#include "daemon/gpu/op.h"
#include "daemon/gpu/tlsf.h"
#include "daemon/util/list.h"

#define GPU_POOL_UNIT    256 /* bytes; small allocations are aligned and padded to it */
#define GPU_POOL_BUCKETS 64
#define GPU_POOL_SCRUBS  4   /* batches of scrubbing in flight */
#define GPU_SCRUB_MAX    256 /* ranges in one of them */
#define GPU_RESTING_MAX  64  /* ranges of a pool */

typedef struct GpuPool GpuPool;
typedef struct GpuPools GpuPools;
typedef struct GpuScrub GpuScrub;

struct GpuBlock {
        GpuMemory memory;
        GpuPool *pool;
        uint32_t slot;      /* in GpuPool.blocks */
        uint32_t region;    /* of GpuPool.tlsf; 0: the block is being made or given back */
        uint32_t n_live;    /* allocations in it, those being scrubbed and resting ranges included */
        uint32_t n_resting; /* resting ranges among them; never all */
};

/*
 * A range that was freed but is not given back to the allocator yet. That would touch its node, which is in
 * no cache any more, while an allocation just as long, which often comes next, can have the range as it is.
 */
typedef struct GpuResting {
        GpuBlock *block;
        uint32_t node;
        uint32_t n_units;
} GpuResting;

struct GpuPool {
        List link; /* GpuPools.buckets */
        GpuDevice *device;
        uint32_t owner;
        Tlsf tlsf; /* over all blocks: block i begins at i times the block size */
        GpuBlock **blocks;
        uint32_t n_blocks_max;
        uint32_t n_blocks; /* those being made or given back included */
        uint32_t n_empty;
        bool is_growing;
        bool is_serving;
        bool is_trimmed; /* no block is kept, until the owner allocates again */
        List waiting;    /* GpuMemory.accesses: for the block being made */
        GpuResting resting[GPU_RESTING_MAX];
        uint32_t n_resting;
};

/* Ranges being zeroed by one batch. */
struct GpuScrub {
        GpuWork work;
        GpuPools *pools;
        List memories; /* GpuMemory.accesses */
        bool is_busy;
};

struct GpuPools {
        List buckets[GPU_POOL_BUCKETS];
        List dirty; /* GpuMemory.accesses: to be scrubbed */
        GpuScrub scrubs[GPU_POOL_SCRUBS];
        uint32_t n_scrubs; /* busy ones */
};

void pools_init(GpuPools *pools);

/* Frees the pools and what blocks they have left; waits for the driver. Requires: no allocations are left. */
void pools_deinit(GpuPools *pools);

/* Whether nothing is being scrubbed or waits to be. */
static inline bool pools_are_clean(const GpuPools *pools) {
        return pools->n_scrubs == 0 && list_is_empty(&pools->dirty);
}

/* Queues the zeroing of ranges that were freed dirty. */
void pools_scrub(GpuPools *pools, GpuQueue *queue);

/* Gives back the empty blocks of all owners. */
void pools_reclaim(GpuPools *pools);

/* Gives back the empty blocks of one owner who has gone, and later those that are not empty yet. */
void pools_trim(GpuPools *pools, uint32_t owner);

/* Finds room for a small allocation. Returns 0, REQUEST_LATER (ready() is called then) or GPU_E_NO_MEMORY. */
int pool_alloc(GpuMemory *memory);

/*
 * Takes back a small allocation; calls gone() in the end. Requires: dying, and pending or with no op on it.
 */
void pool_give_back(GpuMemory *memory);

/* Returns the offset in its block at which a small allocation begins. */
uint64_t pool_get_offset(const GpuMemory *memory);
