/*
 * Which copies faster inside a device, its shaders or its copy command: measured once, at start, before there is
 * anything else to do. A real GPU's shaders are several times faster, a software GPU's several times slower.
 */

#include <sched.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/record.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"

#define SIZE_MIN  (UINT64_C(256) << 10)
#define SIZE_MAX_ (UINT64_C(256) << 20) /* at 400 GB/s, 0.7 ms */
#define SIZE_STEP 4
#define ENOUGH_NS UINT64_C(500000) /* some 20 us of it may be the way to the device and back */
#define N_ROUNDS  3

/* Copies `size` bytes in all from one half of the scratch memory to the other. */
static int copy_once(GpuDevice *device, uint64_t size, bool is_shader, uint64_t *ret_ns) {
        uint64_t half = device->scratch.size / 2, begin, value;
        GpuSpan src = {.segment = &device->scratch}, dst = {.segment = &device->scratch, .offset = half};
        GpuQueue *queue = device->compute;

        begin = clock_get_monotonic_ns();
        if (!queue_open(queue))
                return GPU_E_LOST;
        device->shader.is_used = is_shader;
        for (uint64_t done = 0; done < size; done += half) {
                queue_barrier(queue);
                record_copy(queue, src, dst, MIN(half, size - done));
        }
        value = queue_get_open_value(queue);
        queue_submit(queue);
        while (!device->is_lost && queue->completed < value) {
                sched_yield();
                queue_poll(queue);
        }
        *ret_ns = clock_get_monotonic_ns() - begin;
        return device->is_lost ? GPU_E_LOST : 0;
}

/* The least of a few times. The first is for memory to be touched and for code to be made ready. */
static int measure(GpuDevice *device, uint64_t size, bool is_shader, uint64_t *ret_ns) {
        uint64_t ns;
        int r;

        *ret_ns = UINT64_MAX;
        for (int i = 0; i <= N_ROUNDS; ++i) {
                r = copy_once(device, size, is_shader, &ns);
                if (r)
                        return r;
                *ret_ns = MIN(*ret_ns, ns);
        }
        return 0;
}

/* Ever more bytes, until the slower of the two takes long enough for the rest not to matter. */
static int compare(GpuDevice *device, bool *ret_is_shader) {
        uint64_t by_shader = 0, by_command = 0, size = SIZE_MIN;
        int r;

        for (; MAX(by_shader, by_command) < ENOUGH_NS && size <= SIZE_MAX_; size *= SIZE_STEP) {
                r = measure(device, size, true, &by_shader);
                if (r)
                        return r;
                r = measure(device, size, false, &by_command);
                if (r)
                        return r;
        }
        size /= SIZE_STEP;
        log_debug("%s copies %.1f GB/s by shader, %.1f GB/s by command", device->info.id,
                  (double)size / (double)by_shader, (double)size / (double)by_command);
        *ret_is_shader = by_shader < by_command;
        return 0;
}

int shader_choose(GpuDevice *device) {
        GpuCopy copy = device->instance->options.copy;
        bool is_shader = copy == GPU_COPY_SHADER;
        int r = 0;

        if (device->has_addresses)
                r = shader_init(&device->shader, device);
        if (r == GPU_E_LOST)
                return r;
        if (!device->has_addresses || r) {
                if (is_shader || r)
                        log_warning("%s does not run our shaders: it copies by command", device->info.id);
                device->has_addresses = false;
                return 0;
        }
        if (copy == GPU_COPY_AUTO) {
                r = compare(device, &is_shader);
                if (r)
                        return error_trace(r);
        }
        device->shader.is_used = is_shader;
        if (!is_shader) {
                shader_deinit(&device->shader, device);
                device->has_addresses = false;
        }
        return 0;
}
