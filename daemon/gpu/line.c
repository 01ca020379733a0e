/*
 * Deficit round robin; loop thread.
 *
 * A flow with few ops has often nothing in line, only because it waits for what it has under way, and would lose by each
 * such pause to flows that never pause. So it keeps its place among the turns for a while, the others have no more
 * than one turn under way meanwhile, and it makes up for turns that it missed.
 *
 * Who has one short op at a time cannot take more than that in a turn. So turns are as short as his ops, down to a
 * 16th: where all move much at a time, turns are long, and cost little.
 */

#include "daemon/gpu/line.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/gpu/transfer.h"

#define CREDIT_MAX UINT64_C(4) /* turns */
#define IDLE_MAX   16          /* flows remembered while they have nothing in line */

static void flow_init(GpuFlow *flow, uint64_t id, uint64_t round) {
        *flow = (GpuFlow){.id = id, .round = round, .is_idle = true};
        list_init(&flow->hash);
        list_init(&flow->link);
        list_init(&flow->ops);
}

/* It is on no list of the line. What has a chunk under way goes when that ends. */
static void flow_forget(GpuFlow *flow) {
        if (flow->n_chunks > 0 || list_is_empty(&flow->hash))
                return;
        list_unlink(&flow->hash);
        free(flow);
}

void line_init(GpuLine *line, uint64_t quantum, uint64_t bytes_max, uint32_t chunks_max, uint32_t patience) {
        *line = (GpuLine){
                .quantum = quantum,
                .bytes_max = bytes_max,
                .chunks_max = chunks_max,
                .patience = patience,
        };
        for (size_t i = 0; i < GPU_LINE_BUCKETS; i++)
                list_init(&line->buckets[i]);
        list_init(&line->turns);
        list_init(&line->idle);
        flow_init(&line->common, 0, 0);
}

void line_deinit(GpuLine *line) {
        for (size_t i = 0; line->quantum && i < GPU_LINE_BUCKETS; i++) {
                List *link;

                while ((link = list_pop(&line->buckets[i])))
                        free(container_of(link, GpuFlow, hash));
        }
}

