#pragma once

/*
 * Work on memory: write, read, copy, fill, sync. A GpuOp is embedded in the caller's request and belongs to
 * this layer from the submitting call until complete(). The caller sets `complete` and `flow` first; the rest
 * is this layer's.
 *
 * Submitting cannot fail. complete() comes from gpu_instance_poll(), once, never from inside the submitting
 * call, with 0, GPU_E_NO_HOST_MEMORY or GPU_E_LOST. Requires: ranges inside memory and region (asserted; a
 * size of 0 is fine), and memory that is ready and not deinited before the call; after it, it may be.
 *
 * Ops on one memory whose ranges overlap, at least one of them writing, take effect in the order of
 * submission. Others may overlap in time. Nothing orders the host side: who reuses a region's bytes waits for
 * complete() first.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/host.h"
#include "daemon/gpu/memory.h"
#include "daemon/gpu/region.h"
#include "daemon/util/list.h"

#define GPU_N_QUEUES_MAX   4  /* of a device */
#define GPU_OP_CHUNKS      4  /* chunks of one op in flight */
#define GPU_OP_PATTERN_MAX 16 /* bytes */

typedef struct GpuAccess GpuAccess;
typedef struct GpuChunk GpuChunk;
typedef struct GpuFlow GpuFlow;
typedef struct GpuOp GpuOp;
typedef struct GpuQueue GpuQueue;
typedef struct GpuWork GpuWork;

/* What a batch of commands carries and completes. */
struct GpuWork {
        List link; /* GpuBatch.works, or GpuQueue.works while it waits to be recorded */
        void (*record)(GpuWork *work);
        void (*complete)(GpuWork *work);
        uint64_t size; /* in bytes; above GPU_SMALL_MAX it gets a batch of its own */
};

/* One op's use of a range of one memory. */
struct GpuAccess {
        List memory_link; /* GpuMemory.accesses */
        List device_link; /* GpuDevice.accesses */
        GpuOp *op;
        GpuMemory *memory; /* NULL: not used */
        GpuQueue *queue;   /* for this side of the op */
        uint64_t begin;
        uint64_t end;
        uint64_t values[GPU_N_QUEUES_MAX]; /* when each queue is done with it; 0: not recorded there */
        uint8_t ordered;                   /* bit i: the waits for earlier accesses are recorded on queue i */
        bool is_write;
        bool is_active; /* has been compared with earlier ones */
};

/* A piece of an op on its way through host memory, staging and queues. */
struct GpuChunk {
        GpuWork work;
        GpuTask task; /* a large memcpy */
        List link;    /* GpuRing.waiting */
        GpuOp *op;
        GpuFlow *flow;
        GpuQueue *queue;   /* that the commands are on */
        uint64_t position; /* from the beginning of the op */
        uint64_t size;
        uint32_t slot;   /* of the staging ring; 0: none */
        uint32_t bounce; /* of the ring between devices; 0: none */
        uint8_t state;
};

struct GpuOp {
        void (*complete)(GpuOp *op, int r);
        uint64_t flow; /* the session: its ops have one share of the bulk bandwidth together */

        int r;
        uint8_t kind;
        uint8_t free_chunks; /* bit i: chunks[i] is free */
        bool is_recorded;    /* in full: later conflicting ops may be recorded */
        bool is_done;
        uint8_t n_pattern;
        uint32_t n_blockers;   /* earlier conflicting accesses that are not recorded yet */
        uint32_t n_unrecorded; /* chunks that have not yet come to their last recording */
        unsigned char pattern[GPU_OP_PATTERN_MAX];
        List link; /* GpuFlow.ops, or GpuInstance.completed */
        GpuAccess src;
        GpuAccess dst;
        GpuRegion *region; /* NULL: `host` is inline data */
        unsigned char *host;
        uint64_t size;
        uint64_t issued; /* bytes that chunks were made for */
        GpuChunk chunks[GPU_OP_CHUNKS];
};

/* Requires: `data` stays valid, and unchanged (write) or untouched (read), until complete(). */
void gpu_op_write(GpuOp *op, GpuMemory *dst, uint64_t offset, const void *data, uint64_t size);
void gpu_op_read(GpuOp *op, GpuMemory *src, uint64_t offset, void *data, uint64_t size);

void gpu_op_write_region(GpuOp *op, GpuMemory *dst, uint64_t offset, GpuRegion *region,
                         uint64_t region_offset, uint64_t size);
void gpu_op_read_region(GpuOp *op, GpuMemory *src, uint64_t offset, GpuRegion *region, uint64_t region_offset,
                        uint64_t size);

/* Between any two devices; overlap inside one memory behaves like memmove. */
void gpu_op_copy(GpuOp *op, GpuMemory *src, uint64_t src_offset, GpuMemory *dst, uint64_t dst_offset,
                 uint64_t size);

/* The pattern of 1, 2, 4, 8 or 16 bytes starts at `offset`; its last repetition may be cut. */
void gpu_op_fill(GpuOp *op, GpuMemory *memory, uint64_t offset, uint64_t size, const void *pattern,
                 size_t n_pattern);

/* Completes when every op submitted before it that touches the device has completed. */
void gpu_op_sync(GpuOp *op, GpuDevice *device);
