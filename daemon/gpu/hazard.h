#pragma once

/*
 * Order between ops on the same bytes. Every access hangs on its memory from arrival to completion. An op is
 * recorded only after all of every earlier conflicting one is; the device does the waiting then.
 */

#include "daemon/gpu/op.h"

/* Registers an access, and counts what the op must wait for. */
void hazard_link(GpuAccess *access);

/* Registers an access to nothing, for its place in the order of arrival. */
void hazard_link_device(GpuAccess *access, GpuDevice *device);

/* Before the access is first recorded in the open batch of a queue: makes that queue wait for earlier ones. */
void hazard_order(GpuAccess *access, GpuQueue *queue);

/* All of the op is recorded: starts those that waited for it. */
void hazard_recorded(GpuOp *op);

/* The op has ended. */
void hazard_unlink(GpuAccess *access);
