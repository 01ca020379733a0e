#pragma once

/*
 * One queue of a device: its timeline, the batch that is being recorded, those in flight, and what waits to
 * be recorded. Embedded in GpuDevice. The values of the timeline number the batches.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/fairqueue.h"
#include "daemon/gpu/op.h"
#include "daemon/gpu/vk.h"
#include "daemon/util/list.h"

#define GPU_QUEUE_BATCHES 32  /* in flight at most; more work waits on the host */
#define GPU_QUEUE_WORKS   128 /* recorded in a loop turn at most, and about as many completed: 0.1 ms */

typedef struct GpuBatch GpuBatch;

struct GpuBatch {
        List link; /* GpuQueue.idle or .in_flight */
        List works;
        VkCommandBuffer commands;
        uint64_t value;
        uint64_t waits[GPU_N_QUEUES_MAX]; /* values of the device's other queues; 0: none */
        bool is_after_all;                /* what is recorded now comes after all batches before */
        bool is_host_read;                /* writes bytes that the host will read */
};

struct GpuQueue {
        GpuDevice *device;
        uint32_t index; /* in GpuDevice.queues */
        uint32_t family;
        VkPipelineStageFlags stages; /* that our commands run in, */
        VkAccessFlags accesses;      /* and how they read and write */
        VkQueue queue;
        VkCommandPool pool;
        VkSemaphore timeline;
        uint64_t submitted;
        uint64_t completed;
        GpuBatch *open;
        List idle;
        List in_flight;
        List works;          /* GpuWork.link: to be recorded, in this order */
        uint32_t n_recorded; /* works, in this turn of the loop */
        GpuFairQueue small;  /* ops to be cut in chunks: these first, */
        GpuFairQueue bulk;   /* then these */
        uint32_t n_bulk;     /* chunks over the bus, to be recorded or in flight */
        uint64_t epoch;      /* of the device, when the queue was last made to see what has ended */
        GpuBatch batches[GPU_QUEUE_BATCHES];
};

/* A queue of the driver, and what it can do. */
typedef struct GpuQueueChoice {
        uint32_t family;
        uint32_t index; /* in the family */
        VkPipelineStageFlags stages;
        VkAccessFlags accesses;
} GpuQueueChoice;

/*
 * Requires: a zeroed structure. Returns 0 or an error of gpu_result_from_vk(); queue_deinit() is due in any
 * case.
 */
int queue_init(GpuQueue *queue, GpuDevice *device, uint32_t index, const GpuQueueChoice *choice);

/* Works on a zeroed structure and on one whose init failed. Requires: nothing is in flight. */
void queue_deinit(GpuQueue *queue);

/*
 * Opens a batch unless one is open; what is recorded next comes after all ops that have ended. Returns false
 * if all batches are in flight or the device is lost.
 */
bool queue_open(GpuQueue *queue);

/*
 * Orders everything recorded from now on after everything before, on this queue. Requires: a batch is open.
 */
void queue_barrier(GpuQueue *queue);

/*
 * Makes the batch and what follows wait for `value` of another queue of the device. Requires: a batch is
 * open.
 */
void queue_wait(GpuQueue *queue, GpuQueue *other, uint64_t value);

/* Returns the value that the open batch has or the next one will have. */
uint64_t queue_get_open_value(const GpuQueue *queue);

/* Submits the batch if one is open. If that fails, the device is lost. */
void queue_submit(GpuQueue *queue);

/* Completes works of batches that have ended, or of all if the device is lost; of many, not all yet. */
void queue_poll(GpuQueue *queue);

/* Submits what is open and spins until all of it has ended: for the start. Returns 0 or GPU_E_LOST. */
int queue_finish(GpuQueue *queue);
