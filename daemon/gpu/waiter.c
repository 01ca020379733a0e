/*
 * Waiting for a device: loop thread and waiter thread meet here, and only here.
 *
 * Armed, the thread waits for any timeline to reach one more than the loop had seen. What is already there
 * ends the wait at once, so no wake-up is lost. A loop that arms again meanwhile changes nothing: the thread
 * waits for less. A loop that never sleeps never arms, and the thread costs nothing.
 */

#include "daemon/gpu/waiter.h"

#include <errno.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/util/error.h"
#include "daemon/util/thread.h"

#define STOP_NS UINT64_C(100000000) /* between looks at whether to stop, where nothing wakes it for that */

/* Returns when any queue has reached its target, or when the thread is to stop. */
static void waiter_wait(GpuWaiter *waiter) {
        GpuDevice *device = waiter->device;
        /* Mesa spins while it waits for any of several, in the way of the software GPU's own threads. */
        bool is_one = device->n_queues == 1;
        VkSemaphore semaphores[GPU_N_QUEUES_MAX + 1];
        uint64_t values[GPU_N_QUEUES_MAX + 1];
        VkSemaphoreWaitInfo info = {
                .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                .flags = is_one ? 0 : VK_SEMAPHORE_WAIT_ANY_BIT,
                .semaphoreCount = is_one ? 1 : device->n_queues + 1,
                .pSemaphores = semaphores,
                .pValues = values,
        };
        VkResult result;

        for (uint32_t i = 0; i < device->n_queues; i++) {
                semaphores[i] = device->queues[i].timeline;
                values[i] = waiter->targets[i];
        }
        semaphores[device->n_queues] = waiter->stop;
        values[device->n_queues] = 1;
        do
                result = vkWaitSemaphores(device->vk, &info, is_one ? STOP_NS : UINT64_MAX);
        while (result == VK_TIMEOUT && !atomic_load(&waiter->is_stopping));
        if (result != VK_TIMEOUT && GPU_TRY(result))
                atomic_store(&waiter->is_lost, true);
}

static void *waiter_run(void *userdata) {
        GpuWaiter *waiter = userdata;
        GpuHost *host = &waiter->device->instance->host;

        for (;;) {
                while (sem_wait(&waiter->work) < 0)
                        ;
                if (atomic_load(&waiter->is_stopping))
                        return NULL;
                waiter_wait(waiter);
                atomic_store(&waiter->is_armed, false);
                host->notify(host->userdata);
        }
}

int waiter_init(GpuWaiter *waiter, GpuDevice *device) {
        int r;

        if (sem_init(&waiter->work, 0, 0) < 0)
                return error_origin(-errno);
        waiter->device = device;
        r = device_new_timeline(device, &waiter->stop);
        if (r)
                return r;
        r = thread_start(&waiter->thread, waiter_run, waiter);
        if (r)
                return error_origin(r);
        waiter->is_running = true;
        return 0;
}

void waiter_deinit(GpuWaiter *waiter) {
        VkSemaphoreSignalInfo signal = {
                .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
                .semaphore = waiter->stop,
                .value = 1,
        };
        GpuDevice *device = waiter->device;

        if (!device)
                return;
        if (waiter->is_running) {
                atomic_store(&waiter->is_stopping, true);
                (void)GPU_TRY(vkSignalSemaphore(device->vk, &signal));
                sem_post(&waiter->work);
                pthread_join(waiter->thread, NULL);
        }
        vkDestroySemaphore(device->vk, waiter->stop, NULL);
        sem_destroy(&waiter->work);
        waiter->device = NULL;
}

void waiter_arm(GpuWaiter *waiter) {
        GpuDevice *device = waiter->device;

        if (atomic_load(&waiter->is_armed))
                return;
        for (uint32_t i = 0; i < device->n_queues; i++)
                waiter->targets[i] = device->queues[i].completed + 1;
        atomic_store(&waiter->is_armed, true);
        sem_post(&waiter->work);
}
