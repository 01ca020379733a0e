#pragma once

/*
 * Polling for a while before sleeping, since a processor that sleeps is woken late. It pays where the answer comes in
 * that while; it is in vain where answers take longer, and where who is to answer has only this processor. So after
 * each time in vain it leaves out twice as many waits. Embedded in the client.
 */

#include <poll.h>
#include <stdint.h>

/* With as many in a row the most waits are left out: 2 to the power of that, but one. */
#define SPIN_MISSED_MAX 12

typedef struct Spin {
        uint32_t us;        /* how long it polls; 0: not at all */
        uint32_t n_missed;  /* in vain, one after the other */
        uint32_t n_skipped; /* waits still to be left out */
} Spin;

void spin_init(Spin *spin, uint32_t us);

/* Before a wait for these events: polls until there is one, or for as long as it shall, or not at all. */
void spin_before(Spin *spin, struct pollfd *poll_fd);
