/*
 * The instance: which devices there are, and a loop turn over all of them. Loop thread; the messenger any.
 */

#include "daemon/gpu/instance.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/schedule.h"
#include "daemon/gpu/transfer.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"
#define BOUNCE_BYTES     (8 * GPU_CHUNK) /* both links busy, and some to spare */
#define CALLBACKS_MAX    128             /* in one turn: each makes a reply, of some 2 us */

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *userdata) {
        GpuInstance *instance = userdata;

        (void)severity;
        (void)types;
        atomic_fetch_add(&instance->n_validation, 1);
        log_error("validation: %s", data->pMessage);
        return VK_FALSE;
}

static bool has_validation_layer(void) {
        VkLayerProperties layers[64];
        uint32_t n = N_ELEMENTS(layers);
        VkResult result = vkEnumerateInstanceLayerProperties(&n, layers);

        for (uint32_t i = 0; i < n && result >= 0; i++) {
                if (!strcmp(layers[i].layerName, VALIDATION_LAYER))
                        return true;
        }
        return false;
}

static int instance_init_messenger(GpuInstance *instance, const VkDebugUtilsMessengerCreateInfoEXT *info) {
        PFN_vkCreateDebugUtilsMessengerEXT create = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
                instance->vk, "vkCreateDebugUtilsMessengerEXT");

        return error_fold(GPU_TRY(create(instance->vk, info, NULL, &instance->messenger)));
}

static int instance_init_vk(GpuInstance *instance) {
        static const VkValidationFeatureEnableEXT synchronization =
                VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
        static const char *const layers[] = {VALIDATION_LAYER};
        static const char *const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
        VkDebugUtilsMessengerCreateInfoEXT messenger = {
                .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
                .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                                   VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                               VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
                .pfnUserCallback = on_message,
                .pUserData = instance,
        };
        VkValidationFeaturesEXT features = {
                .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                .pNext = &messenger,
                .enabledValidationFeatureCount = 1,
                .pEnabledValidationFeatures = &synchronization,
        };
        VkApplicationInfo application = {
                .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                .pApplicationName = "gpud",
                .apiVersion = VK_API_VERSION_1_2,
        };
        VkInstanceCreateInfo info = {
                .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                .pApplicationInfo = &application,
        };
        bool is_validating = instance->options.validation;
        int r;

        if (is_validating && !has_validation_layer()) {
                log_error("validation is asked for, but " VALIDATION_LAYER " is not installed");
                return GPU_E_NO_DEVICE;
        }
        if (is_validating) {
                info.pNext = &features;
                info.enabledLayerCount = N_ELEMENTS(layers);
                info.ppEnabledLayerNames = layers;
                info.enabledExtensionCount = N_ELEMENTS(extensions);
                info.ppEnabledExtensionNames = extensions;
        }
        r = GPU_TRY(vkCreateInstance(&info, NULL, &instance->vk));
        if (r) {
                log_error("Vulkan cannot start: is a driver installed, and does VK_DRIVER_FILES name one?");
                return GPU_E_NO_DEVICE;
        }
        return is_validating ? instance_init_messenger(instance, &messenger) : 0;
}

/* Puts devices in PCI order, those without an address last, in the order they came. */
static int candidate_compare(const void *a, const void *b) {
        const GpuCandidate *x = a, *y = b;

        if (*x->info.pci && *y->info.pci && strcmp(x->info.pci, y->info.pci))
                return strcmp(x->info.pci, y->info.pci);
        if (!*x->info.pci != !*y->info.pci)
                return !*x->info.pci - !*y->info.pci;
        return (x->order > y->order) - (x->order < y->order);
}

static bool info_has_name(const GpuDeviceInfo *info, const char *name) {
        return !strcasecmp(name, info->id) || !strcasecmp(name, info->uuid) ||
               (*info->pci && !strcasecmp(name, info->pci));
}

static bool is_chosen(const GpuDeviceInfo *info, const GpuOptions *options) {
        for (size_t i = 0; i < options->devices.n_names; i++) {
                if (info_has_name(info, options->devices.names[i]))
                        return true;
        }
        return options->devices.n_names == 0;
}

/* Checks that every name that was given is some device's. Returns 0 or GPU_E_NO_DEVICE, logged. */
static int check_choice(const GpuOptions *options, const GpuCandidate *candidates, size_t n_candidates) {
        for (size_t i = 0; i < options->devices.n_names; i++) {
                size_t j = 0;

                while (j < n_candidates && !info_has_name(&candidates[j].info, options->devices.names[i]))
                        j++;
                if (j == n_candidates) {
                        log_error("there is no Vulkan device `%s`", options->devices.names[i]);
                        return GPU_E_NO_DEVICE;
                }
        }
        return 0;
}

