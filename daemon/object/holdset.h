#pragma once

/*
 * A set of references in no order, each of which knows its place in it. It is no list: to take one off a list
 * of a million is to touch its two neighbours, which are anywhere in memory. Growing moves none of them.
 */

#include <stddef.h>
#include <stdint.h>

#define HOLD_SET_HOLES 16 /* places that are left before they are filled */

typedef struct Hold Hold;
typedef struct HoldPage HoldPage;
typedef struct Mem Mem;
typedef struct Session Session;

/* A session's references to an allocation. */
struct Hold {
        Session *session; /* NULL: not in use */
        Mem *mem;
        uint32_t place; /* in Session.holds */
        uint32_t n_refs;
};

typedef struct HoldSet {
        HoldPage **pages;
        size_t n_pages;
        size_t n_pages_max;
        size_t n_places;
        uint32_t holes[HOLD_SET_HOLES]; /* places that were left, and are not filled yet */
        size_t n_holes;
} HoldSet;

/* Works on a zeroed structure. */
void hold_set_deinit(HoldSet *set);

/* Gives the hold a place. Returns 0 or -ENOMEM. */
int hold_set_link(HoldSet *set, Hold *hold);

/* Takes the hold out. Requires: it is in the set. */
void hold_set_unlink(HoldSet *set, Hold *hold);

/* Returns any hold; NULL if there is none. */
Hold *hold_set_find_any(HoldSet *set);

static inline size_t hold_set_get_n(const HoldSet *set) {
        return set->n_places - set->n_holes;
}
