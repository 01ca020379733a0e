/*
 * Each allocation of the layer and each call that makes something in the driver fails in turn: what was made
 * before it goes again, and the layer goes on. The driver's own allocations do not fail: most drivers would
 * not survive it.
 */

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vulkan/vulkan.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/result.h"
#include "daemon/util/macros.h"
#include "daemon/util/thread.h"
#include "tests/unit/gpu/loop.h"

#define MIB (UINT64_C(1) << 20)

static atomic_long n_until; /* the n-th call from here fails, once; below 1: none does */
static atomic_long n_live;  /* made and not gone: memory, maps and the driver's objects */

static bool fails(void) {
        return atomic_fetch_sub(&n_until, 1) == 1;
}

/* The linker gives the layer, and nobody else, these in place of the C library's functions. */

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
        void *memory = fails() ? NULL : malloc(size);

        n_live += memory != NULL;
        return memory;
}

void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) {
        void *memory = fails() ? NULL : calloc(n, size);

        n_live += memory != NULL;
        return memory;
}

void *__wrap_reallocarray(void *old, size_t n, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size) {
        void *memory = fails() ? NULL : reallocarray(old, n, size);

        n_live += memory && !old;
        return memory;
}

void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size) {
        return __wrap_reallocarray(old, 1, size);
}

void __wrap_free(void *memory);
void __wrap_free(void *memory) {
        n_live -= memory != NULL;
        free(memory);
}

void *__wrap_mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset) {
        void *map = fails() ? MAP_FAILED : mmap(place, size, protection, flags, fd, offset);

        n_live += map != MAP_FAILED;
        return map;
}

int __wrap_munmap(void *map, size_t size);
int __wrap_munmap(void *map, size_t size) {
        n_live--;
        return munmap(map, size);
}

int __wrap_thread_start(pthread_t *ret_thread, void *(*run)(void *userdata), void *userdata);
int __wrap_thread_start(pthread_t *ret_thread, void *(*run)(void *userdata), void *userdata) {
        return fails() ? -EAGAIN : thread_start(ret_thread, run, userdata);
}

/* The driver's functions by their own names: those of the program come before a library's. */

#define REAL(name_) ((PFN_##name_)dlsym(RTLD_NEXT, #name_))

#define MAKES(name_, Owner_, Info_, Object_)                                                                 \
        VkResult name_(Owner_ owner, const Info_ *info, const VkAllocationCallbacks *callbacks,              \
                       Object_ *object) {                                                                    \
                VkResult result =                                                                            \
                        fails() ? VK_ERROR_OUT_OF_HOST_MEMORY : REAL(name_)(owner, info, callbacks, object); \
                                                                                                             \
                n_live += result == VK_SUCCESS;                                                              \
                return result;                                                                               \
        }

#define DESTROYS(name_, Object_)                                                                             \
        void name_(VkDevice device, Object_ object, const VkAllocationCallbacks *callbacks) {                \
                n_live -= object != VK_NULL_HANDLE;                                                          \
                REAL(name_)(device, object, callbacks);                                                      \
        }

MAKES(vkCreateDevice, VkPhysicalDevice, VkDeviceCreateInfo, VkDevice)
MAKES(vkCreateSemaphore, VkDevice, VkSemaphoreCreateInfo, VkSemaphore)
MAKES(vkCreateCommandPool, VkDevice, VkCommandPoolCreateInfo, VkCommandPool)
MAKES(vkCreateBuffer, VkDevice, VkBufferCreateInfo, VkBuffer)
MAKES(vkAllocateMemory, VkDevice, VkMemoryAllocateInfo, VkDeviceMemory)
MAKES(vkCreateShaderModule, VkDevice, VkShaderModuleCreateInfo, VkShaderModule)
MAKES(vkCreatePipelineLayout, VkDevice, VkPipelineLayoutCreateInfo, VkPipelineLayout)
MAKES(vkCreateQueryPool, VkDevice, VkQueryPoolCreateInfo, VkQueryPool)
DESTROYS(vkDestroySemaphore, VkSemaphore)
DESTROYS(vkDestroyCommandPool, VkCommandPool)
DESTROYS(vkDestroyBuffer, VkBuffer)
DESTROYS(vkFreeMemory, VkDeviceMemory)
DESTROYS(vkDestroyShaderModule, VkShaderModule)
DESTROYS(vkDestroyPipelineLayout, VkPipelineLayout)
DESTROYS(vkDestroyPipeline, VkPipeline)
DESTROYS(vkDestroyQueryPool, VkQueryPool)

void vkDestroyDevice(VkDevice device, const VkAllocationCallbacks *callbacks) {
        n_live -= device != NULL;
        REAL(vkDestroyDevice)(device, callbacks);
}

VkResult vkCreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t n,
                                  const VkComputePipelineCreateInfo *infos,
                                  const VkAllocationCallbacks *callbacks, VkPipeline *pipelines) {
        VkResult result =
                fails() ? VK_ERROR_OUT_OF_HOST_MEMORY
                        : REAL(vkCreateComputePipelines)(device, cache, n, infos, callbacks, pipelines);

        ck_assert_uint_eq(n, 1);
        n_live += result == VK_SUCCESS;
        return result;
}

