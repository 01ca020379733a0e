#pragma once

/*
 * Order between ops on the same bytes. Every access hangs on its memory from arrival to completion. An op is
 * recorded only after all of every earlier conflicting op is; from then on the device does the waiting.
 */

#include "daemon/gpu/op.h"

/* Registers an access and counts the earlier ones that its op must wait for. */
void hazard_link(GpuAccess *access);

/* Registers an access to nothing, for its place in the order of arrival. */
void hazard_link_device(GpuAccess *access, GpuDevice *device);

/*
 * Makes a queue wait for what the access must come after. To be called before the access is first recorded in
 * the open batch of the queue.
 */
void hazard_order(GpuAccess *access, GpuQueue *queue);

/* Starts the ops that waited for this one: all of it is recorded. */
void hazard_wake(GpuOp *op);

/* Takes the access of an op that has ended off its lists, and lets go on what waited for that. */
void hazard_unlink(GpuAccess *access);
