#include "client/spin.h"

#include <time.h>

static uint64_t get_us(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void spin_init(Spin *spin, uint32_t us) {
        *spin = (Spin){.us = us};
}

void spin_before(Spin *spin, struct pollfd *poll_fd) {
        uint64_t end_us;
        int r;

        if (spin->us == 0)
                return;
        if (spin->n_skipped > 0) {
                spin->n_skipped--;
                return;
        }
        end_us = get_us() + spin->us;
        do
                r = poll(poll_fd, 1, 0);
        while (r == 0 && get_us() < end_us);
        if (r != 0)
                spin->n_missed = 0;
        else if (spin->n_missed < SPIN_MISSED_MAX)
                spin->n_missed++;
        spin->n_skipped = (1u << spin->n_missed) - 1;
}
