/* The way to gpud's socket, and what is said where it is barred. */

#include "client/connect.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "client/cleanup.h"
#include "client/client.h"
#include "client/headroom.h"
#include "proto/socket.h"
#include "proto/text.h"

/* There is no client to keep it. */
static _Thread_local ProtoFault last_fault;

const char *connect_get_message(void) {
        return last_fault.text;
}

/* Keeps the text, and in errno what a program may look at. Returns the code negated. */
__attribute__((format(printf, 3, 4))) static int fail(int error, int code, const char *format, ...) {
        va_list args;

        last_fault.code = code;
        va_start(args, format);
        vsnprintf(last_fault.text, sizeof(last_fault.text), format, args);
        va_end(args);
        text_sanitize(last_fault.text);
        errno = error;
        return -code;
}

const char *gpud_socket_path(const char *path) {
        if (!path)
                path = getenv("GPUD_SOCKET");
        return path && *path ? path : PROTO_SOCKET_DEFAULT;
}

/* The group's name, or its number where it has none. */
static void group_to_text(gid_t gid, char *ret_text, size_t n_text) {
        struct group group, *found = NULL;
        char buffer[4096];

        if (getgrgid_r(gid, &group, buffer, sizeof(buffer), &found) == 0 && found)
                snprintf(ret_text, n_text, "%s", found->gr_name);
        else
                snprintf(ret_text, n_text, "%u", (unsigned)gid);
}

/* Says who may connect, which is who may write the socket's file. */
static int refuse_permission(const char *path, int error) {
        struct stat status;
        char group[64];

        if (stat(path, &status) < 0)
                return fail(error, GPUD_E_PERMISSION_DENIED,
                            "%s: %s; a directory on the way to the socket is closed to you", path,
                            strerror(error));
        if (!(status.st_mode & S_IWGRP))
                return fail(error, GPUD_E_PERMISSION_DENIED, "%s: %s; it is open to its owner alone, uid %u",
                            path, strerror(error), (unsigned)status.st_uid);
        group_to_text(status.st_gid, group, sizeof(group));
        return fail(error, GPUD_E_PERMISSION_DENIED, "%s: %s; you must be in the group %s", path,
                    strerror(error), group);
}

static int refuse_connect(const char *path, int error, uint32_t timeout_ms) {
        if (error == EACCES || error == EPERM)
                return refuse_permission(path, error);
        if (error == EAGAIN)
                return fail(error, GPUD_E_DEADLINE_EXCEEDED, "%s: gpud took no connection for %u ms", path,
                            timeout_ms);
        return fail(error, GPUD_E_CONNECTION_LOST, "%s: %s", path, strerror(error));
}

/* Bounds how long connect() waits where as many as gpud lets wait do so already. */
static void set_connect_timeout(int fd, uint32_t timeout_ms) {
        const struct timeval time = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

static int open_socket(int *ret_fd, const char *path, uint32_t timeout_ms) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd = -1;
        char text[128];
        int r;

        if (strlen(path) >= sizeof(address.sun_path))
                return fail(ENAMETOOLONG, GPUD_E_CONNECTION_LOST,
                            "%s: a socket's path has at most %zu bytes: %s", strerror(ENAMETOOLONG),
                            sizeof(address.sun_path) - 1, path);
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail(errno, GPUD_E_SYSTEM_CALL, "socket: %s",
                            headroom_error_to_string(errno, text, sizeof(text)));
        set_connect_timeout(fd, timeout_ms);
        do
                r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return refuse_connect(path, errno, timeout_ms);
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int gpud_connect_timeout(struct gpud_client **ret_client, const char *path, uint32_t timeout_ms) {
        int fd, r;

        *ret_client = NULL;
        /* Somebody's variable was empty: that is not to mean another gpud. */
        if (path && !*path)
                return fail(EINVAL, GPUD_E_INVALID_ARGUMENT, "the path of the socket is empty");
        r = open_socket(&fd, gpud_socket_path(path), timeout_ms);
        if (r < 0)
                return r;
        r = client_new(ret_client, fd);
        if (r < 0)
                return fail(ENOMEM, -r, "out of memory in this process");
        gpud_set_timeout(*ret_client, timeout_ms);
        return 0;
}

int gpud_connect(struct gpud_client **ret_client, const char *path) {
        return gpud_connect_timeout(ret_client, path, 0);
}
