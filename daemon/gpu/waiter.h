#pragma once

/*
 * The thread that sleeps until a device has finished something, for a loop that is about to sleep itself. It
 * owns no more than the values it waits for and never touches an op. Embedded in GpuDevice.
 */

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/queue.h"
#include "daemon/gpu/vk.h"

typedef struct GpuWaiter GpuWaiter;

struct GpuWaiter {
        GpuDevice *device;
        pthread_t thread;
        sem_t work;                         /* one for each arming, and one for stopping */
        VkSemaphore stop;                   /* a timeline: 1 stops the thread */
        uint64_t targets[GPU_N_QUEUES_MAX]; /* the loop's, but while armed */
        bool is_running;
        atomic_bool is_armed;
        atomic_bool is_stopping;
        atomic_bool is_lost; /* the thread saw that the device is lost */
};

/*
 * Starts the thread. Requires: a zeroed structure, and a device that has its queues. Returns 0, an error of
 * gpu_result_from_vk() or -errno; waiter_deinit() is due in any case.
 */
int waiter_init(GpuWaiter *waiter, GpuDevice *device);

/* Stops the thread and joins it. Works on a zeroed structure and on one whose init failed. */
void waiter_deinit(GpuWaiter *waiter);

/*
 * Has the thread call host->notify() when any queue gets beyond what the loop has seen, at once where one
 * already did.
 */
void waiter_arm(GpuWaiter *waiter);
