#pragma once

/* Owned file descriptors: one struct owns each, -1 when empty, CLOEXEC from birth. */

/* Closes `fd` if there is one. Returns -1: `fd = fd_close(fd)`. */
int fd_close(int fd);

/* For _cleanup_. */
void fd_closep(int *fd);
