/* GpuTask to uv_work_t. A task never fails to start: where there is no memory for it, it waits. */

#include "daemon/executor.h"

#include <stdlib.h>

#include "daemon/util/log.h"

typedef struct Work {
        uv_work_t work;
        Executor *executor;
        GpuTask *task;
} Work;

static void do_nothing(uv_work_t *handle) {
        (void)handle;
}

void executor_init(Executor *executor, uv_loop_t *loop, Stats *stats) {
        *executor = (Executor){.loop = loop, .stats = stats};
        list_init(&executor->waiting);
        /* libuv starts its threads, and waits for them, when there is work for the first time. */
        uv_queue_work(loop, &executor->first, do_nothing, NULL);
}

static void on_work(uv_work_t *handle) {
        Work *work = container_of(handle, Work, work);

        work->task->run(work->task);
}

static void on_worked(uv_work_t *handle, int status) {
        Work *work = container_of(handle, Work, work);
        GpuTask *task = work->task;

        (void)status; /* nothing is ever cancelled */
        stats_begin_turn(work->executor->stats);
        work->executor->n_running--;
        free(work);
        task->done(task);
}

void executor_submit(Executor *executor, GpuTask *task) {
        list_link(&executor->waiting, &task->link);
        executor_flush(executor);
}

bool executor_is_idle(const Executor *executor) {
        return executor->n_running == 0 && list_is_empty(&executor->waiting);
}

void executor_flush(Executor *executor) {
        while (!list_is_empty(&executor->waiting)) {
                Work *work = malloc(sizeof(*work));

                if (!work) {
                        log_warning("no host memory to start a task; it is tried again");
                        return;
                }
                work->executor = executor;
                work->task = container_of(list_pop(&executor->waiting), GpuTask, link);
                executor->n_running++;
                uv_queue_work(executor->loop, &work->work, on_work, on_worked);
        }
}
