#pragma once

/* Memory as the inside of this layer sees it. */

#include "daemon/gpu/memory.h"

/*
 * Like gpu_memory_init(), with memory of its own in one segment and no trace in the ledger's `used`. Returns
 * REQUEST_LATER or GPU_E_NO_MEMORY.
 */
int memory_init_internal(GpuMemory *memory, GpuDevice *device, uint32_t owner, uint64_t size,
                         void (*ready)(GpuMemory *memory, int r));

/* Gives back what is behind a memory. Requires: dying, and pending or with no op on it. */
void memory_end(GpuMemory *memory);

/* Calls ready() of a memory that is pending. With an `r`, nothing is behind it. */
void memory_tell_ready(GpuMemory *memory, int r);

/* Calls gone() of a memory. Requires: dying, with nothing behind it any more. */
void memory_tell_gone(GpuMemory *memory);
