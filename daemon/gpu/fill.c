/* The units that a pattern repeats in, and how much of it is laid out. Loop thread. */

#include "daemon/gpu/fill.h"

#include <string.h>

#include "daemon/gpu/device-internal.h"

#define FILL_RUN (UINT64_C(64) << 10) /* bytes of pattern that the host lays out */

/* Returns the smallest of 1, 2, 4, 8, 16 bytes that the pattern repeats in. */
static uint32_t get_period(const GpuOp *op) {
        uint32_t period = op->n_pattern;

        while (period > 1 && !memcmp(op->pattern, op->pattern + period / 2, period / 2))
                period /= 2;
        return period;
}

uint32_t fill_get_unit(const GpuOp *op) {
        if (get_period(op) <= sizeof(uint32_t))
                return sizeof(uint32_t);
        return op->dst.queue->device->shader.is_used ? GPU_SHADER_UNIT : 0;
}

uint64_t fill_get_run(const GpuOp *op, uint64_t position, uint64_t size) {
        uint32_t unit = fill_get_unit(op);

        if (unit && (op->dst.begin + position) % unit == 0 && size % unit == 0)
                return 0;
        if (unit && size > FILL_RUN)
                return 2 * GPU_OP_PATTERN_MAX;
        return MIN(size, FILL_RUN);
}

void fill_write_run(const GpuOp *op, uint64_t position, unsigned char *run, uint64_t size) {
        for (uint64_t i = 0; i < size; i++)
                run[i] = op->pattern[(position + i) % op->n_pattern];
}
