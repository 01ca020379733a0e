/* How long loop turns take. */

#include "daemon/rpc/stats.h"

#include "daemon/util/clock.h"

const uint64_t stats_stall_limits_ns[STATS_N_STALLS] = {
        10 * 1000, 100 * 1000, 1000 * 1000, 10 * 1000 * 1000, 100 * 1000 * 1000, UINT64_MAX,
};

void stats_begin_turn(Stats *stats) {
        stats->turn_ns = clock_get_monotonic_ns();
}

void stats_end_turn(Stats *stats) {
        uint64_t busy_ns = clock_get_monotonic_ns() - stats->turn_ns;
        size_t i = 0;

        while (busy_ns > stats_stall_limits_ns[i])
                i++;
        stats->stalls[i]++;
        if (busy_ns > stats->stall_max_ns)
                stats->stall_max_ns = busy_ns;
}
