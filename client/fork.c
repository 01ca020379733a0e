/* The count is global: forks concern the process. Only a new child writes it, which has one thread yet. */

#include "client/fork.h"

#include <pthread.h>

static unsigned depth;

static void count_fork(void) {
        depth++;
}

static void watch_forks(void) {
        pthread_atfork(NULL, NULL, count_fork);
}

unsigned fork_get_depth(void) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, watch_forks);
        return depth;
}
