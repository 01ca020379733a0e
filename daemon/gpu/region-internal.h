#pragma once

/* Regions as the inside of this layer sees them. */

#include <stdbool.h>

#include "daemon/gpu/backing.h"
#include "daemon/gpu/gate.h"
#include "daemon/gpu/region.h"

/* A region as one device has it. */
struct GpuImport {
        GpuCall call;
        GpuRegion *region;
        GpuSegment *pieces;
        uint32_t n_pieces; /* 0: the device does not import it */
        uint32_t n_there;  /* pieces that are imported */
};

/* Whether the device reaches all of the region directly. */
bool region_is_imported(const GpuRegion *region, const GpuDevice *device);

/* Returns the pieces of `region->piece` bytes, imported or not. */
const GpuSegment *region_get_pieces(const GpuRegion *region, const GpuDevice *device);

/* Calls ready() of a region, which is due. */
void region_settle(GpuRegion *region);

/* An op in flight holds the region. */
void region_ref(GpuRegion *region);
void region_unref(GpuRegion *region);

/*
 * Gives the imports back at once; blocks. Requires: nothing is in flight. Works on a zeroed structure and on
 * one whose init failed.
 */
void region_free_imports(GpuRegion *region);
