/* The listening socket. */

#include "daemon/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/util/error.h"
#include "daemon/util/fd.h"
#include "daemon/util/log.h"
#include "daemon/util/macros.h"

static int fill_address(struct sockaddr_un *ret_address, const char *path) {
        *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof(ret_address->sun_path)) {
                log_error("socket path \"%s\" has %zu bytes, limit %zu", path, strlen(path),
                          sizeof(ret_address->sun_path) - 1);
                return -ENAMETOOLONG;
        }
        strcpy(ret_address->sun_path, path);
        return 0;
}

/*
 * Returns 0 if nobody listens at the address; -EADDRINUSE: somebody does, or -errno. The log says who or
 * why.
 */
static int check_unused(const struct sockaddr_un *address) {
        _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct ucred listener = {0};
        socklen_t length = sizeof(listener);
        int r;

        if (fd < 0)
                return error_origin(-errno);
        r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
        if (r == -ECONNREFUSED || r == -ENOENT)
                return 0;
        if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &length) == 0 && listener.pid > 0) {
                log_error("%s is in use: another gpud, process %d, listens there", address->sun_path,
                          (int)listener.pid);
                return -EADDRINUSE;
        }
        if (r == 0 || r == -EAGAIN) {
                log_error("%s is in use: another gpud listens there", address->sun_path);
                return -EADDRINUSE;
        }
        log_error("cannot tell whether %s is in use: %s", address->sun_path, strerror(-r));
        return r;
}

/* Removes a socket file that a gpud left behind. What is no socket, or is listened on, stays. */
static int clear_stale(const struct sockaddr_un *address) {
        const char *path = address->sun_path;
        struct stat status;
        int r;

        if (lstat(path, &status) < 0)
                return errno == ENOENT ? 0 : error_origin(-errno);
        if (!S_ISSOCK(status.st_mode)) {
                log_error("%s exists and is no socket; gpud does not replace it", path);
                return -EEXIST;
        }
        r = check_unused(address);
        if (r)
                return r;
        log_info("replacing the stale socket %s", path);
        return unlink(path) < 0 ? error_origin(-errno) : 0;
}

/* Notes which file our socket is. */
static int listener_note_file(Listener *listener, const char *path) {
        struct stat status;

        if (lstat(path, &status) < 0)
                return error_origin(-errno);
        listener->path = path;
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
        return 0;
}

/* Nobody gets in before the mode is set. */
static int bind_closed(int fd, const struct sockaddr_un *address) {
        mode_t mask = umask(0777);
        int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

        umask(mask);
        if (r)
                log_error("cannot bind %s: %s", address->sun_path, strerror(-r));
        return r;
}

static void listener_closep(Listener **listener) {
        if (*listener)
                listener_close(*listener);
}

int listener_open(Listener *listener, const NetOptions *options) {
        _cleanup_(listener_closep) Listener *half = listener;
        const char *path = options->socket;
        gid_t group = options->socket_group;
        struct sockaddr_un address;
        int r;

        *listener = (Listener)LISTENER_NULL;
        r = fill_address(&address, path);
        if (r)
                return r;
        /* First, since this tells more than that its lock file is closed to us. */
        r = check_unused(&address);
        if (r)
                return r;
        r = lock_file_open(&listener->lock, path);
        if (r)
                return r;
        r = clear_stale(&address);
        if (r)
                return r;
        listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener->fd < 0)
                return error_origin(-errno);
        r = bind_closed(listener->fd, &address);
        if (r)
                return r;
        r = listener_note_file(listener, path);
        if (r)
                return r;
        if (group != NO_GROUP && chown(path, (uid_t)-1, group) < 0) {
                r = -errno;
                log_error("cannot give %s to group %u: %s", path, group, strerror(-r));
                return r;
        }
        if (chmod(path, options->socket_mode) < 0 || listen(listener->fd, SOMAXCONN) < 0)
                return error_origin(-errno);
        half = NULL;
        return 0;
}

int listener_adopt(Listener *listener, int fd) {
        int type = 0;
        int is_listening = 0;
        socklen_t length = sizeof(int);

        *listener = (Listener)LISTENER_NULL;
        listener->fd = fd;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) < 0 || !is_listening) {
                log_error("the file descriptor passed in is no listening stream socket");
                return -ENOTSOCK;
        }
        if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return error_origin(-errno);
        return 0;
}

/* Who removed our file, and maybe put his own there, keeps his. */
static void listener_unlink_file(const Listener *listener) {
        struct stat status;

        if (lstat(listener->path, &status) < 0)
                return;
        if (status.st_dev == listener->device && status.st_ino == listener->inode)
                unlink(listener->path);
        else
                log_warning("%s is not the socket that this gpud made; it stays", listener->path);
}

void listener_close(Listener *listener) {
        if (listener->path)
                listener_unlink_file(listener);
        listener->path = NULL;
        listener->fd = fd_close(listener->fd);
        lock_file_close(&listener->lock);
}
