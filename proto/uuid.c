/*
 * Handles as text and as bytes. Done here and not by libuuid, which makes six system calls for a random one
 * and reads and writes text through the printf family: together a third of the time that mem.alloc takes.
 */

#include "proto/uuid.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "proto/types.h"

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

/* Writes four bytes as eight digits. Eight half bytes are turned at once, each in a byte of its own. */
static void write_digits(char *place, const uint8_t *bytes) {
        const uint64_t ones = UINT64_C(0x0101010101010101);
        uint32_t value;
        uint64_t digits;
        uint64_t is_letter;

        memcpy(&value, bytes, sizeof(value));
        digits = be32toh(value);
        digits = (digits << 16 | digits) & UINT64_C(0x0000ffff0000ffff);
        digits = (digits << 8 | digits) & UINT64_C(0x00ff00ff00ff00ff);
        digits = (digits << 4 | digits) & UINT64_C(0x0f0f0f0f0f0f0f0f);
        is_letter = (digits + 6 * ones) >> 4 & ones;
        digits = htobe64(digits + '0' * ones + is_letter * ('a' - '0' - 10));
        memcpy(place, &digits, sizeof(digits));
}

void uuid_to_string(const struct gpud_uuid *uuid, char ret_text[GPUD_UUID_TEXT + 1]) {
        char digits[2 * sizeof(uuid->bytes)];

        for (size_t i = 0; i < sizeof(uuid->bytes); i += 4)
                write_digits(digits + 2 * i, uuid->bytes + i);
        memcpy(ret_text, digits, 8);
        ret_text[8] = '-';
        memcpy(ret_text + 9, digits + 8, 4);
        ret_text[13] = '-';
        memcpy(ret_text + 14, digits + 12, 4);
        ret_text[18] = '-';
        memcpy(ret_text + 19, digits + 16, 4);
        ret_text[23] = '-';
        memcpy(ret_text + 24, digits + 20, 12);
        ret_text[GPUD_UUID_TEXT] = '\0';
}

/* Every hexadecimal digit has this bit; any other character lacks it. */
#define IS_DIGIT      0x10
#define DIGIT(value_) (IS_DIGIT | (value_))

static const uint8_t digit_values[256] = {
        ['0'] = DIGIT(0),  ['1'] = DIGIT(1),  ['2'] = DIGIT(2),  ['3'] = DIGIT(3),  ['4'] = DIGIT(4),
        ['5'] = DIGIT(5),  ['6'] = DIGIT(6),  ['7'] = DIGIT(7),  ['8'] = DIGIT(8),  ['9'] = DIGIT(9),
        ['a'] = DIGIT(10), ['b'] = DIGIT(11), ['c'] = DIGIT(12), ['d'] = DIGIT(13), ['e'] = DIGIT(14),
        ['f'] = DIGIT(15), ['A'] = DIGIT(10), ['B'] = DIGIT(11), ['C'] = DIGIT(12), ['D'] = DIGIT(13),
        ['E'] = DIGIT(14), ['F'] = DIGIT(15),
};

bool uuid_from_string(const char *text, size_t n_text, struct gpud_uuid *ret_uuid) {
        /* Where the digits of each byte are. */
        static const uint8_t places[sizeof(ret_uuid->bytes)] = {0,  2,  4,  6,  9,  11, 14, 16,
                                                                19, 21, 24, 26, 28, 30, 32, 34};
        unsigned all = IS_DIGIT;
        unsigned high;
        unsigned low;

        if (n_text != GPUD_UUID_TEXT || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
            text[23] != '-')
                return false;
        for (size_t i = 0; i < sizeof(ret_uuid->bytes); i++) {
                high = digit_values[(uint8_t)text[places[i]]];
                low = digit_values[(uint8_t)text[places[i] + 1]];
                all &= high & low;
                ret_uuid->bytes[i] = (uint8_t)(high << 4 | (low & 0x0f));
        }
        return all != 0;
}
