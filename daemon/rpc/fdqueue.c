/* File descriptors that wait for their message. */

#include "daemon/rpc/fdqueue.h"

#include <string.h>

#include "daemon/util/fd.h"
#include "daemon/util/macros.h"

void fd_queue_deinit(FdQueue *queue) {
        fd_discard(queue->fds, queue->n_fds);
        queue->n_fds = 0;
}

int fd_queue_push(FdQueue *queue, const int *fds, size_t n_fds) {
        size_t n = MIN(n_fds, GPUD_FDS_MAX - queue->n_fds);

        memcpy(queue->fds + queue->n_fds, fds, n * sizeof(*fds));
        queue->n_fds += n;
        fd_discard(fds + n, n_fds - n);
        return n < n_fds ? GPUD_E_RESOURCE_EXHAUSTED : 0;
}

int fd_queue_pop(FdQueue *queue) {
        int fd;

        if (queue->n_fds == 0)
                return -1;
        fd = queue->fds[0];
        memmove(queue->fds, queue->fds + 1, --queue->n_fds * sizeof(*queue->fds));
        return fd;
}
