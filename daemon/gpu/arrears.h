#pragma once

/*
 * What a driver has yet to do about memory that it was given back. NVIDIA's clears it in the background, and
 * books all that is cleared within the next allocation, however small: 0.2 ms for each GiB, in which nothing
 * can be submitted. So after a large release small allocations follow a few milliseconds apart, until the
 * driver has nothing left to book and no client's request meets the whole of it. Embedded in GpuDevice; loop
 * thread.
 */

#include <stdint.h>

#include "daemon/gpu/gate.h"

typedef struct GpuArrears GpuArrears;

struct GpuArrears {
        GpuCall call;
        uint64_t released; /* bytes given back since the driver had nothing left */
        uint64_t next_ns;  /* when to call the driver again; 0: not at all, or a call is under way */
        uint64_t took_ns;  /* by the last call */
        uint32_t n_calls;
        uint32_t n_quick; /* quick calls in a row, the last included */
};

/* Notes that `size` bytes were given back to the driver. */
void arrears_add(GpuDevice *device, uint64_t size);

/* Calls the driver if it is time to. */
void arrears_poll(GpuDevice *device);
