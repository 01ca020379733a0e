#pragma once

/*
 * Driver memory behind one GpuMemory, in one or more segments, each a VkDeviceMemory with a VkBuffer over all of it.
 * Segments are had, zeroed and given back one slow call at a time.
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
        uint64_t segment_size; /* of all but the last */
        uint32_t n_segments;
        uint32_t n_there; /* segments that are taken from the driver */
        int r;            /* why it failed */
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
        VkMemoryPropertyFlags preferred; /* but for one with these properties */
} GpuSegmentSource;

/* Any thread. `size` may come out longer. Errors of gpu_result(), and then nothing is there. */
int segment_init(GpuSegment *segment, const GpuDevice *device, uint64_t size, const GpuSegmentSource *source);

/* Any thread. As for clients: on the device, to be exported where the driver can do that. */
int segment_init_exportable(GpuSegment *segment, const GpuDevice *device, uint64_t size);

/* Any thread; on a zeroed one as well. */
void segment_deinit(GpuSegment *segment, const GpuDevice *device);

/* Gets zeroed memory for `memory`, which is pending; its ready() is called in the end. GPU_E_NO_MEMORY. */
int backing_new(GpuMemory *memory, bool exportable);

/* The memory is dying and no op is on it, or it is pending: its gone() is called in the end. */
void backing_release(GpuBacking *backing);

/* Blocks; no op is on it, no call runs. */
GpuBacking *backing_free(GpuBacking *backing);
