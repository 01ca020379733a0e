/*
 * The wall clock is only for display: it is set, by people and by NTP, and leases and ages must not notice.
 */

#include "daemon/util/clock.h"

#include <stdatomic.h>
#include <stdlib.h>

#define TRIES        3
#define TOLERANCE_NS INT64_C(10000) /* readings of two clocks may differ by that, and none was set */
#define READING_NS   UINT64_C(1000) /* between two readings, unless something comes in between */

/*
 * What the wall clock was ahead of the boot clock when it was last found set. So what is shown does not
 * jitter.
 */
static _Atomic(int64_t) wall_offset_ns;

static int64_t read_offset(void) {
        uint64_t before_ns, wall_ns, after_ns;

        for (int i = 0; i < TRIES; i++) {
                before_ns = clock_get_boottime_ns();
                wall_ns = clock_get_realtime_ns();
                after_ns = clock_get_boottime_ns();
                if (after_ns - before_ns <= READING_NS)
                        break;
        }
        return (int64_t)(wall_ns - before_ns - (after_ns - before_ns) / 2);
}

uint64_t clock_to_realtime_ns(uint64_t boottime_ns) {
        int64_t offset_ns = read_offset();
        int64_t shown_ns = atomic_load_explicit(&wall_offset_ns, memory_order_relaxed);
        uint64_t realtime_ns;

        if (llabs(offset_ns - shown_ns) > TOLERANCE_NS)
                atomic_store_explicit(&wall_offset_ns, shown_ns = offset_ns, memory_order_relaxed);
        if (__builtin_add_overflow(boottime_ns, shown_ns, &realtime_ns))
                return shown_ns < 0 ? 0 : UINT64_MAX;
        return realtime_ns;
}
