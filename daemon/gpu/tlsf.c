/*
 * Two-level segregated fit. Nodes of one region form a list in order of offset; free ones are on the list of
 * their size class as well. A split leaves the low part its node and a merge keeps the lower node, so that
 * the first node of a region is the same for ever. Used by pools (blocks) and rings (staging); any thread, no
 * state of its own.
 */

#include "daemon/gpu/tlsf.h"

#include <assert.h>

#include "daemon/util/macros.h"

#define TLSF_SECOND_BITS 4
#define TLSF_IS_USED     UINT32_MAX /* free_prev of a range that is not free */

/* Two nodes to a cache line. */
typedef struct TlsfNode {
        _Alignas(32) uint32_t offset;
        uint32_t size;
        uint32_t prev; /* neighbours in the region */
        uint32_t next;
        uint32_t free_prev; /* neighbours in the size class */
        uint32_t free_next;
} TlsfNode;

typedef struct SizeClass {
        uint32_t first;
        uint32_t second;
} SizeClass;

/* Returns the class of free ranges of this size. */
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

static TlsfNode *get_node(const Tlsf *tlsf, uint32_t node) {
        return slab_get(&tlsf->nodes, node - 1);
}

static void free_link(Tlsf *tlsf, uint32_t node) {
        TlsfNode *it = get_node(tlsf, node);
        SizeClass class = class_of(it->size);
        uint32_t *head = &tlsf->heads[class.first][class.second];

        it->free_prev = 0;
        it->free_next = *head;
        if (*head)
                get_node(tlsf, *head)->free_prev = node;
        *head = node;
        tlsf->second_map[class.first] |= (uint16_t)(1u << class.second);
        tlsf->first_map |= 1u << class.first;
}

static void free_unlink(Tlsf *tlsf, uint32_t node) {
        TlsfNode *it = get_node(tlsf, node);
        SizeClass class = class_of(it->size);

        if (it->free_next)
                get_node(tlsf, it->free_next)->free_prev = it->free_prev;
        if (it->free_prev)
                get_node(tlsf, it->free_prev)->free_next = it->free_next;
        else
                tlsf->heads[class.first][class.second] = it->free_next;
        if (!tlsf->heads[class.first][class.second])
                tlsf->second_map[class.first] &= (uint16_t) ~(1u << class.second);
        if (!tlsf->second_map[class.first])
                tlsf->first_map &= ~(1u << class.first);
        it->free_prev = TLSF_IS_USED;
}

static bool is_free(const Tlsf *tlsf, uint32_t node) {
        return node && get_node(tlsf, node)->free_prev != TLSF_IS_USED;
}

/* Makes a node for a range that is on no free list. Returns 0 without memory. */
static uint32_t node_new(Tlsf *tlsf, const TlsfNode *init) {
        uint32_t number;
        TlsfNode *node = slab_alloc(&tlsf->nodes, &number);

        if (!node)
                return 0;
        *node = *init;
        node->free_prev = TLSF_IS_USED;
        return number + 1;
}

static void node_free(Tlsf *tlsf, uint32_t node) {
        slab_free(&tlsf->nodes, node - 1);
}

/*
 * Cuts a range that is on no free list in two. Returns the node of the high part, which is on none either, or
 * 0 without memory.
 */
static uint32_t node_split(Tlsf *tlsf, uint32_t node, uint32_t size) {
        TlsfNode *low = get_node(tlsf, node);
        const TlsfNode rest = {
                .offset = low->offset + size,
                .size = low->size - size,
                .prev = node,
                .next = low->next,
        };
        uint32_t high = node_new(tlsf, &rest);

        if (!high)
                return 0;
        if (low->next)
                get_node(tlsf, low->next)->prev = high;
        low->next = high;
        low->size = size;
        return high;
}

/* Joins a range with the one above it. Requires: both are on no free list. */
static void node_merge(Tlsf *tlsf, uint32_t node, uint32_t high) {
        TlsfNode *low = get_node(tlsf, node);

        low->size += get_node(tlsf, high)->size;
        low->next = get_node(tlsf, high)->next;
        if (low->next)
                get_node(tlsf, low->next)->prev = node;
        node_free(tlsf, high);
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
        *tlsf = (Tlsf){};
        slab_init(&tlsf->nodes, sizeof(TlsfNode));
}

