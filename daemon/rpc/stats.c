/* Counting. */

#include "daemon/rpc/stats.h"

const uint64_t stats_stall_limits_ns[STATS_N_STALLS] = {
        10 * 1000, 100 * 1000, 1000 * 1000, 10 * 1000 * 1000, 100 * 1000 * 1000, UINT64_MAX,
};

void stats_add_turn(Stats *stats, uint64_t busy_ns) {
        size_t i = 0;

        while (busy_ns > stats_stall_limits_ns[i])
                i++;
        stats->stalls[i]++;
        if (busy_ns > stats->stall_max_ns)
                stats->stall_max_ns = busy_ns;
}
