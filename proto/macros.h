#pragma once

/* The macros that the daemon and the client library share. */

/* Runs `func(&variable)` when the variable goes out of scope. */
#define _cleanup_(func_) __attribute__((cleanup(func_)))

/* Takes the pointer's value and leaves NULL: hands ownership out of a constructor. */
#define STEAL(pointer_)                                                                                      \
        ({                                                                                                   \
                __typeof__(pointer_) stolen_ = (pointer_);                                                   \
                (pointer_) = NULL;                                                                           \
                stolen_;                                                                                     \
        })

#define N_ELEMENTS(array_) (sizeof(array_) / sizeof(*(array_)))
