/*
 * Blocks and the ranges in them; loop thread. A block is itself an internal GpuMemory with memory of its own.
 *
 * An allocation that fits is a walk through the allocator's bitmaps and nothing more. One that does not waits
 * for the block that is being made; if none can be made, it gets memory of its own.
 */

#include "daemon/gpu/pool.h"

#include <stdlib.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/memory-internal.h"
#include "daemon/gpu/record.h"

static GpuMemory *memory_of(List *accesses) {
        return container_of(accesses, GpuMemory, accesses);
}

static uint32_t get_n_units(const GpuMemory *memory) {
        return (uint32_t)((memory->size + GPU_POOL_UNIT - 1) / GPU_POOL_UNIT);
}

static uint32_t get_block_units(const GpuPool *pool) {
        return (uint32_t)(pool->device->block_size / GPU_POOL_UNIT);
}

static GpuPool *pools_find(GpuPools *pools, uint32_t owner) {
        List *bucket = &pools->buckets[owner % GPU_POOL_BUCKETS];

        list_for_each (link, bucket) {
                GpuPool *pool = container_of(link, GpuPool, link);

                if (pool->owner == owner)
                        return pool;
        }
        return NULL;
}

static GpuPool *pool_free(GpuPool *pool) {
        if (!pool)
                return NULL;
        list_unlink(&pool->link);
        tlsf_deinit(&pool->tlsf);
        free(pool->blocks);
        free(pool);
        return NULL;
}

static void pool_freep(GpuPool **pool) {
        pool_free(*pool);
}

/* Makes the pool of an owner who has none. Returns 0 or GPU_E_NO_MEMORY. */
static int pool_new(GpuPool **ret_pool, GpuPools *pools, GpuDevice *device, uint32_t owner) {
        _cleanup_(pool_freep) GpuPool *pool = NULL;

        pool = calloc(1, sizeof(*pool));
        if (!pool)
                return GPU_E_NO_MEMORY;
        pool->device = device;
        pool->owner = owner;
        tlsf_init(&pool->tlsf);
        list_init(&pool->waiting);
        list_link(&pools->buckets[owner % GPU_POOL_BUCKETS], &pool->link);
        *ret_pool = STEAL(pool);
        return 0;
}

static void pool_free_if_unused(GpuPool *pool) {
        if (pool->n_blocks == 0 && !pool->is_serving && list_is_empty(&pool->waiting))
                pool_free(pool);
}

/* Blocks. */

static GpuBlock *block_free(GpuBlock *block) {
        if (!block)
                return NULL;
        block->pool->blocks[block->slot] = NULL;
        block->pool->n_blocks--;
        free(block);
        return NULL;
}

static void block_freep(GpuBlock **block) {
        block_free(*block);
}

static void block_gone(GpuMemory *memory) {
        GpuBlock *block = container_of(memory, GpuBlock, memory);
        GpuPool *pool = block->pool;

        block_free(block);
        pool_free_if_unused(pool);
}

static void block_release(GpuBlock *block) {
        tlsf_remove(&block->pool->tlsf, block->region);
        block->region = 0;
        block->pool->n_empty--;
        gpu_memory_deinit(&block->memory, block_gone);
}

static void pool_release_empty(GpuPool *pool, uint32_t n_kept) {
        for (uint32_t i = 0; i < pool->n_blocks_max && pool->n_empty > n_kept; i++) {
                GpuBlock *block = pool->blocks[i];

                if (block && block->region && block->n_live == 0)
                        block_release(block);
        }
}

/* Gives resting ranges back to the allocator. */
static void pool_settle(GpuPool *pool) {
        for (uint32_t i = 0; i < pool->n_resting; i++)
                tlsf_prefetch(&pool->tlsf, pool->resting[i].node);
        for (uint32_t i = 0; i < pool->n_resting; i++) {
                GpuBlock *block = pool->resting[i].block;

                tlsf_free(&pool->tlsf, pool->resting[i].node);
                block->n_resting = 0;
                if (--block->n_live == 0)
                        pool->n_empty++;
        }
        pool->n_resting = 0;
}

/* Serves an allocation with the range that was freed last. Returns false if that is not just as long. */
static bool pool_serve_resting(GpuPool *pool, GpuMemory *memory) {
        const GpuResting *last;

        if (pool->n_resting == 0)
                return false;
        last = &pool->resting[pool->n_resting - 1];
        if (last->n_units != get_n_units(memory))
                return false;
        memory->node = last->node;
        memory->block = last->block;
        last->block->n_resting--;
        pool->n_resting--;
        return true;
}