/* Flows are numbered by anything, even by addresses. */
static List *line_get_bucket(GpuLine *line, uint64_t id) {
        return &line->buckets[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}

static_assert(GPU_LINE_BUCKETS == 1 << (64 - 58), "the hash is as long as the table");

static GpuFlow *line_get_flow(GpuLine *line, uint64_t id) {
        List *bucket = line_get_bucket(line, id);
        GpuFlow *flow;

        list_for_each (link, bucket) {
                flow = container_of(link, GpuFlow, hash);
                if (flow->id == id)
                        return flow;
        }
        flow = malloc(sizeof(*flow));
        if (!flow)
                return &line->common;
        flow_init(flow, id, line->round);
        list_link(bucket, &flow->hash);
        return flow;
}

static void line_set_empty(GpuLine *line, GpuFlow *flow, bool is_empty) {
        line->n_empty += is_empty;
        line->n_empty -= flow->is_empty;
        flow->is_empty = is_empty;
}

/* How often the longest turn can be halved for ops of that size still to fill one. */
static uint8_t get_grain(const GpuLine *line, uint64_t size) {
        uint8_t grain = 0;

        while (grain < GPU_LINE_GRAINS - 1 && size <= line->quantum >> (grain + 1))
                grain++;
        return grain;
}

uint64_t line_get_turn(const GpuLine *line) {
        uint8_t grain = GPU_LINE_GRAINS - 1;

        /* A flow by itself is in nobody's way. */
        if (line->n_turns < 2)
                return line->quantum;
        while (grain > 0 && line->n_grains[grain] == 0)
                grain--;
        return line->quantum >> grain;
}

static void line_set_grain(GpuLine *line, GpuFlow *flow, uint8_t grain) {
        line->n_grains[flow->grain]--;
        line->n_grains[grain]++;
        flow->grain = grain;
}

static void line_join(GpuLine *line, GpuFlow *flow) {
        if (!list_is_empty(&flow->link))
                line->n_idle--;
        list_unlink(&flow->link);
        list_link(&line->turns, &flow->link);
        line->n_turns++;
        line->n_grains[flow->grain]++;
        flow->round = line->round;
        flow->is_idle = false;
}

static void line_rest_flow(GpuLine *line, GpuFlow *flow) {
        flow->is_idle = true;
        line_set_empty(line, flow, false);
        list_unlink(&flow->link);
        line->n_turns--;
        line->n_grains[flow->grain]--;
        if (flow == &line->common)
                return;
        list_link(&line->idle, &flow->link);
        if (line->n_idle++ < IDLE_MAX)
                return;
        flow = container_of(list_first(&line->idle), GpuFlow, link);
        list_unlink(&flow->link);
        line->n_idle--;
        flow_forget(flow);
}

void line_push(GpuLine *line, GpuOp *op) {
        GpuFlow *flow = line_get_flow(line, op->flow);

        if (flow->is_idle)
                line_join(line, flow);
        line_set_grain(line, flow, get_grain(line, op->size));
        line_set_empty(line, flow, false);
        flow->n_missed = 0;
        list_link(op->issued > 0 ? flow->ops.next : &flow->ops, &op->link);
}

static bool line_is_full(const GpuLine *line) {
        return line->bytes >= line->bytes_max || line->n_chunks >= line->chunks_max;
}

/* What may be under way is kept for those that will be back. */
static bool flow_is_full(const GpuFlow *flow, const GpuLine *line) {
        return line->n_empty > 0 && line->n_turns > 1 &&
               (flow->bytes >= line_get_turn(line) ||
                flow->n_chunks >= MAX(line->chunks_max / line->n_turns, 1u));
}

/* Its turn has come, and it has nothing in line. Returns whether that changed anything. */
static bool line_miss_turn(GpuLine *line, GpuFlow *flow) {
        bool is_missed = flow->round < line->round;
        uint64_t turn = line_get_turn(line);

        line_set_empty(line, flow, true);
        if (is_missed) {
                flow->credit = MAX(flow->credit, MIN(flow->credit + turn, CREDIT_MAX * turn));
                flow->round++;
                flow->n_missed++;
        }
        if (flow->n_missed < line->patience)
                return is_missed;
        line_rest_flow(line, flow);
        return true;
}

/* The flow's next op, if it has the credit for it; or else it gets that, and it is the next flow's turn. */
static GpuOp *line_take_turn(GpuLine *line, GpuFlow *flow) {
        GpuOp *op = container_of(list_first(&flow->ops), GpuOp, link);
        uint64_t size = transfer_get_next_size(op);

        if (size > flow->credit) {
                flow->credit += line_get_turn(line);
                flow->round++;
                line->round = MAX(line->round, flow->round);
                return NULL;
        }
        flow->credit -= size;
        list_unlink(&op->link);
        line_set_empty(line, flow, list_is_empty(&flow->ops));
        return op;
}

static void line_pass_turn(GpuLine *line, GpuFlow *flow) {
        if (flow->is_idle)
                return;
        list_unlink(&flow->link);
        list_link(&line->turns, &flow->link);
}

GpuOp *line_find_next(GpuLine *line) {
        uint32_t n_vain = 0;

        while (!line_is_full(line) && n_vain < line->n_turns) {
                GpuFlow *flow = container_of(list_first(&line->turns), GpuFlow, link);

                n_vain++;
                if (list_is_empty(&flow->ops)) {
                        if (line_miss_turn(line, flow))
                                n_vain = 0;
                } else if (!flow_is_full(flow, line)) {
                        GpuOp *op = line_take_turn(line, flow);

                        if (op)
                                return op;
                        n_vain = 0;
                }
                line_pass_turn(line, flow);
        }
        return NULL;
}

GpuFlow *line_begin(GpuLine *line, uint64_t id, uint64_t size) {
        GpuFlow *flow = line_get_flow(line, id);

        line->bytes += size;
        line->n_chunks++;
        flow->bytes += size;
        flow->n_chunks++;
        return flow;
}

void line_end(GpuLine *line, GpuFlow *flow, uint64_t size) {
        line->bytes -= size;
        line->n_chunks--;
        flow->bytes -= size;
        flow->n_chunks--;
        if (flow->is_idle && list_is_empty(&flow->link))
                flow_forget(flow);
}
