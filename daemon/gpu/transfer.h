#pragma once

/*
 * Ops on their way: cut into chunks, each going through staging, queues and workers as a small state machine.
 */

#include <stdbool.h>

#include "daemon/gpu/op.h"

typedef enum GpuOpKind {
        GPU_OP_WRITE, /* host to device */
        GPU_OP_READ,  /* device to host */
        GPU_OP_COPY,  /* inside a device, no overlap */
        GPU_OP_MOVE,  /* inside a memory, with overlap */
        GPU_OP_RELAY, /* from device to device */
        GPU_OP_FILL,
        GPU_OP_SYNC,
} GpuOpKind;

/* Queues an op that no earlier op is in the way of any more. */
void transfer_start(GpuOp *op);

/*
 * Makes the next chunk of an op and sends it on its way; then queues the op again if something is left to
 * make and a chunk is free. Requires: the op is on no list, something is left to make and a chunk is free.
 */
void transfer_issue(GpuOp *op);

/* Begins a turn: there is time again for the memcpys that the turns before put off. */
void transfer_begin_turn(GpuInstance *instance);

/* Returns the bytes of the next chunk of an op. */
uint64_t transfer_get_next_size(const GpuOp *op);

/* Zeroes driver memory that nobody has yet, padding included. */
void op_zero(GpuOp *op, GpuMemory *memory, uint64_t size);

/* Ends an op early, with the rest of it undone; complete() is called all the same. */
void op_stop(GpuOp *op);

/* Calls complete() of an op that transfer_finish() has listed, as the last that is done with it. */
void op_complete(GpuOp *op);

/* Lists an op that has ended for op_complete() at the next poll. */
void transfer_finish(GpuOp *op);

/* Whether the op is bulk: others go before it. */
bool transfer_is_bulk(const GpuOp *op);

/* Goes on with a chunk when what it waited for is there. */
void chunk_advance(GpuChunk *chunk);
