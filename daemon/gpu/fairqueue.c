/*
 * Deficit round robin; loop thread.
 *
 * A flow with few ops often has nothing queued, only because it waits for what it has under way, and would
 * lose by each such pause to flows that never pause. So it keeps its place among the turns for a while, the
 * others have no more than one turn under way meanwhile, and it makes up for turns that it missed.
 *
 * A flow with one short op at a time cannot take more than that in a turn. So turns are as short as its ops,
 * down to a 16th: where all flows move much at a time, turns are long, and cost little.
 */

#include "daemon/gpu/fairqueue.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/gpu/transfer.h"

#define CREDIT_MAX UINT64_C(4) /* turns */
#define IDLE_MAX   16          /* flows remembered while they have nothing queued */

static void flow_init(GpuFlow *flow, uint64_t id, uint64_t round) {
        *flow = (GpuFlow){.id = id, .round = round, .is_idle = true};
        list_init(&flow->hash);
        list_init(&flow->link);
        list_init(&flow->ops);
}

/*
 * Frees a flow; one with a chunk under way goes when that ends, the common one never. Requires: on neither
 * `turns` nor `idle`.
 */
static void flow_forget(GpuFlow *flow) {
        if (flow->n_chunks > 0 || list_is_empty(&flow->hash))
                return;
        list_unlink(&flow->hash);
        free(flow);
}

void fair_queue_init(GpuFairQueue *fair, uint64_t quantum, uint64_t bytes_max, uint32_t chunks_max,
                     uint32_t patience) {
        *fair = (GpuFairQueue){
                .quantum = quantum,
                .bytes_max = bytes_max,
                .chunks_max = chunks_max,
                .patience = patience,
        };
        for (size_t i = 0; i < GPU_FAIR_BUCKETS; i++)
                list_init(&fair->buckets[i]);
        list_init(&fair->turns);
        list_init(&fair->idle);
        flow_init(&fair->common, 0, 0);
}

void fair_queue_deinit(GpuFairQueue *fair) {
        for (size_t i = 0; fair->quantum && i < GPU_FAIR_BUCKETS; i++) {
                List *link;

                while ((link = list_pop(&fair->buckets[i])))
                        free(container_of(link, GpuFlow, hash));
        }
}

