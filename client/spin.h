#pragma once

/*
 * Polling for a while before sleeping, since a processor that sleeps is woken late. It pays where the answer
 * comes within that while. It is in vain where answers take longer, and where gpud has no other processor to
 * answer on; so after each time in vain twice as many waits are left out. Embedded in the client.
 */

#include <poll.h>
#include <stdint.h>

/* After this many times in vain the most waits are left out: 2 to the power of this, less 1. */
#define SPIN_MISSED_MAX 12

typedef struct Spin {
        uint32_t us;        /* how long it polls; 0: not at all */
        uint32_t n_missed;  /* in vain, one after the other */
        uint32_t n_skipped; /* waits still to be left out */
} Spin;

void spin_init(Spin *spin, uint32_t us);

/* Called before a wait for these events. Polls until one is there or the time is over, or not at all. */
void spin_before(Spin *spin, struct pollfd *poll_fd);