void tlsf_deinit(Tlsf *tlsf) {
        slab_deinit(&tlsf->nodes);
        *tlsf = (Tlsf){};
}

int tlsf_add(Tlsf *tlsf, uint32_t offset, uint32_t size, uint32_t *ret_region) {
        uint32_t node;

        assert(size > 0);
        node = node_new(tlsf, &(TlsfNode){.offset = offset, .size = size});
        if (!node)
                return TLSF_E_NO_MEMORY;
        free_link(tlsf, node);
        *ret_region = node;
        return 0;
}

void tlsf_remove(Tlsf *tlsf, uint32_t region) {
        assert(is_free(tlsf, region) && !get_node(tlsf, region)->prev && !get_node(tlsf, region)->next);
        free_unlink(tlsf, region);
        node_free(tlsf, region);
}

/*
 * Cuts a range that is on no free list to `size` and frees the rest. Returns 0, or TLSF_E_NO_MEMORY if the
 * range is as it was.
 */
static int node_cut(Tlsf *tlsf, uint32_t node, uint32_t size) {
        uint32_t rest;

        if (get_node(tlsf, node)->size == size)
                return 0;
        rest = node_split(tlsf, node, size);
        if (!rest)
                return TLSF_E_NO_MEMORY;
        free_link(tlsf, rest);
        return 0;
}

int tlsf_alloc(Tlsf *tlsf, uint32_t size, uint32_t *ret_node) {
        uint32_t node;
        int r;

        assert(size > 0);
        node = find_free(tlsf, size);
        if (!node)
                return TLSF_E_FULL;
        free_unlink(tlsf, node);
        r = node_cut(tlsf, node, size);
        if (r) {
                free_link(tlsf, node);
                return r;
        }
        *ret_node = node;
        return 0;
}

/* Claims a range out of the free range around it. */
static int claim_of(Tlsf *tlsf, uint32_t around, uint32_t offset, uint32_t size, uint32_t *ret_node) {
        uint32_t node = around;
        int r;

        free_unlink(tlsf, around);
        if (get_node(tlsf, around)->offset < offset)
                node = node_split(tlsf, around, offset - get_node(tlsf, around)->offset);
        r = node ? node_cut(tlsf, node, size) : TLSF_E_NO_MEMORY;
        if (r && node && node != around)
                node_merge(tlsf, around, node);
        if (r || node != around)
                free_link(tlsf, around);
        *ret_node = node;
        return r;
}

int tlsf_claim(Tlsf *tlsf, uint32_t from, uint32_t offset, uint32_t size, uint32_t *ret_node) {
        uint32_t node = from;
        const TlsfNode *it;

        assert(size > 0);
        while (node && get_node(tlsf, node)->offset + (uint64_t)get_node(tlsf, node)->size <= offset)
                node = get_node(tlsf, node)->next;
        if (!is_free(tlsf, node))
                return TLSF_E_TAKEN;
        it = get_node(tlsf, node);
        if (it->offset > offset || it->offset + (uint64_t)it->size < offset + (uint64_t)size)
                return TLSF_E_TAKEN;
        return claim_of(tlsf, node, offset, size, ret_node);
}

void tlsf_prefetch(const Tlsf *tlsf, uint32_t node) {
        const TlsfNode *it = get_node(tlsf, node);

        /* The nodes of the neighbours are mostly beside this one. */
        __builtin_prefetch(it - 1);
        __builtin_prefetch(it + 1);
}

void tlsf_free(Tlsf *tlsf, uint32_t node) {
        uint32_t next = get_node(tlsf, node)->next, prev = get_node(tlsf, node)->prev;

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
        return get_node(tlsf, node)->offset;
}

uint32_t tlsf_get_size(const Tlsf *tlsf, uint32_t node) {
        return get_node(tlsf, node)->size;
}
