#pragma once

/* Memory as the inside of this layer sees it. */

#include "daemon/gpu/memory.h"

/* As gpu_memory_init(), with memory of its own in one segment and no trace in the ledger's `used`. */
int memory_init_internal(GpuMemory *memory, GpuDevice *device, uint32_t owner, uint64_t size,
                         void (*ready)(GpuMemory *memory, int r));

/* Dying, and no op is on it any more: gives back what is behind it. */
void memory_end(GpuMemory *memory);

/* Pending no more. With an r, nothing is behind it. */
void memory_ready(GpuMemory *memory, int r);

/* Nothing is behind it any more. */
void memory_gone(GpuMemory *memory);
