/* Chunks of elements. Of a chunk's free elements the lowest is taken: the high ones stay untouched. */

#include "daemon/util/slab.h"

#include <assert.h>
#include <sanitizer/asan_interface.h> /* without the sanitizer its macros are nothing */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/util/macros.h"

#define CHUNKS_MIN 4u
#define CHUNKS_MAX (UINT32_MAX / SLAB_CHUNK) /* the end is a number too */

static size_t get_chunk_size(const Slab *slab) {
        return SLAB_CHUNK * slab->size;
}

/* Adds a chunk without memory, under the next number. Returns NULL without memory for it. */
static SlabChunk *slab_add_chunk(Slab *slab) {
        SlabChunk *chunk;

        if (slab->n_chunks == slab->n_chunks_max) {
                uint32_t n_max = slab->n_chunks_max ? 2 * slab->n_chunks_max : CHUNKS_MIN;
                SlabChunk **chunks =
                        n_max <= CHUNKS_MAX ? reallocarray(slab->chunks, n_max, sizeof(SlabChunk *)) : NULL;

                if (!chunks)
                        return NULL;
                slab->chunks = chunks;
                slab->n_chunks_max = n_max;
        }
        chunk = malloc(sizeof(*chunk));
        if (!chunk)
                return NULL;
        *chunk = (SlabChunk){.number = slab->n_chunks, .words = UINT64_MAX};
        memset(chunk->free, 0xff, sizeof(chunk->free));
        slab->chunks[slab->n_chunks++] = chunk;
        list_link(&slab->gone, &chunk->link);
        return chunk;
}

static SlabChunk *slab_open_chunk(Slab *slab) {
        List *gone = list_first(&slab->gone);
        SlabChunk *chunk = gone ? container_of(gone, SlabChunk, link) : slab_add_chunk(slab);
        void *map;

        if (!chunk)
                return NULL;
        /* malloc would keep for itself what comes back. */
        map = mmap(NULL, get_chunk_size(slab), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED)
                return NULL;
        chunk->elements = map;
        ASAN_POISON_MEMORY_REGION(map, get_chunk_size(slab));
        list_unlink(&chunk->link);
        list_link(&slab->open, &chunk->link);
        slab->n_unused++;
        return chunk;
}

static void chunk_unmap(const Slab *slab, SlabChunk *chunk) {
        ASAN_UNPOISON_MEMORY_REGION(chunk->elements, get_chunk_size(slab));
        munmap(chunk->elements, get_chunk_size(slab));
        chunk->elements = NULL;
}

static void slab_close_chunk(Slab *slab, SlabChunk *chunk) {
        list_unlink(&chunk->link);
        list_link(&slab->gone, &chunk->link);
        slab->n_unused--;
        chunk_unmap(slab, chunk);
}

void slab_init(Slab *slab, size_t size) {
        *slab = (Slab){.size = size};
        list_init(&slab->open);
        list_init(&slab->gone);
}

void slab_deinit(Slab *slab) {
        for (uint32_t i = 0; i < slab->n_chunks; i++) {
                if (slab->chunks[i]->elements)
                        chunk_unmap(slab, slab->chunks[i]);
                free(slab->chunks[i]);
        }
        free(slab->chunks);
        *slab = (Slab){0};
}

static uint32_t chunk_take(SlabChunk *chunk) {
        uint32_t word = (uint32_t)__builtin_ctzll(chunk->words);
        uint32_t bit = (uint32_t)__builtin_ctzll(chunk->free[word]);

        chunk->free[word] &= ~(UINT64_C(1) << bit);
        if (chunk->free[word] == 0)
                chunk->words &= ~(UINT64_C(1) << word);
        return word * SLAB_WORD + bit;
}

void *slab_alloc(Slab *slab, uint32_t *ret_number) {
        List *open = list_first(&slab->open);
        SlabChunk *chunk = open ? container_of(open, SlabChunk, link) : slab_open_chunk(slab);
        void *element;

        if (!chunk)
                return NULL;
        *ret_number = chunk->number * SLAB_CHUNK + chunk_take(chunk);
        if (chunk->n_used++ == 0)
                slab->n_unused--;
        if (chunk->n_used == SLAB_CHUNK)
                list_unlink(&chunk->link);
        element = slab_get(slab, *ret_number);
        ASAN_UNPOISON_MEMORY_REGION(element, slab->size);
        return element;
}

static bool is_used(const Slab *slab, uint32_t number) {
        const SlabChunk *chunk = slab->chunks[number / SLAB_CHUNK];

        return !(chunk->free[number % SLAB_CHUNK / SLAB_WORD] >> number % SLAB_WORD & 1);
}

void slab_free(Slab *slab, uint32_t number) {
        SlabChunk *chunk = slab->chunks[number / SLAB_CHUNK];
        uint32_t word = number % SLAB_CHUNK / SLAB_WORD;

        assert(is_used(slab, number));
        ASAN_POISON_MEMORY_REGION(slab_get(slab, number), slab->size);
        chunk->free[word] |= UINT64_C(1) << number % SLAB_WORD;
        chunk->words |= UINT64_C(1) << word;
        /* First in line, since what was used just now is still in the cache. */
        if (chunk->n_used-- == SLAB_CHUNK)
                list_link(slab->open.next, &chunk->link);
        if (chunk->n_used == 0 && slab->n_unused++ > 0)
                slab_close_chunk(slab, chunk);
}

/* Returns the first used element from `i` on; SLAB_CHUNK if there is none. */
static uint32_t chunk_next(const SlabChunk *chunk, uint32_t i) {
        uint64_t used = ~chunk->free[i / SLAB_WORD] & UINT64_MAX << i % SLAB_WORD;
        uint32_t word = i / SLAB_WORD;

        while (!used && ++word < N_ELEMENTS(chunk->free))
                used = ~chunk->free[word];
        return used ? word * SLAB_WORD + (uint32_t)__builtin_ctzll(used) : SLAB_CHUNK;
}

uint32_t slab_next(const Slab *slab, uint64_t number) {
        while (number < slab_get_end(slab)) {
                const SlabChunk *chunk = slab->chunks[number / SLAB_CHUNK];
                uint32_t i = chunk->n_used ? chunk_next(chunk, number % SLAB_CHUNK) : SLAB_CHUNK;

                number += i - number % SLAB_CHUNK;
                if (i < SLAB_CHUNK)
                        return (uint32_t)number;
        }
        return slab_get_end(slab);
}

void *slab_find(const Slab *slab, uint32_t number) {
        return number < slab_get_end(slab) && is_used(slab, number) ? slab_get(slab, number) : NULL;
}