VkResult vkAllocateCommandBuffers(VkDevice device, const VkCommandBufferAllocateInfo *info,
                                  VkCommandBuffer *buffers) {
        return fails() ? VK_ERROR_OUT_OF_HOST_MEMORY : REAL(vkAllocateCommandBuffers)(device, info, buffers);
}

VkResult vkBindBufferMemory(VkDevice device, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset) {
        return fails() ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                       : REAL(vkBindBufferMemory)(device, buffer, memory, offset);
}

VkResult vkMapMemory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                     VkMemoryMapFlags flags, void **ret_map) {
        return fails() ? VK_ERROR_MEMORY_MAP_FAILED
                       : REAL(vkMapMemory)(device, memory, offset, size, flags, ret_map);
}

static void ignore_task(void *userdata, GpuTask *task) {
        (void)userdata;
        (void)task;
}

static void ignore_notify(void *userdata) {
        (void)userdata;
}

/* There is no instance without its one device; without shaders there is. */
START_TEST(test_start) {
        GpuHost host = {.execute = ignore_task, .notify = ignore_notify};
        char id[] = "vulkan:0", *ids[] = {id};
        GpuOptions options = {.split_queues = true, .devices = {.names = ids, .n_names = 1}};
        GpuInstance *instance = NULL;
        bool is_through = false;
        long n_failed = 0;

        loop_choose_sizes(&options);
        for (long n = 1; !is_through; n++) {
                int r;

                n_until = n;
                r = gpu_instance_new(&instance, &options, &host);
                is_through = n_until > 0;
                n_until = 0;
                ck_assert(r == 0 || r == GPU_E_NO_DEVICE || r == -ENOMEM);
                n_failed += r != 0;
                if (r == 0)
                        gpu_instance_free(instance);
                ck_assert_msg(n_live == 0, "%ld are left, the %ld-th call failed", n_live, n);
        }
        ck_assert_int_gt(n_failed, 20);
}
END_TEST

/*
 * Allocates a small memory, a long one and an exportable one, for an owner who has nothing else; of his pool
 * nothing may be left.
 */
static void memories_try(Loop *loop) {
        static const uint64_t sizes[] = {100, 5 * MIB / 2, 2 * MIB};
        TestMemory memories[N_ELEMENTS(sizes)];

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                int r;

                memories[i] = (TestMemory){.r = -1};
                r = gpu_memory_init(&memories[i].memory, loop->device, 1, sizes[i], i == 2, memory_on_ready);
                if (r != REQUEST_LATER)
                        memories[i].r = r;
                while (memories[i].r < 0) {
                        loop_wake(loop);
                        loop_turn(loop);
                }
                ck_assert(memories[i].r == 0 || memories[i].r == GPU_E_NO_MEMORY);
        }
        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                if (memories[i].r == 0)
                        memory_deinit(loop, &memories[i]);
        }
        gpu_instance_trim(loop->instance, 1);
        while (!list_is_empty(&loop->device->pools.buckets[1])) {
                loop_wake(loop);
                loop_turn(loop);
        }
}

static void region_try(Loop *loop, uint64_t size) {
        TestRegion region = {
                .map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
        };

        if (gpu_region_init(&region.region, loop->instance, region.map, size, region_on_ready)) {
                munmap(region.map, size);
                return;
        }
        loop_wake(loop);
        while (!region.is_ready)
                loop_turn(loop);
        region_deinit(loop, &region);
}

START_TEST(test_memories_and_regions) {
        bool is_through = false;
        Loop loop;

        loop_init(&loop, &(GpuOptions){.block_max = MIB, .segment_max = MIB});
        for (long n = 1; !is_through; n++) {
                n_until = n;
                memories_try(&loop);
                region_try(&loop, 20 * MIB);
                is_through = n_until > 0;
                n_until = 0;
        }
        loop_deinit(&loop);
        ck_assert_msg(n_live == 0, "%ld are left", n_live);
}
END_TEST

/* The first copy from device to device opens the way between them; if it cannot, the next one tries again. */
START_TEST(test_bounce) {
        TestMemory src, dst;
        long n_refused = 0;
        TestOp op = {.r = -1};
        Loop loop;

        loop_add_device();
        loop_init(&loop, &(GpuOptions){});
        if (loop_get_second(&loop) == loop.device) {
                loop_deinit(&loop);
                return;
        }
        memory_init(&loop, &src, loop.device, 100, false);
        memory_init(&loop, &dst, loop_get_second(&loop), 100, false);
        while (op.r != 0) {
                n_until = n_refused + 1;
                gpu_op_copy(op_prepare(&op), &src.memory, 0, &dst.memory, 0, 100);
                op_wait(&loop, &op);
                ck_assert(op.r == 0 || op.r == GPU_E_NO_HOST_MEMORY);
                n_refused += op.r != 0;
        }
        n_until = 0;
        ck_assert_int_gt(n_refused, 5);
        memory_deinit(&loop, &src);
        memory_deinit(&loop, &dst);
        loop_deinit(&loop);
        ck_assert_msg(n_live == 0, "%ld are left", n_live);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("failing");
        TCase *tcase = tcase_create("failing");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_test(tcase, test_start);
        tcase_add_test(tcase, test_memories_and_regions);
        tcase_add_test(tcase, test_bounce);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
