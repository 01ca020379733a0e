/* What a physical device is, and whether we can work with it. Asked once, at start. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"

typedef struct Extensions {
        VkExtensionProperties *list;
        uint32_t n;
} Extensions;

static void extensions_deinit(Extensions *extensions) {
        free(extensions->list);
}

static int extensions_init(Extensions *extensions, VkPhysicalDevice physical) {
        int r;

        *extensions = (Extensions){};
        r = GPU_TRY(vkEnumerateDeviceExtensionProperties(physical, NULL, &extensions->n, NULL));
        if (r)
                return r;
        extensions->list = calloc(extensions->n + 1, sizeof(*extensions->list));
        if (!extensions->list)
                return error_origin(-ENOMEM);
        return GPU_TRY(
                vkEnumerateDeviceExtensionProperties(physical, NULL, &extensions->n, extensions->list));
}

static bool extensions_have(const Extensions *extensions, const char *name) {
        for (uint32_t i = 0; i < extensions->n; i++) {
                if (!strcmp(extensions->list[i].extensionName, name))
                        return true;
        }
        return false;
}

static GpuDeviceType type_from_vk(VkPhysicalDeviceType type) {
        switch (type) {
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
                return GPU_DEVICE_INTEGRATED;
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
                return GPU_DEVICE_DISCRETE;
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
                return GPU_DEVICE_VIRTUAL;
        case VK_PHYSICAL_DEVICE_TYPE_CPU:
                return GPU_DEVICE_CPU;
        default:
                return GPU_DEVICE_OTHER;
        }
}

/* Writes the name of a vendor, or for one that is none of these, its driver's. */
static void vendor_to_string(uint32_t vendor, const char *driver, char *ret_name, size_t n) {
        static const struct {
                uint32_t id;
                const char *name;
        } vendors[] = {
                {0x10de, "nvidia"}, {0x1002, "amd"},      {0x8086, "intel"},
                {0x106b, "apple"},  {0x5143, "qualcomm"},
        };

        for (size_t i = 0; i < N_ELEMENTS(vendors); i++) {
                if (vendors[i].id == vendor) {
                        snprintf(ret_name, n, "%s", vendors[i].name);
                        return;
                }
        }
        snprintf(ret_name, n, "%s", driver);
}

static void uuid_to_string(const uint8_t *uuid, char *ret_text) {
        for (size_t i = 0; i < VK_UUID_SIZE; i++) {
                bool is_dash = i == 4 || i == 6 || i == 8 || i == 10;

                ret_text += sprintf(ret_text, "%s%02x", is_dash ? "-" : "", uuid[i]);
        }
}

/* Reads one line of what the kernel says about a PCI device; empty when it says nothing. */
static void read_sysfs(const char *pci, const char *name, char *ret_line, int n) {
        char path[128];
        FILE *file;

        *ret_line = '\0';
        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", pci, name);
        file = fopen(path, "re");
        if (!file)
                return;
        if (fgets(ret_line, n, file))
                ret_line[strcspn(ret_line, "\n")] = '\0';
        fclose(file);
}

static void info_set_pci(GpuDeviceInfo *info, const VkPhysicalDevicePCIBusInfoPropertiesEXT *pci) {
        char speed[32], width[16];

        snprintf(info->pci, sizeof(info->pci), "%04x:%02x:%02x.%x", pci->pciDomain & 0xffff,
                 pci->pciBus & 0xff, pci->pciDevice & 0x1f, pci->pciFunction & 7);
        read_sysfs(info->pci, "current_link_speed", speed, sizeof(speed));
        read_sysfs(info->pci, "current_link_width", width, sizeof(width));
        if (*speed && *width)
                snprintf(info->pcie, sizeof(info->pcie), "%s x%s", speed, width);
}

static bool can_export(VkPhysicalDevice physical, bool has_addresses) {
        VkPhysicalDeviceExternalBufferInfo info = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
                .usage = GPU_SEGMENT_USAGE | (has_addresses ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0),
                .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
        };
        VkExternalBufferProperties properties = {
                .sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES,
        };

        vkGetPhysicalDeviceExternalBufferProperties(physical, &info, &properties);
        return properties.externalMemoryProperties.externalMemoryFeatures &
               VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT;
}

/* The structures of one vkGetPhysicalDeviceProperties2(), those of absent extensions left out. */
typedef struct Properties {
        VkPhysicalDeviceProperties2 core;
        VkPhysicalDeviceIDProperties id;
        VkPhysicalDeviceDriverProperties driver;
        VkPhysicalDevicePCIBusInfoPropertiesEXT pci;
        VkPhysicalDeviceExternalMemoryHostPropertiesEXT host;
        VkPhysicalDeviceShaderSMBuiltinsPropertiesNV sm;
        VkPhysicalDeviceShaderCorePropertiesAMD cu;
} Properties;

