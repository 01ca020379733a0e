/* The functions of daemon/gpu that objects and methods call, on host memory. */

#include "tests/unit/rpc/fake-gpu.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/gpu/device.h"
#include "daemon/gpu/instance.h"
#include "daemon/gpu/memory.h"
#include "daemon/gpu/op.h"
#include "daemon/gpu/region.h"
#include "daemon/gpu/result.h"

#define TOTAL (UINT64_C(1) << 30)

static GpuDeviceInfo info = {.id = "vulkan:0",
                             .uuid = "00000000-0000-0000-0000-000000000000",
                             .name = "fake",
                             .memory_total = TOTAL};
static List ops = {&ops, &ops};
static List regions = {&regions, &regions};
static List tasks = {&tasks, &tasks};
static uint64_t used;
static size_t count;

/* Memory that starts pending is made here, as a driver call on a worker would be. */
static List pending = {&pending, &pending};

static void execute(void *userdata, GpuTask *task) {
        (void)userdata;
        task->run(task);
        list_link(&tasks, &task->link);
}

const GpuHost fake_gpu_host = {.execute = execute};

unsigned fake_gpu_n_trims;
uint32_t fake_gpu_trimmed;

static void turn_memory(GpuMemory *memory) {
        void (*ready)(GpuMemory *, int) = memory->ready;

        memory->is_pending = false;
        memory->block = calloc(1, memory->size);
        if (!memory->block) {
                used -= memory->size;
                count--;
        }
        ready(memory, memory->block ? 0 : GPU_E_NO_MEMORY);
}

void fake_gpu_turn(void) {
        List *link;

        while ((link = list_pop(&pending)))
                turn_memory(container_of(link, GpuMemory, accesses));
        while ((link = list_pop(&ops)))
                container_of(link, GpuOp, link)->complete(container_of(link, GpuOp, link), 0);
        while ((link = list_pop(&regions)))
                container_of(link, GpuRegion, link)->ready(container_of(link, GpuRegion, link), true);
        while ((link = list_pop(&tasks)))
                container_of(link, GpuTask, link)->done(container_of(link, GpuTask, link));
}

size_t fake_gpu_count(void) {
        return count;
}

size_t gpu_instance_get_n_devices(const GpuInstance *instance) {
        (void)instance;
        return 1;
}

GpuDevice *gpu_instance_get_device(const GpuInstance *instance, size_t index) {
        (void)instance;
        (void)index;
        return (GpuDevice *)(void *)&info;
}

void gpu_instance_trim(GpuInstance *instance, uint32_t owner) {
        (void)instance;
        fake_gpu_n_trims++;
        fake_gpu_trimmed = owner;
}

const GpuDeviceInfo *gpu_device_get_info(const GpuDevice *device) {
        (void)device;
        return &info;
}

void gpu_device_get_ledger(GpuDevice *device, GpuLedger *ret_ledger) {
        (void)device;
        *ret_ledger = (GpuLedger){.total = TOTAL, .used = used, .available = TOTAL - used, .count = count};
}

bool gpu_device_is_lost(const GpuDevice *device) {
        (void)device;
        return false;
}

int gpu_memory_init(GpuMemory *memory, GpuDevice *device, uint32_t owner, uint64_t size, bool exportable,
                    void (*ready)(GpuMemory *memory, int r)) {
        *memory = (GpuMemory){.device = device, .size = size, .owner = owner, .ready = ready};
        list_init(&memory->accesses);
        if (exportable) {
                memory->is_pending = true;
                list_link(&pending, &memory->accesses);
        } else {
                memory->block = calloc(1, size);
                if (!memory->block)
                        return GPU_E_NO_MEMORY;
        }
        used += size;
        count++;
        return exportable ? REQUEST_LATER : 0;
}

void gpu_memory_deinit(GpuMemory *memory, void (*gone)(GpuMemory *memory)) {
        list_unlink(&memory->accesses);
        used -= memory->size;
        count--;
        free(memory->block);
        gone(memory);
}

int gpu_region_init(GpuRegion *region, GpuInstance *instance, void *map, uint64_t size,
                    void (*ready)(GpuRegion *region, bool imported)) {
        *region = (GpuRegion){.instance = instance, .map = map, .size = size, .ready = ready};
        list_link(&regions, &region->link);
        return 0;
}

void gpu_region_deinit(GpuRegion *region, void (*gone)(GpuRegion *region)) {
        list_unlink(&region->link);
        gone(region);
}

static unsigned char *bytes_of(GpuMemory *memory) {
        return (unsigned char *)memory->block;
}

void gpu_op_write(GpuOp *op, GpuMemory *dst, uint64_t offset, const void *data, uint64_t size) {
        memcpy(bytes_of(dst) + offset, data, size);
        list_link(&ops, &op->link);
}

void gpu_op_read(GpuOp *op, GpuMemory *src, uint64_t offset, void *data, uint64_t size) {
        memcpy(data, bytes_of(src) + offset, size);
        list_link(&ops, &op->link);
}

void gpu_op_write_region(GpuOp *op, GpuMemory *dst, uint64_t offset, GpuRegion *region,
                         uint64_t region_offset, uint64_t size) {
        gpu_op_write(op, dst, offset, region->map + region_offset, size);
}

void gpu_op_read_region(GpuOp *op, GpuMemory *src, uint64_t offset, GpuRegion *region, uint64_t region_offset,
                        uint64_t size) {
        gpu_op_read(op, src, offset, region->map + region_offset, size);
}

void gpu_op_copy(GpuOp *op, GpuMemory *src, uint64_t src_offset, GpuMemory *dst, uint64_t dst_offset,
                 uint64_t size) {
        memmove(bytes_of(dst) + dst_offset, bytes_of(src) + src_offset, size);
        list_link(&ops, &op->link);
}

void gpu_op_fill(GpuOp *op, GpuMemory *memory, uint64_t offset, uint64_t size, const void *pattern,
                 size_t n_pattern) {
        for (uint64_t i = 0; i < size; i++)
                bytes_of(memory)[offset + i] = ((const unsigned char *)pattern)[i % n_pattern];
        list_link(&ops, &op->link);
}

void gpu_op_sync(GpuOp *op, GpuDevice *device) {
        (void)device;
        list_link(&ops, &op->link);
}
