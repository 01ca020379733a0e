#pragma once

/* The conditions of this layer, and VkResult, which nobody above sees. */

typedef enum GpuError {
        GPU_E_PENDING = 1, /* goes on by itself; a callback will tell the outcome */
        GPU_E_NO_MEMORY,   /* the device, the driver or the host has no memory left for it */
        GPU_E_LOST,        /* the device is lost, and all that is on it */
        GPU_E_NO_DEVICE,   /* no device to work with; the log says why */
} GpuError;
