/* One device: what it is made of. Loop thread. */

#include "daemon/gpu/device.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/record.h"
#include "daemon/gpu/schedule.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"

#define STAGED_MAX    (UINT64_C(4) << 20) /* a memcpy of some 0.4 ms: four of them keep four workers busy */
#define BLOCK_MIN     (UINT64_C(64) << 10)
#define STAGING_SHARE 8
#define N_SETTLE      1024
#define SETTLE_BYTES  512 /* too few for a shader, which not every queue runs */
#define PIECES_SHARE  16  /* of the allocations that the driver allows, for one region */

/* Queues. */

/* Returns the family that has all of `with` and none of `without`; `n_families` when there is none. */
static uint32_t find_family(const VkQueueFamilyProperties *families, uint32_t n_families, VkQueueFlags with,
                            VkQueueFlags without) {
        for (uint32_t i = 0; i < n_families; i++) {
                if ((families[i].queueFlags & with) == with && !(families[i].queueFlags & without))
                        return i;
        }
        return n_families;
}

static GpuQueueChoice choose_queue(const VkQueueFamilyProperties *families, uint32_t family, uint32_t index) {
        GpuQueueChoice choice = {
                .family = family,
                .index = MIN(index, families[family].queueCount - 1),
                .stages = VK_PIPELINE_STAGE_TRANSFER_BIT,
                .accesses = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        };

        if (families[family].queueFlags & VK_QUEUE_COMPUTE_BIT) {
                choice.stages |= VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
                choice.accesses |= VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
        }
        return choice;
}

/*
 * Chooses queues for the roles, in the order of device_init_queues(): two copy engines where there are some,
 * and two compute queues, apart from graphics if there are such. Where queues are too few, roles share the
 * last. Returns 0 or GPU_E_NO_DEVICE.
 */
static int choose_queues(VkPhysicalDevice physical, GpuQueueChoice *ret_choices) {
        VkQueueFamilyProperties families[16];
        uint32_t n = N_ELEMENTS(families), compute, transfer, n_before = 0;

        vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, families);
        compute = find_family(families, n, VK_QUEUE_COMPUTE_BIT, VK_QUEUE_GRAPHICS_BIT);
        if (compute == n)
                compute = find_family(families, n, VK_QUEUE_COMPUTE_BIT, 0);
        if (compute == n)
                return GPU_E_NO_DEVICE;
        transfer =
                find_family(families, n, VK_QUEUE_TRANSFER_BIT, VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT);
        if (transfer == n) {
                transfer = compute;
                n_before = 2;
        }
        ret_choices[0] = choose_queue(families, transfer, n_before);
        ret_choices[1] = choose_queue(families, transfer, n_before + 1);
        ret_choices[2] = choose_queue(families, compute, 0);
        ret_choices[3] = choose_queue(families, compute, 1);
        return 0;
}

static int device_init_vk(GpuDevice *device, const GpuQueueChoice *choices) {
        static const float priorities[GPU_N_QUEUES_MAX] = {1, 1, 1, 1};
        VkDeviceQueueCreateInfo queues[GPU_N_QUEUES_MAX];
        const char *extensions[8];
        uint32_t n_extensions = 0;
        VkPhysicalDeviceVulkan12Features features = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                .timelineSemaphore = VK_TRUE,
                .bufferDeviceAddress = device->has_addresses,
        };

        for (uint32_t i = 0; i < GPU_N_QUEUES_MAX; i++) {
                uint32_t f = 0;

                while (f < device->n_families && device->families[f] != choices[i].family)
                        f++;
                if (f == device->n_families) {
                        device->families[device->n_families++] = choices[i].family;
                        queues[f] = (VkDeviceQueueCreateInfo){
                                .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                .queueFamilyIndex = choices[i].family,
                                .pQueuePriorities = priorities,
                        };
                }
                queues[f].queueCount = MAX(queues[f].queueCount, choices[i].index + 1);
        }
        if (device->info.exportable)
                extensions[n_extensions++] = VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME;
        if (device->info.host_import)
                extensions[n_extensions++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
        if (device->has_budget)
                extensions[n_extensions++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
        return GPU_TRY(vkCreateDevice(device->physical,
                                      &(VkDeviceCreateInfo){
                                              .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                              .pNext = &features,
                                              .queueCreateInfoCount = device->n_families,
                                              .pQueueCreateInfos = queues,
                                              .enabledExtensionCount = n_extensions,
                                              .ppEnabledExtensionNames = extensions,
                                      },
                                      NULL, &device->vk));
}

static int device_init_queues(GpuDevice *device, const GpuQueueChoice *choices) {
        GpuQueue **roles[] = {&device->bus[0], &device->bus[1], &device->compute, &device->aside};
        int r;

        static_assert(N_ELEMENTS(roles) == GPU_N_QUEUES_MAX, "each role may have a queue of its own");
        for (uint32_t i = 0; i < N_ELEMENTS(roles); i++) {
                for (uint32_t j = 0; j < i && !device->instance->options.split_queues; j++) {
                        if (choices[j].family == choices[i].family && choices[j].index == choices[i].index)
                                *roles[i] = *roles[j];
                }
                if (*roles[i])
                        continue;
                *roles[i] = &device->queues[device->n_queues];
                r = queue_init(*roles[i], device, device->n_queues, &choices[i]);
                device->n_queues++;
                if (r)
                        return r;
        }
        return 0;
}

/* Memory. */

uint32_t device_get_memory_types(const GpuDevice *device, uint32_t types, VkMemoryPropertyFlags properties) {
        VkPhysicalDeviceMemoryProperties memory;
        uint32_t found = 0;

        vkGetPhysicalDeviceMemoryProperties(device->physical, &memory);
        for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
                if ((memory.memoryTypes[i].propertyFlags & properties) == properties)
                        found |= types & 1u << i;
        }
        return found;
}

