/*
 * Deficit round robin; loop thread.
 *
 * A flow that waits for what it has under way has nothing in line, and would lose by each such pause to flows that
 * never pause. So the turns it misses are made up for, up to CREDIT_MAX, if it is back before it is forgotten.
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

static void flow_free(GpuFlow *flow) {
        list_unlink(&flow->hash);
        list_unlink(&flow->link);
        free(flow);
}

void line_init(GpuLine *line, uint64_t quantum, uint64_t bytes_max, uint32_t chunks_max) {
        *line = (GpuLine){.quantum = quantum, .bytes_max = bytes_max, .chunks_max = chunks_max};
        for (size_t i = 0; i < GPU_LINE_BUCKETS; ++i)
                list_init(&line->buckets[i]);
        list_init(&line->turns);
        list_init(&line->idle);
        flow_init(&line->common, 0, 0);
}

void line_deinit(GpuLine *line) {
        for (size_t i = 0; line->quantum && i < GPU_LINE_BUCKETS; ++i) {
                List *link;

                while ((link = list_first(&line->buckets[i])))
                        flow_free(container_of(link, GpuFlow, hash));
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

/* The flow has something in line. */
static void line_wake_flow(GpuLine *line, GpuFlow *flow) {
        uint64_t missed = line->round - flow->round;

        if (!flow->is_idle)
                return;
        flow->is_idle = false;
        if (!list_is_empty(&flow->link))
                --line->n_idle;
        list_unlink(&flow->link);
        flow->credit =
                MIN(flow->credit + MIN(missed, CREDIT_MAX) * line->quantum, CREDIT_MAX * line->quantum);
        flow->round = list_is_empty(&line->turns) ? line->round : line->round + 1;
        list_link(&line->turns, &flow->link);
}

/* Its turn has come, and it has nothing in line. */
static void line_rest_flow(GpuLine *line, GpuFlow *flow) {
        flow->is_idle = true;
        list_unlink(&flow->link);
        if (flow == &line->common)
                return;
        list_link(&line->idle, &flow->link);
        if (line->n_idle++ < IDLE_MAX)
                return;
        flow_free(container_of(list_first(&line->idle), GpuFlow, link));
        --line->n_idle;
}

void line_push(GpuLine *line, GpuOp *op) {
        GpuFlow *flow = line_get_flow(line, op->flow);

        list_link(op->issued > 0 ? flow->ops.next : &flow->ops, &op->link);
        line_wake_flow(line, flow);
}

GpuOp *line_find_next(GpuLine *line) {
        List *link;

        while (line->bytes < line->bytes_max && line->n_chunks < line->chunks_max &&
               (link = list_first(&line->turns))) {
                GpuFlow *flow = container_of(link, GpuFlow, link);
                List *first = list_first(&flow->ops);
                uint64_t size;

                line->round = flow->round;
                if (!first) {
                        line_rest_flow(line, flow);
                        continue;
                }
                size = transfer_get_next_size(container_of(first, GpuOp, link));
                if (size <= flow->credit) {
                        flow->credit -= size;
                        list_unlink(first);
                        return container_of(first, GpuOp, link);
                }
                flow->credit += line->quantum;
                ++flow->round;
                list_unlink(link);
                list_link(&line->turns, link);
        }
        return NULL;
}

void line_begin(GpuLine *line, uint64_t size) {
        line->bytes += size;
        ++line->n_chunks;
}

void line_end(GpuLine *line, uint64_t size) {
        line->bytes -= size;
        --line->n_chunks;
}
