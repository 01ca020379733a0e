/*
 * The way of a chunk; loop thread, but for the memcpy on workers. It takes at most two legs,
 *
 *   out  device to host:  [slot] -> commands -> [memcpy out of the slot]
 *   in   host to device:  [slot -> memcpy into the slot] -> commands
 *
 * with what is in brackets only where the device cannot reach the host's bytes, or is all local to one
 * device. A relay holds a range of the bounce ring and goes out, then in. Nothing deadlocks: who holds a
 * staging slot never waits for another, and who waits for the bounce ring holds nothing.
 */

#include "daemon/gpu/transfer.h"

#include <assert.h>
#include <string.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/fill.h"
#include "daemon/gpu/hazard.h"
#include "daemon/gpu/record.h"

#define COPY_ON_LOOP_MAX (UINT64_C(64) << 10) /* a longer memcpy goes to a worker: some 6 us here */
#define COPY_TURN_MAX    (UINT64_C(1) << 20)  /* bytes of the others in one turn: up to 0.3 ms, caches cold */

typedef enum ChunkState {
        CHUNK_FREE,
        CHUNK_BOUNCE, /* waits for a range of the bounce ring */
        CHUNK_OUT_SLOT,
        CHUNK_OUT_COMMANDS,
        CHUNK_OUT_MEMCPY,
        CHUNK_IN_SLOT,
        CHUNK_IN_MEMCPY,
        CHUNK_IN_COMMANDS,
        CHUNK_LOCAL_SLOT,
        CHUNK_LOCAL_COMMANDS,
} ChunkState;

static GpuQueue *op_get_queue(const GpuOp *op) {
        return op->kind == GPU_OP_READ || op->kind == GPU_OP_RELAY ? op->src.queue : op->dst.queue;
}

bool transfer_is_bulk(const GpuOp *op) {
        return op->size > GPU_SMALL_MAX;
}

static GpuFairQueue *op_get_fair_queue(const GpuOp *op) {
        GpuQueue *queue = op_get_queue(op);

        return transfer_is_bulk(op) ? &queue->bulk : &queue->small;
}

void transfer_start(GpuOp *op) {
        fair_queue_push(op_get_fair_queue(op), op);
}

void transfer_finish(GpuOp *op) {
        GpuInstance *instance = (op->src.queue ? op->src.queue : op->dst.queue)->device->instance;

        op->is_done = true;
        list_link(&instance->completed, &op->link);
}

/* Where the chunk's bytes are on the host. */

static const GpuRegion *chunk_get_region(const GpuChunk *chunk, const GpuDevice *device) {
        return chunk->op->kind == GPU_OP_RELAY ? &device->instance->bounce.region : chunk->op->region;
}

static uint64_t chunk_get_region_offset(const GpuChunk *chunk, const GpuDevice *device) {
        const GpuOp *op = chunk->op;

        if (op->kind == GPU_OP_RELAY)
                return ring_get_offset(&device->instance->bounce.ring, chunk->bounce);
        return (uint64_t)(op->host - op->region->map) + chunk->position;
}

static unsigned char *chunk_get_host(const GpuChunk *chunk, const GpuDevice *device) {
        if (chunk->op->kind == GPU_OP_RELAY)
                return device->instance->bounce.region.map + chunk_get_region_offset(chunk, device);
        return chunk->op->host + chunk->position;
}

static bool chunk_is_direct(const GpuChunk *chunk, const GpuDevice *device) {
        const GpuRegion *region = chunk_get_region(chunk, device);

        return region && region_is_imported(region, device);
}

static GpuSpan chunk_get_host_span(const GpuChunk *chunk, const GpuDevice *device) {
        if (chunk->slot)
                return (GpuSpan){.segment = &device->staging,
                                 .offset = ring_get_offset(&device->ring, chunk->slot)};
        return (GpuSpan){.region = chunk_get_region(chunk, device),
                         .offset = chunk_get_region_offset(chunk, device)};
}

