#pragma once

/*
 * What a device does next: which op's next chunk, what is recorded in which batch, when it is submitted. State lies in
 * the device's queues.
 */

#include <stdbool.h>

typedef struct GpuDevice GpuDevice;

/* The queues are there and have their roles. */
void schedule_init(GpuDevice *device);
void schedule_deinit(GpuDevice *device);

/* Cuts ops, records what waits, submits. */
void schedule_flush(GpuDevice *device);

/* Begins a turn: completes what has ended, then flushes. */
void schedule_poll(GpuDevice *device);

/* More could be recorded, but a turn does no more. */
bool schedule_is_behind(const GpuDevice *device);

/* Something is in flight. */
bool schedule_is_busy(const GpuDevice *device);
