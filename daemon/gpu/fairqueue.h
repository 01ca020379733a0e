#pragma once

/*
 * Ops that are queued for a GpuQueue, taken out by deficit round robin over their flows: so many bytes of
 * each flow in turn, however many ops it has queued. A GpuQueue has one fair queue for bulk and one for small
 * ops. Embedded in GpuQueue.
 *
 * Only so much is under way at a time that the device always has work: what is still queued can be overtaken.
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
        List hash; /* GpuFairQueue.buckets; empty: the common flow */
        List link; /* GpuFairQueue.turns or .idle */
        List ops;  /* GpuOp.link */
        uint64_t id;
        uint64_t credit; /* bytes that the flow may yet issue in this turn */
        uint64_t round;  /* of the last turn */
        uint64_t bytes;  /* under way */
        uint32_t n_chunks;
        uint32_t n_missed; /* turns in a row */
        uint8_t grain;     /* how often the longest turn is halved for the flow's ops to fill it */
        bool is_empty;     /* counted in GpuFairQueue.n_empty */
        bool is_idle;      /* has no turns */
};

struct GpuFairQueue {
        List buckets[GPU_FAIR_BUCKETS];
        List turns;                         /* GpuFlow.link, in the order of their turns */
        List idle;                          /* GpuFlow.link, the longest idle first */
        GpuFlow common;                     /* shared by those for whom the host has no memory */
        uint32_t n_grains[GPU_FAIR_GRAINS]; /* flows of that grain that have turns */
        uint64_t quantum;
        uint64_t bytes_max;
        uint32_t chunks_max;
        uint32_t patience;
        uint64_t round; /* the highest of any flow */
        uint64_t bytes; /* under way */
        uint32_t n_chunks;
        uint32_t n_turns;
        uint32_t n_empty; /* of the flows that have turns: with nothing queued */
        uint32_t n_idle;
};

/*
 * `quantum` is the bytes of the longest turn. At most `bytes_max` bytes, which the last chunk may go beyond,
 * and `chunks_max` chunks are under way. A flow with nothing queued keeps its place for `patience` turns of
 * others.
 */
void fair_queue_init(GpuFairQueue *fair, uint64_t quantum, uint64_t bytes_max, uint32_t chunks_max,
                     uint32_t patience);

/* Works on a zeroed structure. Requires: nothing is queued. */
void fair_queue_deinit(GpuFairQueue *fair);

/* Queues the op behind those of its flow, or before them if it has begun. Requires: on no list. */
void fair_queue_push(GpuFairQueue *fair, GpuOp *op);

/* Takes out the op whose next chunk is due. Returns NULL if there is none or enough is under way. */
GpuOp *fair_queue_find_next(GpuFairQueue *fair);

/*
 * Returns the bytes of a turn now, and of a chunk at most: what the flow of the shortest ops can make use of.
 */
uint64_t fair_queue_get_turn(const GpuFairQueue *fair);

/* Counts a chunk of the flow as under way. Returns the flow, for fair_queue_end(). */
GpuFlow *fair_queue_begin(GpuFairQueue *fair, uint64_t id, uint64_t size);

/* Counts a chunk of the flow as ended. */
void fair_queue_end(GpuFairQueue *fair, GpuFlow *flow, uint64_t size);
