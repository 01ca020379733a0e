#pragma once

/*
 * A file beside the socket that one gpud at a time holds locked. Only who holds it may replace or remove the
 * socket file. The lock goes with its holder, however that ends; the file stays behind only if it is killed.
 */

typedef struct LockFile {
        int fd;
        char path[128]; /* of the socket, and ".lock" */
} LockFile;

#define LOCK_FILE_NULL                                                                                       \
        { .fd = -1 }

/*
 * Locks the file that belongs to the socket at `path`, and writes our pid into it. Returns 0 or -errno;
 * -EADDRINUSE: another process holds it. The log says what is wrong. Requires: LOCK_FILE_NULL.
 */
int lock_file_open(LockFile *lock, const char *path);

/* Removes the file and gives the lock back. Works on LOCK_FILE_NULL. */
void lock_file_close(LockFile *lock);