static void candidates_freep(GpuCandidate **candidates) {
        free(*candidates);
}

/* Finds all devices that we can work with, in order and with their ids. */
static int find_candidates(VkInstance vk, GpuCandidate **ret_candidates, size_t *ret_n) {
        _cleanup_(candidates_freep) GpuCandidate *candidates = NULL;
        VkPhysicalDevice physical[64];
        uint32_t n = N_ELEMENTS(physical);
        size_t n_candidates = 0;
        VkResult result;

        result = vkEnumeratePhysicalDevices(vk, &n, physical);
        if (result != VK_INCOMPLETE && GPU_TRY(result))
                return GPU_E_NO_DEVICE;
        candidates = calloc(n + 1, sizeof(*candidates));
        if (!candidates)
                return error_origin(-ENOMEM);
        for (uint32_t i = 0; i < n; i++) {
                if (!candidate_init(&candidates[n_candidates], physical[i]))
                        continue;
                candidates[n_candidates++].order = i;
        }
        qsort(candidates, n_candidates, sizeof(*candidates), candidate_compare);
        for (size_t i = 0; i < n_candidates; i++)
                snprintf(candidates[i].info.id, sizeof(candidates[i].info.id), "vulkan:%u", (unsigned)i);
        *ret_candidates = STEAL(candidates);
        *ret_n = n_candidates;
        return 0;
}

static int instance_init_devices(GpuInstance *instance, const GpuOptions *options) {
        _cleanup_(candidates_freep) GpuCandidate *candidates = NULL;
        size_t n = 0;
        int r;

        r = find_candidates(instance->vk, &candidates, &n);
        if (r)
                return r;
        r = check_choice(options, candidates, n);
        if (r)
                return r;
        instance->devices = calloc(n + 1, sizeof(*instance->devices));
        if (!instance->devices)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < n; i++) {
                size_t index = instance->n_devices;

                if (!is_chosen(&candidates[i].info, options))
                        continue;
                /* A device that cannot be opened is left out: the others are worth having. */
                r = device_new(&instance->devices[index], instance, (uint32_t)index, &candidates[i]);
                if (r)
                        log_error("%s (%s) cannot be opened", candidates[i].info.id, candidates[i].info.name);
                else
                        instance->n_devices++;
        }
        if (instance->n_devices == 0) {
                log_error("no Vulkan device can be opened");
                return GPU_E_NO_DEVICE;
        }
        return 0;
}

static void instance_freep(GpuInstance **instance) {
        gpu_instance_free(*instance);
}

int gpu_instance_new(GpuInstance **ret_instance, const GpuOptions *options, const GpuHost *host) {
        _cleanup_(instance_freep) GpuInstance *instance = NULL;
        int r;

        instance = calloc(1, sizeof(*instance));
        if (!instance)
                return error_origin(-ENOMEM);
        instance->host = *host;
        instance->options = *options;
        instance->options.devices = (OptionNames){0};
        list_init(&instance->put_off);
        list_init(&instance->completed);
        list_init(&instance->settled);
        list_init(&instance->bounce.ring.waiting);

        r = instance_init_vk(instance);
        if (r)
                return r;
        r = instance_init_devices(instance, options);
        if (r)
                return r;
        *ret_instance = STEAL(instance);
        return 0;
}

/* Works on a zeroed structure and on one that is half open. */
static void bounce_deinit(GpuBounce *bounce) {
        region_free_imports(&bounce->region);
        ring_deinit(&bounce->ring);
        if (bounce->map)
                munmap(bounce->map, BOUNCE_BYTES);
        bounce->map = NULL;
}

GpuInstance *gpu_instance_free(GpuInstance *instance) {
        if (!instance)
                return NULL;
        assert(gpu_instance_is_idle(instance));
        bounce_deinit(&instance->bounce);
        for (size_t i = 0; i < instance->n_devices; i++)
                device_free(instance->devices[i]);
        free(instance->devices);
        if (instance->messenger) {
                PFN_vkDestroyDebugUtilsMessengerEXT destroy =
                        (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
                                instance->vk, "vkDestroyDebugUtilsMessengerEXT");

                destroy(instance->vk, instance->messenger, NULL);
        }
        vkDestroyInstance(instance->vk, NULL);
        free(instance);
        return NULL;
}