static GpuSpan access_get_span(const GpuAccess *access, const GpuChunk *chunk) {
        return (GpuSpan){.memory = access->memory, .offset = access->begin + chunk->position};
}

static unsigned char *chunk_get_slot(const GpuChunk *chunk, const GpuDevice *device) {
        return device->ring.map + ring_get_offset(&device->ring, chunk->slot);
}

/* The end of a chunk. */

static void op_settle(GpuOp *op) {
        bool is_all_free = op->free_chunks == (1u << GPU_OP_CHUNKS) - 1;

        if (!op->r && op->issued < op->size) {
                if (list_is_empty(&op->link))
                        transfer_start(op);
        } else if (is_all_free && !op->is_done) {
                list_unlink(&op->link);
                hazard_wake(op);
                transfer_finish(op);
        }
}

void op_stop(GpuOp *op) {
        op->r = GPU_E_NO_HOST_MEMORY;
        op_settle(op);
}

static void chunk_put_slot(GpuChunk *chunk, GpuDevice *device) {
        if (!chunk->slot)
                return;
        ring_put(&device->ring, chunk->slot);
        chunk->slot = 0;
        device->epoch++; /* the bytes of the slot's next user come after these */
}

static void chunk_finish(GpuChunk *chunk) {
        GpuOp *op = chunk->op;

        if (chunk->bounce) {
                GpuDevice *src = op->src.queue->device;

                ring_put(&src->instance->bounce.ring, chunk->bounce);
                src->epoch++; /* as in chunk_put_slot() */
        }
        fair_queue_end(op_get_fair_queue(op), chunk->flow, chunk->size);
        chunk->state = CHUNK_FREE;
        op->free_chunks |= (uint8_t)(1u << (chunk - op->chunks));
        op_settle(op);
}

/* Returns the queue of the side of the op that the chunk is at work on. */
static GpuQueue *chunk_get_side(const GpuChunk *chunk) {
        return chunk->state <= CHUNK_OUT_MEMCPY ? chunk->op->src.queue : chunk->op->dst.queue;
}

static GpuDevice *chunk_get_device(const GpuChunk *chunk) {
        return chunk_get_side(chunk)->device;
}

static void chunk_fail(GpuChunk *chunk) {
        chunk_put_slot(chunk, chunk_get_device(chunk));
        chunk_finish(chunk);
}

/* memcpy: here, in a later turn or on a worker. */

static void memcpy_run(GpuTask *task) {
        GpuChunk *chunk = container_of(task, GpuChunk, task);
        const GpuDevice *device = chunk_get_device(chunk);

        if (chunk->state == CHUNK_IN_MEMCPY)
                memcpy(chunk_get_slot(chunk, device), chunk_get_host(chunk, device), chunk->size);
        else
                memcpy(chunk_get_host(chunk, device), chunk_get_slot(chunk, device), chunk->size);
}

static void memcpy_done(GpuTask *task) {
        chunk_advance(container_of(task, GpuChunk, task));
}

static void memcpy_here(GpuInstance *instance, GpuChunk *chunk) {
        instance->n_copied += chunk->size;
        memcpy_run(&chunk->task);
        memcpy_done(&chunk->task);
}

static void chunk_memcpy(GpuChunk *chunk, ChunkState state) {
        GpuInstance *instance = chunk_get_device(chunk)->instance;

        chunk->state = state;
        chunk->task.run = memcpy_run;
        chunk->task.done = memcpy_done;
        if (chunk->size > COPY_ON_LOOP_MAX)
                instance->host.execute(instance->host.userdata, &chunk->task);
        else if (instance->n_copied >= COPY_TURN_MAX)
                list_link(&instance->put_off, &chunk->task.link);
        else
                memcpy_here(instance, chunk);
}

