/* Threads beside the loop's. */

#include "daemon/util/thread.h"

#include <signal.h>
#include <stdlib.h>

int thread_start(pthread_t *ret_thread, void *(*run)(void *userdata), void *userdata) {
        sigset_t all, old;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(ret_thread, NULL, run, userdata);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return -r;
}

/* Waits until all have been tried. */
static void *wait_for_end(void *userdata) {
        pthread_mutex_t *trying = userdata;

        pthread_mutex_lock(trying);
        pthread_mutex_unlock(trying);
        return NULL;
}

size_t thread_count_room(size_t n_max) {
        pthread_mutex_t trying = PTHREAD_MUTEX_INITIALIZER;
        pthread_t *threads = calloc(n_max, sizeof(*threads));
        size_t n_room = 0;

        if (!threads)
                return 0;
        pthread_mutex_lock(&trying);
        while (n_room < n_max && thread_start(&threads[n_room], wait_for_end, &trying) == 0)
                n_room++;
        pthread_mutex_unlock(&trying);
        for (size_t i = 0; i < n_room; i++)
                pthread_join(threads[i], NULL);
        free(threads);
        return n_room;
}