static void chain(Properties *properties, void *link) {
        VkBaseOutStructure *out = link;

        out->pNext = properties->core.pNext;
        properties->core.pNext = out;
}

static void properties_init(Properties *properties, VkPhysicalDevice physical, const Extensions *extensions) {
        *properties = (Properties){
                .core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                .id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                .driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
                .pci.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT,
                .host.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT,
                .sm.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV,
                .cu.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD,
        };
        chain(properties, &properties->id);
        chain(properties, &properties->driver);
        if (extensions_have(extensions, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME))
                chain(properties, &properties->pci);
        if (extensions_have(extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME))
                chain(properties, &properties->host);
        if (extensions_have(extensions, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME))
                chain(properties, &properties->sm);
        if (extensions_have(extensions, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME))
                chain(properties, &properties->cu);
        vkGetPhysicalDeviceProperties2(physical, &properties->core);
}

static void info_init(GpuDeviceInfo *info, const Properties *from) {
        const VkPhysicalDeviceProperties *core = &from->core.properties;

        *info = (GpuDeviceInfo){
                .type = type_from_vk(core->deviceType),
                .vendor_id = core->vendorID,
                .product_id = core->deviceID,
                .compute_units = from->sm.shaderSMCount,
                .max_threads = core->limits.maxComputeWorkGroupInvocations,
        };
        if (!info->compute_units)
                info->compute_units = from->cu.shaderEngineCount * from->cu.shaderArraysPerEngineCount *
                                      from->cu.computeUnitsPerShaderArray;
        snprintf(info->name, sizeof(info->name), "%s", core->deviceName);
        snprintf(info->driver_name, sizeof(info->driver_name), "%s", from->driver.driverName);
        snprintf(info->driver_version, sizeof(info->driver_version), "%s", from->driver.driverInfo);
        snprintf(info->api_version, sizeof(info->api_version), "%u.%u.%u",
                 VK_API_VERSION_MAJOR(core->apiVersion), VK_API_VERSION_MINOR(core->apiVersion),
                 VK_API_VERSION_PATCH(core->apiVersion));
        vendor_to_string(core->vendorID, info->driver_name, info->vendor, sizeof(info->vendor));
        uuid_to_string(from->id.deviceUUID, info->uuid);
}

static VkPhysicalDeviceVulkan12Features get_features(VkPhysicalDevice physical) {
        VkPhysicalDeviceVulkan12Features features = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        };
        VkPhysicalDeviceFeatures2 core = {
                .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                .pNext = &features,
        };

        vkGetPhysicalDeviceFeatures2(physical, &core);
        return features;
}

static bool has_threads(const VkPhysicalDeviceLimits *limits, uint32_t n) {
        return limits->maxComputeWorkGroupInvocations >= n && limits->maxComputeWorkGroupSize[0] >= n;
}

bool candidate_init(GpuCandidate *candidate, VkPhysicalDevice physical) {
        _cleanup_(extensions_deinit) Extensions extensions = {};
        VkPhysicalDeviceVulkan12Features features = {};
        VkPhysicalDeviceProperties basic;
        GpuDeviceInfo *info = &candidate->info;
        Properties properties;

        vkGetPhysicalDeviceProperties(physical, &basic);
        if (basic.apiVersion >= VK_API_VERSION_1_2)
                features = get_features(physical);
        if (!features.timelineSemaphore) {
                log_warning("%s is left out: it does not have Vulkan 1.2 with timeline semaphores",
                            basic.deviceName);
                return false;
        }
        if (extensions_init(&extensions, physical)) {
                log_warning("%s is left out: it does not list its extensions", basic.deviceName);
                return false;
        }
        properties_init(&properties, physical, &extensions);
        *candidate = (GpuCandidate){
                .physical = physical,
                .has_addresses =
                        features.bufferDeviceAddress && has_threads(&basic.limits, GPU_SHADER_THREADS),
        };
        info_init(info, &properties);
        if (extensions_have(&extensions, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME))
                info_set_pci(info, &properties.pci);
        info->host_import = extensions_have(&extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
        info->exportable = extensions_have(&extensions, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME) &&
                           can_export(physical, candidate->has_addresses);
        candidate->has_budget = extensions_have(&extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
        candidate->import_alignment = properties.host.minImportedHostPointerAlignment;
        return true;
}
