/* The listening socket. */

#include "daemon/net/socket.h"

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

/* Removes a socket file that a gpud left behind. What is no socket, or is listened on, stays. */
static int clear_stale(const struct sockaddr_un *address) {
        const char *path = address->sun_path;
        _cleanup_(fd_closep) int fd = -1;
        struct stat status;
        int r;

        if (lstat(path, &status) < 0)
                return errno == ENOENT ? 0 : error_origin(-errno);
        if (!S_ISSOCK(status.st_mode)) {
                log_error("%s exists and is no socket; gpud does not replace it", path);
                return -EEXIST;
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return error_origin(-errno);
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN) {
                log_error("%s is in use: another gpud listens there", path);
                return -EADDRINUSE;
        }
        if (errno != ECONNREFUSED) {
                r = -errno;
                log_error("cannot tell whether %s is in use: %s", path, strerror(-r));
                return r;
        }
        log_info("replacing the stale socket %s", path);
        return unlink(path) < 0 ? error_origin(-errno) : 0;
}

/* For _cleanup_: takes the socket file away again. */
static void unlinkp(const char **path) {
        if (*path)
                unlink(*path);
}

int socket_listen(int *ret_fd, const NetOptions *options) {
        const char *path = options->socket;
        gid_t group = options->socket_group;
        _cleanup_(unlinkp) const char *bound_path = NULL;
        _cleanup_(fd_closep) int fd = -1;
        struct sockaddr_un address;
        mode_t mask;
        int r;

        r = fill_address(&address, path);
        if (r)
                return r;
        r = clear_stale(&address);
        if (r)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return error_origin(-errno);
        /* Nobody is to get in before the mode is set. */
        mask = umask(0777);
        r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
        umask(mask);
        if (r) {
                log_error("cannot bind %s: %s", path, strerror(-r));
                return r;
        }
        bound_path = path;
        if (group != NO_GROUP && chown(path, (uid_t)-1, group) < 0) {
                r = -errno;
                log_error("cannot give %s to group %u: %s", path, group, strerror(-r));
                return r;
        }
        if (chmod(path, options->socket_mode) < 0 || listen(fd, SOMAXCONN) < 0)
                return error_origin(-errno);
        bound_path = NULL;
        *ret_fd = fd_steal(&fd);
        return 0;
}

int socket_adopt(int fd) {
        int type = 0;
        int is_listening = 0;
        socklen_t length = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) < 0 || !is_listening) {
                log_error("the file descriptor passed in is no listening stream socket");
                return -ENOTSOCK;
        }
        if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return error_origin(-errno);
        return 0;
}
