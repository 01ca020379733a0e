/*
 * Driver memory, segment by segment through the gate. Loop thread, but for the calls themselves.
 *
 *   backing_new -> allocate each segment -> zero -> memory_tell_ready(0)
 *                        | fails              | dying meanwhile
 *                        v                    v
 *                  free each segment -> memory_tell_ready(r) or memory_tell_gone()
 *
 * Segments are exportable where the driver can: such memory is 5 to 20 times faster to get, and outlives us.
 */

#include "daemon/gpu/backing.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/memory-internal.h"
#include "daemon/gpu/transfer.h"

static int segment_init_buffer(GpuSegment *segment, const GpuDevice *device, uint64_t size,
                               const GpuSegmentSource *source) {
        VkBufferUsageFlags address = source->has_address ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0;

        return GPU_TRY(vkCreateBuffer(
                device->vk,
                &(VkBufferCreateInfo){
                        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                        .pNext = source->buffer_next,
                        .size = size,
                        .usage = GPU_SEGMENT_USAGE | address,
                        .sharingMode = device->n_families > 1 ? VK_SHARING_MODE_CONCURRENT
                                                              : VK_SHARING_MODE_EXCLUSIVE,
                        .queueFamilyIndexCount = device->n_families > 1 ? device->n_families : 0,
                        .pQueueFamilyIndices = device->families,
                },
                NULL, &segment->buffer));
}

static int segment_init_memory(GpuSegment *segment, const GpuDevice *device, uint64_t size, uint32_t types,
                               const GpuSegmentSource *source) {
        VkMemoryAllocateFlagsInfo flags = {
                .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                .pNext = source->memory_next,
                .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
        };
        VkMemoryDedicatedAllocateInfo dedicated = {
                .sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
                .pNext = source->has_address ? &flags : source->memory_next,
                .buffer = segment->buffer,
        };
        VkMemoryAllocateInfo info = {
                .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                .pNext = source->is_dedicated ? &dedicated : dedicated.pNext,
                .allocationSize = size,
        };
        int r;

        types = device_get_memory_types(device, types, source->preferred) ?: types;
        if (!types)
                return GPU_E_NO_MEMORY;
        info.memoryTypeIndex = (uint32_t)__builtin_ctz(types);
        r = GPU_TRY(vkAllocateMemory(device->vk, &info, NULL, &segment->memory));
        if (r)
                return r;
        r = GPU_TRY(vkBindBufferMemory(device->vk, segment->buffer, segment->memory, 0));
        if (!r && source->has_address)
                segment->address = vkGetBufferDeviceAddress(
                        device->vk, &(VkBufferDeviceAddressInfo){
                                            .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                            .buffer = segment->buffer,
                                    });
        assert(segment->address % GPU_SHADER_UNIT == 0);
        return r;
}

/* Undoes a segment_init() that fails; disarmed when `segment` is NULL. */
typedef struct SegmentGuard {
        GpuSegment *segment;
        const GpuDevice *device;
} SegmentGuard;

static void segment_guard_deinit(SegmentGuard *guard) {
        if (guard->segment)
                segment_deinit(guard->segment, guard->device);
}

/* Makes the buffer anew, over all of the memory that it needs: so its padding is zeroed with the rest. */
static int segment_pad(GpuSegment *segment, const GpuDevice *device, uint64_t length,
                       const GpuSegmentSource *source) {
        segment_deinit(segment, device);
        return segment_init_buffer(segment, device, length, source);
}

int segment_init(GpuSegment *segment, const GpuDevice *device, uint64_t size,
                 const GpuSegmentSource *source) {
        _cleanup_(segment_guard_deinit) SegmentGuard guard = {.segment = segment, .device = device};
        VkMemoryRequirements needs;
        uint64_t length = size;
        int r;

        *segment = (GpuSegment){.size = size};
        r = segment_init_buffer(segment, device, length, source);
        if (r)
                return r;
        vkGetBufferMemoryRequirements(device->vk, segment->buffer, &needs);
        if (needs.size > length) {
                length = needs.size;
                r = segment_pad(segment, device, length, source);
                if (r)
                        return r;
        }
        r = segment_init_memory(segment, device, length, source->types & needs.memoryTypeBits, source);
        if (r)
                return r;
        segment->size = length;
        (void)STEAL(guard.segment);
        return 0;
}

int segment_init_exportable(GpuSegment *segment, const GpuDevice *device, uint64_t size) {
        static const VkExternalMemoryBufferCreateInfo buffer = {
                .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
        };
        static const VkExportMemoryAllocateInfo memory = {
                .sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
        };
        GpuSegmentSource source = {
                .has_address = device->has_addresses,
                .is_dedicated = true,
                .types = device->memory_types,
        };

        if (device->info.exportable) {
                source.buffer_next = &buffer;
                source.memory_next = &memory;
        }
        return segment_init(segment, device, size, &source);
}

void segment_deinit(GpuSegment *segment, const GpuDevice *device) {
        vkDestroyBuffer(device->vk, segment->buffer, NULL);
        vkFreeMemory(device->vk, segment->memory, NULL);
        segment->buffer = VK_NULL_HANDLE;
        segment->memory = VK_NULL_HANDLE;
        segment->address = 0;
}

static GpuBacking *backing_of(GpuCall *call) {
        return container_of(call, GpuBacking, call);
}

