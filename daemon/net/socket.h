#pragma once

/* The listening socket: made at a path, or passed in by systemd. */

#include <sys/types.h>

/*
 * Listens at `path`. A socket file that nobody listens on is replaced. A `group` of (gid_t)-1 leaves the
 * group as it is. Returns 0 or -errno; -EADDRINUSE: somebody listens there. The log says what is wrong.
 */
int socket_listen(int *ret_fd, const char *path, mode_t mode, gid_t group);

/* Checks a socket passed in and makes it ready to be polled. Returns 0 or -errno. */
int socket_adopt(int fd);
