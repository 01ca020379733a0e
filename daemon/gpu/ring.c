/* Slots of host memory, first come first served; loop thread. */

#include "daemon/gpu/ring.h"

#include "daemon/gpu/result.h"
#include "daemon/gpu/transfer.h"

int ring_init(GpuRing *ring, void *map, uint64_t size) {
        uint32_t region;

        *ring = (GpuRing){.map = map};
        list_init(&ring->waiting);
        tlsf_init(&ring->tlsf);
        return tlsf_add(&ring->tlsf, 0, (uint32_t)(size / GPU_RING_UNIT), &region) ? GPU_E_NO_HOST_MEMORY : 0;
}

void ring_deinit(GpuRing *ring) {
        tlsf_deinit(&ring->tlsf);
}

bool ring_get(GpuRing *ring, GpuChunk *chunk, uint64_t size, uint32_t *ret_slot) {
        uint32_t n_units = (uint32_t)((size + GPU_RING_UNIT - 1) / GPU_RING_UNIT);

        if (list_is_empty(&ring->waiting) && !tlsf_alloc(&ring->tlsf, n_units, ret_slot))
                return true;
        list_link(&ring->waiting, &chunk->link);
        return false;
}

void ring_put(GpuRing *ring, uint32_t slot) {
        tlsf_free(&ring->tlsf, slot);
}

void ring_wake(GpuRing *ring) {
        List waiting, *link;

        list_init(&waiting);
        list_splice(&waiting, &ring->waiting);
        while ((link = list_pop(&waiting))) {
                chunk_advance(container_of(link, GpuChunk, link));
                if (!list_is_empty(&ring->waiting))
                        break;
        }
        /* The first chunk that found no slot is at the head again; the others stay behind it. */
        list_splice(&ring->waiting, &waiting);
}

uint64_t ring_get_offset(const GpuRing *ring, uint32_t slot) {
        return (uint64_t)tlsf_get_offset(&ring->tlsf, slot) * GPU_RING_UNIT;
}
