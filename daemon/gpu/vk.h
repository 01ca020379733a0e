#pragma once

/* Vulkan for the inside of this layer, and the only place where a VkResult turns into one of our results. */

#include <vulkan/vulkan.h>

#include "daemon/gpu/result.h"

/*
 * Turns `result` of `call` into 0, GPU_E_NO_MEMORY, GPU_E_LOST or -EIO; the last two are logged as errors,
 * with the call. Any thread.
 */
int gpu_result_from_vk(VkResult result, const char *call);

#define GPU_TRY(call_) gpu_result_from_vk((call_), #call_)
