#pragma once

/*
 * Host memory lent out in slots: to stage bytes through, or to carry them between devices. A chunk that finds
 * none free waits its turn. The ring does not own the memory.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/op.h"
#include "daemon/gpu/tlsf.h"
#include "daemon/util/list.h"

#define GPU_RING_UNIT 256 /* bytes; slots are aligned to it */

typedef struct GpuRing GpuRing;

struct GpuRing {
        Tlsf tlsf;
        unsigned char *map;
        List waiting; /* GpuChunk.link */
};

/*
 * Requires: `size` is a multiple of GPU_RING_UNIT. Returns 0 or GPU_E_NO_HOST_MEMORY; ring_deinit() is due in
 * any case.
 */
int ring_init(GpuRing *ring, void *map, uint64_t size);

/* Works on a zeroed structure and on one whose init failed. */
void ring_deinit(GpuRing *ring);

/*
 * Lends a slot of `size` bytes to the chunk and returns true, or lets the chunk wait and returns false. A
 * slot of at most 1/8 of the ring will be found sooner or later; then chunk_advance() is called, which asks
 * again.
 */
bool ring_get(GpuRing *ring, GpuChunk *chunk, uint64_t size, uint32_t *ret_slot);

/* Takes a slot back. */
void ring_put(GpuRing *ring, uint32_t slot);

/* Lets waiting chunks go on, in their order, as far as there are slots. */
void ring_wake(GpuRing *ring);

/* Returns where a slot begins, in bytes from the beginning of the map. */
uint64_t ring_get_offset(const GpuRing *ring, uint32_t slot);
