/*
 * Recording, submitting and completing. Owns the command buffers and the timeline of one queue; loop thread.
 *
 * A queue waits only for batches that are submitted already: so no cycle of waits can come about.
 */

#include "daemon/gpu/queue.h"

#include <assert.h>
#include <sched.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/util/error.h"

int queue_init(GpuQueue *queue, GpuDevice *device, uint32_t index, const GpuQueueChoice *choice) {
        VkCommandBuffer commands[GPU_QUEUE_BATCHES];
        int r;

        *queue = (GpuQueue){
                .device = device,
                .index = index,
                .family = choice->family,
                .stages = choice->stages,
                .accesses = choice->accesses,
        };
        list_init(&queue->idle);
        list_init(&queue->in_flight);
        list_init(&queue->works);
        vkGetDeviceQueue(device->vk, choice->family, choice->index, &queue->queue);

        r = device_new_timeline(device, &queue->timeline);
        if (r)
                return r;
        r = GPU_TRY(vkCreateCommandPool(device->vk,
                                        &(VkCommandPoolCreateInfo){
                                                .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                                .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                                .queueFamilyIndex = choice->family,
                                        },
                                        NULL, &queue->pool));
        if (r)
                return r;
        r = GPU_TRY(vkAllocateCommandBuffers(device->vk,
                                             &(VkCommandBufferAllocateInfo){
                                                     .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                     .commandPool = queue->pool,
                                                     .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                     .commandBufferCount = GPU_QUEUE_BATCHES,
                                             },
                                             commands));
        if (r)
                return r;
        for (size_t i = 0; i < GPU_QUEUE_BATCHES; i++) {
                queue->batches[i].commands = commands[i];
                list_init(&queue->batches[i].works);
                list_link(&queue->idle, &queue->batches[i].link);
        }
        return 0;
}

void queue_deinit(GpuQueue *queue) {
        if (!queue->device)
                return;
        vkDestroyCommandPool(queue->device->vk, queue->pool, NULL);
        vkDestroySemaphore(queue->device->vk, queue->timeline, NULL);
        *queue = (GpuQueue){};
}

static bool queue_open_batch(GpuQueue *queue) {
        List *link = list_first(&queue->idle);
        GpuBatch *batch;

        if (!link || queue->device->is_lost)
                return false;
        batch = container_of(link, GpuBatch, link);
        if (GPU_TRY(vkBeginCommandBuffer(batch->commands,
                                         &(VkCommandBufferBeginInfo){
                                                 .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                                 .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
                                         }))) {
                device_set_lost(queue->device);
                return false;
        }
        list_unlink(&batch->link);
        batch->value = queue->submitted + 1;
        batch->is_host_read = false;
        batch->is_after_all = false;
        for (size_t i = 0; i < GPU_N_QUEUES_MAX; i++)
                batch->waits[i] = 0;
        queue->open = batch;
        return true;
}

