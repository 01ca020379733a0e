/* Small allocations after a large release: see arrears.h. Loop thread, but for arrears_run(). */

#include "daemon/gpu/arrears.h"

#include "daemon/gpu/device-internal.h"
#include "daemon/util/clock.h"

#define RELEASED_MIN      (UINT64_C(2) << 30) /* after less than that, no call is long */
#define CALL_BYTES        (UINT64_C(64) << 10)
#define PAUSE_NS          UINT64_C(5000000) /* clears 2 to 3 GiB: a call of 0.5 ms */
#define QUICK_NS          UINT64_C(200000)  /* a call that has nothing to book is as short */
#define N_QUICK           2
/* A driver that is merely slow is not asked for ever. */
#define CALL_RELEASED_MIN (UINT64_C(512) << 20)
#define N_CALLS_MIN       4

static void arrears_run(GpuCall *call) {
        GpuArrears *arrears = container_of(call, GpuArrears, call);
        uint64_t begin_ns = clock_get_monotonic_ns();
        GpuSegment segment;

        if (!segment_init_exportable(&segment, call->device, CALL_BYTES))
                segment_deinit(&segment, call->device);
        arrears->took_ns = clock_get_monotonic_ns() - begin_ns;
}

static void arrears_done(GpuCall *call) {
        GpuArrears *arrears = container_of(call, GpuArrears, call);
        uint64_t n_calls_max = N_CALLS_MIN + arrears->released / CALL_RELEASED_MIN;

        arrears->n_quick = arrears->took_ns < QUICK_NS ? arrears->n_quick + 1 : 0;
        if (arrears->n_quick < N_QUICK && ++arrears->n_calls < n_calls_max) {
                arrears->next_ns = clock_get_monotonic_ns() + PAUSE_NS;
                return;
        }
        *arrears = (GpuArrears){};
}

void arrears_add(GpuDevice *device, uint64_t size) {
        GpuArrears *arrears = &device->arrears;
        bool is_begun = arrears->released >= RELEASED_MIN;

        arrears->released += size;
        arrears->n_quick = 0;
        if (!is_begun && arrears->released >= RELEASED_MIN)
                arrears->next_ns = clock_get_monotonic_ns() + PAUSE_NS;
}

void arrears_poll(GpuDevice *device) {
        GpuArrears *arrears = &device->arrears;

        if (!arrears->next_ns || device->is_lost || clock_get_monotonic_ns() < arrears->next_ns)
                return;
        arrears->next_ns = 0;
        gate_submit(device, &arrears->call, arrears_run, arrears_done);
}
