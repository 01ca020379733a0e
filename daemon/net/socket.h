#pragma once

/* The listening socket: made at a path, or passed in by systemd. */

#include "daemon/options.h"

/*
 * Listens at `options->socket`. A socket file that nobody listens on is replaced. Returns 0 or -errno;
 * -EADDRINUSE: somebody listens there. The log says what is wrong.
 */
int socket_listen(int *ret_fd, const NetOptions *options);

/* Checks a socket passed in and makes it ready to be polled. Returns 0 or -errno. */
int socket_adopt(int fd);