/*
 * Takes the largest device-local heap, or as much of it as is configured. Drivers list the types of a heap
 * from the fastest on.
 */
static void device_choose_memory(GpuDevice *device) {
        VkPhysicalDeviceMemoryProperties memory;

        vkGetPhysicalDeviceMemoryProperties(device->physical, &memory);
        for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
                if (!(memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) ||
                    memory.memoryHeaps[i].size <= device->ledger.total)
                        continue;
                device->ledger.total = memory.memoryHeaps[i].size;
                device->heap = i;
        }
        for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
                if (memory.memoryTypes[i].heapIndex == device->heap)
                        device->memory_types |= 1u << i;
        }
        device->memory_types =
                device_get_memory_types(device, device->memory_types, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
        device->ledger.total = MIN(device->ledger.total, device->instance->options.memory_max);
        device->info.memory_total = device->ledger.total;
}

static void device_choose_sizes(GpuDevice *device) {
        const GpuOptions *options = &device->instance->options;
        VkPhysicalDeviceMaintenance3Properties maintenance = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
        };
        VkPhysicalDeviceProperties2 properties = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                .pNext = &maintenance,
        };
        uint64_t block = MIN(device->ledger.total / OPTION_BLOCK_SHARE, options->block_max);

        vkGetPhysicalDeviceProperties2(device->physical, &properties);
        device->segment_max = options->segment_max;
        /* NVIDIA's driver gives far more than it says; the validation layer holds us to its word. */
        if (options->validation)
                device->segment_max = MIN(device->segment_max, maintenance.maxMemoryAllocationSize);
        device->segment_max = MAX(device->segment_max & ~(BLOCK_MIN - 1), BLOCK_MIN);
        device->block_size = MAX(block & ~(BLOCK_MIN - 1), BLOCK_MIN);
        device->pieces_max = properties.properties.limits.maxMemoryAllocationCount / PIECES_SHARE;
        device->chunk_local = device->is_cpu ? GPU_CHUNK : GPU_CHUNK_LOCAL;
}

static int device_init_staging(GpuDevice *device) {
        uint64_t size = ALIGN_UP(device->instance->options.staging_bytes, (uint64_t)GPU_RING_UNIT);
        GpuSegmentSource on_host = {
                .types = device_get_memory_types(device, UINT32_MAX,
                                                 VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT),
                .preferred = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
        };
        GpuSegmentSource on_device = {.types = device->memory_types, .has_address = device->has_addresses};
        void *map;
        int r;

        r = segment_init(&device->staging, device, size, &on_host);
        if (r) {
                log_error("%s: there is no memory for staging_bytes = %" PRIu64, device->info.id, size);
                return r;
        }
        r = GPU_TRY(vkMapMemory(device->vk, device->staging.memory, 0, VK_WHOLE_SIZE, 0, &map));
        if (r)
                return r;
        r = ring_init(&device->ring, map, size);
        if (r)
                return r;
        device->staged_max = MIN(STAGED_MAX, size / STAGING_SHARE);
        device->chunk_bus = device->imports ? GPU_CHUNK : device->staged_max;
        return segment_init(&device->scratch, device, GPU_CHUNK, &on_device);
}

static int settle_queue(GpuQueue *queue) {
        GpuSpan src = {.segment = &queue->device->scratch};
        int r;

        static_assert((N_SETTLE + 1) * SETTLE_BYTES <= GPU_CHUNK, "the scratch memory has a place for each");
        for (uint64_t i = 0; i < N_SETTLE; i++) {
                /* Each writes a place of its own, since nothing makes one wait for another. */
                GpuSpan dst = {.segment = &queue->device->scratch, .offset = (i + 1) * SETTLE_BYTES};

                if (list_is_empty(&queue->idle)) {
                        r = queue_finish(queue);
                        if (r)
                                return r;
                }
                if (!queue_open(queue))
                        return GPU_E_LOST;
                record_copy(queue, src, dst, SETTLE_BYTES);
                queue_submit(queue);
        }
        return queue_finish(queue);
}

/*
 * NVIDIA's driver gives back what it set queues up with inside some later submit, between the 100th and the
 * 630th of a queue, and takes 1 to 4 ms. The submits here go ahead of that, so that no client waits for it;
 * all four queues take 30 ms.
 */
