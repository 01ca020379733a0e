/* The submitting calls: each says what an op reads and writes, and on which queue. Loop thread. */

#include "daemon/gpu/op.h"

#include <assert.h>
#include <string.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/hazard.h"
#include "daemon/gpu/memory-internal.h"
#include "daemon/gpu/transfer.h"

static void op_init(GpuOp *op, GpuOpKind kind, uint64_t size) {
        *op = (GpuOp){
                .complete = op->complete,
                .flow = op->flow,
                .kind = (uint8_t)kind,
                .free_chunks = (1u << GPU_OP_CHUNKS) - 1,
                .size = size,
        };
        list_init(&op->link);
}

static void op_set_access(GpuOp *op, GpuAccess *access, GpuMemory *memory, uint64_t offset, bool is_write,
                          GpuQueue *queue) {
        *access = (GpuAccess){
                .op = op,
                .memory = memory,
                .queue = queue,
                .begin = offset,
                .end = offset + op->size,
                .is_write = is_write,
        };
        list_init(&access->memory_link);
        list_init(&access->device_link);
}

/* Returns the queue for bytes over the bus. */
static GpuQueue *op_get_bus(const GpuOp *op, const GpuMemory *memory) {
        GpuDevice *device = memory->device;

        if (transfer_is_bulk(op))
                return device->bus[0];
        return device->bus[1]->n_bulk == 0 ? device->bus[1] : device->aside;
}

static void op_set_region(GpuOp *op, GpuRegion *region, uint64_t offset) {
        assert(offset <= region->size && op->size <= region->size - offset);
        op->region = region;
        op->host = region->map + offset;
}

static void op_submit(GpuOp *op) {
        GpuAccess *accesses[] = {&op->src, &op->dst};

        if (op->region)
                region_ref(op->region);
        if (op->size == 0 || op->r) {
                op->src.memory = NULL;
                op->dst.memory = NULL;
                transfer_finish(op);
                return;
        }
        for (size_t i = 0; i < N_ELEMENTS(accesses); i++) {
                GpuMemory *memory = accesses[i]->memory;

                if (!memory)
                        continue;
                assert(!memory->is_dying);
                hazard_link(accesses[i]);
                if (accesses[i]->is_write)
                        memory->is_dirty = true;
        }
        if (op->n_blockers == 0)
                transfer_start(op);
}

static void assert_inside(const GpuMemory *memory, uint64_t offset, uint64_t size) {
        assert(offset <= memory->size && size <= memory->size - offset);
        (void)memory;
        (void)offset;
        (void)size;
}

void gpu_op_write(GpuOp *op, GpuMemory *dst, uint64_t offset, const void *data, uint64_t size) {
        assert_inside(dst, offset, size);
        op_init(op, GPU_OP_WRITE, size);
        op_set_access(op, &op->dst, dst, offset, true, op_get_bus(op, dst));
        op->host = (unsigned char *)(uintptr_t)data; /* a write only reads it */
        op_submit(op);
}

void gpu_op_read(GpuOp *op, GpuMemory *src, uint64_t offset, void *data, uint64_t size) {
        assert_inside(src, offset, size);
        op_init(op, GPU_OP_READ, size);
        op_set_access(op, &op->src, src, offset, false, op_get_bus(op, src));
        op->host = data;
        op_submit(op);
}

void gpu_op_write_region(GpuOp *op, GpuMemory *dst, uint64_t offset, GpuRegion *region,
                         uint64_t region_offset, uint64_t size) {
        assert_inside(dst, offset, size);
        op_init(op, GPU_OP_WRITE, size);
        op_set_access(op, &op->dst, dst, offset, true, op_get_bus(op, dst));
        op_set_region(op, region, region_offset);
        op_submit(op);
}

void gpu_op_read_region(GpuOp *op, GpuMemory *src, uint64_t offset, GpuRegion *region, uint64_t region_offset,
                        uint64_t size) {
        assert_inside(src, offset, size);
        op_init(op, GPU_OP_READ, size);
        op_set_access(op, &op->src, src, offset, false, op_get_bus(op, src));
        op_set_region(op, region, region_offset);
        op_submit(op);
}

void gpu_op_copy(GpuOp *op, GpuMemory *src, uint64_t src_offset, GpuMemory *dst, uint64_t dst_offset,
                 uint64_t size) {
        bool is_relay = src->device != dst->device, is_overlap = false;
        GpuOpKind kind;

        assert_inside(src, src_offset, size);
        assert_inside(dst, dst_offset, size);
        if (src == dst && src_offset == dst_offset)
                size = 0;
        if (src == dst)
                is_overlap = src_offset < dst_offset + size && dst_offset < src_offset + size;
        kind = is_relay ? GPU_OP_RELAY : is_overlap ? GPU_OP_MOVE : GPU_OP_COPY;

        op_init(op, kind, size);
        op_set_access(op, &op->src, src, src_offset, false,
                      is_relay ? op_get_bus(op, src) : src->device->compute);
        op_set_access(op, &op->dst, dst, dst_offset, true,
                      is_relay ? op_get_bus(op, dst) : dst->device->compute);
        if (is_relay && size > 0)
                op->r = instance_open_bounce(src->device->instance);
        op_submit(op);
}

void gpu_op_fill(GpuOp *op, GpuMemory *memory, uint64_t offset, uint64_t size, const void *pattern,
                 size_t n_pattern) {
        assert_inside(memory, offset, size);
        assert(n_pattern > 0 && n_pattern <= GPU_OP_PATTERN_MAX && (n_pattern & (n_pattern - 1)) == 0);
        op_init(op, GPU_OP_FILL, size);
        op_set_access(op, &op->dst, memory, offset, true, memory->device->compute);
        memcpy(op->pattern, pattern, n_pattern);
        op->n_pattern = (uint8_t)n_pattern;
        op_submit(op);
}

void gpu_op_sync(GpuOp *op, GpuDevice *device) {
        op_init(op, GPU_OP_SYNC, 0);
        op_set_access(op, &op->src, NULL, 0, false, device->compute);
        if (list_is_empty(&device->accesses))
                transfer_finish(op);
        else
                hazard_link_device(&op->src, device);
}

void op_zero(GpuOp *op, GpuMemory *memory, uint64_t size) {
        op_init(op, GPU_OP_FILL, size);
        op_set_access(op, &op->dst, memory, 0, true, memory->device->compute);
        op->n_pattern = 1;
        hazard_link(&op->dst);
        transfer_start(op);
}

void op_complete(GpuOp *op) {
        hazard_unlink(&op->src);
        hazard_unlink(&op->dst);
        if (op->region)
                region_unref(op->region);
        op->complete(op, op->r);
}
