#pragma once

/*
 * Compute shaders that copy and fill device memory by its addresses. Embedded in GpuDevice; what is recorded
 * runs on queues of the family of `compute`.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/vk.h"

#define GPU_SHADER_THREADS 256 /* in a workgroup */
#define GPU_SHADER_UNIT    16  /* bytes; every buffer that has an address begins at a multiple of it */

typedef struct GpuDevice GpuDevice;
typedef struct GpuShader GpuShader;

struct GpuShader {
        bool is_used; /* by record_copy() and for fills; else transfer commands do it all */
        uint32_t n_groups_max;
        VkPipelineLayout layout;
        VkPipeline copy;
        VkPipeline shift;
        VkPipeline fill;
};

/*
 * Requires: a zeroed structure, and a device that has buffer addresses. Returns 0 or an error of
 * gpu_result_from_vk(); shader_deinit() is due in any case.
 */
int shader_init(GpuShader *shader, const GpuDevice *device);

/* Works on a zeroed structure and on one whose init failed; leaves it zeroed. */
void shader_deinit(GpuShader *shader, const GpuDevice *device);

/* Returns what destination and size of a copy between two addresses must be multiples of: 16 or 4. */
uint32_t shader_get_unit(VkDeviceAddress src, VkDeviceAddress dst);

/* Copies less than 4 GiB. Requires: `dst` and `size` are multiples of shader_get_unit(). */
void shader_copy(const GpuShader *shader, VkCommandBuffer commands, VkDeviceAddress src, VkDeviceAddress dst,
                 uint64_t size);

/* Repeats the 16 bytes of `pattern`. Requires: `dst` and `size`, less than 4 GiB, are multiples of 16. */
void shader_fill(const GpuShader *shader, VkCommandBuffer commands, VkDeviceAddress dst, uint64_t size,
                 const void *pattern);

/*
 * Makes the shaders of a device and decides, by measuring or as the options say, whether they are used; those
 * that are not are freed. Returns 0 or an error of gpu_result_from_vk().
 */
int shader_choose(GpuDevice *device);