/* Returns the bucket of a flow. Flows are numbered by anything, even by addresses. */
static List *fair_queue_get_bucket(GpuFairQueue *fair, uint64_t id) {
        return &fair->buckets[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}

static_assert(GPU_FAIR_BUCKETS == 1 << (64 - 58), "the hash is as long as the table");

static GpuFlow *fair_queue_get_flow(GpuFairQueue *fair, uint64_t id) {
        List *bucket = fair_queue_get_bucket(fair, id);
        GpuFlow *flow;

        list_for_each (link, bucket) {
                flow = container_of(link, GpuFlow, hash);
                if (flow->id == id)
                        return flow;
        }
        flow = malloc(sizeof(*flow));
        if (!flow)
                return &fair->common;
        flow_init(flow, id, fair->round);
        list_link(bucket, &flow->hash);
        return flow;
}

static void fair_queue_set_empty(GpuFairQueue *fair, GpuFlow *flow, bool is_empty) {
        fair->n_empty += is_empty;
        fair->n_empty -= flow->is_empty;
        flow->is_empty = is_empty;
}

/* Returns how often the longest turn can be halved for ops of that size still to fill one. */
static uint8_t get_grain(const GpuFairQueue *fair, uint64_t size) {
        uint8_t grain = 0;

        while (grain < GPU_FAIR_GRAINS - 1 && size <= fair->quantum >> (grain + 1))
                grain++;
        return grain;
}

uint64_t fair_queue_get_turn(const GpuFairQueue *fair) {
        uint8_t grain = GPU_FAIR_GRAINS - 1;

        /* A flow by itself is in nobody's way. */
        if (fair->n_turns < 2)
                return fair->quantum;
        while (grain > 0 && fair->n_grains[grain] == 0)
                grain--;
        return fair->quantum >> grain;
}

static void fair_queue_set_grain(GpuFairQueue *fair, GpuFlow *flow, uint8_t grain) {
        fair->n_grains[flow->grain]--;
        fair->n_grains[grain]++;
        flow->grain = grain;
}

static void fair_queue_join(GpuFairQueue *fair, GpuFlow *flow) {
        if (!list_is_empty(&flow->link))
                fair->n_idle--;
        list_unlink(&flow->link);
        list_link(&fair->turns, &flow->link);
        fair->n_turns++;
        fair->n_grains[flow->grain]++;
        flow->round = fair->round;
        flow->is_idle = false;
}

static void fair_queue_rest_flow(GpuFairQueue *fair, GpuFlow *flow) {
        flow->is_idle = true;
        fair_queue_set_empty(fair, flow, false);
        list_unlink(&flow->link);
        fair->n_turns--;
        fair->n_grains[flow->grain]--;
        if (flow == &fair->common)
                return;
        list_link(&fair->idle, &flow->link);
        if (fair->n_idle++ < IDLE_MAX)
                return;
        flow = container_of(list_first(&fair->idle), GpuFlow, link);
        list_unlink(&flow->link);
        fair->n_idle--;
        flow_forget(flow);
}

void fair_queue_push(GpuFairQueue *fair, GpuOp *op) {
        GpuFlow *flow = fair_queue_get_flow(fair, op->flow);

        if (flow->is_idle)
                fair_queue_join(fair, flow);
        fair_queue_set_grain(fair, flow, get_grain(fair, op->size));
        fair_queue_set_empty(fair, flow, false);
        flow->n_missed = 0;
        list_link(op->issued > 0 ? flow->ops.next : &flow->ops, &op->link);
}

static bool fair_queue_is_full(const GpuFairQueue *fair) {
        return fair->bytes >= fair->bytes_max || fair->n_chunks >= fair->chunks_max;
}

/* Whether enough of the flow is under way. The rest of what may be is kept for flows that will be back. */
static bool flow_is_full(const GpuFlow *flow, const GpuFairQueue *fair) {
        return fair->n_empty > 0 && fair->n_turns > 1 &&
               (flow->bytes >= fair_queue_get_turn(fair) ||
                flow->n_chunks >= MAX(fair->chunks_max / fair->n_turns, 1u));
}

/* Passes over a flow that has nothing queued when its turn comes. Returns whether that changed anything. */
static bool fair_queue_miss_turn(GpuFairQueue *fair, GpuFlow *flow) {
        bool is_missed = flow->round < fair->round;
        uint64_t turn = fair_queue_get_turn(fair);

        fair_queue_set_empty(fair, flow, true);
        if (is_missed) {
                flow->credit = MAX(flow->credit, MIN(flow->credit + turn, CREDIT_MAX * turn));
                flow->round++;
                flow->n_missed++;
        }
        if (flow->n_missed < fair->patience)
                return is_missed;
        fair_queue_rest_flow(fair, flow);
        return true;
}

/*
 * Takes out the flow's next op, if the flow has the credit for it. If not, it gets credit and the next flow
 * is due.
 */
static GpuOp *fair_queue_take_turn(GpuFairQueue *fair, GpuFlow *flow) {
        GpuOp *op = container_of(list_first(&flow->ops), GpuOp, link);
        uint64_t size = transfer_get_next_size(op);

        if (size > flow->credit) {
                flow->credit += fair_queue_get_turn(fair);
                flow->round++;
                fair->round = MAX(fair->round, flow->round);
                return NULL;
        }
        flow->credit -= size;
        list_unlink(&op->link);
        fair_queue_set_empty(fair, flow, list_is_empty(&flow->ops));
        return op;
}

static void fair_queue_pass_turn(GpuFairQueue *fair, GpuFlow *flow) {
        if (flow->is_idle)
                return;
        list_unlink(&flow->link);
        list_link(&fair->turns, &flow->link);
}

GpuOp *fair_queue_find_next(GpuFairQueue *fair) {
        uint32_t n_vain = 0;

        while (!fair_queue_is_full(fair) && n_vain < fair->n_turns) {
                GpuFlow *flow = container_of(list_first(&fair->turns), GpuFlow, link);

                n_vain++;
                if (list_is_empty(&flow->ops)) {
                        if (fair_queue_miss_turn(fair, flow))
                                n_vain = 0;
                } else if (!flow_is_full(flow, fair)) {
                        GpuOp *op = fair_queue_take_turn(fair, flow);

                        if (op)
                                return op;
                        n_vain = 0;
                }
                fair_queue_pass_turn(fair, flow);
        }
        return NULL;
}

GpuFlow *fair_queue_begin(GpuFairQueue *fair, uint64_t id, uint64_t size) {
        GpuFlow *flow = fair_queue_get_flow(fair, id);

        fair->bytes += size;
        fair->n_chunks++;
        flow->bytes += size;
        flow->n_chunks++;
        return flow;
}

void fair_queue_end(GpuFairQueue *fair, GpuFlow *flow, uint64_t size) {
        fair->bytes -= size;
        fair->n_chunks--;
        flow->bytes -= size;
        flow->n_chunks--;
        if (flow->is_idle && list_is_empty(&flow->link))
                flow_forget(flow);
}