void transfer_begin_turn(GpuInstance *instance) {
        List *link;

        instance->n_copied = 0;
        while (instance->n_copied < COPY_TURN_MAX && (link = list_pop(&instance->put_off)))
                memcpy_here(instance, container_of(link, GpuChunk, task.link));
}

/* Commands. */

static void record_fill(GpuChunk *chunk, GpuQueue *queue) {
        const GpuOp *op = chunk->op;
        GpuSpan dst = access_get_span(&op->dst, chunk), middle = dst, end = dst;
        uint64_t run = fill_get_run(op, chunk->position, chunk->size), head, tail;
        unsigned char bytes[GPU_SHADER_UNIT];
        uint32_t unit = fill_get_unit(op), word;
        GpuSpan src = {};

        if (chunk->slot) {
                src = chunk_get_host_span(chunk, queue->device);
                if (!unit || chunk->size <= run) {
                        record_fill_run(queue, src, run, dst, chunk->size);
                        return;
                }
        }
        head = -dst.offset & (unit - 1);
        tail = (dst.offset + chunk->size) & (unit - 1);
        middle.offset += head;
        end.offset += chunk->size - tail;
        fill_write_run(op, chunk->position + head, bytes, sizeof(bytes));
        if (unit == sizeof(word)) {
                memcpy(&word, bytes, sizeof(word));
                record_fill_word(queue, middle, chunk->size - head - tail, word);
        } else {
                record_fill_unit(queue, middle, chunk->size - head - tail, bytes);
        }
        if (head)
                record_copy(queue, src, dst, head);
        src.offset += (chunk->size - tail) % op->n_pattern;
        if (tail)
                record_copy(queue, src, end, tail);
}

/* Makes the access a part of the open batch. Returns where its bytes are. */
static GpuSpan access_record(GpuAccess *access, const GpuChunk *chunk) {
        hazard_order(access, chunk->queue);
        access->values[chunk->queue->index] = queue_get_open_value(chunk->queue);
        return access_get_span(access, chunk);
}

static void chunk_record(GpuWork *work) {
        GpuChunk *chunk = container_of(work, GpuChunk, work);
        GpuQueue *queue = chunk->queue;
        GpuOp *op = chunk->op;
        GpuSpan src = {}, dst = {};

        if (op->src.memory && chunk->state != CHUNK_IN_COMMANDS)
                src = access_record(&op->src, chunk);
        if (op->dst.memory && chunk->state != CHUNK_OUT_COMMANDS)
                dst = access_record(&op->dst, chunk);
        if (chunk->state == CHUNK_OUT_COMMANDS) {
                record_copy(queue, src, chunk_get_host_span(chunk, queue->device), chunk->size);
                queue->open->is_host_read = true;
        } else if (chunk->state == CHUNK_IN_COMMANDS) {
                record_copy(queue, chunk_get_host_span(chunk, queue->device), dst, chunk->size);
        } else if (op->kind == GPU_OP_COPY) {
                record_copy(queue, src, dst, chunk->size);
        } else if (op->kind == GPU_OP_MOVE) {
                record_move(queue, src, dst, chunk->size);
        } else {
                record_fill(chunk, queue);
        }

        if (chunk->state == CHUNK_OUT_COMMANDS && op->kind == GPU_OP_RELAY)
                return;
        if (--op->n_unrecorded == 0 && op->issued == op->size)
                hazard_wake(op);
}

static bool chunk_is_on_bus(const GpuChunk *chunk) {
        return transfer_is_bulk(chunk->op) && chunk->state != CHUNK_LOCAL_COMMANDS;
}

static void chunk_complete(GpuWork *work) {
        GpuChunk *chunk = container_of(work, GpuChunk, work);

        if (chunk_is_on_bus(chunk))
                chunk->queue->n_bulk--;
        chunk_advance(chunk);
}

