#pragma once

/*
 * The Vulkan instance and every device that was chosen. One per process; owns the devices.
 *
 * A loop turn goes: gpu_instance_poll(), then the work of the turn, then gpu_instance_flush(). A turn in which
 * anything of this layer ran, a task's done() included, must contain both. Before the loop sleeps: spin on
 * poll() while it returns true, as long as it pays; then gpu_instance_arm(), and sleep.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/gpu/host.h"

typedef struct GpuDevice GpuDevice;
typedef struct GpuInstance GpuInstance;

/*
 * Blocks (half a second on a real driver). `options` is read now only, `host` is copied. 0, GPU_E_NO_DEVICE (no
 * Vulkan, no device, none of the chosen ones: the log says it), or -errno. Requires: sizes that config.def
 * allows.
 */
int gpu_instance_new(GpuInstance **ret_instance, const GpuOptions *options, const GpuHost *host);

/* May block. The instance must be idle: see gpu_instance_is_idle(). Returns NULL; NULL is fine. */
GpuInstance *gpu_instance_free(GpuInstance *instance);

/*
 * No memory, region or op is left and no task is with the host: it may be freed. After the last deinit a few
 * loop turns are needed to get there.
 */
bool gpu_instance_is_idle(const GpuInstance *instance);

/* Devices come in PCI order, those without a PCI address last, in the loader's order. */
size_t gpu_instance_get_n_devices(const GpuInstance *instance);
GpuDevice *gpu_instance_get_device(const GpuInstance *instance, size_t index);

/*
 * Takes notice of what the devices have finished, runs callbacks that are due, as many as a turn has time for, submits
 * what could not be before. True while a device has work in flight or callbacks are due: poll again, or arm.
 */
bool gpu_instance_poll(GpuInstance *instance);

/*
 * From now on, once for each call, a waiter thread calls host->notify() when a device finishes something that
 * poll() has not seen. What finished between the last poll() and this call counts: no wake-up is lost.
 */
void gpu_instance_arm(GpuInstance *instance);

/*
 * Submits everything recorded since the last time, then lets slow driver calls begin. True while a device has work in
 * flight: spin on poll(), or arm.
 */
bool gpu_instance_flush(GpuInstance *instance);

/* When flush() has something to do even if nothing else happens, by the monotonic clock; 0: never. */
uint64_t gpu_instance_get_next_ns(const GpuInstance *instance);

/*
 * An empty block is kept for an owner who had small allocations, since the next one is likely. This gives the owner's
 * back (later): call it when the owner has gone, so that the ledger reads 0 reserved.
 */
void gpu_instance_trim(GpuInstance *instance, uint32_t owner);

/* Warnings and errors of the validation layer so far. */
unsigned gpu_instance_get_n_validation(const GpuInstance *instance);
