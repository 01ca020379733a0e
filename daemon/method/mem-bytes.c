/*
 * mem.write, read, copy, fill: what moves bytes. Ranges are checked here, with no sum that could overflow,
 * and nowhere below.
 */

#include <errno.h>
#include <inttypes.h>

#include "daemon/gpu/op.h"
#include "daemon/method/args.h"
#include "daemon/object/mem.h"
#include "daemon/object/result.h"
#include "daemon/object/shm.h"
#include "daemon/util/error.h"

/* `what` is the argument that gives the offset: offset, src_offset, shm_offset, ... */
static int check_range(Request *request, const char *what, uint64_t offset, uint64_t size, const char *in,
                       uint64_t limit) {
        if (offset <= limit && size <= limit - offset)
                return 0;
        return request_refuse(request, GPUD_E_OUT_OF_RANGE,
                              "%s %" PRIu64 " + size %" PRIu64 " exceeds %s size %" PRIu64, what, offset,
                              size, in, limit);
}

static void on_done(GpuOp *op, int r) {
        Request *request = container_of(op, Request, op);

        r = result_from_gpu(r);
        if (r == GPUD_E_RESOURCE_EXHAUSTED)
                request_refuse(request, r, "no host memory to stage the bytes");
        request_complete(request, r);
}

/* Readies the request's op. Its share of the link is counted by session. */
static GpuOp *request_get_op(Request *request) {
        request->op.complete = on_done;
        request->op.flow = (uint64_t)(uintptr_t)request_get_session(request);
        return &request->op;
}

static int write_inline(Request *request, const struct mem_write_args *args) {
        Mem *mem = args->mem.mem;
        int r;

        if (args->shm.shm || args->has_shm_offset)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "`data` is given, and also `shm` or `shm_offset`: one or the other");
        if (args->has_size && args->size != args->data.size)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "size %" PRIu64 " differs from the %zu bytes of `data`", args->size,
                                      args->data.size);
        r = check_range(request, "offset", args->offset, args->data.size, "allocation", mem->size);
        if (r)
                return r;
        gpu_op_write(request_get_op(request), &mem->memory, args->offset, args->data.data, args->data.size);
        return REQUEST_LATER;
}

int method_mem_write(Request *request, const struct mem_write_args *args, struct gpud_none *ret) {
        Mem *mem = args->mem.mem;
        Shm *shm = args->shm.shm;
        int r;

        if (args->data.data)
                return write_inline(request, args);
        if (!shm || !args->has_size)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "`%s` is missing: give `data`, or `shm` and `size`",
                                      shm              ? "size"
                                      : args->has_size ? "shm"
                                                       : "data");
        r = check_range(request, "offset", args->offset, args->size, "allocation", mem->size);
        if (r == 0)
                r = check_range(request, "shm_offset", args->shm_offset, args->size, "region", shm->size);
        if (r)
                return r;
        gpu_op_write_region(request_get_op(request), &mem->memory, args->offset, &shm->region,
                            args->shm_offset, args->size);
        return REQUEST_LATER;
}

static int read_inline(Request *request, const struct mem_read_args *args, struct gpud_mem_read_result *ret) {
        void *data;

        if (args->has_shm_offset)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "`shm_offset` is given without `shm`");
        if (args->size > GPUD_INLINE_MAX)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "size %" PRIu64 " exceeds inline_max = %d: give `shm`", args->size,
                                      GPUD_INLINE_MAX);
        data = request_alloc(request, args->size + 1);
        if (!data)
                return error_origin(-ENOMEM);
        ret->data = (struct gpud_bin){data, args->size};
        request->owns_result = true;
        gpu_op_read(request_get_op(request), &args->mem.mem->memory, args->offset, data, args->size);
        return REQUEST_LATER;
}

int method_mem_read(Request *request, const struct mem_read_args *args, struct gpud_mem_read_result *ret) {
        Mem *mem = args->mem.mem;
        Shm *shm = args->shm.shm;
        int r;

        r = check_range(request, "offset", args->offset, args->size, "allocation", mem->size);
        if (r)
                return r;
        if (!shm)
                return read_inline(request, args, ret);
        r = check_range(request, "shm_offset", args->shm_offset, args->size, "region", shm->size);
        if (r)
                return r;
        gpu_op_read_region(request_get_op(request), &mem->memory, args->offset, &shm->region,
                           args->shm_offset, args->size);
        return REQUEST_LATER;
}

int method_mem_copy(Request *request, const struct mem_copy_args *args, struct gpud_none *ret) {
        Mem *src = args->src.mem;
        Mem *dst = args->dst.mem;
        int r;

        r = check_range(request, "src_offset", args->src_offset, args->size, "source", src->size);
        if (r == 0)
                r = check_range(request, "dst_offset", args->dst_offset, args->size, "destination",
                                dst->size);
        if (r)
                return r;
        gpu_op_copy(request_get_op(request), &src->memory, args->src_offset, &dst->memory, args->dst_offset,
                    args->size);
        return REQUEST_LATER;
}

int method_mem_fill(Request *request, const struct mem_fill_args *args, struct gpud_none *ret) {
        Mem *mem = args->mem.mem;
        size_t n = args->pattern.size;
        uint64_t size = args->size;
        int r;

        if (n == 0 || n > GPUD_PATTERN_MAX || (n & (n - 1)) != 0)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "`pattern` has %zu bytes, not 1, 2, 4, 8 or 16", n);
        if (!args->has_size)
                size = args->offset <= mem->size ? mem->size - args->offset : 0;
        r = check_range(request, "offset", args->offset, size, "allocation", mem->size);
        if (r)
                return r;
        gpu_op_fill(request_get_op(request), &mem->memory, args->offset, size, args->pattern.data, n);
        return REQUEST_LATER;
}
