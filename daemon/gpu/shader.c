/* The pipelines and their dispatches; loop thread. No descriptors: addresses go with the push constants. */

#include "daemon/gpu/shader.h"

#include <assert.h>
#include <string.h>

#include "daemon/gpu/device-internal.h"

/* As in the sources of the shaders. */
#define COPY_TILE 256 /* units that a workgroup takes at a time: on a real GPU, one a thread is fastest */
#define TILE      1024
#define QUAD      GPU_SHADER_UNIT
#define WORD      4

typedef struct Push {
        VkDeviceAddress from;
        VkDeviceAddress to;
        unsigned char pattern[QUAD];
        uint32_t n;
        uint32_t shift;
} Push;

static const uint32_t copy_code[] =
#include "daemon/gpu/copy.spv.h"
        ;

static const uint32_t shift_code[] =
#include "daemon/gpu/shift.spv.h"
        ;

static const uint32_t fill_code[] =
#include "daemon/gpu/fill.spv.h"
        ;

static int shader_compile(const GpuShader *shader, const GpuDevice *device, const uint32_t *code, size_t size,
                          VkPipeline *ret_pipeline) {
        VkComputePipelineCreateInfo info = {
                .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                .stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .stage.stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .stage.pName = "main",
                .layout = shader->layout,
        };
        int r;

        r = GPU_TRY(vkCreateShaderModule(device->vk,
                                         &(VkShaderModuleCreateInfo){
                                                 .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                 .codeSize = size,
                                                 .pCode = code,
                                         },
                                         NULL, &info.stage.module));
        if (r)
                return r;
        r = GPU_TRY(vkCreateComputePipelines(device->vk, VK_NULL_HANDLE, 1, &info, NULL, ret_pipeline));
        vkDestroyShaderModule(device->vk, info.stage.module, NULL);
        return r;
}

static int shader_init_pipelines(GpuShader *shader, const GpuDevice *device) {
        static const VkPushConstantRange push = {
                .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                .size = sizeof(Push),
        };
        int r;

        r = GPU_TRY(vkCreatePipelineLayout(device->vk,
                                           &(VkPipelineLayoutCreateInfo){
                                                   .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                   .pushConstantRangeCount = 1,
                                                   .pPushConstantRanges = &push,
                                           },
                                           NULL, &shader->layout));
        if (r)
                return r;
        r = shader_compile(shader, device, copy_code, sizeof(copy_code), &shader->copy);
        if (r)
                return r;
        r = shader_compile(shader, device, shift_code, sizeof(shift_code), &shader->shift);
        if (r)
                return r;
        return shader_compile(shader, device, fill_code, sizeof(fill_code), &shader->fill);
}

int shader_init(GpuShader *shader, const GpuDevice *device) {
        VkPhysicalDeviceProperties properties;

        vkGetPhysicalDeviceProperties(device->physical, &properties);
        shader->n_groups_max = properties.limits.maxComputeWorkGroupCount[0];
        return shader_init_pipelines(shader, device);
}

void shader_deinit(GpuShader *shader, const GpuDevice *device) {
        vkDestroyPipeline(device->vk, shader->copy, NULL);
        vkDestroyPipeline(device->vk, shader->shift, NULL);
        vkDestroyPipeline(device->vk, shader->fill, NULL);
        vkDestroyPipelineLayout(device->vk, shader->layout, NULL);
        *shader = (GpuShader){};
}

static void dispatch(const GpuShader *shader, VkCommandBuffer commands, VkPipeline pipeline, uint32_t tile,
                     const Push *push) {
        uint32_t n_tiles = push->n / tile + (push->n % tile != 0);

        vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
        vkCmdPushConstants(commands, shader->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(*push), push);
        /* A workgroup goes on to other tiles where there are more than a dispatch can have workgroups. */
        vkCmdDispatch(commands, MIN(n_tiles, shader->n_groups_max), 1, 1);
}

uint32_t shader_get_unit(VkDeviceAddress src, VkDeviceAddress dst) {
        return (src ^ dst) % QUAD == 0 ? QUAD : WORD;
}

void shader_copy(const GpuShader *shader, VkCommandBuffer commands, VkDeviceAddress src, VkDeviceAddress dst,
                 uint64_t size) {
        uint32_t unit = shader_get_unit(src, dst);
        Push push = {.from = src, .to = dst, .n = (uint32_t)(size / unit)};

        assert(dst % unit == 0 && size % unit == 0 && size <= UINT32_MAX);
        if (unit == WORD) {
                push.shift = src % WORD;
                push.from -= push.shift;
        }
        if (unit == WORD)
                dispatch(shader, commands, shader->shift, TILE, &push);
        else
                dispatch(shader, commands, shader->copy, COPY_TILE, &push);
}

void shader_fill(const GpuShader *shader, VkCommandBuffer commands, VkDeviceAddress dst, uint64_t size,
                 const void *pattern) {
        Push push = {.to = dst, .n = (uint32_t)(size / QUAD)};

        assert(dst % QUAD == 0 && size % QUAD == 0 && size <= UINT32_MAX);
        memcpy(push.pattern, pattern, sizeof(push.pattern));
        dispatch(shader, commands, shader->fill, TILE, &push);
}
