#pragma once

/* Copy and fill commands over memory that is not in one piece. Recorded in the open batch of a queue. */

#include <stdint.h>

#include "daemon/gpu/backing.h"
#include "daemon/gpu/memory.h"
#include "daemon/gpu/queue.h"
#include "daemon/gpu/region.h"
#include "daemon/gpu/vk.h"

typedef struct GpuSpan GpuSpan;

/* Where bytes are: in a memory, in a region as a device sees it, or in one segment. */
struct GpuSpan {
        const GpuMemory *memory;
        const GpuRegion *region;
        const GpuSegment *segment;
        uint64_t offset;
};

/*
 * Copies less than 4 GiB, by shader where there is one and both are in device memory. Requires: no overlap.
 */
void record_copy(GpuQueue *queue, GpuSpan src, GpuSpan dst, uint64_t size);

/*
 * Copies inside one memory, with overlap or without. Begins with a barrier, since the scratch memory is
 * shared and what a move overwrites was read by the one before it. Requires: `size` is at most GPU_CHUNK
 * where they overlap.
 */
void record_move(GpuQueue *queue, GpuSpan src, GpuSpan dst, uint64_t size);

/* Repeats the 32-bit word. Requires: offset and size are multiples of 4. */
void record_fill_word(GpuQueue *queue, GpuSpan dst, uint64_t size, uint32_t word);

/* Repeats GPU_SHADER_UNIT bytes, by shader. Requires: offset and size are multiples of that. */
void record_fill_unit(GpuQueue *queue, GpuSpan dst, uint64_t size, const unsigned char *unit);

/* Repeats the first `run` bytes of `src` until `size` bytes are filled. */
void record_fill_run(GpuQueue *queue, GpuSpan src, uint64_t run, GpuSpan dst, uint64_t size);
