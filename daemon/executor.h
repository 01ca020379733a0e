#pragma once

/*
 * Runs the GPU layer's slow calls on worker threads. None of them holds anything that the loop thread waits
 * for: uv_async_send(), by which libuv's own workers report, leaves the loop spinning when its caller loses
 * the processor between two of its steps (libuv 1.44, which Debian 12 has).
 */

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/gpu/host.h"

#define EXECUTOR_THREADS 4

typedef struct Executor {
        _Atomic(GpuTask *) submitted; /* GpuTask.next, the last first */
        _Atomic(GpuTask *) ended;     /* GpuTask.next, the last first */
        sem_t n_waiting;              /* tasks that no thread has taken */
        pthread_mutex_t lock;         /* of the threads, for `taken` */
        GpuTask *taken;               /* from `submitted` to be run: GpuTask.next, the first first */
        size_t n_running;             /* tasks whose done() was not called yet; loop thread */
        int wake_fd;                  /* borrowed; an eventfd that a thread writes to when a task has ended */
        atomic_bool is_stopping;
        pthread_t threads[EXECUTOR_THREADS];
        size_t n_threads;
} Executor;

/* Starts the threads. The caller deinits the executor, after failure too. Returns 0 or -errno. */
int executor_init(Executor *executor, int wake_fd);

/* Ends the threads. Requires: it is idle. Works on a zeroed structure. */
void executor_deinit(Executor *executor);

/* Takes a task; its done() is called by executor_poll(). */
void executor_submit(Executor *executor, GpuTask *task);

/* Calls done() for the tasks that have ended. */
void executor_poll(Executor *executor);

static inline bool executor_is_idle(const Executor *executor) {
        return executor->n_running == 0;
}
