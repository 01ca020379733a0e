/*
 * Fuzzes the scanner: the first byte chooses how the rest is cut into pieces, and cutting must change nothing.
 * Whatever passes must be exactly one object to msgpack-c, which by then may reserve memory as it is promised.
 */

#include <assert.h>
#include <msgpack.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data) {
        size_t size = 0;
        size_t size_in_pieces = 0;
        size_t offset = 0;
        char text[256];
        msgpack_object object;
        msgpack_zone *zone;
        int r;

        if (n_data == 0)
                return 0;
        r = walk_in_pieces(data + 1, n_data - 1, n_data, &size);
        assert(walk_in_pieces(data + 1, n_data - 1, (size_t)data[0] % 16 + 1, &size_in_pieces) == r);
        assert(size == size_in_pieces && size <= n_data - 1);
        if (r > SCAN_E_MORE) {
                scan_error_to_string(r, &scan_request_limits, text, sizeof(text));
                assert(text[0] != '\0');
        }
        if (r)
                return 0;
        zone = msgpack_zone_new(1024);
        assert(zone);
        assert(msgpack_unpack((const char *)data + 1, size, &offset, zone, &object) ==
               MSGPACK_UNPACK_SUCCESS);
        assert(offset == size);
        msgpack_zone_free(zone);
        return 0;
}
