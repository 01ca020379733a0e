#pragma once

/* Threads beside the loop's. */

#include <pthread.h>

/* Starts `run`, with no signals delivered to it: these are the loop's. Returns 0 or -errno. */
int thread_start(pthread_t *ret_thread, void *(*run)(void *userdata), void *userdata);
