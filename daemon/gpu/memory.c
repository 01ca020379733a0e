/* Allocations: which kind each is, and what the ledger says of it. Loop thread. */

#include "daemon/gpu/memory.h"

#include <assert.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/memory-internal.h"

static void ledger_add(GpuMemory *memory) {
        GpuLedger *ledger = &memory->device->ledger;

        if (memory->is_internal)
                return;
        ledger->used += memory->size;
        ledger->peak = MAX(ledger->peak, ledger->used);
        ledger->count++;
}

static void ledger_remove(const GpuMemory *memory) {
        GpuLedger *ledger = &memory->device->ledger;

        if (memory->is_internal)
                return;
        ledger->used -= memory->size;
        ledger->count--;
}

int gpu_memory_init(GpuMemory *memory, GpuDevice *device, uint32_t owner, uint64_t size, bool exportable,
                    void (*ready)(GpuMemory *memory, int r)) {
        bool is_small = !exportable && size <= device->block_size / 4;
        int r;

        assert(size > 0);
        if (device->is_lost)
                return GPU_E_LOST;
        if (size > device->ledger.total - MIN(device->ledger.total, device->ledger.used))
                return GPU_E_NO_MEMORY;

        *memory = (GpuMemory){
                .device = device,
                .size = size,
                .ready = ready,
                .owner = owner,
                .is_small = is_small,
                .is_pending = true,
        };
        list_init(&memory->accesses);
        r = is_small ? pool_alloc(memory) : backing_new(memory, exportable);
        if (r && r != REQUEST_LATER)
                return r;
        memory->is_pending = r == REQUEST_LATER;
        ledger_add(memory);
        device->n_memories++;
        return r;
}

int memory_init_internal(GpuMemory *memory, GpuDevice *device, uint32_t owner, uint64_t size,
                         void (*ready)(GpuMemory *memory, int r)) {
        *memory = (GpuMemory){
                .device = device,
                .size = size,
                .ready = ready,
                .owner = owner,
                .is_pending = true,
                .is_internal = true,
        };
        list_init(&memory->accesses);
        return backing_new(memory, true);
}

void gpu_memory_deinit(GpuMemory *memory, void (*gone)(GpuMemory *memory)) {
        assert(!memory->is_dying);
        memory->is_dying = true;
        memory->gone = gone;
        ledger_remove(memory);
        if (!memory->is_small)
                memory->device->n_releasing++;
        if (memory->is_pending || list_is_empty(&memory->accesses))
                memory_end(memory);
}

void memory_end(GpuMemory *memory) {
        if (memory->is_small)
                pool_give_back(memory);
        else
                backing_release(memory->backing);
}

void memory_tell_ready(GpuMemory *memory, int r) {
        memory->is_pending = false;
        if (r && !memory->is_internal)
                memory->device->n_memories--;
        if (r)
                ledger_remove(memory);
        memory->ready(memory, r);
}

void memory_tell_gone(GpuMemory *memory) {
        if (!memory->is_internal)
                memory->device->n_memories--;
        memory->gone(memory);
}
