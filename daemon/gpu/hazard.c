/*
 * Order between ops on the same bytes; loop thread.
 *
 * An access counts the earlier conflicting ones that are not recorded, and each of those, once recorded,
 * counts it down: no op is looked at twice in vain. The list is simply walked; for a memory that everybody
 * works on it would grow too long for that, so all but the first ACTIVE_MAX wait in it, not looked at, until
 * others have ended.
 */

#include "daemon/gpu/hazard.h"

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/memory-internal.h"
#include "daemon/gpu/transfer.h"

#define ACTIVE_MAX 256
#define ACTIVE_LOW 128

static GpuAccess *access_of(List *memory_link) {
        return container_of(memory_link, GpuAccess, memory_link);
}

static bool conflicts(const GpuAccess *a, const GpuAccess *b) {
        return a->op != b->op && (a->is_write || b->is_write) && a->begin < b->end && b->begin < a->end;
}

void hazard_link_device(GpuAccess *access, GpuDevice *device) {
        list_init(&access->memory_link);
        list_link(&device->accesses, &access->device_link);
}

/* Counts what the op of an access must wait for. Requires: all accesses before it are active. */
static void access_activate(GpuAccess *access) {
        GpuMemory *memory = access->memory;

        for (List *it = memory->accesses.next; it != &access->memory_link; it = it->next) {
                if (conflicts(access_of(it), access) && !access_of(it)->op->is_recorded)
                        access->op->n_blockers++;
        }
        access->is_active = true;
        memory->n_active++;
}

void hazard_link(GpuAccess *access) {
        GpuMemory *memory = access->memory;

        hazard_link_device(access, memory->device);
        list_link(&memory->accesses, &access->memory_link);
        if (!memory->is_crowded && memory->n_active < ACTIVE_MAX) {
                access_activate(access);
                return;
        }
        memory->is_crowded = true;
        access->op->n_blockers++;
}

/* Activates accesses that wait in the list, up to ACTIVE_MAX: enough others have ended. */
static void memory_admit(GpuMemory *memory) {
        List *it = memory->accesses.next;

        while (it != &memory->accesses && access_of(it)->is_active)
                it = it->next;
        for (; it != &memory->accesses && memory->n_active < ACTIVE_MAX; it = it->next) {
                GpuAccess *access = access_of(it);

                access_activate(access);
                if (--access->op->n_blockers == 0)
                        transfer_start(access->op);
        }
        memory->is_crowded = it != &memory->accesses;
}

/* Makes `queue` wait for what was recorded of an earlier access. Returns whether that takes a barrier. */
static bool wait_for(GpuQueue *queue, const GpuAccess *earlier) {
        bool is_barrier_due = false;

        for (uint32_t i = 0; i < queue->device->n_queues; i++) {
                GpuQueue *other = &queue->device->queues[i];
                uint64_t value = earlier->values[i];

                if (!value)
                        continue;
                if (other != queue)
                        queue_wait(queue, other, value);
                else if (!queue->open->is_after_all || value == queue_get_open_value(queue))
                        is_barrier_due = true;
        }
        return is_barrier_due;
}

void hazard_order(GpuAccess *access, GpuQueue *queue) {
        uint8_t bit = (uint8_t)(1u << queue->index);
        bool is_barrier_due = false;

        if (access->ordered & bit)
                return;
        access->ordered |= bit;
        for (List *it = access->memory_link.prev; it != &access->memory->accesses; it = it->prev) {
                if (conflicts(access_of(it), access))
                        is_barrier_due |= wait_for(queue, access_of(it));
        }
        if (is_barrier_due)
                queue_barrier(queue);
}

static void unblock_later(GpuAccess *access) {
        for (List *it = access->memory_link.next; it != &access->memory->accesses; it = it->next) {
                GpuAccess *later = access_of(it);

                if (!later->is_active)
                        return;
                if (conflicts(access, later) && --later->op->n_blockers == 0)
                        transfer_start(later->op);
        }
}

void hazard_wake(GpuOp *op) {
        if (op->is_recorded)
                return;
        op->is_recorded = true;
        if (op->src.memory)
                unblock_later(&op->src);
        if (op->dst.memory)
                unblock_later(&op->dst);
}

/* Completes the syncs that are the oldest of all that is in flight. */
static void complete_syncs(GpuDevice *device) {
        List *first;

        while ((first = list_first(&device->accesses))) {
                GpuAccess *access = container_of(first, GpuAccess, device_link);

                if (access->op->kind != GPU_OP_SYNC)
                        return;
                list_unlink(first);
                transfer_finish(access->op);
        }
}

void hazard_unlink(GpuAccess *access) {
        GpuMemory *memory = access->memory;

        if (!memory)
                return;
        list_unlink(&access->memory_link);
        list_unlink(&access->device_link);
        memory->n_active--;
        if (memory->is_crowded && memory->n_active <= ACTIVE_LOW)
                memory_admit(memory);
        memory->device->epoch++;
        complete_syncs(memory->device);
        access->memory = NULL;
        if (memory->is_dying && !memory->is_pending && list_is_empty(&memory->accesses))
                memory_end(memory);
}
