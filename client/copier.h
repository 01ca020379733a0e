#pragma once

/*
 * Threads that carry the bytes of one transfer at a time, in grains, each by one call of the job's function.
 * The thread of the client owns the copier and is one of those who carry; the helpers exist from the first
 * job that wants them until copier_free().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/fault.h"

/* More threads copy no faster than the link to a GPU takes it. */
#define COPIER_THREADS_MAX 8

typedef struct Copier Copier;

/*
 * Carries the `size` bytes at `position`. Called on several threads at once unless the job is serial, for
 * grains that do not overlap; begun in order. Returns 0 or a GPUD_E_ code with `fault` filled, which ends the
 * job.
 */
typedef int CopyFn(void *userdata, uint64_t position, size_t size, ProtoFault *fault);

typedef struct CopyJob {
        CopyFn *copy;
        void *userdata;
        size_t grain;   /* bytes of a call; the last one before an end may be shorter */
        bool is_serial; /* on the owner's thread alone, in order */
} CopyJob;

/* How many threads copy here: one CPU is left to gpud, which copies as well where the GPU does not. */
size_t copier_count_threads(void);

/* For `n_threads` threads, the owner's among them, at most COPIER_THREADS_MAX. 0 or -ENOMEM. */
int copier_new(Copier **ret_copier, size_t n_threads);
/* Ends the helpers. NULL is fine. Returns NULL. */
Copier *copier_free(Copier *copier);
/* In a forked child, where the helpers are not: frees the memory alone. */
Copier *copier_abandon(Copier *copier);

/*
 * Begins a job, of which nothing may be carried yet. Requires: no job is under way. Helpers are started for
 * the first job that is not serial.
 */
void copier_begin(Copier *copier, const CopyJob *job);
/* From now on bytes below `end` may be carried. */
void copier_open(Copier *copier, uint64_t end);
/* Carries one grain on this thread. False: no byte is free to be carried. */
bool copier_step(Copier *copier);
/* Waits until a helper has ended a grain since the last call. False: none has, and none is under way. */
bool copier_wait(Copier *copier);
/* Whether all bytes below `end` have been carried: 1 or 0, or the negated code of the job's failure. */
int copier_check(Copier *copier, uint64_t end);
/* Ends the job, whole or not: nothing of it is under way then. 0, or the failure at the lowest position. */
int copier_end(Copier *copier, ProtoFault *ret_fault);
