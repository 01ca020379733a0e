#pragma once

/*
 * References in no order, each of which knows its place. No list: to leave a list of a million is to touch the two
 * beside it, which are anywhere in memory. Growing moves none of them.
 */

#include <stddef.h>
#include <stdint.h>

#define HOLD_SET_HOLES 16 /* that may be before they are filled */

typedef struct Hold Hold;
typedef struct HoldPage HoldPage;
typedef struct Mem Mem;
typedef struct Session Session;

/* A session's reference to an allocation. */
struct Hold {
        Session *session; /* NULL: not used */
        Mem *mem;
        uint32_t place; /* in Session.holds */
};

typedef struct HoldSet {
        HoldPage **pages;
        size_t n_pages;
        size_t n_pages_max;
        size_t n_places;
        uint32_t holes[HOLD_SET_HOLES]; /* places that were left */
        size_t n_holes;
} HoldSet;

/* Works on a zeroed structure. */
void hold_set_deinit(HoldSet *set);

/* Returns 0 or -ENOMEM. */
int hold_set_link(HoldSet *set, Hold *hold);
void hold_set_unlink(HoldSet *set, Hold *hold);

/* Any of them; NULL if there is none. */
Hold *hold_set_find_any(HoldSet *set);

static inline size_t hold_set_get_n(const HoldSet *set) {
        return set->n_places - set->n_holes;
}
