#pragma once

/* The few macros that everybody may use. */

#include <errno.h>
#include <stdlib.h>

/* Runs `func(&variable)` when the variable goes out of scope. */
#define _cleanup_(func_) __attribute__((cleanup(func_)))

/* Takes the pointer's value and leaves NULL: hands ownership out of a constructor. */
#define STEAL(pointer_)                                                                                      \
        ({                                                                                                   \
                __typeof__(pointer_) stolen_ = (pointer_);                                                   \
                (pointer_) = NULL;                                                                           \
                stolen_;                                                                                     \
        })

/* For _cleanup_ of a pointer of any type, to what has nothing to give back but its memory. Keeps errno. */
static inline void freep(void *pointer) {
        int error = errno;

        free(*(void **)pointer);
        errno = error;
}

#define N_ELEMENTS(array_) (sizeof(array_) / sizeof(*(array_)))
