/*
 * Handles as text and as bytes. Done here and not by libuuid, which makes six system calls for a random one
 * and reads and writes text through the printf family: together a third of the time that mem.alloc takes.
 */

#include "proto/uuid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* UUIDs for which one system call fetches the randomness. */
#define POOL_MAX 64

static void fill_random(void *data, size_t n_data) {
        char *place = data;
        ssize_t n;

        while (n_data > 0) {
                n = getrandom(place, n_data, 0);
                /* Without randomness handles could be guessed; only a kernel without getrandom gets here. */
                if (n < 0 && errno != EINTR)
                        abort();
                if (n > 0) {
                        place += n;
                        n_data -= (size_t)n;
                }
        }
}

void uuid_new_random(struct gpud_uuid *ret_uuid) {
        static _Thread_local struct gpud_uuid pool[POOL_MAX];
        static _Thread_local size_t n_pool;

        if (n_pool == 0) {
                fill_random(pool, sizeof(pool));
                n_pool = POOL_MAX;
        }
        *ret_uuid = pool[--n_pool];
        /* RFC 4122: version 4, variant 10. */
        ret_uuid->bytes[6] = (uint8_t)((ret_uuid->bytes[6] & 0x0f) | 0x40);
        ret_uuid->bytes[8] = (uint8_t)((ret_uuid->bytes[8] & 0x3f) | 0x80);
}

/* Whether a dash stands before the byte of this index. */
static bool has_dash(size_t i) {
        return i == 4 || i == 6 || i == 8 || i == 10;
}

void uuid_to_string(const struct gpud_uuid *uuid, char ret_text[GPUD_UUID_TEXT + 1]) {
        static const char digits[] = "0123456789abcdef";
        char *place = ret_text;

        for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
                if (has_dash(i))
                        *place++ = '-';
                *place++ = digits[uuid->bytes[i] >> 4];
                *place++ = digits[uuid->bytes[i] & 0x0f];
        }
        *place = '\0';
}

/* One more than the value of a hexadecimal digit of either case; 0: it is none. */
static const uint8_t digit_values[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
        ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
        ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool uuid_from_string(const char *text, size_t n_text, struct gpud_uuid *ret_uuid) {
        unsigned high;
        unsigned low;

        if (n_text != GPUD_UUID_TEXT)
                return false;
        for (size_t i = 0; i < sizeof(ret_uuid->bytes); i++) {
                if (has_dash(i) && *text++ != '-')
                        return false;
                high = digit_values[(uint8_t)*text++];
                low = digit_values[(uint8_t)*text++];
                if (high == 0 || low == 0)
                        return false;
                ret_uuid->bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
        }
        return true;
}
