/*
 * Which copies faster inside a device, its shaders or its copy command: measured once, at start, before there
 * is anything else to do. A real GPU's shaders are several times faster, a software GPU's several times
 * slower.
 */

#include <inttypes.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/record.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"
#include "daemon/util/macros.h"

#define SIZE_MIN  (UINT64_C(256) << 10)
#define SIZE_MAX_ (UINT64_C(256) << 20) /* at 400 GB/s, 0.7 ms */
#define SIZE_STEP 4
#define ENOUGH_NS 500000.0F
#define N_ROUNDS  8
#define N_TIMES   2 /* before and after */

/*
 * Copies `size` bytes in all from one half of the scratch memory to the other. The device itself takes the
 * time: a host that is busy would add its own.
 */
static int copy_once(GpuDevice *device, VkQueryPool pool, uint64_t size, bool is_shader,
                     uint64_t *ret_ticks) {
        uint64_t half = device->scratch.size / 2, ticks[N_TIMES];
        GpuSpan src = {.segment = &device->scratch}, dst = {.segment = &device->scratch, .offset = half};
        GpuQueue *queue = device->compute;
        int r;

        if (!queue_open(queue))
                return GPU_E_LOST;
        device->shader.is_used = is_shader;
        vkCmdResetQueryPool(queue->open->commands, pool, 0, N_TIMES);
        vkCmdWriteTimestamp(queue->open->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool, 0);
        for (uint64_t done = 0; done < size; done += half) {
                queue_barrier(queue);
                record_copy(queue, src, dst, MIN(half, size - done));
        }
        vkCmdWriteTimestamp(queue->open->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool, 1);
        r = queue_finish(queue);
        if (r)
                return r;
        r = GPU_TRY(vkGetQueryPoolResults(device->vk, pool, 0, N_TIMES, sizeof(ticks), ticks,
                                          sizeof(ticks[0]), VK_QUERY_RESULT_64_BIT));
        if (r)
                return r;
        /* If the clock began anew meanwhile, these are far too many, and another round is the least. */
        *ret_ticks = ticks[1] - ticks[0];
        return 0;
}

/*
 * Takes the least of a few times of each, in turn. The first round is for memory to be touched and for code
 * to be made ready.
 */
static int measure(GpuDevice *device, VkQueryPool pool, uint64_t size, uint64_t *ret_by_shader,
                   uint64_t *ret_by_command) {
        uint64_t by_shader, by_command;
        int r;

        *ret_by_shader = *ret_by_command = UINT64_MAX;
        for (int i = 0; i <= N_ROUNDS; i++) {
                r = copy_once(device, pool, size, true, &by_shader);
                if (!r)
                        r = copy_once(device, pool, size, false, &by_command);
                if (r)
                        return r;
                *ret_by_shader = MIN(*ret_by_shader, by_shader);
                *ret_by_command = MIN(*ret_by_command, by_command);
        }
        return 0;
}

/* Measures with ever more bytes, until the slower of the two takes long enough for the rest not to matter. */
static int compare(GpuDevice *device, VkQueryPool pool, float period_ns, bool *ret_is_shader) {
        uint64_t by_shader = 0, by_command = 0, size = SIZE_MIN;
        int r;

        for (; MAX(by_shader, by_command) < ENOUGH_NS / period_ns && size <= SIZE_MAX_; size *= SIZE_STEP) {
                r = measure(device, pool, size, &by_shader, &by_command);
                if (r)
                        return r;
        }
        log_debug("%s copies %" PRIu64 " bytes in %.0f us by shader, in %.0f us by command", device->info.id,
                  size / SIZE_STEP, (float)by_shader * period_ns / 1e3F,
                  (float)by_command * period_ns / 1e3F);
        *ret_is_shader = by_shader < by_command;
        return 0;
}

/* Leaves `ret_is_shader` alone where the device does not tell the time. */
static int choose_by_time(GpuDevice *device, bool *ret_is_shader) {
        VkQueryPoolCreateInfo info = {
                .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                .queryType = VK_QUERY_TYPE_TIMESTAMP,
                .queryCount = N_TIMES,
        };
        VkPhysicalDeviceProperties properties;
        VkQueryPool pool;
        int r;

        vkGetPhysicalDeviceProperties(device->physical, &properties);
        if (!properties.limits.timestampComputeAndGraphics)
                return 0;
        r = GPU_TRY(vkCreateQueryPool(device->vk, &info, NULL, &pool));
        if (r)
                return r;
        r = compare(device, pool, properties.limits.timestampPeriod, ret_is_shader);
        vkDestroyQueryPool(device->vk, pool, NULL);
        return r;
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
                is_shader = false;
        } else if (copy == GPU_COPY_AUTO) {
                r = choose_by_time(device, &is_shader);
                if (r)
                        return r;
        }
        device->shader.is_used = is_shader;
        if (!is_shader) {
                shader_deinit(&device->shader, device);
                device->has_addresses = false;
        }
        return 0;
}