static bool device_is_idle(const GpuDevice *device) {
        return device->n_memories == 0 && !device->gate.is_closed && list_is_empty(&device->gate.waiting) &&
               list_is_empty(&device->accesses);
}

bool gpu_instance_is_idle(const GpuInstance *instance) {
        bool is_idle = list_is_empty(&instance->completed) && list_is_empty(&instance->settled);

        for (size_t i = 0; i < instance->n_devices; i++)
                is_idle = is_idle && device_is_idle(instance->devices[i]);
        return is_idle && instance->n_regions == 0;
}

size_t gpu_instance_get_n_devices(const GpuInstance *instance) {
        return instance->n_devices;
}

GpuDevice *gpu_instance_get_device(const GpuInstance *instance, size_t index) {
        return instance->devices[index];
}

static void bounce_ready(GpuRegion *region, bool imported) {
        (void)region;
        (void)imported;
}

static void bounce_deinitp(GpuBounce **bounce) {
        if (*bounce)
                bounce_deinit(*bounce);
}

int instance_open_bounce(GpuInstance *instance) {
        _cleanup_(bounce_deinitp) GpuBounce *bounce = NULL;
        void *map;
        int r;

        if (instance->bounce.map)
                return 0;
        map = mmap(NULL, BOUNCE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED)
                return GPU_E_NO_HOST_MEMORY;
        bounce = &instance->bounce;
        bounce->map = map;
        r = ring_init(&bounce->ring, map, BOUNCE_BYTES);
        if (r)
                return r;
        /* Until the region is imported, chunks on it are staged. */
        r = gpu_region_init(&bounce->region, instance, map, BOUNCE_BYTES, bounce_ready);
        if (r)
                return GPU_E_NO_HOST_MEMORY;
        instance->n_regions--; /* this one is not a client's */
        (void)STEAL(bounce);
        return 0;
}

static void run_callbacks(GpuInstance *instance) {
        List *link;

        for (size_t i = 0; i < CALLBACKS_MAX && (link = list_pop(&instance->completed)); i++)
                op_complete(container_of(link, GpuOp, link));
        for (size_t i = 0; i < CALLBACKS_MAX && (link = list_pop(&instance->settled)); i++)
                region_settle(container_of(link, GpuRegion, link));
}

/* Whether there is something to do that waits for no device. */
static bool is_due(const GpuInstance *instance) {
        bool is_behind = false;

        for (size_t i = 0; i < instance->n_devices; i++)
                is_behind |= schedule_is_behind(instance->devices[i]);
        return is_behind || !list_is_empty(&instance->put_off) || !list_is_empty(&instance->completed) ||
               !list_is_empty(&instance->settled);
}

/* Whether something will come of polling again. */
static bool instance_is_busy(const GpuInstance *instance) {
        bool is_busy = is_due(instance);

        for (size_t i = 0; i < instance->n_devices; i++)
                is_busy = is_busy || schedule_is_busy(instance->devices[i]);
        return is_busy;
}

bool gpu_instance_poll(GpuInstance *instance) {
        transfer_begin_turn(instance);
        ring_wake(&instance->bounce.ring);
        for (size_t i = 0; i < instance->n_devices; i++)
                schedule_poll(instance->devices[i]);
        run_callbacks(instance);
        return instance_is_busy(instance);
}

void gpu_instance_arm(GpuInstance *instance) {
        for (size_t i = 0; i < instance->n_devices; i++) {
                if (schedule_is_busy(instance->devices[i]))
                        waiter_arm(&instance->devices[i]->waiter);
        }
        if (is_due(instance))
                instance->host.notify(instance->host.userdata);
}

bool gpu_instance_flush(GpuInstance *instance) {
        for (size_t i = 0; i < instance->n_devices; i++) {
                schedule_flush(instance->devices[i]);
                arrears_poll(instance->devices[i]);
                gate_flush(instance->devices[i]);
        }
        return instance_is_busy(instance);
}

uint64_t gpu_instance_get_next_ns(const GpuInstance *instance) {
        uint64_t next_ns = 0;

        for (size_t i = 0; i < instance->n_devices; i++) {
                uint64_t device_ns = instance->devices[i]->arrears.next_ns;

                if (device_ns && (!next_ns || device_ns < next_ns))
                        next_ns = device_ns;
        }
        return next_ns;
}

void gpu_instance_trim(GpuInstance *instance, uint32_t owner) {
        for (size_t i = 0; i < instance->n_devices; i++)
                pools_trim(&instance->devices[i]->pools, owner);
}

unsigned gpu_instance_get_n_validation(const GpuInstance *instance) {
        return atomic_load(&instance->n_validation);
}
