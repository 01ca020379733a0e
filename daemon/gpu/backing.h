#pragma once

/*
 * Driver memory behind one GpuMemory, in one or more segments, each a VkDeviceMemory with a VkBuffer over all
 * of it. Segments are allocated and given back in slow calls, one in each.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/gate.h"
#include "daemon/gpu/memory.h"
#include "daemon/gpu/op.h"
#include "daemon/gpu/vk.h"

/* What every buffer of ours can be used for. */
#define GPU_SEGMENT_USAGE                                                                                    \
        (VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |                               \
         VK_BUFFER_USAGE_STORAGE_BUFFER_BIT)

typedef struct GpuSegment GpuSegment;

struct GpuSegment {
        VkBuffer buffer;
        VkDeviceAddress address; /* 0: shaders do not reach it */
        VkDeviceMemory memory;
        uint64_t size;
};

struct GpuBacking {
        GpuCall call;
        GpuOp zero;
        GpuMemory *memory;
        List link;             /* GpuDevice.starved */
        uint64_t segment_size; /* bytes of all but the last */
        uint32_t n_segments;
        uint32_t n_there; /* segments that are taken from the driver */
        int r;            /* why there is no memory */
        bool is_zeroing;
        GpuSegment segments[];
};

/* Which memory a segment is to have. */
typedef struct GpuSegmentSource {
        const void *buffer_next;         /* pNext of the buffer, */
        const void *memory_next;         /* and of the memory */
        bool has_address;                /* for shaders */
        bool is_dedicated;               /* tell the driver that the memory is for this buffer alone */
        uint32_t types;                  /* bits of the memory types that will do: the first is taken, */
        VkMemoryPropertyFlags preferred; /* unless one has these properties */
} GpuSegmentSource;

/*
 * Allocates a segment of `size` bytes, which may come out longer. Returns 0, or an error of
 * gpu_result_from_vk(): then nothing is there, and `segment->size` is as asked for. Any thread.
 */
int segment_init(GpuSegment *segment, const GpuDevice *device, uint64_t size, const GpuSegmentSource *source);

/*
 * Like segment_init(), with memory as clients have it: on the device, to be exported where the driver can do
 * that. Any thread.
 */
int segment_init_exportable(GpuSegment *segment, const GpuDevice *device, uint64_t size);

/* Works on a zeroed structure; leaves `segment->size`. Any thread. */
void segment_deinit(GpuSegment *segment, const GpuDevice *device);

/*
 * Begins to get zeroed memory for `memory`, which is pending. Returns REQUEST_LATER, and the memory's ready()
 * is called in the end, or GPU_E_NO_MEMORY.
 */
int backing_new(GpuMemory *memory, bool exportable);

/*
 * Gives back what is behind a memory; calls gone() in the end. Requires: dying, and pending or with no op on
 * it.
 */
void backing_release(GpuBacking *backing);

/*
 * Gives the segments back at once; blocks. Requires: no op on them, and no call under way. NULL is fine.
 * Returns NULL.
 */
GpuBacking *backing_free(GpuBacking *backing);