/* Names the stages and accesses of our own commands only: drivers do much for the others. */
static void record_barrier(const GpuQueue *queue, VkPipelineStageFlags src_stages, VkAccessFlags src,
                           VkPipelineStageFlags dst_stages, VkAccessFlags dst) {
        VkMemoryBarrier barrier = {
                .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                .srcAccessMask = src,
                .dstAccessMask = dst,
        };

        vkCmdPipelineBarrier(queue->open->commands, src_stages, dst_stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

bool queue_open(GpuQueue *queue) {
        if (!queue->open && !queue_open_batch(queue))
                return false;
        /*
         * Makes visible what ops that have ended wrote. It is available since the host saw the semaphore that
         * says so, hence nothing is waited for: a full barrier takes a GPU 4 us. Ops that have not ended are
         * ordered by hazard_order(). So chunks of one bulk op do not wait for one another.
         */
        if (queue->epoch != queue->device->epoch)
                record_barrier(queue, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, 0, queue->stages, queue->accesses);
        queue->epoch = queue->device->epoch;
        return true;
}

void queue_barrier(GpuQueue *queue) {
        record_barrier(queue, queue->stages, queue->accesses, queue->stages, queue->accesses);
        queue->open->is_after_all = true;
}

void queue_wait(GpuQueue *queue, GpuQueue *other, uint64_t value) {
        assert(queue != other && queue->device == other->device && queue->open);

        if (value > other->submitted)
                queue_submit(other);
        if (value > other->completed && value > queue->open->waits[other->index])
                queue->open->waits[other->index] = value;
}

uint64_t queue_get_open_value(const GpuQueue *queue) {
        return queue->submitted + 1;
}

void queue_submit(GpuQueue *queue) {
        VkPipelineStageFlags stages[GPU_N_QUEUES_MAX];
        VkSemaphore semaphores[GPU_N_QUEUES_MAX];
        uint64_t values[GPU_N_QUEUES_MAX];
        GpuBatch *batch = queue->open;
        uint32_t n_waits = 0;
        int r;

        if (!batch)
                return;
        for (uint32_t i = 0; i < queue->device->n_queues; i++) {
                if (!batch->waits[i])
                        continue;
                semaphores[n_waits] = queue->device->queues[i].timeline;
                stages[n_waits] = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
                values[n_waits++] = batch->waits[i];
        }
        if (batch->is_host_read)
                record_barrier(queue, queue->stages, queue->accesses, VK_PIPELINE_STAGE_HOST_BIT,
                               VK_ACCESS_HOST_READ_BIT);
        queue->open = NULL;
        queue->submitted = batch->value;
        list_link(&queue->in_flight, &batch->link);

        r = GPU_TRY(vkEndCommandBuffer(batch->commands));
        if (!r)
                r = GPU_TRY(vkQueueSubmit(
                        queue->queue, 1,
                        &(VkSubmitInfo){
                                .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                .pNext =
                                        &(VkTimelineSemaphoreSubmitInfo){
                                                .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                                .waitSemaphoreValueCount = n_waits,
                                                .pWaitSemaphoreValues = values,
                                                .signalSemaphoreValueCount = 1,
                                                .pSignalSemaphoreValues = &batch->value,
                                        },
                                .waitSemaphoreCount = n_waits,
                                .pWaitSemaphores = semaphores,
                                .pWaitDstStageMask = stages,
                                .commandBufferCount = 1,
                                .pCommandBuffers = &batch->commands,
                                .signalSemaphoreCount = 1,
                                .pSignalSemaphores = &queue->timeline,
                        },
                        VK_NULL_HANDLE));
        /* What was recorded is gone, and other queues may wait for it for ever: as bad as a lost device. */
        if (r)
                device_set_lost(queue->device);
}

/* Completes the works of a batch. Returns how many it had. */
static uint32_t batch_complete(GpuQueue *queue, GpuBatch *batch) {
        uint32_t n_works = 0;
        List *link;

        for (; (link = list_pop(&batch->works)); n_works++) {
                GpuWork *work = container_of(link, GpuWork, link);

                work->complete(work);
        }
        list_unlink(&batch->link);
        list_link(&queue->idle, &batch->link);
        return n_works;
}

void queue_poll(GpuQueue *queue) {
        uint32_t n_works = 0;
        uint64_t value = 0;
        List *link;

        if (queue->device->is_lost) {
                value = UINT64_MAX;
                if (queue->open) {
                        list_link(&queue->in_flight, &queue->open->link);
                        queue->open = NULL;
                }
        } else if (list_is_empty(&queue->in_flight)) {
                return;
        } else if (GPU_TRY(vkGetSemaphoreCounterValue(queue->device->vk, queue->timeline, &value))) {
                device_set_lost(queue->device);
                value = UINT64_MAX;
        }

        /* The head stays in flight until its works are completed: what they submit goes behind it. */
        while ((link = list_first(&queue->in_flight)) && n_works < GPU_QUEUE_WORKS) {
                GpuBatch *batch = container_of(link, GpuBatch, link);

                if (batch->value > value)
                        break;
                queue->completed = batch->value;
                n_works += batch_complete(queue, batch);
        }
}

int queue_finish(GpuQueue *queue) {
        queue_submit(queue);
        while (queue->completed < queue->submitted) {
                queue_poll(queue);
                if (queue->device->is_lost)
                        return GPU_E_LOST;
                sched_yield();
        }
        return 0;
}
