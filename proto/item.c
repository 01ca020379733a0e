/* Items that are longer than a byte, and in words. */

#include "proto/item.h"

#include <inttypes.h>
#include <stdio.h>

const ItemHead item_heads[32] = {
        [0x00] = {ITEM_NIL, 0},   [0x02] = {ITEM_BOOL, 0}, [0x03] = {ITEM_BOOL, 0},  [0x04] = {ITEM_BIN, 1},
        [0x05] = {ITEM_BIN, 2},   [0x06] = {ITEM_BIN, 4},  [0x0a] = {ITEM_FLOAT, 4}, [0x0b] = {ITEM_FLOAT, 8},
        [0x0c] = {ITEM_UINT, 1},  [0x0d] = {ITEM_UINT, 2}, [0x0e] = {ITEM_UINT, 4},  [0x0f] = {ITEM_UINT, 8},
        [0x10] = {ITEM_INT, 1},   [0x11] = {ITEM_INT, 2},  [0x12] = {ITEM_INT, 4},   [0x13] = {ITEM_INT, 8},
        [0x19] = {ITEM_STR, 1},   [0x1a] = {ITEM_STR, 2},  [0x1b] = {ITEM_STR, 4},   [0x1c] = {ITEM_ARRAY, 2},
        [0x1d] = {ITEM_ARRAY, 4}, [0x1e] = {ITEM_MAP, 2},  [0x1f] = {ITEM_MAP, 4},
};

/* The bits of a float as those of a double. */
static uint64_t widen(uint32_t bits) {
        uint64_t wide_bits;
        double wide;
        float narrow;

        memcpy(&narrow, &bits, sizeof(narrow));
        wide = (double)narrow;
        memcpy(&wide_bits, &wide, sizeof(wide_bits));
        return wide_bits;
}

static uint64_t read_bytes(const uint8_t *data, size_t width) {
        uint64_t number = 0;

        for (size_t i = 0; i < width; i++)
                number = number << 8 | data[i];
        return number;
}

uint64_t item_read_number(const ItemHead *head, const uint8_t *data) {
        uint64_t number = read_bytes(data, head->width);
        unsigned n_unused = 64 - 8 * (unsigned)head->width;

        if (head->kind == ITEM_INT)
                return (uint64_t)((int64_t)(number << n_unused) >> n_unused);
        if (head->kind == ITEM_FLOAT && head->width == sizeof(float))
                return widen((uint32_t)number);
        return number;
}

void item_to_string(const Item *item, char ret_text[static ITEM_TEXT]) {
        switch (item->kind) {
        case ITEM_BOOL:
                snprintf(ret_text, ITEM_TEXT, "%s", item->number ? "true" : "false");
                return;
        case ITEM_UINT:
                snprintf(ret_text, ITEM_TEXT, "%" PRIu64, item->number);
                return;
        case ITEM_INT:
                snprintf(ret_text, ITEM_TEXT, "%" PRId64, (int64_t)item->number);
                return;
        case ITEM_FLOAT:
                snprintf(ret_text, ITEM_TEXT, "%g", item_get_float(item));
                return;
        case ITEM_STR:
                snprintf(ret_text, ITEM_TEXT, "\"%.*s\"", (int)(item->number < 64 ? item->number : 64),
                         item->data);
                return;
        case ITEM_BIN:
                snprintf(ret_text, ITEM_TEXT, "%" PRIu64 " bytes", item->number);
                return;
        case ITEM_ARRAY:
                snprintf(ret_text, ITEM_TEXT, "an array of %" PRIu64, item->number);
                return;
        case ITEM_MAP:
                snprintf(ret_text, ITEM_TEXT, "a map of %" PRIu64, item->number);
                return;
        case ITEM_NIL:
        case ITEM_NONE:
                break;
        }
        snprintf(ret_text, ITEM_TEXT, "nil");
}
