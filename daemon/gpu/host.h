#pragma once

/*
 * What the Vulkan layer needs from whoever runs it. The root implements it with worker threads; a test with an eventfd
 * and one thread. All functions of daemon/gpu are called on one thread, the loop thread, unless they say otherwise.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/util/list.h"

typedef enum GpuCopy {
        GPU_COPY_AUTO, /* as measured at start */
        GPU_COPY_SHADER,
        GPU_COPY_COMMAND,
} GpuCopy;

typedef struct GpuHost GpuHost;
typedef struct GpuOptions GpuOptions;
typedef struct GpuTask GpuTask;

/* A slow call: a driver call or a large memcpy. */
struct GpuTask {
        void (*run)(GpuTask *task);  /* on a worker thread */
        void (*done)(GpuTask *task); /* then on the loop thread; may free the task */
        List link;                   /* for who submits it, until then */
        GpuTask *next;               /* for the host */
};

struct GpuHost {
        /* Runs the task on a worker thread, later. Must not fail and must not call run() or done() itself. */
        void (*execute)(void *userdata, GpuTask *task);
        /* From any thread: run a loop turn soon, with gpu_instance_poll() in it. */
        void (*notify)(void *userdata);
        void *userdata;
};

/* What 0 stands for in GpuOptions. */
#define GPU_STAGING_BYTES (UINT64_C(64) << 20)
#define GPU_SEGMENT_MAX   (UINT64_C(1) << 30)
#define GPU_BLOCK_MAX     (UINT64_C(256) << 20)

/* Of the device's memory, a block is this part at most. */
#define GPU_BLOCK_SHARE 64

struct GpuOptions {
        bool validation;    /* VK_LAYER_KHRONOS_validation with synchronisation; its messages go to the log */
        bool force_staging; /* never import host memory: all bytes go through the staging ring */
        bool split_queues; /* a timeline for each role even where one queue plays them all: tests the waits between */
        GpuCopy copy;               /* how bytes are copied inside a device, and long patterns repeated */
        uint64_t staging_bytes;     /* the staging ring of one device */
        uint64_t segment_max;       /* longest piece of an allocation that is not exportable */
        uint64_t block_max;         /* longest block for small allocations */
        const char *const *devices; /* "vulkan:N", UUIDs or PCI addresses; all devices when n_devices is 0 */
        size_t n_devices;
};
