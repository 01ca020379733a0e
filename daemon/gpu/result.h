#pragma once

/* The conditions of this layer. A VkResult is seen inside it only. */

typedef enum GpuError {
        GPU_E_NO_MEMORY = 1,  /* the device, its driver or, for the books, the host has no memory left */
        GPU_E_NO_HOST_MEMORY, /* the host has none to stage bytes through */
        GPU_E_LOST,           /* the device is lost, and all that is on it */
        GPU_E_NO_DEVICE,      /* no device to work with; the log says why */
} GpuError;
