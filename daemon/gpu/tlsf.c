/*
 * Two-level segregated fit. Nodes of one region form a list in order of offset; free ones are on the list of their
 * size class as well. A split leaves the low part its node and a merge keeps the lower node, so that the first node
 * of a region is the same for ever. Used by pools (blocks) and rings (staging); any thread, no state of its own.
 */

#include "daemon/gpu/tlsf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/util/macros.h"

#define TLSF_SECOND_BITS 4
#define TLSF_NODES_MIN   16
#define TLSF_IS_USED     UINT32_MAX /* as free_prev */

struct TlsfNode {
        uint32_t offset;
        uint32_t size;
        uint32_t prev; /* neighbours in the region */
        uint32_t next;
        uint32_t free_prev; /* neighbours in the size class */
        uint32_t free_next;
};

typedef struct SizeClass {
        uint32_t first;
        uint32_t second;
} SizeClass;

/* The class of free ranges of this size. */
static SizeClass class_of(uint32_t size) {
        uint32_t top;

        if (size < TLSF_N_SECOND)
                return (SizeClass){.first = 0, .second = size};
        top = 31 - (uint32_t)__builtin_clz(size);
        return (SizeClass){
                .first = top - TLSF_SECOND_BITS + 1,
                .second = (size >> (top - TLSF_SECOND_BITS)) - TLSF_N_SECOND,
        };
}

static void free_link(Tlsf *tlsf, uint32_t node) {
        SizeClass class = class_of(tlsf->nodes[node].size);
        uint32_t *head = &tlsf->heads[class.first][class.second];

        tlsf->nodes[node].free_prev = 0;
        tlsf->nodes[node].free_next = *head;
        if (*head)
                tlsf->nodes[*head].free_prev = node;
        *head = node;
        tlsf->second_map[class.first] |= (uint16_t)(1u << class.second);
        tlsf->first_map |= 1u << class.first;
}

static void free_unlink(Tlsf *tlsf, uint32_t node) {
        TlsfNode *it = &tlsf->nodes[node];
        SizeClass class = class_of(it->size);

        if (it->free_next)
                tlsf->nodes[it->free_next].free_prev = it->free_prev;
        if (it->free_prev)
                tlsf->nodes[it->free_prev].free_next = it->free_next;
        else
                tlsf->heads[class.first][class.second] = it->free_next;
        if (!tlsf->heads[class.first][class.second])
                tlsf->second_map[class.first] &= (uint16_t) ~(1u << class.second);
        if (!tlsf->second_map[class.first])
                tlsf->first_map &= ~(1u << class.first);
        it->free_prev = TLSF_IS_USED;
}

static bool is_free(const Tlsf *tlsf, uint32_t node) {
        return node && tlsf->nodes[node].free_prev != TLSF_IS_USED;
}