static void chunk_command(GpuChunk *chunk, ChunkState state) {
        chunk->state = state;
        chunk->work.record = chunk_record;
        chunk->work.complete = chunk_complete;
        chunk->work.size = chunk->size;
        chunk->queue = chunk_get_side(chunk);
        if (chunk_is_on_bus(chunk)) {
                /* One copy engine alone leaves a twentieth of the link unused. */
                GpuQueue *second = chunk->queue->device->bus[1];

                if (second->n_bulk < chunk->queue->n_bulk)
                        chunk->queue = second;
                chunk->queue->n_bulk++;
        }
        list_link(&chunk->queue->works, &chunk->work.link);
}

/* The legs. Each returns when there is something to wait for, and begins again when a slot may be had. */

static void chunk_go_out(GpuChunk *chunk) {
        GpuDevice *device = chunk->op->src.queue->device;

        chunk->state = CHUNK_OUT_SLOT;
        if (!chunk_is_direct(chunk, device) && !ring_get(&device->ring, chunk, chunk->size, &chunk->slot))
                return;
        chunk_command(chunk, CHUNK_OUT_COMMANDS);
}

static void chunk_go_in(GpuChunk *chunk) {
        GpuDevice *device = chunk->op->dst.queue->device;

        chunk->state = CHUNK_IN_SLOT;
        if (chunk_is_direct(chunk, device))
                chunk_command(chunk, CHUNK_IN_COMMANDS);
        else if (ring_get(&device->ring, chunk, chunk->size, &chunk->slot))
                chunk_memcpy(chunk, CHUNK_IN_MEMCPY);
}

static void chunk_go_bounce(GpuChunk *chunk) {
        GpuRing *ring = &chunk->op->src.queue->device->instance->bounce.ring;

        chunk->state = CHUNK_BOUNCE;
        if (ring_get(ring, chunk, chunk->size, &chunk->bounce))
                chunk_go_out(chunk);
}

static void chunk_go_local(GpuChunk *chunk) {
        GpuDevice *device = chunk->op->dst.queue->device;
        const GpuOp *op = chunk->op;
        uint64_t run = op->kind == GPU_OP_FILL ? fill_get_run(op, chunk->position, chunk->size) : 0;

        chunk->state = CHUNK_LOCAL_SLOT;
        if (run) {
                if (!ring_get(&device->ring, chunk, run, &chunk->slot))
                        return;
                fill_write_run(op, chunk->position, chunk_get_slot(chunk, device), run);
        }
        chunk_command(chunk, CHUNK_LOCAL_COMMANDS);
}

static void chunk_end_out(GpuChunk *chunk) {
        chunk_put_slot(chunk, chunk->op->src.queue->device);
        if (chunk->op->kind == GPU_OP_RELAY)
                chunk_go_in(chunk);
        else
                chunk_finish(chunk);
}

void chunk_advance(GpuChunk *chunk) {
        GpuDevice *device = chunk_get_device(chunk);
        GpuOp *op = chunk->op;

        if (device->is_lost)
                op->r = GPU_E_LOST;
        if (op->r) {
                chunk_fail(chunk);
                return;
        }
        switch ((ChunkState)chunk->state) {
        case CHUNK_BOUNCE:
                chunk_go_bounce(chunk);
                break;
        case CHUNK_OUT_SLOT:
                chunk_go_out(chunk);
                break;
        case CHUNK_OUT_COMMANDS:
                if (chunk->slot)
                        chunk_memcpy(chunk, CHUNK_OUT_MEMCPY);
                else
                        chunk_end_out(chunk);
                break;
        case CHUNK_OUT_MEMCPY:
                chunk_end_out(chunk);
                break;
        case CHUNK_IN_SLOT:
                chunk_go_in(chunk);
                break;
        case CHUNK_IN_MEMCPY:
                chunk_command(chunk, CHUNK_IN_COMMANDS);
                break;
        case CHUNK_LOCAL_SLOT:
                chunk_go_local(chunk);
                break;
        case CHUNK_IN_COMMANDS:
        case CHUNK_LOCAL_COMMANDS:
                chunk_put_slot(chunk, device);
                chunk_finish(chunk);
                break;
        case CHUNK_FREE:
                assert(false);
        }
}

