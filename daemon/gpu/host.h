#pragma once

/*
 * What the Vulkan layer needs from whoever runs it. The root implements it with worker threads; a test with
 * an eventfd and one thread. All functions of daemon/gpu are called on one thread, the loop thread, unless
 * they say otherwise.
 */

#include "daemon/options.h"
#include "daemon/util/list.h"

typedef struct GpuHost GpuHost;
typedef struct GpuTask GpuTask;

/* A slow call: a driver call or a large memcpy. */
struct GpuTask {
        void (*run)(GpuTask *task);  /* on a worker thread */
        void (*done)(GpuTask *task); /* then on the loop thread; may free the task */
        List link;                   /* for whoever submits the task, until then */
        GpuTask *next;               /* for the host */
};

struct GpuHost {
        /* Runs the task on a worker thread, later. Must not fail and must not call run() or done() itself. */
        void (*execute)(void *userdata, GpuTask *task);
        /* Asks for a loop turn soon, with gpu_instance_poll() in it. Called from any thread. */
        void (*notify)(void *userdata);
        void *userdata;
};