/* Makes sure that two nodes can be taken without failing: an allocation splits at most twice. */
static int nodes_reserve(Tlsf *tlsf) {
        uint32_t n_max = MAX(tlsf->n_nodes_max * 2, (uint32_t)TLSF_NODES_MIN);
        TlsfNode *nodes;

        if (tlsf->n_nodes + 2 <= tlsf->n_nodes_max || (tlsf->unused && tlsf->nodes[tlsf->unused].free_next))
                return 0;
        nodes = realloc(tlsf->nodes, n_max * sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        tlsf->nodes = nodes;
        tlsf->n_nodes_max = n_max;
        return 0;
}

static uint32_t node_take(Tlsf *tlsf, TlsfNode init) {
        uint32_t node = tlsf->unused;

        if (node)
                tlsf->unused = tlsf->nodes[node].free_next;
        else
                node = tlsf->n_nodes++;
        init.free_prev = TLSF_IS_USED;
        tlsf->nodes[node] = init;
        return node;
}

static void node_drop(Tlsf *tlsf, uint32_t node) {
        tlsf->nodes[node] = (TlsfNode){.free_next = tlsf->unused, .free_prev = TLSF_IS_USED};
        tlsf->unused = node;
}

/* Cuts a range that is on no free list in two; returns the node of the high part, which is on none either. */
static uint32_t node_split(Tlsf *tlsf, uint32_t node, uint32_t size) {
        const TlsfNode *low = &tlsf->nodes[node];
        uint32_t high = node_take(tlsf, (TlsfNode){
                                                .offset = low->offset + size,
                                                .size = low->size - size,
                                                .prev = node,
                                                .next = low->next,
                                        });

        if (tlsf->nodes[high].next)
                tlsf->nodes[tlsf->nodes[high].next].prev = high;
        tlsf->nodes[node].next = high;
        tlsf->nodes[node].size = size;
        return high;
}

/* Joins a range with the one above it; both are on no free list. */
static void node_merge(Tlsf *tlsf, uint32_t node, uint32_t high) {
        TlsfNode *low = &tlsf->nodes[node];

        low->size += tlsf->nodes[high].size;
        low->next = tlsf->nodes[high].next;
        if (low->next)
                tlsf->nodes[low->next].prev = node;
        node_drop(tlsf, high);
}

/* Finds a free range that is surely long enough, in the smallest class with that property. */
static uint32_t find_free(const Tlsf *tlsf, uint32_t size) {
        uint64_t rounded = size;
        uint32_t second_map, first_map;
        SizeClass class;

        if (size >= TLSF_N_SECOND)
                rounded += (1u << (31 - __builtin_clz(size) - TLSF_SECOND_BITS)) - 1;
        if (rounded > UINT32_MAX)
                return 0;
        class = class_of((uint32_t)rounded);
        second_map = tlsf->second_map[class.first] & (~0u << class.second);
        if (!second_map) {
                first_map = tlsf->first_map & (~0u << (class.first + 1));
                if (!first_map)
                        return 0;
                class.first = (uint32_t)__builtin_ctz(first_map);
                second_map = tlsf->second_map[class.first];
        }
        return tlsf->heads[class.first][__builtin_ctz(second_map)];
}

void tlsf_init(Tlsf *tlsf) {
        *tlsf = (Tlsf){.n_nodes = 1};
}

void tlsf_deinit(Tlsf *tlsf) {
        free(tlsf->nodes);
        tlsf_init(tlsf);
}

int tlsf_add(Tlsf *tlsf, uint32_t offset, uint32_t size, uint32_t *ret_region) {
        int r;

        assert(size > 0);
        r = nodes_reserve(tlsf);
        if (r)
                return r;
        *ret_region = node_take(tlsf, (TlsfNode){.offset = offset, .size = size});
        free_link(tlsf, *ret_region);
        return 0;
}

void tlsf_remove(Tlsf *tlsf, uint32_t region) {
        assert(is_free(tlsf, region) && !tlsf->nodes[region].prev && !tlsf->nodes[region].next);
        free_unlink(tlsf, region);
        node_drop(tlsf, region);
}

int tlsf_alloc(Tlsf *tlsf, uint32_t size, uint32_t *ret_node) {
        uint32_t node;
        int r;

        assert(size > 0);
        node = find_free(tlsf, size);
        if (!node)
                return TLSF_E_FULL;
        r = nodes_reserve(tlsf);
        if (r)
                return r;
        free_unlink(tlsf, node);
        if (tlsf->nodes[node].size > size)
                free_link(tlsf, node_split(tlsf, node, size));
        *ret_node = node;
        return 0;
}

int tlsf_claim(Tlsf *tlsf, uint32_t from, uint32_t offset, uint32_t size, uint32_t *ret_node) {
        uint32_t node = from;
        const TlsfNode *it;
        int r;

        assert(size > 0);
        while (node && tlsf->nodes[node].offset + (uint64_t)tlsf->nodes[node].size <= offset)
                node = tlsf->nodes[node].next;
        it = &tlsf->nodes[node];
        if (!is_free(tlsf, node) || it->offset > offset ||
            it->offset + (uint64_t)it->size < offset + (uint64_t)size)
                return TLSF_E_TAKEN;
        r = nodes_reserve(tlsf);
        if (r)
                return r;
        free_unlink(tlsf, node);
        if (tlsf->nodes[node].offset < offset) {
                uint32_t high = node_split(tlsf, node, offset - tlsf->nodes[node].offset);

                free_link(tlsf, node);
                node = high;
        }
        if (tlsf->nodes[node].size > size)
                free_link(tlsf, node_split(tlsf, node, size));
        *ret_node = node;
        return 0;
}

void tlsf_free(Tlsf *tlsf, uint32_t node) {
        uint32_t next = tlsf->nodes[node].next, prev = tlsf->nodes[node].prev;

        assert(node && !is_free(tlsf, node));
        if (is_free(tlsf, next)) {
                free_unlink(tlsf, next);
                node_merge(tlsf, node, next);
        }
        if (is_free(tlsf, prev)) {
                free_unlink(tlsf, prev);
                node_merge(tlsf, prev, node);
                node = prev;
        }
        free_link(tlsf, node);
}

uint32_t tlsf_get_offset(const Tlsf *tlsf, uint32_t node) {
        return tlsf->nodes[node].offset;
}

uint32_t tlsf_get_size(const Tlsf *tlsf, uint32_t node) {
        return tlsf->nodes[node].size;
}
