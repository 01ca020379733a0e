#pragma once

/* The three clocks, in nanoseconds. */

#include <stdint.h>
#include <time.h>

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)

static inline uint64_t clock_get_ns(clockid_t id) {
        struct timespec now;

        clock_gettime(id, &now);
        return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Since the epoch: what clients see. It is set now and then. */
static inline uint64_t clock_get_realtime_ns(void) {
        return clock_get_ns(CLOCK_REALTIME);
}

/* Never jumps: what durations are measured with. */
static inline uint64_t clock_get_monotonic_ns(void) {
        return clock_get_ns(CLOCK_MONOTONIC);
}

/* Never jumps, and counts the time that the machine was suspended: what ends, and how old something is. */
static inline uint64_t clock_get_boottime_ns(void) {
        return clock_get_ns(CLOCK_BOOTTIME);
}

/* Returns what clients see of a moment of the boot clock, as the wall clock is now. */
uint64_t clock_to_realtime_ns(uint64_t boottime_ns);
