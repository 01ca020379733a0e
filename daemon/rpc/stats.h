#pragma once

/* What the daemon counts about itself, for daemon.status. */

#include <stddef.h>
#include <stdint.h>

#define STATS_N_STALLS 6

typedef struct Stats {
        uint64_t started_ns;
        uint64_t n_requests; /* answered */
        uint64_t n_errors;   /* of these, refused or failed */
        /* Loop turns by how long they kept the loop from waiting: stalls[i] at most stats_stall_limits_ns[i]. */
        uint64_t stalls[STATS_N_STALLS];
        uint64_t stall_max_ns;
        uint64_t turn_ns; /* when this turn's first callback began; 0: none has */
} Stats;

/* The last one is UINT64_MAX. */
extern const uint64_t stats_stall_limits_ns[STATS_N_STALLS];

/*
 * Every callback of the loop begins with the first, which does nothing but in the turn's first callback; the
 * second ends the turn. (libuv's own idle time costs a system call in every turn.)
 */
void stats_begin_turn(Stats *stats);
void stats_end_turn(Stats *stats);