/* The beginning of a chunk. */

/* Returns the most bytes that the op moves at a time. */
static uint64_t op_get_chunk_max(const GpuOp *op) {
        const GpuDevice *src = op->src.queue ? op->src.queue->device : NULL;
        const GpuDevice *dst = op->dst.queue ? op->dst.queue->device : NULL;
        const GpuRegion *region = op->region;
        uint64_t max = GPU_CHUNK;

        if (op->kind == GPU_OP_MOVE) {
                uint64_t distance = MAX(op->src.begin, op->dst.begin) - MIN(op->src.begin, op->dst.begin);

                /*
                 * A chunk that is no longer than the distance does not overlap its own place, and needs no
                 * scratch memory.
                 */
                return distance > max ? MIN(distance, dst->chunk_local) : max;
        }
        if (op->kind == GPU_OP_COPY || op->kind == GPU_OP_FILL)
                return dst->chunk_local;
        max = MIN(src ? src->chunk_bus : max, dst ? dst->chunk_bus : max);
        if (op->kind == GPU_OP_RELAY)
                region = &src->instance->bounce.region;
        if (src && (!region || !region_is_imported(region, src)))
                max = MIN(max, src->staged_max);
        if (dst && (!region || !region_is_imported(region, dst)))
                max = MIN(max, dst->staged_max);
        return max;
}

uint64_t transfer_get_next_size(const GpuOp *op) {
        uint64_t size = MIN(op_get_chunk_max(op), op->size - op->issued);

        /* A move comes in pieces that do not overlap, or that the scratch memory is just right for. */
        return op->kind == GPU_OP_MOVE ? size : MIN(size, fair_queue_get_turn(op_get_fair_queue(op)));
}

static GpuChunk *op_make_chunk(GpuOp *op) {
        uint32_t index = (uint32_t)__builtin_ctz(op->free_chunks);
        GpuChunk *chunk = &op->chunks[index];
        uint64_t size = transfer_get_next_size(op);
        /* What moves up is moved from its end, so that nothing is overwritten before it was read. */
        bool is_backward = op->kind == GPU_OP_MOVE && op->dst.begin > op->src.begin;

        *chunk = (GpuChunk){
                .op = op,
                .size = size,
                .position = is_backward ? op->size - op->issued - size : op->issued,
        };
        list_init(&chunk->link);
        list_init(&chunk->work.link);
        op->issued += size;
        op->free_chunks &= (uint8_t) ~(1u << index);
        op->n_unrecorded++;
        chunk->flow = fair_queue_begin(op_get_fair_queue(op), op->flow, size);
        return chunk;
}

static bool access_is_lost(const GpuAccess *access) {
        return access->queue && access->queue->device->is_lost;
}

static void op_go(GpuOp *op) {
        GpuChunk *chunk = op_make_chunk(op);

        switch ((GpuOpKind)op->kind) {
        case GPU_OP_WRITE:
                chunk_go_in(chunk);
                break;
        case GPU_OP_READ:
                chunk_go_out(chunk);
                break;
        case GPU_OP_RELAY:
                chunk_go_bounce(chunk);
                break;
        case GPU_OP_COPY:
        case GPU_OP_MOVE:
        case GPU_OP_FILL:
                chunk_go_local(chunk);
                break;
        case GPU_OP_SYNC:
                assert(false);
        }
}

void transfer_issue(GpuOp *op) {
        if (access_is_lost(&op->src) || access_is_lost(&op->dst))
                op->r = GPU_E_LOST;
        if (op->r) {
                op_settle(op);
                return;
        }
        op_go(op);
        if (!op->r && op->issued < op->size && op->free_chunks && list_is_empty(&op->link))
                transfer_start(op);
}
