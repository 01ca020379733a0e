#pragma once

/* Threads beside the loop's. */

#include <pthread.h>
#include <stddef.h>

/* Starts `run`, with no signals delivered to it: these are the loop's. Returns 0 or -errno. */
int thread_start(pthread_t *ret_thread, void *(*run)(void *userdata), void *userdata);

/* Returns how many more threads the process may have now; `n_max` if that many or more. */
size_t thread_count_room(size_t n_max);
