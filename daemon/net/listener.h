#pragma once

/* The listening socket: made at a path, or passed in by systemd. */

#include <sys/types.h>

#include "daemon/net/lockfile.h"
#include "daemon/options.h"

typedef struct Listener {
        int fd;
        LockFile lock;    /* held for as long as `path` is ours */
        const char *path; /* of the socket file that we made; NULL: none */
        dev_t device;     /* what that file is, since somebody else may put another in its place */
        ino_t inode;
} Listener;

#define LISTENER_NULL                                                                                        \
        { .fd = -1, .lock = LOCK_FILE_NULL }

/*
 * Listens at `options->socket`, and keeps every other gpud from it. A socket file that nobody listens on is
 * replaced. Returns 0 or -errno; -EADDRINUSE: somebody listens there. The log says what is wrong. After
 * failure nothing is left to be closed.
 */
int listener_open(Listener *listener, const NetOptions *options);

/* Takes over the socket `fd`, passed in, and makes it ready to be polled. Returns 0 or -errno. */
int listener_adopt(Listener *listener, int fd);

/*
 * Stops listening and removes the socket file, if it is still the one that we made. Works on LISTENER_NULL.
 */
void listener_close(Listener *listener);
