/*
 * Fuzzes the scanner: the first byte chooses how the rest, a call and its reply, is cut into pieces, and
 * cutting must change nothing. Whatever passes must be exactly one object to msgpack-c, and the cursor must
 * read from it what msgpack-c does.
 */

#include <assert.h>
#include <math.h>
#include <msgpack.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cursor.h"
#include "proto/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data);

/* Walks `data` as it would arrive: `step` bytes at a time. */
static int walk_in_pieces(const uint8_t *data, size_t n_data, size_t step, size_t *ret_size) {
        Scan scan = SCAN_NULL;
        uint8_t *piece;
        size_t n = 0;
        int r;

        do {
                n = n_data - n < step ? n_data : n + step;
                /* A copy of just these bytes: reading beyond them is seen. */
                piece = malloc(n ? n : 1);
                assert(piece);
                memcpy(piece, data, n);
                r = scan_walk(&scan, &scan_request_limits, piece, n, ret_size);
                free(piece);
        } while (r == SCAN_E_MORE && n < n_data);
        return r;
}

static void compare(Cursor *cursor, const msgpack_object *object);

/* Both point into the input. Where msgpack-c puts no bytes does not matter. */
static void compare_bytes(const Item *item, ItemKind kind, const char *data, uint32_t n_data) {
        assert(item->kind == kind && item->number == n_data);
        assert(n_data == 0 || item->data == data);
}

static void compare_array(Cursor *cursor, const Item *item, const msgpack_object_array *array) {
        assert(item->kind == ITEM_ARRAY && item->number == array->size);
        for (uint32_t i = 0; i < array->size; i++)
                compare(cursor, &array->ptr[i]);
}

static void compare_map(Cursor *cursor, const Item *item, const msgpack_object_map *map) {
        assert(item->kind == ITEM_MAP && item->number == map->size);
        for (uint32_t i = 0; i < map->size; i++) {
                compare(cursor, &map->ptr[i].key);
                compare(cursor, &map->ptr[i].val);
        }
}

/* Reads one item, and those in it. */
static void compare(Cursor *cursor, const msgpack_object *object) {
        Item item = cursor_read(cursor);

        switch (object->type) {
        case MSGPACK_OBJECT_NIL:
                assert(item.kind == ITEM_NIL);
                break;
        case MSGPACK_OBJECT_BOOLEAN:
                assert(item.kind == ITEM_BOOL && item.number == object->via.boolean);
                break;
        case MSGPACK_OBJECT_POSITIVE_INTEGER:
                assert(item.kind == ITEM_UINT && item.number == object->via.u64);
                break;
        case MSGPACK_OBJECT_NEGATIVE_INTEGER:
                assert(item.kind == ITEM_INT && (int64_t)item.number == object->via.i64);
                break;
        case MSGPACK_OBJECT_FLOAT32:
        case MSGPACK_OBJECT_FLOAT64:
                assert(item.kind == ITEM_FLOAT);
                assert(isnan(object->via.f64) ? isnan(item_get_float(&item))
                                              : item_get_float(&item) == object->via.f64);
                break;
        case MSGPACK_OBJECT_STR:
                compare_bytes(&item, ITEM_STR, object->via.str.ptr, object->via.str.size);
                break;
        case MSGPACK_OBJECT_BIN:
                compare_bytes(&item, ITEM_BIN, object->via.bin.ptr, object->via.bin.size);
                break;
        case MSGPACK_OBJECT_ARRAY:
                compare_array(cursor, &item, &object->via.array);
                break;
        case MSGPACK_OBJECT_MAP:
                compare_map(cursor, &item, &object->via.map);
                break;
        default:
                abort();
        }
}

/* Returns 0 with *ret_size, or why there is no whole message at `data`. */
static int scan_message(const uint8_t *data, size_t n_data, size_t step, size_t *ret_size) {
        size_t size_in_pieces = 0;
        char text[256];
        int r;

        *ret_size = 0;
        r = walk_in_pieces(data, n_data, n_data, ret_size);
        assert(walk_in_pieces(data, n_data, step, &size_in_pieces) == r);
        assert(*ret_size == size_in_pieces && *ret_size <= n_data);
        if (r > SCAN_E_MORE) {
                scan_error_to_string(r, &scan_request_limits, text, sizeof(text));
                assert(text[0] != '\0');
        }
        return r;
}

/* Reads the message, which passed, with msgpack-c and with the cursor. */
static void compare_message(const uint8_t *data, size_t size) {
        Cursor cursor = cursor_from_bytes(data, size);
        msgpack_zone *zone = msgpack_zone_new(1024);
        msgpack_object object;
        size_t offset = 0;

        assert(zone);
        assert(msgpack_unpack((const char *)data, size, &offset, zone, &object) == MSGPACK_UNPACK_SUCCESS);
        assert(offset == size);
        compare(&cursor, &object);
        assert(cursor.at == cursor.end);
        msgpack_zone_free(zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data) {
        size_t size;

        /* A thousand messages of one byte would find no more, and take a thousand times as long. */
        for (size_t i = 1, n = 0; i < n_data && n < 2; i += size, n++) {
                if (scan_message(data + i, n_data - i, (size_t)data[0] % 16 + 1, &size))
                        break;
                compare_message(data + i, size);
        }
        return 0;
}
