/*
 * A loop turn of one device; loop thread. A turn does a part of what would take long: the rest is for the
 * next one.
 *
 * Each bulk chunk is a batch of its own, so that the next chunk can be chosen as soon as one has ended, and
 * so that small ops in the same queue end with their batch and not with a bulk chunk.
 */

#include "daemon/gpu/schedule.h"

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/transfer.h"

#define BULK_CHUNKS_BUS 4 /* under way over a GPU's bus: the loop may sleep through one or two of them */
#define BULK_CHUNKS     2 /* elsewhere, where they take longer */
#define BULK_PATIENCE   3 /* turns: time for an answer to go out and the next request to come */
#define SMALL_BYTES_MAX (UINT64_C(8) << 20) /* of small ops under way */

void schedule_init(GpuDevice *device) {
        /* The way of staged chunks is longer: two ops may be on it with all their chunks. */
        uint32_t n_staged = 2 * GPU_OP_CHUNKS;

        for (uint32_t i = 0; i < device->n_queues; i++) {
                GpuQueue *queue = &device->queues[i];
                bool is_bus = queue == device->bus[0];
                uint64_t quantum = is_bus ? device->chunk_bus : device->chunk_local;
                uint64_t n_bulk = is_bus && !device->is_cpu ? BULK_CHUNKS_BUS : BULK_CHUNKS;
                uint64_t bytes_max = MAX(n_bulk * quantum, n_staged * device->staged_max);

                fair_queue_init(&queue->bulk, quantum, bytes_max, n_staged, BULK_PATIENCE);
                fair_queue_init(&queue->small, GPU_SMALL_MAX, SMALL_BYTES_MAX, UINT32_MAX, 0);
        }
}

void schedule_deinit(GpuDevice *device) {
        for (uint32_t i = 0; i < device->n_queues; i++) {
                fair_queue_deinit(&device->queues[i].bulk);
                fair_queue_deinit(&device->queues[i].small);
        }
}

/* Issues chunks of the ops that are due. Returns whether there were any. */
static bool issue_from(GpuFairQueue *fair) {
        bool is_any = false;
        GpuOp *op;

        while ((op = fair_queue_find_next(fair))) {
                is_any = true;
                transfer_issue(op);
        }
        return is_any;
}

static void queue_record(GpuQueue *queue) {
        List *link;

        while ((link = list_first(&queue->works)) && queue->n_recorded < GPU_QUEUE_WORKS) {
                GpuWork *work = container_of(link, GpuWork, link);
                bool is_bulk = work->size > GPU_SMALL_MAX;

                if (is_bulk)
                        queue_submit(queue);
                if (!queue_open(queue))
                        return;
                list_unlink(link);
                queue->n_recorded++;
                work->record(work);
                list_link(&queue->open->works, link);
                if (is_bulk)
                        queue_submit(queue);
        }
}

/* Completes what waits to be recorded, which on a lost device it never is. */
static void queue_drop_works(GpuQueue *queue) {
        List *link;

        while ((link = list_pop(&queue->works))) {
                GpuWork *work = container_of(link, GpuWork, link);

                work->complete(work);
        }
}

/*
 * Issues and records once. Returns whether anything was issued: what was recorded may have let other ops
 * begin.
 */
static bool schedule_step(GpuDevice *device) {
        bool is_any = false;

        for (uint32_t i = 0; i < device->n_queues; i++) {
                is_any |= issue_from(&device->queues[i].small);
                is_any |= issue_from(&device->queues[i].bulk);
        }
        for (uint32_t i = 0; i < device->n_queues; i++) {
                if (device->is_lost)
                        queue_drop_works(&device->queues[i]);
                else if (!device->gate.is_closed)
                        queue_record(&device->queues[i]);
        }
        return is_any;
}

/*
 * Whether nobody wants anything of the device. Most turns are so, and a small request should not pay for
 * looking everywhere.
 */
static bool schedule_is_idle(const GpuDevice *device) {
        return list_is_empty(&device->accesses) && pools_are_clean(&device->pools);
}

void schedule_flush(GpuDevice *device) {
        if (schedule_is_idle(device))
                return;
        ring_wake(&device->ring);
        pools_scrub(&device->pools, device->compute);
        while (schedule_step(device))
                ;
        for (uint32_t i = 0; i < device->n_queues && !device->gate.is_closed; i++)
                queue_submit(&device->queues[i]);
}

void schedule_poll(GpuDevice *device) {
        for (uint32_t i = 0; i < device->n_queues; i++)
                device->queues[i].n_recorded = 0;
        if (schedule_is_idle(device))
                return;
        if (atomic_load(&device->waiter.is_lost))
                device_set_lost(device);
        for (uint32_t i = 0; i < device->n_queues; i++)
                queue_poll(&device->queues[i]);
        schedule_flush(device);
}

bool schedule_is_behind(const GpuDevice *device) {
        bool is_behind = false;

        for (uint32_t i = 0; i < device->n_queues && !device->gate.is_closed; i++)
                is_behind |= device->queues[i].n_recorded == GPU_QUEUE_WORKS &&
                             !list_is_empty(&device->queues[i].works);
        return is_behind;
}

bool schedule_is_busy(const GpuDevice *device) {
        if (schedule_is_idle(device))
                return false;
        for (uint32_t i = 0; i < device->n_queues; i++) {
                if (!list_is_empty(&device->queues[i].in_flight))
                        return true;
        }
        return false;
}
