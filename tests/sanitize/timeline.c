/*
 * Linked into programs that are built with ThreadSanitizer. Mesa takes a timeline's lock, looks at what has
 * ended, lets go of the lock and only then reads the value (vk_sync_timeline_get_value). Where another of its
 * threads moves the value on just then, the caller learns of an end without having held a lock after it, and
 * what it goes on to read would be reported as a race. Asked once more, Mesa takes the lock after that
 * thread, and all is in order.
 */

#include <dlfcn.h>
#include <vulkan/vulkan.h>

VkResult vkGetSemaphoreCounterValue(VkDevice device, VkSemaphore semaphore, uint64_t *value) {
        static PFN_vkGetSemaphoreCounterValue next;
        uint64_t later;
        VkResult result;

        if (!next)
                next = (PFN_vkGetSemaphoreCounterValue)dlsym(RTLD_NEXT, "vkGetSemaphoreCounterValue");
        result = next(device, semaphore, value);
        return result == VK_SUCCESS ? next(device, semaphore, &later) : result;
}
