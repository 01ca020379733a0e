/*
 * Grains are claimed in order and may end in any; what is carried is everything below the lowest grain under
 * way. So nothing is counted per grain, and a piece is ready as soon as its last byte is.
 *
 * One mutex guards it all. It is held for a few instructions per grain, whose copy takes tens of
 * microseconds.
 */

#include "client/copier.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#define NOWHERE UINT64_MAX

struct Copier {
        pthread_mutex_t lock;
        pthread_cond_t work;   /* for helpers: bytes are open, or it is over */
        pthread_cond_t notice; /* for the owner: a grain has ended */
        CopyJob job;
        uint64_t next;                          /* first byte that nobody has claimed */
        uint64_t end;                           /* bytes below it may be claimed */
        uint64_t under_way[COPIER_THREADS_MAX]; /* a thread's grain, or NOWHERE; [0]: the owner's */
        uint64_t fault_position;                /* NOWHERE: no failure */
        ProtoFault fault;
        pthread_t helpers[COPIER_THREADS_MAX - 1];
        size_t n_threads; /* wanted, the owner's among them */
        size_t n_helpers; /* running */
        size_t n_waiting; /* helpers that wait for work */
        bool has_notice;  /* a helper has ended a grain since copier_wait() said so */
        bool is_over;
};

typedef struct Helper {
        Copier *copier;
        size_t index; /* of under_way */
} Helper;

/* ---- with the lock held ---- */

static bool has_work(const Copier *copier) {
        return copier->next < copier->end && copier->fault_position == NOWHERE;
}

static void carry_grain(Copier *copier, size_t index) {
        uint64_t position = copier->next;
        size_t size = copier->job.grain;
        ProtoFault fault;
        int r;

        if (size > copier->end - position)
                size = (size_t)(copier->end - position);
        copier->next += size;
        copier->under_way[index] = position;

        pthread_mutex_unlock(&copier->lock);
        r = copier->job.copy(copier->job.userdata, position, size, &fault);
        pthread_mutex_lock(&copier->lock);

        copier->under_way[index] = NOWHERE;
        if (r != 0 && position < copier->fault_position) {
                copier->fault_position = position;
                copier->fault = fault;
        }
}

/* Where the lowest grain of a helper begins, or NOWHERE. */
static uint64_t lowest_helped(const Copier *copier) {
        uint64_t lowest = NOWHERE;

        for (size_t i = 1; i <= copier->n_helpers; i++)
                if (copier->under_way[i] < lowest)
                        lowest = copier->under_way[i];
        return lowest;
}

/* ---- helpers ---- */

static void *help(void *userdata) {
        Helper helper = *(Helper *)userdata;
        Copier *copier = helper.copier;

        free(userdata);
        pthread_mutex_lock(&copier->lock);
        while (!copier->is_over) {
                if (has_work(copier) && !copier->job.is_serial) {
                        carry_grain(copier, helper.index);
                        copier->has_notice = true;
                        pthread_cond_signal(&copier->notice);
                } else {
                        copier->n_waiting++;
                        pthread_cond_wait(&copier->work, &copier->lock);
                        copier->n_waiting--;
                }
        }
        pthread_mutex_unlock(&copier->lock);
        return NULL;
}

static bool start_helper(Copier *copier, size_t index) {
        Helper *helper = malloc(sizeof(*helper));
        int r;

        if (!helper)
                return false;
        *helper = (Helper){copier, index};
        r = pthread_create(&copier->helpers[index - 1], NULL, help, helper);
        if (r != 0)
                free(helper);
        return r == 0;
}

