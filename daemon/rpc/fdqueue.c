/* File descriptors that wait for their message. */

#include "daemon/rpc/fdqueue.h"

#include <string.h>

#include "daemon/util/fd.h"

void fd_queue_deinit(FdQueue *queue) {
        for (size_t i = 0; i < queue->n_fds; i++)
                fd_close(queue->fds[i]);
        queue->n_fds = 0;
}

int fd_queue_push(FdQueue *queue, int fd) {
        if (queue->n_fds == GPUD_FDS_MAX) {
                fd_close(fd);
                return GPUD_E_RESOURCE_EXHAUSTED;
        }
        queue->fds[queue->n_fds++] = fd;
        return 0;
}

int fd_queue_pop(FdQueue *queue) {
        int fd;

        if (queue->n_fds == 0)
                return -1;
        fd = queue->fds[0];
        memmove(queue->fds, queue->fds + 1, --queue->n_fds * sizeof(*queue->fds));
        return fd;
}
