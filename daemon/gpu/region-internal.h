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
        uint32_t n_there;
};

/* The device reaches all of it directly. */
bool region_is_imported(const GpuRegion *region, const GpuDevice *device);
const GpuSegment *region_get_pieces(const GpuRegion *region, const GpuDevice *device);

/* The ready() that had to come later. */
void region_settle(GpuRegion *region);

void region_ref(GpuRegion *region);
void region_unref(GpuRegion *region);

/* Blocks; nothing is in flight. */
void region_free_imports(GpuRegion *region);
