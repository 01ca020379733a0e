/* Handles as text. */

#include "proto/uuid.h"

#include <string.h>

#include "client/gpud.h"

void gpud_uuid_to_string(const struct gpud_uuid *uuid, char ret_text[GPUD_UUID_TEXT + 1]) {
        uuid_to_string(uuid, ret_text);
}

bool gpud_uuid_from_string(const char *text, struct gpud_uuid *ret_uuid) {
        return uuid_from_string(text, strlen(text), ret_uuid);
}
