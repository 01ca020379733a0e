#pragma once

/*
 * One msgpack item: a value, or the head of an array or map. Reading one allocates nothing and never looks
 * beyond the bytes that are there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum ItemKind {
        ITEM_NONE, /* the bytes are at their end, or it is an extension type or the byte 0xc1 */
        ITEM_NIL,
        ITEM_BOOL,
        ITEM_UINT, /* any integer that is not negative */
        ITEM_INT,  /* a negative one */
        ITEM_FLOAT,
        ITEM_STR,
        ITEM_BIN,
        ITEM_ARRAY,
        ITEM_MAP,
} ItemKind;

typedef struct Item {
        ItemKind kind;
        uint64_t number;  /* the value, of a FLOAT its bits; how many bytes, elements or pairs follow */
        const char *data; /* of a STR or BIN */
} Item;

enum {
        _ITEM_E_SUCCESS,
        ITEM_E_MORE,    /* its head goes on behind the bytes that are there */
        ITEM_E_INVALID, /* it is no item of the protocol */
};

/* What the type bytes from 0xc0 to 0xdf say, whose number is in the bytes behind them. */
typedef struct ItemHead {
        uint8_t kind;
        uint8_t width; /* of the number */
} ItemHead;

extern const ItemHead item_heads[32];

/* What a reader is told of an item: its value, or what and how much it is. */
#define ITEM_TEXT 96
void item_to_string(const Item *item, char ret_text[static ITEM_TEXT]);

/* Reads the number behind such a byte, at `data`. */
uint64_t item_read_number(const ItemHead *head, const uint8_t *data);

/*
 * Reads the item at `data`, of which at least one byte is there, without the bytes of a STR or BIN. Returns 0
 * with the size of what was read, ITEM_E_MORE or ITEM_E_INVALID. Branches, and no table of all types: the
 * processor foresees what comes, and need not wait for a look-up to know where the next item is.
 */
static inline int item_read(Item *ret_item, const uint8_t *data, size_t n_data, size_t *ret_size) {
        uint8_t type = data[0];
        const ItemHead *head;

        *ret_size = 1;
        if (type >= 0xa0 && type <= 0xbf) {
                ret_item->kind = ITEM_STR;
                ret_item->number = type & 0x1f;
                return 0;
        }
        if (type <= 0x7f) {
                ret_item->kind = ITEM_UINT;
                ret_item->number = type;
                return 0;
        }
        if (type <= 0x9f) {
                ret_item->kind = type >= 0x90 ? ITEM_ARRAY : ITEM_MAP;
                ret_item->number = type & 0x0f;
                return 0;
        }
        if (type >= 0xe0) {
                ret_item->kind = ITEM_INT;
                ret_item->number = (uint64_t)(int8_t)type;
                return 0;
        }
        head = &item_heads[type & 0x1f];
        if (head->kind == ITEM_NONE)
                return ITEM_E_INVALID;
        *ret_size = 1U + head->width;
        if (n_data < *ret_size)
                return ITEM_E_MORE;
        ret_item->number = item_read_number(head, data + 1);
        ret_item->kind = head->kind == ITEM_INT && (int64_t)ret_item->number >= 0 ? ITEM_UINT : head->kind;
        if (head->kind == ITEM_BOOL)
                ret_item->number = type & 1;
        return 0;
}

/* Bytes behind the head of the item that belong to it. */
static inline uint64_t item_get_n_bytes(const Item *item) {
        return item->kind == ITEM_STR || item->kind == ITEM_BIN ? item->number : 0;
}

static inline bool item_is_container(const Item *item) {
        return item->kind == ITEM_ARRAY || item->kind == ITEM_MAP;
}

/* Items behind it that belong to it. */
static inline uint64_t item_get_n_items(const Item *item) {
        return item->kind == ITEM_ARRAY ? item->number : item->kind == ITEM_MAP ? 2 * item->number : 0;
}

static inline double item_get_float(const Item *item) {
        double value;

        memcpy(&value, &item->number, sizeof(value));
        return value;
}

/* Whether the item is this str. */
static inline bool item_is_str(const Item *item, const char *text, size_t n_text) {
        return item->number == n_text && item->kind == ITEM_STR && memcmp(item->data, text, n_text) == 0;
}
