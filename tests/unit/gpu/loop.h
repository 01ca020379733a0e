#pragma once

/* A small host for the Vulkan layer: one worker thread, an eventfd, and turns that a test asks for. */

#include <pthread.h>
#include <stdbool.h>

#include "daemon/gpu/device.h"
#include "daemon/gpu/instance.h"
#include "daemon/gpu/memory.h"
#include "daemon/gpu/op.h"
#include "daemon/gpu/region.h"

typedef struct Loop Loop;
typedef struct TestMemory TestMemory;
typedef struct TestOp TestOp;
typedef struct TestRegion TestRegion;

struct Loop {
        GpuInstance *instance;
        GpuDevice *device; /* the first */
        int event_fd;
        pthread_t worker;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        List todo; /* GpuTask.link */
        List done; /* GpuTask.link */
        bool is_stopping;
        bool is_holding; /* the next task is not run until loop_release() */
        GpuTask *held;
        bool is_spinning; /* instead of sleeping while the devices are busy */
        bool is_busy;
};

struct TestMemory {
        GpuMemory memory;
        int r; /* -1: pending */
        bool is_gone;
};

struct TestOp {
        GpuOp op;
        int r; /* -1: in flight */
};

struct TestRegion {
        GpuRegion region;
        unsigned char *map;
        bool is_ready;
        bool is_imported;
        bool is_gone;
};

/*
 * Fails the test where it cannot. Validation is on unless GPU_TEST_NO_VALIDATION is set; GPU_TEST_COPY,
 * `shader` or `command`, is what the tests take that leave the choice to the layer.
 */
void loop_init(Loop *loop, const GpuOptions *options);

/* Gives the sizes that are 0 the configuration's defaults; loop_init() does it by itself. */
void loop_choose_sizes(GpuOptions *options);

/*
 * Waits until the instance is idle, checks the ledgers and that validation was silent, and frees it.
 * Requires: everything is given back.
 */
void loop_deinit(Loop *loop);

/* Keeps the next turn from sleeping: for what was submitted since the last one. */
void loop_wake(Loop *loop);

void loop_turn(Loop *loop);
void loop_release(Loop *loop);

/*
 * Lets the environment show a second software GPU, unless it shows real ones. To be called before
 * loop_init().
 */
void loop_add_device(void);

/* Returns the last device: another than the first, unless there is but one, a real one. */
GpuDevice *loop_get_second(const Loop *loop);

bool loop_is_software(const Loop *loop);

void memory_init(Loop *loop, TestMemory *memory, GpuDevice *device, uint64_t size, bool exportable);
void memory_deinit(Loop *loop, TestMemory *memory);

/* Called by the layer: for tests that submit by themselves. */
void memory_on_ready(GpuMemory *memory, int r);
void memory_on_gone(GpuMemory *memory);

void region_init_pending(Loop *loop, TestRegion *region, uint64_t size);
void region_init(Loop *loop, TestRegion *region, uint64_t size);
void region_deinit(Loop *loop, TestRegion *region);
void region_on_ready(GpuRegion *region, bool imported);
void region_on_gone(GpuRegion *region);

/* Sets up `complete` and `flow`; to be called before submitting. */
GpuOp *op_prepare(TestOp *op);
void op_wait(Loop *loop, TestOp *op);

/* Submit and wait. */
void write_wait(Loop *loop, TestMemory *memory, uint64_t offset, const void *data, uint64_t size);
void read_wait(Loop *loop, TestMemory *memory, uint64_t offset, void *data, uint64_t size);
void fill_wait(Loop *loop, TestMemory *memory, uint64_t offset, uint64_t size, const void *pattern, size_t n);
void copy_wait(Loop *loop, TestMemory *src, uint64_t src_offset, TestMemory *dst, uint64_t dst_offset,
               uint64_t size);

/* Writes bytes that depend on the seed. */
void bytes_init(unsigned char *bytes, uint64_t size, uint32_t seed);
