#pragma once

/* One opened device: what it is and how much of it is taken. Owned by the instance. */

#include <stdbool.h>
#include <stdint.h>

typedef enum GpuDeviceType {
        GPU_DEVICE_OTHER,
        GPU_DEVICE_INTEGRATED,
        GPU_DEVICE_DISCRETE,
        GPU_DEVICE_VIRTUAL,
        GPU_DEVICE_CPU,
} GpuDeviceType;

typedef struct GpuDevice GpuDevice;
typedef struct GpuDeviceInfo GpuDeviceInfo;
typedef struct GpuLedger GpuLedger;

/* Strings are empty, numbers 0, where the driver does not say. */
struct GpuDeviceInfo {
        char id[24];   /* "vulkan:N", N in PCI order over all devices of the machine */
        char uuid[37]; /* may be the same for two software devices */
        char pci[16];  /* "0000:3b:00.0" */
        char name[256];
        char vendor[256]; /* nvidia amd intel apple qualcomm, or the driver's name */
        char driver_name[256];
        char driver_version[256];
        char api_version[16];
        char pcie[64]; /* "32.0 GT/s x16", as the kernel says */
        GpuDeviceType type;
        uint32_t vendor_id;
        uint32_t product_id;
        uint32_t compute_units;
        uint32_t max_threads;  /* in one compute workgroup */
        uint64_t memory_total; /* the device-local heap that allocations come from */
        bool host_import;      /* host memory can be imported: regions need no staging */
        bool exportable;       /* memory can be exported as opaque fds */
};

/* Sizes in bytes. */
struct GpuLedger {
        uint64_t total;
        uint64_t used;      /* by live allocations, as asked for */
        uint64_t reserved;  /* taken from the driver for allocations, blocks included */
        uint64_t available; /* total - used */
        uint64_t peak;      /* highest `used` */
        uint64_t count;     /* live allocations */
        bool has_budget;
        uint64_t driver_budget; /* what the driver says this process may use, */
        uint64_t driver_used;   /* and what it says this process uses */
};

const GpuDeviceInfo *gpu_device_get_info(const GpuDevice *device);
void gpu_device_get_ledger(GpuDevice *device, GpuLedger *ret_ledger);

/* Whether the device is lost, with everything on it and for ever; the others go on. */
bool gpu_device_is_lost(const GpuDevice *device);