static void release_run(GpuCall *call) {
        GpuBacking *backing = backing_of(call);

        segment_deinit(&backing->segments[backing->n_there - 1], call->device);
}

static void release_next(GpuBacking *backing);

static void release_done(GpuCall *call) {
        GpuBacking *backing = backing_of(call);

        arrears_add(call->device, backing->segments[--backing->n_there].size);
        release_next(backing);
}

static void allocate_run(GpuCall *call) {
        GpuBacking *backing = backing_of(call);
        GpuSegment *segment = &backing->segments[backing->n_there];

        backing->r = segment_init_exportable(segment, call->device, segment->size);
}

static void allocate_done(GpuCall *call);

/* Lets backings that found no memory try again: some came back. */
static void starved_retry(GpuDevice *device) {
        List *link;

        while ((link = list_pop(&device->starved))) {
                GpuBacking *backing = container_of(link, GpuBacking, link);

                backing->r = 0;
                gate_submit(device, &backing->call, allocate_run, allocate_done);
        }
}

static void backing_end(GpuBacking *backing) {
        GpuMemory *memory = backing->memory;
        GpuDevice *device = memory->device;
        int r = backing->r;

        free(backing);
        memory->backing = NULL;
        if (!memory->is_dying) {
                memory_tell_ready(memory, r);
                return;
        }
        device->n_releasing--;
        starved_retry(device);
        memory_tell_gone(memory);
}

static void release_next(GpuBacking *backing) {
        GpuDevice *device = backing->memory->device;

        if (backing->n_there == 0) {
                backing_end(backing);
                return;
        }
        device->ledger.reserved -= backing->segments[backing->n_there - 1].size;
        gate_submit(device, &backing->call, release_run, release_done);
}

static void backing_fail(GpuBacking *backing, int r) {
        backing->r = r == GPU_E_LOST ? GPU_E_LOST : GPU_E_NO_MEMORY;
        release_next(backing);
}

static void zero_complete(GpuOp *op, int r) {
        GpuBacking *backing = container_of(op, GpuBacking, zero);

        backing->is_zeroing = false;
        if (r || backing->memory->is_dying)
                backing_fail(backing, r);
        else
                memory_tell_ready(backing->memory, 0);
}

static void backing_zero(GpuBacking *backing) {
        const GpuSegment *last = &backing->segments[backing->n_segments - 1];
        uint64_t size = (backing->n_segments - 1) * backing->segment_size + last->size;

        if (backing->n_segments == 1)
                backing->segment_size = last->size;
        backing->is_zeroing = true;
        backing->zero.complete = zero_complete;
        op_zero(&backing->zero, backing->memory, size);
}

static void allocate_done(GpuCall *call) {
        GpuBacking *backing = backing_of(call);
        GpuDevice *device = call->device;

        if (!backing->r)
                device->ledger.reserved += backing->segments[backing->n_there++].size;
        if (backing->r == GPU_E_LOST)
                device_set_lost(device);

        if (backing->r == GPU_E_NO_MEMORY && !backing->memory->is_dying) {
                pools_reclaim(&device->pools);
                if (device->n_releasing > 0) {
                        list_link(&device->starved, &backing->link);
                        return;
                }
        }
        if (backing->r || backing->memory->is_dying)
                backing_fail(backing, backing->r);
        else if (backing->n_there < backing->n_segments)
                gate_submit(device, call, allocate_run, allocate_done);
        else
                backing_zero(backing);
}

static void backing_freep(GpuBacking **backing) {
        backing_free(*backing);
}

int backing_new(GpuMemory *memory, bool exportable) {
        _cleanup_(backing_freep) GpuBacking *backing = NULL;
        uint64_t size = ALIGN_UP(memory->size, (uint64_t)GPU_POOL_UNIT), n_segments = 1, segment_size = size;
        GpuDevice *device = memory->device;

        if (!exportable && size > device->segment_max) {
                segment_size = device->segment_max;
                n_segments = (size + segment_size - 1) / segment_size;
        }
        if (n_segments > UINT32_MAX)
                return GPU_E_NO_MEMORY;
        backing = calloc(1, sizeof(*backing) + n_segments * sizeof(GpuSegment));
        if (!backing)
                return GPU_E_NO_MEMORY;
        backing->memory = memory;
        backing->segment_size = segment_size;
        backing->n_segments = (uint32_t)n_segments;
        list_init(&backing->link);
        for (uint64_t i = 0; i < n_segments; i++)
                backing->segments[i].size = MIN(segment_size, size - i * segment_size);
        gate_submit(device, &backing->call, allocate_run, allocate_done);
        memory->backing = STEAL(backing);
        return REQUEST_LATER;
}

void backing_release(GpuBacking *backing) {
        bool is_starved = !list_is_empty(&backing->link);
        bool is_waiting = backing->call.is_waiting && !backing->r && gate_cancel(&backing->call);

        if (backing->is_zeroing)
                op_stop(&backing->zero);
        /* A call or an op that is under way sees, when it ends, that the memory is dying. */
        if (backing->memory->is_pending && !is_starved && !is_waiting)
                return;
        list_unlink(&backing->link);
        release_next(backing);
}

GpuBacking *backing_free(GpuBacking *backing) {
        if (!backing)
                return NULL;
        while (backing->n_there > 0)
                segment_deinit(&backing->segments[--backing->n_there], backing->memory->device);
        free(backing);
        return NULL;
}
