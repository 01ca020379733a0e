/* What a VkResult is called and what it means to us. No state; any thread. */

#include "daemon/gpu/vk.h"

#include <errno.h>

#include "daemon/util/log.h"

static const char *result_to_string(VkResult result) {
#define NAME(result_)                                                                                        \
        case result_:                                                                                        \
                return #result_
        switch (result) {
                NAME(VK_NOT_READY);
                NAME(VK_TIMEOUT);
                NAME(VK_INCOMPLETE);
                NAME(VK_ERROR_OUT_OF_HOST_MEMORY);
                NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY);
                NAME(VK_ERROR_INITIALIZATION_FAILED);
                NAME(VK_ERROR_DEVICE_LOST);
                NAME(VK_ERROR_MEMORY_MAP_FAILED);
                NAME(VK_ERROR_LAYER_NOT_PRESENT);
                NAME(VK_ERROR_EXTENSION_NOT_PRESENT);
                NAME(VK_ERROR_FEATURE_NOT_PRESENT);
                NAME(VK_ERROR_INCOMPATIBLE_DRIVER);
                NAME(VK_ERROR_TOO_MANY_OBJECTS);
                NAME(VK_ERROR_INVALID_EXTERNAL_HANDLE);
        default:
                return "another VkResult";
        }
#undef NAME
}

int gpu_result_from_vk(VkResult result, const char *call) {
        switch (result) {
        case VK_SUCCESS:
                return 0;
        case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        case VK_ERROR_OUT_OF_HOST_MEMORY:
        case VK_ERROR_TOO_MANY_OBJECTS:
                log_debug("%s (%d) from %s", result_to_string(result), (int)result, call);
                return GPU_E_NO_MEMORY;
        default:
                log_error("%s (%d) from %s", result_to_string(result), (int)result, call);
                return result == VK_ERROR_DEVICE_LOST ? GPU_E_LOST : -EIO;
        }
}
