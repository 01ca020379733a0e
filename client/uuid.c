/* Handles as text. A gpud_uuid has the bytes of libuuid's uuid_t. */

#include <string.h>
#include <uuid/uuid.h>

#include "client/gpud.h"

_Static_assert(sizeof(uuid_t) == sizeof(struct gpud_uuid), "libuuid's uuid_t is 16 bytes");

void gpud_uuid_to_string(const struct gpud_uuid *uuid, char ret_text[GPUD_UUID_TEXT + 1]) {
        uuid_unparse_lower(uuid->bytes, ret_text);
}

bool gpud_uuid_from_string(const char *text, struct gpud_uuid *ret_uuid) {
        return strlen(text) == GPUD_UUID_TEXT && uuid_parse(text, ret_uuid->bytes) == 0;
}