static int settle_queues(GpuDevice *device) {
        int r = 0;

        for (uint32_t i = 0; i < device->n_queues && !r; i++)
                r = settle_queue(&device->queues[i]);
        return r;
}

/* The whole. */

int device_new_timeline(const GpuDevice *device, VkSemaphore *ret_semaphore) {
        VkSemaphoreTypeCreateInfo type = {
                .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
        };
        VkSemaphoreCreateInfo info = {
                .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                .pNext = &type,
        };

        return GPU_TRY(vkCreateSemaphore(device->vk, &info, NULL, ret_semaphore));
}

/*
 * The memory of Mesa's software device is a file, and whether that grew Mesa does not look: gpud would end by
 * SIGBUS where it did not. Returns 0, or GPU_E_NO_DEVICE if files may not grow as they will have to.
 */
static int check_file_size(const GpuDevice *device) {
        struct rlimit limit;

        if (!device->is_cpu || getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
                return 0;
        log_error("%s has its memory in a file, which may have no more than %ju bytes (RLIMIT_FSIZE): lift "
                  "that limit",
                  device->info.id, (uintmax_t)limit.rlim_cur);
        return GPU_E_NO_DEVICE;
}

static int device_init(GpuDevice *device) {
        GpuQueueChoice choices[GPU_N_QUEUES_MAX];
        int r;

        r = check_file_size(device);
        if (r)
                return r;
        r = choose_queues(device->physical, choices);
        if (r)
                return r;
        device_choose_memory(device);
        device_choose_sizes(device);
        r = device_init_vk(device, choices);
        if (r)
                return r;
        device->get_host_pointer_properties = (PFN_vkGetMemoryHostPointerPropertiesEXT)vkGetDeviceProcAddr(
                device->vk, "vkGetMemoryHostPointerPropertiesEXT");
        r = device_init_queues(device, choices);
        if (r)
                return r;
        r = device_init_staging(device);
        if (r)
                return r;
        schedule_init(device);
        r = shader_choose(device);
        if (r)
                return r;
        r = settle_queues(device);
        if (r)
                return r;
        return waiter_init(&device->waiter, device);
}

static void device_freep(GpuDevice **device) {
        device_free(*device);
}

int device_new(GpuDevice **ret_device, GpuInstance *instance, uint32_t index, const GpuCandidate *candidate) {
        _cleanup_(device_freep) GpuDevice *device = NULL;
        int r;

        device = calloc(1, sizeof(*device));
        if (!device)
                return error_origin(-ENOMEM);
        device->instance = instance;
        device->index = index;
        device->physical = candidate->physical;
        device->info = candidate->info;
        device->has_budget = candidate->has_budget;
        device->has_addresses = candidate->has_addresses && instance->options.copy != GPU_COPY_COMMAND;
        device->import_alignment = candidate->import_alignment;
        device->imports = candidate->info.host_import && !instance->options.force_staging;
        device->is_cpu = candidate->info.type == GPU_DEVICE_CPU;
        gate_init(&device->gate);
        pools_init(&device->pools);
        list_init(&device->accesses);
        list_init(&device->starved);
        list_init(&device->ring.waiting);

        r = device_init(device);
        if (r)
                return r;
        *ret_device = STEAL(device);
        return 0;
}

GpuDevice *device_free(GpuDevice *device) {
        if (!device)
                return NULL;
        assert(!device->gate.is_closed);
        waiter_deinit(&device->waiter);
        if (device->vk) {
                vkDeviceWaitIdle(device->vk);
                pools_deinit(&device->pools);
                shader_deinit(&device->shader, device);
                segment_deinit(&device->scratch, device);
                segment_deinit(&device->staging, device);
        }
        ring_deinit(&device->ring);
        schedule_deinit(device);
        for (uint32_t i = 0; i < GPU_N_QUEUES_MAX; i++)
                queue_deinit(&device->queues[i]);
        vkDestroyDevice(device->vk, NULL);
        free(device);
        return NULL;
}

void device_set_lost(GpuDevice *device) {
        if (device->is_lost)
                return;
        log_error("%s (%s) is lost, with all that is on it", device->info.id, device->info.name);
        device->is_lost = true;
}

const GpuDeviceInfo *gpu_device_get_info(const GpuDevice *device) {
        return &device->info;
}

bool gpu_device_is_lost(const GpuDevice *device) {
        return device->is_lost;
}

void gpu_device_get_ledger(GpuDevice *device, GpuLedger *ret_ledger) {
        VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT,
        };
        VkPhysicalDeviceMemoryProperties2 memory = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                .pNext = &budget,
        };
        GpuLedger *ledger = &device->ledger;

        /* While the gate is closed, what the driver said last must do. */
        if (device->has_budget && !device->gate.is_closed && !device->is_lost) {
                vkGetPhysicalDeviceMemoryProperties2(device->physical, &memory);
                ledger->has_budget = true;
                ledger->driver_budget = budget.heapBudget[device->heap];
                ledger->driver_used = budget.heapUsage[device->heap];
        }
        ledger->available = ledger->total - MIN(ledger->total, ledger->used);
        *ret_ledger = *ledger;
}
