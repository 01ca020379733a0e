/* The walk: one item at a time, a counter of missing items per open array or map, no recursion. */

#include "proto/scan.h"

#include <stdio.h>

#include "proto/item.h"
#include "proto/types.h"

const ScanLimits scan_request_limits = {
        .size_max = GPUD_MESSAGE_MAX,
        .depth_max = GPUD_DEPTH_MAX,
        .items_max = GPUD_ITEMS_MAX,
};

_Static_assert(GPUD_DEPTH_MAX <= SCAN_DEPTH_MAX, "the stack must hold the deepest request");

/* The bytes end within the item before `place`, or right there; or the limit does. */
static int stop(ScanPlace *place, const ScanLimits *limits, size_t n_data) {
        if (place->position >= limits->size_max || place->skip > limits->size_max - place->position)
                return SCAN_E_TOO_LARGE;
        place->skip -= n_data - place->position;
        place->position = n_data;
        return SCAN_E_MORE;
}

/* Goes into the array or map whose head ends `place->skip` bytes from here. */
static int enter(ScanPlace *place, uint64_t *open, const ScanLimits *limits, uint64_t n_items) {
        if (place->skip > limits->size_max - place->position)
                return SCAN_E_TOO_LARGE;
        place->n_items += n_items;
        if (place->n_items > limits->items_max)
                return SCAN_E_TOO_MANY;
        if (place->depth >= limits->depth_max)
                return SCAN_E_TOO_DEEP;
        open[place->depth++] = place->n_left;
        place->n_left = n_items;
        return 0;
}

static int walk(ScanPlace *place, uint64_t *open, const ScanLimits *limits, const uint8_t *data,
                size_t n_data) {
        size_t end = n_data < limits->size_max ? n_data : limits->size_max;
        size_t size;
        Item item;
        int r;

        for (;;) {
                if (place->skip > end - place->position)
                        return stop(place, limits, n_data);
                place->position += place->skip;
                place->skip = 0;
                while (place->n_left == 0) {
                        if (place->depth == 0)
                                return 0;
                        place->n_left = open[--place->depth];
                }
                if (place->position == end)
                        return stop(place, limits, n_data);
                r = item_read(&item, data + place->position, n_data - place->position, &size);
                if (r)
                        return r == ITEM_E_MORE ? SCAN_E_MORE : SCAN_E_INVALID;
                place->skip = size + item_get_n_bytes(&item);
                place->n_left--;
                if (item_is_container(&item)) {
                        r = enter(place, open, limits, item_get_n_items(&item));
                        if (r)
                                return r;
                }
        }
}

int scan_walk(Scan *scan, const ScanLimits *limits, const void *data, size_t n_data, size_t *ret_size) {
        /* A copy, which the compiler keeps in registers. */
        ScanPlace place = scan->place;
        int r = walk(&place, scan->open, limits, data, n_data);

        scan->place = place;
        if (r == 0) {
                *ret_size = place.position;
                scan->place = SCAN_PLACE_NULL;
        }
        return r;
}

void scan_error_to_string(int r, const ScanLimits *limits, char *ret_text, size_t n_text) {
        switch (r) {
        case SCAN_E_TOO_LARGE:
                snprintf(ret_text, n_text, "message exceeds message_max = %zu bytes", limits->size_max);
                break;
        case SCAN_E_TOO_DEEP:
                snprintf(ret_text, n_text, "message nests deeper than depth_max = %u", limits->depth_max);
                break;
        case SCAN_E_TOO_MANY:
                snprintf(ret_text, n_text, "message promises more than items_max = %ju items",
                         (uintmax_t)limits->items_max);
                break;
        default:
                snprintf(ret_text, n_text,
                         "message holds a byte or extension type that the protocol does not use");
        }
}
