#pragma once

/* Ops on their way: cut into chunks, each going through staging, queues and workers as a small state machine. */

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

/* No earlier op is in the way any more: puts it in line on its queue. */
void transfer_start(GpuOp *op);

/*
 * Makes the next chunk and sends it on its way; what is left to make then is in line again if a chunk is free. The op is
 * on no list, something is left to make and a chunk is free.
 */
void transfer_issue(GpuOp *op);

/* Each turn begins with it: there is time again for what the turns before put off. */
void transfer_begin_turn(GpuInstance *instance);

/* Bytes of the next chunk. */
uint64_t transfer_get_next_size(const GpuOp *op);

/* Zeroes driver memory that nobody has yet, padding included. */
void op_zero(GpuOp *op, GpuMemory *memory, uint64_t size);

/* Ends an op that has begun sooner than otherwise, undone as far as it is; complete() is called all the same. */
void op_stop(GpuOp *op);

/* Ends an op that transfer_finish() has put in line: the last that is done with it. */
void op_complete(GpuOp *op);

/* complete() is due at the next poll. */
void transfer_finish(GpuOp *op);

/* It is bulk: others go before it. */
bool transfer_is_bulk(const GpuOp *op);

/* What the chunk waited for is there. */
void chunk_advance(GpuChunk *chunk);
