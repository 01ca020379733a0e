#pragma once

/* What the inside of this layer knows of devices and of the instance. */

#include "daemon/gpu/arrears.h"
#include "daemon/gpu/backing.h"
#include "daemon/gpu/device.h"
#include "daemon/gpu/gate.h"
#include "daemon/gpu/instance.h"
#include "daemon/gpu/pool.h"
#include "daemon/gpu/queue.h"
#include "daemon/gpu/region-internal.h"
#include "daemon/gpu/ring.h"
#include "daemon/gpu/shader.h"
#include "daemon/gpu/vk.h"
#include "daemon/gpu/waiter.h"

#define GPU_CHUNK       (UINT64_C(16) << 20)  /* bytes over the bus at a time, and in one import */
#define GPU_CHUNK_LOCAL (UINT64_C(512) << 20) /* bytes inside a GPU at a time: 0.3 ms on a fast one */
#define GPU_SMALL_MAX   (UINT64_C(256) << 10) /* longest op that goes before bulk */

struct GpuDevice {
        GpuInstance *instance;
        uint32_t index; /* in GpuInstance.devices */
        VkPhysicalDevice physical;
        VkDevice vk;
        GpuDeviceInfo info;
        GpuLedger ledger;
        bool is_lost;

        bool has_budget;
        bool has_addresses; /* device memory has addresses, for the shaders */
        bool imports;       /* the device imports host memory */
        bool is_cpu;
        uint32_t heap;         /* that allocations come from */
        uint32_t memory_types; /* bit i: type i is of that heap and device-local */
        uint64_t segment_max;
        uint64_t block_size;
        uint64_t chunk_bus;   /* bytes of a bulk op at a time: over the bus, */
        uint64_t chunk_local; /* and inside the device */
        uint64_t import_alignment;
        uint64_t pieces_max; /* pieces that one region is imported in, at most */
        PFN_vkGetMemoryHostPointerPropertiesEXT get_host_pointer_properties;

        GpuQueue queues[GPU_N_QUEUES_MAX];
        uint32_t n_queues;
        uint32_t families[GPU_N_QUEUES_MAX]; /* of the queues, which share the buffers */
        uint32_t n_families;
        GpuQueue *bus[2];  /* copy engines: bulk is queued on the first and uses both, small ops the other */
        GpuQueue *aside;   /* small ops take this one while bulk is on bus[1] */
        GpuQueue *compute; /* for work inside the device */
        GpuShader shader;
        GpuWaiter waiter;
        GpuGate gate;
        GpuArrears arrears;

        GpuSegment staging;
        GpuRing ring;
        uint64_t staged_max; /* longest chunk that is staged */
        GpuSegment scratch;  /* for overlapping copies, GPU_CHUNK long, used on `compute` only */

        uint64_t epoch;      /* counts what has ended: what comes later may use the same bytes */
        List accesses;       /* GpuAccess.device_link: everything in flight, in order of arrival */
        uint64_t n_memories; /* of clients, the dying ones included */
        GpuPools pools;
        List starved;         /* GpuBacking.link: waiting for memory that is being given back */
        uint32_t n_releasing; /* backings on their way back to the driver */
};

/* Host memory that bytes pass through from device to device. Opened when first needed. */
typedef struct GpuBounce {
        GpuRegion region;
        GpuRing ring;
        void *map; /* NULL: not open */
} GpuBounce;

struct GpuInstance {
        GpuHost host;
        GpuOptions options; /* without the names of devices */
        VkInstance vk;
        VkDebugUtilsMessengerEXT messenger; /* NULL without validation */
        atomic_uint n_validation;
        GpuDevice **devices;
        size_t n_devices;
        List put_off;       /* GpuChunk.task.link: memcpys for the turns to come */
        uint64_t n_copied;  /* bytes that memcpy moved in this turn */
        List completed;     /* GpuOp.link: complete() is due */
        List settled;       /* GpuRegion.link: ready() is due */
        uint64_t n_regions; /* of clients */
        GpuBounce bounce;
};

/* A physical device that may be opened. */
typedef struct GpuCandidate {
        VkPhysicalDevice physical;
        uint32_t order; /* in which the loader named it */
        GpuDeviceInfo info;
        bool has_budget;
        bool has_addresses; /* and what else our shaders need */
        uint64_t import_alignment;
} GpuCandidate;

/* Asks the driver what a device is; the caller sets `info.id`. Returns false, logged, if we cannot use it. */
bool candidate_init(GpuCandidate *candidate, VkPhysicalDevice physical);

/*
 * Opens a device; blocks. Returns 0, GPU_E_NO_DEVICE (none of its queues computes), GPU_E_NO_HOST_MEMORY, an
 * error of gpu_result_from_vk() or -errno.
 */
int device_new(GpuDevice **ret_device, GpuInstance *instance, uint32_t index, const GpuCandidate *candidate);
/*
 * Closes the device, which may be half-built; blocks. Requires: nothing is under way on it. NULL is fine.
 * Returns NULL.
 */
GpuDevice *device_free(GpuDevice *device);

/* Notes that the device is lost: the next poll of the loop completes everything on it with GPU_E_LOST. */
void device_set_lost(GpuDevice *device);

/* Returns those memory types of `types` that have all of `properties`. Any thread. */
uint32_t device_get_memory_types(const GpuDevice *device, uint32_t types, VkMemoryPropertyFlags properties);

/* Makes a timeline semaphore at 0. Returns 0 or an error of gpu_result_from_vk(). */
int device_new_timeline(const GpuDevice *device, VkSemaphore *ret_semaphore);

/* Opens the way between devices if it is closed. Returns 0, or GPU_E_NO_HOST_MEMORY if it stays closed. */
int instance_open_bounce(GpuInstance *instance);
