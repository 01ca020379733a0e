#pragma once

/*
 * Host memory that clients share with us and that ops move bytes to and from. Where the driver can, it is
 * imported, so that the device reads and writes it directly. Embedded in its owner's structure; its fields
 * are this layer's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/util/list.h"

typedef struct GpuImport GpuImport;
typedef struct GpuInstance GpuInstance;
typedef struct GpuRegion GpuRegion;

struct GpuRegion {
        GpuInstance *instance;
        unsigned char *map;
        uint64_t size;
        uint64_t piece;     /* bytes in one import */
        GpuImport *imports; /* one for each device */
        uint32_t n_busy;    /* imports with a driver call under way */
        uint32_t n_ops;     /* in flight */
        List link;          /* GpuInstance.settled */
        bool is_pending;
        bool is_dying;
        bool is_releasing; /* its imports are given back, for the last time */
        void (*ready)(GpuRegion *region, bool imported);
        void (*gone)(GpuRegion *region);
};

/*
 * Begins to import `size` bytes at `map`. Requires: `map` is page-aligned, readable, writable and stays
 * mapped until gone(), and reading it does not fault up to `size` rounded up to a page.
 *
 * Returns 0 if ready() will be called, later and once; ops may use the region only after that. `imported`
 * says whether all devices reach it directly; where not, bytes are staged. Returns -ENOMEM otherwise, and
 * then there is nothing to deinit.
 */
int gpu_region_init(GpuRegion *region, GpuInstance *instance, void *map, uint64_t size,
                    void (*ready)(GpuRegion *region, bool imported));

/* Like gpu_memory_deinit(): ops in flight complete first. The caller unmaps in gone(). */
void gpu_region_deinit(GpuRegion *region, void (*gone)(GpuRegion *region));