/* Where the system gives fewer threads, fewer will do. */
static void start_helpers(Copier *copier) {
        sigset_t all, before;

        /* Signals are for the program's own threads. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_mutex_lock(&copier->lock);
        while (copier->n_helpers + 1 < copier->n_threads && start_helper(copier, copier->n_helpers + 1))
                copier->n_helpers++;
        pthread_mutex_unlock(&copier->lock);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- owner ---- */

size_t copier_count_threads(void) {
        size_t n_cpus = CPU_SETSIZE;
        cpu_set_t set;

        /* The call fails where there are more CPUs than the set holds. */
        if (sched_getaffinity(0, sizeof(set), &set) == 0)
                n_cpus = (size_t)CPU_COUNT(&set);
        return n_cpus > COPIER_THREADS_MAX ? COPIER_THREADS_MAX : n_cpus > 1 ? n_cpus - 1 : 1;
}

int copier_new(Copier **ret_copier, size_t n_threads) {
        Copier *copier;

        copier = calloc(1, sizeof(*copier));
        if (!copier)
                return -ENOMEM;
        pthread_mutex_init(&copier->lock, NULL);
        pthread_cond_init(&copier->work, NULL);
        pthread_cond_init(&copier->notice, NULL);
        for (size_t i = 0; i < COPIER_THREADS_MAX; i++)
                copier->under_way[i] = NOWHERE;
        copier->fault_position = NOWHERE;
        copier->n_threads = n_threads;
        *ret_copier = copier;
        return 0;
}

Copier *copier_free(Copier *copier) {
        if (!copier)
                return NULL;
        pthread_mutex_lock(&copier->lock);
        copier->is_over = true;
        pthread_cond_broadcast(&copier->work);
        pthread_mutex_unlock(&copier->lock);
        for (size_t i = 0; i < copier->n_helpers; i++)
                pthread_join(copier->helpers[i], NULL);
        pthread_cond_destroy(&copier->notice);
        pthread_cond_destroy(&copier->work);
        pthread_mutex_destroy(&copier->lock);
        free(copier);
        return NULL;
}

Copier *copier_abandon(Copier *copier) {
        free(copier);
        return NULL;
}

void copier_begin(Copier *copier, const CopyJob *job) {
        pthread_mutex_lock(&copier->lock);
        copier->job = *job;
        copier->next = 0;
        copier->end = 0;
        copier->fault_position = NOWHERE;
        pthread_mutex_unlock(&copier->lock);
        if (!job->is_serial && copier->n_helpers == 0)
                start_helpers(copier);
}

void copier_open(Copier *copier, uint64_t end) {
        size_t n_grains;

        pthread_mutex_lock(&copier->lock);
        copier->end = end;
        /* The owner takes one grain itself; a helper at work needs no call. */
        n_grains = (size_t)((end - copier->next) / copier->job.grain);
        if (!copier->job.is_serial)
                for (size_t i = 0; i < copier->n_waiting && i + 1 < n_grains; i++)
                        pthread_cond_signal(&copier->work);
        pthread_mutex_unlock(&copier->lock);
}

bool copier_step(Copier *copier) {
        bool is_work;

        pthread_mutex_lock(&copier->lock);
        is_work = has_work(copier);
        if (is_work)
                carry_grain(copier, 0);
        pthread_mutex_unlock(&copier->lock);
        return is_work;
}

bool copier_wait(Copier *copier) {
        bool has_notice;

        pthread_mutex_lock(&copier->lock);
        while (!copier->has_notice && lowest_helped(copier) != NOWHERE)
                pthread_cond_wait(&copier->notice, &copier->lock);
        has_notice = copier->has_notice;
        copier->has_notice = false;
        pthread_mutex_unlock(&copier->lock);
        return has_notice;
}

int copier_check(Copier *copier, uint64_t end) {
        int r;

        pthread_mutex_lock(&copier->lock);
        if (copier->fault_position != NOWHERE)
                r = -copier->fault.code;
        else
                r = copier->next >= end && lowest_helped(copier) >= end;
        pthread_mutex_unlock(&copier->lock);
        return r;
}

int copier_end(Copier *copier, ProtoFault *ret_fault) {
        int r = 0;

        pthread_mutex_lock(&copier->lock);
        copier->end = copier->next;
        while (lowest_helped(copier) != NOWHERE)
                pthread_cond_wait(&copier->notice, &copier->lock);
        if (copier->fault_position != NOWHERE) {
                *ret_fault = copier->fault;
                r = -copier->fault.code;
        }
        pthread_mutex_unlock(&copier->lock);
        return r;
}
