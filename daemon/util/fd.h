#pragma once

/* Owned file descriptors: one struct owns each, -1 when empty, CLOEXEC from birth. */

#include <stddef.h>

/* Closes `fd` if there is one. Returns -1: `fd = fd_close(fd)`. */
int fd_close(int fd);

/* For _cleanup_. */
void fd_closep(int *fd);

/*
 * Opens those of the standard descriptors that are closed on /dev/null: else a socket would get such a
 * number, and have what is logged written to it. Requires: nothing was opened yet. Returns 0 or -errno.
 */
int fd_claim_standard(void);

/* STEAL() for a descriptor: returns it and leaves -1. */
static inline int fd_steal(int *fd) {
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

/*
 * Closes descriptors that clients gave us, or in which such may wait. This may take long (a memfd's last
 * owner frees its pages, 100 ms per GiB; some file systems answer when they like), so where it may, a thread
 * does it, later.
 */
void fd_discard(const int *fds, size_t n_fds);
