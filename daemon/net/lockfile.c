/*
 * flock() on a file that may be removed. Its holder alone removes it, while it holds it; so whoever gets
 * the lock looks whether the name still means the file that he has, and tries again if not.
 */

#include "daemon/net/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/util/error.h"
#include "daemon/util/fd.h"
#include "daemon/util/log.h"

#define TRIES_MAX 100 /* each of them means that another gpud has ended just now */

/* Whether the name still means this file. */
static bool is_at(int fd, const char *path) {
        struct stat opened, named;

        return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
               opened.st_ino == named.st_ino;
}

/* The pid that its holder wrote; 0 if there is none yet. */
static long read_pid(int fd) {
        char text[32] = "";

        return pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static void log_holder(const LockFile *lock, int fd, const char *path) {
        long pid = read_pid(fd);

        if (pid > 0)
                log_error("%s is in use: another gpud, process %ld, holds %s", path, pid, lock->path);
        else
                log_error("%s is in use: another gpud holds %s", path, lock->path);
}

/* Returns 0, -EAGAIN if the file was removed meanwhile, or -errno, and then the log says why. */
static int lock_file_try(LockFile *lock, const char *path) {
        _cleanup_(fd_closep) int fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;

        if (r == -EWOULDBLOCK && fd >= 0) {
                log_holder(lock, fd, path);
                return -EADDRINUSE;
        }
        if (r) {
                log_error("cannot lock %s: %s", lock->path, strerror(-r));
                return r;
        }
        if (!is_at(fd, lock->path))
                return -EAGAIN;
        /* For people to read. That it cannot be written (the disk is full) changes nothing. */
        if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
                log_debug("cannot write to %s: %s", lock->path, strerror(errno));
        lock->fd = fd_steal(&fd);
        return 0;
}

int lock_file_open(LockFile *lock, const char *path) {
        int r = -EAGAIN;

        if ((size_t)snprintf(lock->path, sizeof(lock->path), "%s.lock", path) >= sizeof(lock->path))
                return error_origin(-ENAMETOOLONG);
        for (int i = 0; i < TRIES_MAX && r == -EAGAIN; i++)
                r = lock_file_try(lock, path);
        return r == -EAGAIN ? error_origin(r) : r;
}

void lock_file_close(LockFile *lock) {
        if (lock->fd >= 0 && is_at(lock->fd, lock->path))
                unlink(lock->path);
        lock->fd = fd_close(lock->fd);
}
