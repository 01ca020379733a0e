/* Tasks wait in two stacks. One is pushed, or all are taken, in one atomic step: nobody waits for anybody. */

#include "daemon/executor.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "daemon/util/error.h"
#include "daemon/util/thread.h"

static void push(_Atomic(GpuTask *) *stack, GpuTask *task) {
        GpuTask *top = atomic_load(stack);

        do
                task->next = top;
        while (!atomic_compare_exchange_weak(stack, &top, task));
}

/* Takes all tasks of the stack and returns them in the order in which they were pushed. */
static GpuTask *take_all(_Atomic(GpuTask *) *stack) {
        GpuTask *task = atomic_exchange(stack, NULL), *first = NULL;

        while (task) {
                GpuTask *next = task->next;

                task->next = first;
                first = task;
                task = next;
        }
        return first;
}

/* Requires: the thread has counted n_waiting down, so that there is a task for it. */
static GpuTask *take(Executor *executor) {
        GpuTask *task;

        pthread_mutex_lock(&executor->lock);
        if (!executor->taken)
                executor->taken = take_all(&executor->submitted);
        task = executor->taken;
        executor->taken = task->next;
        pthread_mutex_unlock(&executor->lock);
        return task;
}

static void *run_tasks(void *userdata) {
        Executor *executor = userdata;

        for (;;) {
                GpuTask *task;

                while (sem_wait(&executor->n_waiting) < 0)
                        ;
                if (atomic_load(&executor->is_stopping))
                        return NULL;
                task = take(executor);
                task->run(task);
                push(&executor->ended, task);
                eventfd_write(executor->wake_fd, 1);
        }
}

int executor_init(Executor *executor, int wake_fd) {
        int r;

        *executor = (Executor){.wake_fd = wake_fd};
        sem_init(&executor->n_waiting, 0, 0);
        pthread_mutex_init(&executor->lock, NULL);
        for (; executor->n_threads < EXECUTOR_THREADS; executor->n_threads++) {
                r = thread_start(&executor->threads[executor->n_threads], run_tasks, executor);
                if (r)
                        return error_origin(r);
        }
        return 0;
}

void executor_deinit(Executor *executor) {
        atomic_store(&executor->is_stopping, true);
        for (size_t i = 0; i < executor->n_threads; i++)
                sem_post(&executor->n_waiting);
        while (executor->n_threads > 0)
                pthread_join(executor->threads[--executor->n_threads], NULL);
}

void executor_submit(Executor *executor, GpuTask *task) {
        executor->n_running++;
        push(&executor->submitted, task);
        sem_post(&executor->n_waiting);
}

void executor_poll(Executor *executor) {
        GpuTask *next;

        if (!atomic_load_explicit(&executor->ended, memory_order_relaxed))
                return;
        for (GpuTask *task = take_all(&executor->ended); task; task = next) {
                next = task->next;
                executor->n_running--;
                task->done(task);
        }
}
