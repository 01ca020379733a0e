#pragma once

/*
 * Ops in line on a queue, taken by deficit round robin over their flows: so many bytes of each flow in turn, however
 * many ops it has in line. A queue has one line for bulk and one for small ops. Embedded in GpuQueue.
 *
 * Only so much is under way at a time that the queue always has work: what is in line can still be overtaken.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/op.h"
#include "daemon/util/list.h"

#define GPU_FAIR_BUCKETS 64
#define GPU_FAIR_GRAINS  5 /* sizes of turns: the longest, and a half, a quarter... of it */

typedef struct GpuFlow GpuFlow;
typedef struct GpuFairQueue GpuFairQueue;

struct GpuFlow {
        List hash; /* GpuFairQueue.buckets; empty: the common one */
        List link; /* GpuFairQueue.turns or .idle */
        List ops;  /* GpuOp.link */
        uint64_t id;
        uint64_t credit; /* bytes that it may yet issue in this turn */
        uint64_t round;  /* of its last turn */
        uint64_t bytes;  /* under way */
        uint32_t n_chunks;
        uint32_t n_missed; /* turns, one after the other */
        uint8_t grain;     /* the longest turn is divided by 2 as often, for its ops to fill one */
        bool is_empty;     /* counted in GpuFairQueue.n_empty */
        bool is_idle;      /* has no turns */
};

struct GpuFairQueue {
        List buckets[GPU_FAIR_BUCKETS];
        List turns;                         /* GpuFlow.link, in the order of their turns */
        List idle;                          /* GpuFlow.link, that idle longest first */
        GpuFlow common;                     /* of those for whom the host has no memory */
        uint32_t n_grains[GPU_FAIR_GRAINS]; /* flows of that grain that have turns */
        uint64_t quantum;
        uint64_t bytes_max;
        uint32_t chunks_max;
        uint32_t patience;
        uint64_t round; /* the highest of any flow */
        uint64_t bytes; /* under way */
        uint32_t n_chunks;
        uint32_t n_turns;
        uint32_t n_empty; /* of those that have turns: with nothing in line */
        uint32_t n_idle;
};

/*
 * `quantum`: bytes of the longest turn. At most `bytes_max` and `chunks_max` are under way, where the last chunk may go beyond. A
 * flow with nothing in line keeps its place for `patience` turns of others.
 */
void fair_queue_init(GpuFairQueue *fair, uint64_t quantum, uint64_t bytes_max, uint32_t chunks_max,
                     uint32_t patience);

/* Works on a zeroed structure. No ops are in line. */
void fair_queue_deinit(GpuFairQueue *fair);

/* Puts the op, which is on no list, in line: behind those of its flow, or before them if it has begun. */
void fair_queue_push(GpuFairQueue *fair, GpuOp *op);

/* Takes out the op whose next chunk is due. NULL: none, or enough is under way. */
GpuOp *fair_queue_find_next(GpuFairQueue *fair);

/* Bytes of a turn now, and of a chunk at most: as few as the flow of the shortest ops can make use of. */
uint64_t fair_queue_get_turn(const GpuFairQueue *fair);

/* A chunk of that flow is under way; it has ended. */
GpuFlow *fair_queue_begin(GpuFairQueue *fair, uint64_t id, uint64_t size);
void fair_queue_end(GpuFairQueue *fair, GpuFlow *flow, uint64_t size);
