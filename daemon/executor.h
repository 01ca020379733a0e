#pragma once

/* Runs the GPU layer's slow calls on libuv's worker threads. */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "daemon/gpu/host.h"
#include "daemon/rpc/stats.h"
#include "daemon/util/list.h"

typedef struct Executor {
        uv_loop_t *loop;
        Stats *stats; /* borrowed */
        List waiting; /* GpuTask.link, for want of memory */
        size_t n_running;
        uv_work_t first; /* starts the threads */
} Executor;

void executor_init(Executor *executor, uv_loop_t *loop, Stats *stats);

/* Takes a task; its done() is called on the loop thread. */
void executor_submit(Executor *executor, GpuTask *task);

bool executor_is_idle(const Executor *executor);

/* Hands tasks that could not be handed over before to the worker threads. */
void executor_flush(Executor *executor);
