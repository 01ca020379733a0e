/* Pages of pointers; where one is taken out, the last one takes its place. */

#include "daemon/object/holdset.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/util/error.h"

#define PAGE_HOLDS ((size_t)512)

struct HoldPage {
        Hold *holds[PAGE_HOLDS];
};

static Hold **get_place(const HoldSet *set, size_t i) {
        return &set->pages[i / PAGE_HOLDS]->holds[i % PAGE_HOLDS];
}

static int add_page(HoldSet *set) {
        if (set->n_pages == set->n_pages_max) {
                size_t n_max = set->n_pages_max ? 2 * set->n_pages_max : 1;
                HoldPage **pages = reallocarray(set->pages, n_max, sizeof(HoldPage *));

                if (!pages)
                        return error_origin(-ENOMEM);
                set->pages = pages;
                set->n_pages_max = n_max;
        }
        set->pages[set->n_pages] = malloc(sizeof(HoldPage));
        if (!set->pages[set->n_pages])
                return error_origin(-ENOMEM);
        set->n_pages++;
        return 0;
}

void hold_set_deinit(HoldSet *set) {
        while (set->n_pages > 0)
                free(set->pages[--set->n_pages]);
        free(set->pages);
        *set = (HoldSet){0};
}

int hold_set_link(HoldSet *set, Hold *hold) {
        int r;

        if (set->n_places == set->n_pages * PAGE_HOLDS) {
                r = add_page(set);
                if (r)
                        return r;
        }
        hold->place = (uint32_t)set->n_places;
        *get_place(set, set->n_places++) = hold;
        return 0;
}

/*
 * Moves the last holds to where holes are. What a hole still points to is gone. Of a million places none is
 * in a cache: many are fetched in the time that one takes.
 */
static void fill_holes(HoldSet *set) {
        for (size_t i = 0; i < set->n_holes; i++)
                __builtin_prefetch(get_place(set, set->holes[i]), 1);
        for (size_t i = 0; i < set->n_holes; i++)
                *get_place(set, set->holes[i]) = NULL;
        while (set->n_holes > 0) {
                uint32_t hole = set->holes[--set->n_holes];
                Hold *last;

                while (set->n_places > 0 && !*get_place(set, set->n_places - 1))
                        set->n_places--;
                if (hole >= set->n_places)
                        continue;
                last = *get_place(set, --set->n_places);
                *get_place(set, hole) = last;
                last->place = hole;
        }
        /* One spare page stays, so that to go back and forth over its border does not allocate each time. */
        while (set->n_pages * PAGE_HOLDS > set->n_places + 2 * PAGE_HOLDS)
                free(set->pages[--set->n_pages]);
}

void hold_set_unlink(HoldSet *set, Hold *hold) {
        if (set->n_holes == HOLD_SET_HOLES)
                fill_holes(set);
        set->holes[set->n_holes++] = hold->place;
}

Hold *hold_set_find_any(HoldSet *set) {
        fill_holes(set);
        return set->n_places > 0 ? *get_place(set, set->n_places - 1) : NULL;
}
