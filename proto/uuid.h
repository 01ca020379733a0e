#pragma once

/* Handles: random (version 4) UUIDs, 16 bytes here, 36 characters on the wire. */

#include <stdbool.h>
#include <stddef.h>

#define GPUD_UUID_TEXT 36

/* Of types.h or, in what is part of libgpud's interface, of gpud-protocol.h. */
struct gpud_uuid;

/* Fills `uuid` with 122 random bits. */
void uuid_new_random(struct gpud_uuid *ret_uuid);

/* Writes 36 lower-case characters and a NUL. */
void uuid_to_string(const struct gpud_uuid *uuid, char ret_text[GPUD_UUID_TEXT + 1]);

/* Reads exactly 36 characters of either case. Returns whether they are a UUID. */
bool uuid_from_string(const char *text, size_t n_text, struct gpud_uuid *ret_uuid);
