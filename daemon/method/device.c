/* device.*: what the devices are, what is taken of them, and waiting for them. */

#include "daemon/gpu/device.h"

#include <errno.h>

#include "daemon/method/args.h"
#include "daemon/object/registry.h"
#include "daemon/object/result.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"

_Static_assert((int)GPU_DEVICE_INTEGRATED == (int)GPUD_DEVICE_TYPE_INTEGRATED &&
                       (int)GPU_DEVICE_CPU == (int)GPUD_DEVICE_TYPE_CPU,
               "the wire's device types are in the GPU layer's order");

static const char *text_or_nil(const char *text) {
        return text[0] ? text : NULL;
}

static void fill_info(GpuDevice *device, struct gpud_device_info *ret) {
        const GpuDeviceInfo *info = gpu_device_get_info(device);
        GpuLedger ledger;

        gpu_device_get_ledger(device, &ledger);
        *ret = (struct gpud_device_info){
                .device = info->id,
                .uuid = info->uuid,
                .pci = text_or_nil(info->pci),
                .name = info->name,
                .vendor = info->vendor,
                .type = (enum gpud_device_type)info->type,
                .api_version = info->api_version,
                .driver_name = info->driver_name,
                .driver_version = info->driver_version,
                .memory_total = info->memory_total,
                .memory_available = ledger.available,
                .compute_units = info->compute_units,
                .has_compute_units = info->compute_units > 0,
                .max_threads_per_block = info->max_threads,
                .pcie = text_or_nil(info->pcie),
                .health = gpu_device_is_lost(device) ? GPUD_HEALTH_LOST : GPUD_HEALTH_OK,
                .host_import = info->host_import,
        };
}

int method_device_list(Request *request, const struct none *args, struct gpud_device_list_result *ret) {
        const GpuInstance *gpu = request->rpc->registry->gpu;
        size_t n_devices = gpu_instance_get_n_devices(gpu);
        struct gpud_device_info *devices = request_alloc_zero(request, (n_devices + 1) * sizeof(*devices));

        if (!devices)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < n_devices; i++)
                fill_info(gpu_instance_get_device(gpu, i), &devices[i]);
        ret->devices = devices;
        ret->n_devices = n_devices;
        return 0;
}

int method_device_info(Request *request, const struct device_ref *args, struct gpud_device_info *ret) {
        fill_info(args->device.device, ret);
        return 0;
}

int method_device_memory(Request *request, const struct device_ref *args,
                         struct gpud_device_memory_result *ret) {
        GpuLedger ledger;

        gpu_device_get_ledger(args->device.device, &ledger);
        *ret = (struct gpud_device_memory_result){
                .total = ledger.total,
                .used = ledger.used,
                .available = ledger.available,
                .reserved = ledger.reserved,
                .driver_budget = ledger.driver_budget,
                .has_driver_budget = ledger.has_budget,
                .driver_used = ledger.driver_used,
                .has_driver_used = ledger.has_budget,
        };
        return 0;
}

/* Tells what Vulkan and the ledger know. Sensors need the vendor's library. */
int method_device_telemetry(Request *request, const struct device_ref *args,
                            struct gpud_device_telemetry_result *ret) {
        GpuLedger ledger;

        gpu_device_get_ledger(args->device.device, &ledger);
        ret->timestamp_ns = clock_get_realtime_ns();
        ret->memory_used = ledger.reserved;
        ret->memory_total = ledger.total;
        return 0;
}

static void on_synced(GpuOp *op, int r) {
        request_complete(container_of(op, Request, op), result_from_gpu(r));
}

int method_device_sync(Request *request, const struct device_ref *args, struct gpud_none *ret) {
        request->op.complete = on_synced;
        gpu_op_sync(&request->op, args->device.device);
        return REQUEST_LATER;
}
