#pragma once

/* What _cleanup_ calls for descriptors and for memory of malloc(). None changes errno. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/macros.h"

/* -1: there is none. */
static inline void fd_closep(const int *fd) {
        int error = errno;

        if (*fd >= 0)
                close(*fd);
        errno = error;
}

/* `pointer` is the address of a pointer of any type. */
static inline void freep(void *pointer) {
        int error = errno;

        free(*(void **)pointer);
        errno = error;
}
