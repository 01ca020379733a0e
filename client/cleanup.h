#pragma once

/* What _cleanup_ calls for descriptors; freep(), for memory, is with the macros. */

#include <errno.h>
#include <unistd.h>

#include "proto/macros.h"

/* -1: there is none. Keeps errno. */
static inline void fd_closep(const int *fd) {
        int error = errno;

        if (*fd >= 0)
                close(*fd);
        errno = error;
}
