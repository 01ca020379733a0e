#pragma once

/*
 * Reads a message item by item, where it lies. The message has passed scan_walk(); one that had not would
 * read as ITEM_NONE from the first broken item on, which no consumer takes for what it wants.
 */

#include "proto/item.h"

typedef struct Cursor {
        const uint8_t *at;
        const uint8_t *end;
} Cursor;

static inline Cursor cursor_from_bytes(const void *data, size_t n_data) {
        return (Cursor){data, (const uint8_t *)data + n_data};
}

/* The next item; of an array or map the head only. ITEM_NONE where there is none. */
Item cursor_read(Cursor *cursor);

/* Goes behind what belongs to `item`, which has just been read. */
void cursor_skip(Cursor *cursor, const Item *item);
