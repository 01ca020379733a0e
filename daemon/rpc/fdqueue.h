#pragma once

/* File descriptors that came with bytes and wait, in order, for the message that takes them. */

#include <stddef.h>

#include "proto/types.h"

typedef struct FdQueue {
        int fds[GPUD_FDS_MAX];
        size_t n_fds;
} FdQueue;

/* Closes what is left. */
void fd_queue_deinit(FdQueue *queue);

/* Takes over the descriptors. Returns 0, or GPUD_E_RESOURCE_EXHAUSTED: those over GPUD_FDS_MAX are closed. */
int fd_queue_push(FdQueue *queue, const int *fds, size_t n_fds);

/* Returns the oldest, now the caller's; -1 when there is none. */
int fd_queue_pop(FdQueue *queue);
