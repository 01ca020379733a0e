/* Strings from strangers. */

#include "proto/text.h"

#include <stdint.h>
#include <string.h>

/* Length of the valid sequence at `bytes`, or 0. */
static size_t sequence_length(const uint8_t *bytes, size_t n) {
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        uint32_t value;
        size_t length;

        if (bytes[0] < 0x80)
                return 1;
        length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
        if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || length > n)
                return 0;
        value = bytes[0] & (0xffU >> (length + 1));
        for (size_t i = 1; i < length; i++) {
                if ((bytes[i] & 0xc0) != 0x80)
                        return 0;
                value = value << 6 | (bytes[i] & 0x3f);
        }
        if (value < smallest[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
                return 0;
        return length;
}

bool text_is_utf8(const char *text, size_t n_text) {
        const uint8_t *bytes = (const uint8_t *)text;
        size_t length;

        for (size_t i = 0; i < n_text; i += length) {
                length = sequence_length(bytes + i, n_text - i);
                if (length == 0)
                        return false;
        }
        return true;
}

void text_sanitize(char *text) {
        bool is_utf8 = text_is_utf8(text, strlen(text));

        for (uint8_t *byte = (uint8_t *)text; *byte; byte++) {
                /* C1, U+0080 to U+009F: some terminals take them for escape sequences. */
                bool is_c1 = byte[0] == 0xc2 && byte[1] < 0xa0;

                if (*byte < 0x20 || *byte == 0x7f || (*byte >= 0x80 && !is_utf8))
                        *byte = '?';
                else if (is_c1)
                        byte[0] = byte[1] = '?';
        }
}
