/* Handles as text and as bytes. Random ones come from libuuid. */

#include "proto/uuid.h"

#include <string.h>
#include <uuid/uuid.h>

_Static_assert(sizeof(uuid_t) == sizeof(struct gpud_uuid), "libuuid's uuid_t is 16 bytes");

void uuid_new_random(struct gpud_uuid *ret_uuid) {
        uuid_generate_random(ret_uuid->bytes);
}

void uuid_to_string(const struct gpud_uuid *uuid, char ret_text[GPUD_UUID_TEXT + 1]) {
        uuid_unparse_lower(uuid->bytes, ret_text);
}

bool uuid_from_string(const char *text, size_t n_text, struct gpud_uuid *ret_uuid) {
        char copy[GPUD_UUID_TEXT + 1];

        if (n_text != GPUD_UUID_TEXT)
                return false;
        memcpy(copy, text, GPUD_UUID_TEXT);
        copy[GPUD_UUID_TEXT] = '\0';
        return uuid_parse(copy, ret_uuid->bytes) == 0;
}
