#pragma once

/*
 * The Vulkan instance and every device that was chosen. There is one per process, and it owns the devices.
 *
 * A loop turn goes: gpu_instance_poll(), then the work of the turn, then gpu_instance_flush(). A turn in
 * which anything of this layer ran, a task's done() included, must contain both. Before the loop sleeps, it
 * spins on poll() while that returns true and spinning pays; then it calls gpu_instance_arm().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/gpu/host.h"

typedef struct GpuDevice GpuDevice;
typedef struct GpuInstance GpuInstance;

/*
 * Opens the devices; blocks, for half a second on a real driver. `options` is read during the call only,
 * `host` is copied. Returns 0, GPU_E_NO_DEVICE (no Vulkan, no device that opens, or none of a name that was
 * chosen: the log says which) or -errno. Requires: sizes that config.def allows.
 */
int gpu_instance_new(GpuInstance **ret_instance, const GpuOptions *options, const GpuHost *host);

/* Closes the devices; may block. Requires: idle, see gpu_instance_is_idle(). NULL is fine. Returns NULL. */
GpuInstance *gpu_instance_free(GpuInstance *instance);

/*
 * Whether the instance may be freed: no memory, region or op is left and no task is with the host. After the
 * last deinit a few loop turns are needed to get there.
 */
bool gpu_instance_is_idle(const GpuInstance *instance);

/* Devices come in PCI order, those without a PCI address last, in the loader's order. */
size_t gpu_instance_get_n_devices(const GpuInstance *instance);
GpuDevice *gpu_instance_get_device(const GpuInstance *instance, size_t index);

/*
 * Takes notice of what the devices have finished, runs callbacks that are due, as many as a turn has time
 * for, and submits what could not be submitted before. Returns whether a device has work in flight or
 * callbacks are due: then poll again, or arm.
 */
bool gpu_instance_poll(GpuInstance *instance);

/*
 * Has a waiter thread call host->notify(), once for each call of this, when a device finishes something that
 * poll() has not seen. What finished between the last poll() and this call counts: no wake-up is lost.
 */
void gpu_instance_arm(GpuInstance *instance);

/*
 * Submits everything recorded since the last time, then lets slow driver calls begin. Returns whether a
 * device has work in flight: then spin on poll(), or arm.
 */
bool gpu_instance_flush(GpuInstance *instance);

/* Returns when flush() has work even if nothing else happens, in ns of the monotonic clock; 0: never. */
uint64_t gpu_instance_get_next_ns(const GpuInstance *instance);

/*
 * Gives back, later, the empty block that is kept for an owner of small allocations because the next one is
 * likely. To be called when the owner has gone, so that the ledger reads 0 reserved.
 */
void gpu_instance_trim(GpuInstance *instance, uint32_t owner);

/* Returns how many warnings and errors the validation layer gave so far. */
unsigned gpu_instance_get_n_validation(const GpuInstance *instance);