/* Serves an allocation with a range of a block. Returns false if there is none. */
static bool pool_serve(GpuPool *pool, GpuMemory *memory) {
        uint32_t n_units = get_n_units(memory);
        GpuBlock *block;
        int r;

        if (pool_serve_resting(pool, memory))
                return true;
        r = tlsf_alloc(&pool->tlsf, n_units, &memory->node);
        if (r && pool->n_resting > 0) {
                pool_settle(pool);
                r = tlsf_alloc(&pool->tlsf, n_units, &memory->node);
        }
        if (r)
                return false;
        block = pool->blocks[tlsf_get_offset(&pool->tlsf, memory->node) / get_block_units(pool)];
        if (block->n_live++ == 0)
                pool->n_empty--;
        memory->block = block;
        return true;
}

/* Gives an allocation memory of its own: no block is to be had. */
static void serve_alone(GpuMemory *memory) {
        int r;

        memory->is_small = false;
        r = backing_new(memory, true);
        if (r != REQUEST_LATER)
                memory_tell_ready(memory, r);
}

static int pool_grow(GpuPool *pool);

/* Serves the allocations that wait with what there is now. With an `r` there is nothing, and `r` says why. */
static void pool_serve_waiting(GpuPool *pool, int r) {
        List *link;

        pool->is_serving = true;
        while (!pool->is_growing && (link = list_first(&pool->waiting))) {
                GpuMemory *memory = memory_of(link);

                if (!r && !pool_serve(pool, memory)) {
                        r = pool_grow(pool);
                        continue;
                }
                list_unlink(link);
                if (!r)
                        memory_tell_ready(memory, 0);
                else if (r == GPU_E_LOST)
                        memory_tell_ready(memory, r);
                else
                        serve_alone(memory);
        }
        pool->is_serving = false;
        if (pool->is_trimmed)
                pool_release_empty(pool, 0);
        pool_free_if_unused(pool);
}

static void block_ready(GpuMemory *memory, int r) {
        GpuBlock *block = container_of(memory, GpuBlock, memory);
        GpuPool *pool = block->pool;
        uint32_t n_units = get_block_units(pool);

        pool->is_growing = false;
        if (r) {
                block_free(block);
        } else if (tlsf_add(&pool->tlsf, block->slot * n_units, n_units, &block->region)) {
                gpu_memory_deinit(&block->memory, block_gone);
                r = GPU_E_NO_MEMORY;
        } else {
                pool->n_empty++;
        }
        pool_serve_waiting(pool, r);
}

/*
 * Finds a free place in pool->blocks. Returns its number, or -1 if the host's memory or the numbering has
 * none left.
 */
static int64_t pool_find_slot(GpuPool *pool) {
        uint32_t n_max = MAX(pool->n_blocks_max * 2, 8u);
        GpuBlock **blocks;

        for (uint32_t i = 0; pool->n_blocks < pool->n_blocks_max; i++) {
                if (!pool->blocks[i])
                        return i;
        }
        if ((uint64_t)n_max * get_block_units(pool) > UINT32_MAX)
                return -1;
        blocks = realloc(pool->blocks, n_max * sizeof(*blocks));
        if (!blocks)
                return -1;
        for (uint32_t i = pool->n_blocks_max; i < n_max; i++)
                blocks[i] = NULL;
        pool->blocks = blocks;
        pool->n_blocks_max = n_max;
        return pool->n_blocks;
}

/* Begins to make a block: block_ready() is called later. Returns 0 or GPU_E_NO_MEMORY. */
static int pool_grow(GpuPool *pool) {
        _cleanup_(block_freep) GpuBlock *block = NULL;
        int64_t slot = pool_find_slot(pool);
        int r;

        if (slot < 0)
                return GPU_E_NO_MEMORY;
        block = calloc(1, sizeof(*block));
        if (!block)
                return GPU_E_NO_MEMORY;
        block->pool = pool;
        block->slot = (uint32_t)slot;
        pool->blocks[slot] = block;
        pool->n_blocks++;
        r = memory_init_internal(&block->memory, pool->device, pool->owner, pool->device->block_size,
                                 block_ready);
        if (r != REQUEST_LATER)
                return r;
        pool->is_growing = true;
        (void)STEAL(block);
        return 0;
}

int pool_alloc(GpuMemory *memory) {
        GpuPools *pools = &memory->device->pools;
        GpuPool *pool = pools_find(pools, memory->owner);
        int r = 0;

        if (!pool)
                r = pool_new(&pool, pools, memory->device, memory->owner);
        if (r)
                return r;
        pool->is_trimmed = false;
        if (list_is_empty(&pool->waiting) && pool_serve(pool, memory))
                return 0;
        if (!pool->is_growing && pool_grow(pool)) {
                pool_free_if_unused(pool);
                memory->is_small = false;
                return backing_new(memory, true);
        }
        list_link(&pool->waiting, &memory->accesses);
        return REQUEST_LATER;
}

