/* From one item to the next. */

#include "proto/cursor.h"

Item cursor_read(Cursor *cursor) {
        size_t n_left = (size_t)(cursor->end - cursor->at);
        uint64_t n_bytes;
        size_t size;
        Item item;

        if (n_left > 0 && item_read(&item, cursor->at, n_left, &size) == 0) {
                n_bytes = item_get_n_bytes(&item);
                if (n_bytes <= n_left - size) {
                        item.data = (const char *)cursor->at + size;
                        cursor->at += size + n_bytes;
                        return item;
                }
        }
        cursor->at = cursor->end;
        return (Item){0};
}

void cursor_skip(Cursor *cursor, const Item *item) {
        uint64_t n_items = item_get_n_items(item);
        Item inner;

        while (n_items > 0 && cursor->at < cursor->end) {
                inner = cursor_read(cursor);
                n_items += item_get_n_items(&inner) - 1;
        }
}
