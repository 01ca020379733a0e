/* Owned file descriptors. */

#include "daemon/util/fd.h"

#include <unistd.h>

int fd_close(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

void fd_closep(int *fd) {
        *fd = fd_close(*fd);
}