uint64_t pool_get_offset(const GpuMemory *memory) {
        const GpuPool *pool = memory->block->pool;

        return (uint64_t)(tlsf_get_offset(&pool->tlsf, memory->node) % get_block_units(pool)) * GPU_POOL_UNIT;
}

/* Frees the range of an allocation; it is zero again. */
static void range_free(GpuMemory *memory) {
        GpuBlock *block = memory->block;
        GpuPool *pool = block->pool;

        if (pool->n_resting == GPU_RESTING_MAX)
                pool_settle(pool);
        pool->resting[pool->n_resting++] =
                (GpuResting){.block = block, .node = memory->node, .n_units = get_n_units(memory)};
        /* Nothing else is in the block: it may be given back. */
        if (++block->n_resting == block->n_live) {
                pool_settle(pool);
                pool_release_empty(pool, pool->is_trimmed ? 0 : 1);
        }
        memory_tell_gone(memory);
}

void pool_give_back(GpuMemory *memory) {
        if (memory->is_pending) {
                list_unlink(&memory->accesses);
                memory_tell_gone(memory);
        } else if (memory->is_dirty && !memory->device->is_lost) {
                list_link(&memory->device->pools.dirty, &memory->accesses);
        } else {
                range_free(memory);
        }
}

/* Scrubbing. */

static void scrub_record(GpuWork *work) {
        GpuScrub *scrub = container_of(work, GpuScrub, work);

        list_for_each (link, &scrub->memories) {
                GpuMemory *memory = memory_of(link);
                GpuSpan range = {.memory = memory};

                record_fill_word(memory->device->compute, range,
                                 ALIGN_UP(memory->size, (uint64_t)GPU_POOL_UNIT), 0);
        }
}

static void scrub_complete(GpuWork *work) {
        GpuScrub *scrub = container_of(work, GpuScrub, work);
        List *link;

        while ((link = list_pop(&scrub->memories))) {
                memory_of(link)->device->epoch++;
                range_free(memory_of(link));
        }
        scrub->is_busy = false;
        scrub->pools->n_scrubs--;
}

/* Takes as many dirty ranges as go well in one batch. */
static void scrub_take(GpuScrub *scrub, List *dirty, uint64_t size_max) {
        scrub->work.size = 0;
        for (size_t n = 0; n < GPU_SCRUB_MAX && scrub->work.size < size_max && !list_is_empty(dirty); n++) {
                List *link = list_pop(dirty);

                scrub->work.size += memory_of(link)->size;
                list_link(&scrub->memories, link);
        }
}

void pools_scrub(GpuPools *pools, GpuQueue *queue) {
        for (size_t i = 0; i < GPU_POOL_SCRUBS && !list_is_empty(&pools->dirty); i++) {
                GpuScrub *scrub = &pools->scrubs[i];

                if (scrub->is_busy)
                        continue;
                scrub->is_busy = true;
                pools->n_scrubs++;
                scrub->work.record = scrub_record;
                scrub->work.complete = scrub_complete;
                scrub_take(scrub, &pools->dirty, queue->device->chunk_local);
                list_link(&queue->works, &scrub->work.link);
        }
}

/* All pools. */

void pools_init(GpuPools *pools) {
        *pools = (GpuPools){};
        for (size_t i = 0; i < GPU_POOL_BUCKETS; i++)
                list_init(&pools->buckets[i]);
        list_init(&pools->dirty);
        for (size_t i = 0; i < GPU_POOL_SCRUBS; i++) {
                list_init(&pools->scrubs[i].work.link);
                list_init(&pools->scrubs[i].memories);
                pools->scrubs[i].pools = pools;
        }
}

void pools_deinit(GpuPools *pools) {
        for (size_t i = 0; i < GPU_POOL_BUCKETS; i++) {
                List *link;

                while ((link = list_first(&pools->buckets[i]))) {
                        GpuPool *pool = container_of(link, GpuPool, link);

                        for (uint32_t j = 0; j < pool->n_blocks_max; j++) {
                                if (pool->blocks[j])
                                        backing_free(pool->blocks[j]->memory.backing);
                                block_free(pool->blocks[j]);
                        }
                        pool_free(pool);
                }
        }
}

void pools_reclaim(GpuPools *pools) {
        for (size_t i = 0; i < GPU_POOL_BUCKETS; i++) {
                list_for_each (link, &pools->buckets[i])
                        pool_release_empty(container_of(link, GpuPool, link), 0);
        }
}

void pools_trim(GpuPools *pools, uint32_t owner) {
        GpuPool *pool = pools_find(pools, owner);

        if (!pool)
                return;
        pool->is_trimmed = true;
        pool_release_empty(pool, 0);
        pool_free_if_unused(pool);
}
