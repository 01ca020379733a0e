/* The walk: one header at a time, a counter of missing items per open array or map, no recursion. */

#include "proto/scan.h"

#include <stdbool.h>
#include <stdio.h>

#include "proto/types.h"

const ScanLimits scan_request_limits = {
        .size_max = GPUD_MESSAGE_MAX,
        .depth_max = GPUD_DEPTH_MAX,
        .items_max = GPUD_ITEMS_MAX,
};

_Static_assert(GPUD_DEPTH_MAX <= SCAN_DEPTH_MAX, "the stack must hold the deepest request");

typedef struct Header {
        size_t size;      /* bytes of the header itself */
        uint64_t payload; /* bytes that follow it */
        uint64_t items;   /* items that follow it */
        bool is_container;
} Header;

/* Big-endian number of `n` bytes. */
static uint64_t read_number(const uint8_t *data, size_t n) {
        uint64_t value = 0;

        for (size_t i = 0; i < n; i++)
                value = value << 8 | data[i];
        return value;
}

/* Reads the header at `data`, of which at least one byte is there. */
static int read_header(const uint8_t *data, size_t n_data, Header *ret_header) {
        /* Bytes of length or number behind the type bytes 0xc0 to 0xdf. */
        static const uint8_t widths[32] = {0, 0, 0, 0, 1, 2, 4, 0, 0, 0, 4, 8, 1, 2, 4, 8,
                                           1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
        uint8_t type = data[0];
        Header header = {.size = 1};
        uint64_t number;
        size_t width;

        if (type <= 0x7f || type >= 0xe0) {
                *ret_header = header; /* fixint */
                return 0;
        }
        if (type <= 0x8f) {
                header.is_container = true;
                header.items = 2 * (uint64_t)(type & 0x0f);
        } else if (type <= 0x9f) {
                header.is_container = true;
                header.items = type & 0x0f;
        } else if (type <= 0xbf) {
                header.payload = type & 0x1f;
        } else {
                if (type == 0xc1 || (type >= 0xc7 && type <= 0xc9) || (type >= 0xd4 && type <= 0xd8))
                        return SCAN_E_INVALID;
                width = widths[type - 0xc0];
                if (n_data < 1 + width)
                        return SCAN_E_MORE;
                header.size = 1 + width;
                number = read_number(data + 1, width);
                if ((type >= 0xc4 && type <= 0xc6) || (type >= 0xd9 && type <= 0xdb)) {
                        header.payload = number;
                } else if (type >= 0xdc) {
                        header.is_container = true;
                        header.items = type >= 0xde ? 2 * number : number;
                }
        }
        *ret_header = header;
        return 0;
}

/* Takes one finished item off the innermost container, and off those that it completes. */
static bool close_item(Scan *scan) {
        while (scan->depth > 0) {
                if (--scan->open[scan->depth - 1] > 0)
                        return false;
                scan->depth--;
        }
        return true;
}

int scan_walk(Scan *scan, const ScanLimits *limits, const void *data, size_t n_data, size_t *ret_size) {
        const uint8_t *bytes = data;
        Header header;
        size_t n;
        int r;

        for (;;) {
                if (scan->skip > 0) {
                        n = n_data - scan->position < scan->skip ? n_data - scan->position : scan->skip;
                        scan->position += n;
                        scan->skip -= n;
                        if (scan->skip > 0)
                                return SCAN_E_MORE;
                        if (close_item(scan))
                                break;
                }
                if (scan->position >= limits->size_max)
                        return SCAN_E_TOO_LARGE;
                if (scan->position == n_data)
                        return SCAN_E_MORE;
                r = read_header(bytes + scan->position, n_data - scan->position, &header);
                if (r)
                        return r;
                if (header.size + header.payload > limits->size_max - scan->position)
                        return SCAN_E_TOO_LARGE;
                scan->n_items += header.items;
                if (scan->n_items > limits->items_max)
                        return SCAN_E_TOO_MANY;
                scan->position += header.size;
                if (header.is_container && scan->depth >= limits->depth_max)
                        return SCAN_E_TOO_DEEP;
                if (header.items > 0)
                        scan->open[scan->depth++] = header.items;
                else if (header.payload > 0)
                        scan->skip = header.payload;
                else if (close_item(scan))
                        break;
        }
        *ret_size = scan->position;
        return 0;
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
