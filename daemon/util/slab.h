#pragma once

/*
 * Structures of one size by the million, each with a number for as long as it lives. Growing moves none of
 * them, and what says which are free lies apart, so that neither touches memory that is in no cache. Chunks
 * in which none is used go back to the system, but for one that is kept.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/util/list.h"

#define SLAB_CHUNK 4096u /* elements: as many as two levels of bits can tell */
#define SLAB_WORD  64u   /* bits */

typedef struct Slab Slab;
typedef struct SlabChunk SlabChunk;

struct SlabChunk {
        List link;                             /* Slab.open or .gone; on none while all are used */
        char *elements;                        /* NULL: given back */
        uint32_t number;                       /* in Slab.chunks */
        uint32_t n_used;                       /* elements */
        uint64_t words;                        /* bit i: free[i] is not 0 */
        uint64_t free[SLAB_CHUNK / SLAB_WORD]; /* a bit for each element */
};

struct Slab {
        size_t size; /* of an element */
        SlabChunk **chunks;
        uint32_t n_chunks;
        uint32_t n_chunks_max;
        uint32_t n_unused; /* chunks with memory of which no element is used */
        List open;         /* SlabChunk.link: with a free element */
        List gone;         /* SlabChunk.link: without memory */
};

/* Elements are aligned as their `size` is, up to a page. */
void slab_init(Slab *slab, size_t size);

/* Frees all elements, used or not. Works on a zeroed structure. */
void slab_deinit(Slab *slab);

/* Takes a free element, with anything in it. Returns it and its number, or NULL without memory. */
void *slab_alloc(Slab *slab, uint32_t *ret_number);

/* Requires: the element is used. */
void slab_free(Slab *slab, uint32_t number);

/* Returns an element. Requires: it is used. */
static inline void *slab_get(const Slab *slab, uint32_t number) {
        return slab->chunks[number / SLAB_CHUNK]->elements + number % SLAB_CHUNK * slab->size;
}

/* The same for any number; NULL if no element that is used has it. */
void *slab_find(const Slab *slab, uint32_t number);

/* Returns the first number from `number` on that is in use; slab_get_end() if none is. */
uint32_t slab_next(const Slab *slab, uint64_t number);

/* Returns a number that is above all in use. */
static inline uint32_t slab_get_end(const Slab *slab) {
        return slab->n_chunks * SLAB_CHUNK;
}
