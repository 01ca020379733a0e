#pragma once

/*
 * What a device does next: which op's next chunk, what is recorded in which batch, when it is submitted.
 * State lies in the device's queues.
 */

#include <stdbool.h>

typedef struct GpuDevice GpuDevice;

/* Requires: the queues are there and have their roles. */
void schedule_init(GpuDevice *device);

/* Works on a half-built device. */
void schedule_deinit(GpuDevice *device);

/* Cuts ops into chunks, records what waits, submits. */
void schedule_flush(GpuDevice *device);

/* Begins a turn: completes what has ended, then flushes. */
void schedule_poll(GpuDevice *device);

/* Whether more could be recorded than a turn does. */
bool schedule_is_behind(const GpuDevice *device);

/* Whether something is in flight. */
bool schedule_is_busy(const GpuDevice *device);
