#pragma once

/*
 * Two-level segregated fit over ranges of numbers; it never sees the memory they stand for. Allocation and
 * freeing are O(1): free ranges hang on lists by size class, 16 classes to each power of two, found by two
 * bitmaps.
 *
 * Offsets and sizes are in units that the owner chooses. A node, never 0, names a range that was handed out.
 * Ranges of different regions never merge. Pure: no thread, no clock, no I/O.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/util/slab.h"

#define TLSF_N_SECOND 16
#define TLSF_N_FIRST  29

typedef struct Tlsf Tlsf;

enum {
        TLSF_E_FULL = 1,  /* no free range is long enough */
        TLSF_E_TAKEN,     /* not all of the range is free */
        TLSF_E_NO_MEMORY, /* the host has no memory for a node */
};

struct Tlsf {
        Slab nodes; /* node i has the number i - 1 */
        uint32_t first_map;
        uint16_t second_map[TLSF_N_FIRST];
        uint32_t heads[TLSF_N_FIRST][TLSF_N_SECOND];
};

void tlsf_init(Tlsf *tlsf);
void tlsf_deinit(Tlsf *tlsf);

/*
 * Adds a free region. Its name is the node of its first range, for ever. Requires: it overlaps no other
 * region. Returns 0 or TLSF_E_NO_MEMORY.
 */
int tlsf_add(Tlsf *tlsf, uint32_t offset, uint32_t size, uint32_t *ret_region);

/* Removes a region. Requires: nothing is allocated in it. */
void tlsf_remove(Tlsf *tlsf, uint32_t region);

/*
 * Allocates `size` units, more than 0. Returns 0, TLSF_E_FULL (also when only a range less than 1/16 longer
 * than `size` would do) or TLSF_E_NO_MEMORY.
 */
int tlsf_alloc(Tlsf *tlsf, uint32_t size, uint32_t *ret_node);

/*
 * Allocates exactly this range. `from` is a region or a node of it at or before `offset`; the walk starts
 * there, so claim in ascending order and pass the last node. Returns 0, TLSF_E_TAKEN or TLSF_E_NO_MEMORY.
 */
int tlsf_claim(Tlsf *tlsf, uint32_t from, uint32_t offset, uint32_t size, uint32_t *ret_node);

/* Has the processor fetch the memory that tlsf_free() will need. */
void tlsf_prefetch(const Tlsf *tlsf, uint32_t node);

void tlsf_free(Tlsf *tlsf, uint32_t node);

uint32_t tlsf_get_offset(const Tlsf *tlsf, uint32_t node);
uint32_t tlsf_get_size(const Tlsf *tlsf, uint32_t node);
