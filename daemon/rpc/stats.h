#pragma once

/* What the daemon counts about itself, for daemon.status. */

#include <stddef.h>
#include <stdint.h>

#define STATS_N_STALLS 6

typedef struct Stats {
        uint64_t started_ns; /* by the boot clock */
        uint64_t n_requests; /* answered */
        uint64_t n_errors;   /* of them, refused or failed */
        /* Loop turns by how long each kept the loop busy: stalls[i] up to stats_stall_limits_ns[i]. */
        uint64_t stalls[STATS_N_STALLS];
        uint64_t stall_max_ns;
        uint64_t turn_ns; /* when this turn began, or between turns the last one */
} Stats;

/* The last limit is UINT64_MAX. */
extern const uint64_t stats_stall_limits_ns[STATS_N_STALLS];

/* A turn is from where the loop wakes to where it would sleep again. */
void stats_begin_turn(Stats *stats);
void stats_end_turn(Stats *stats);
