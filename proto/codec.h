#pragma once

/* msgpack to C structure and back, driven by the tables. Knows no method and no structure by name. */

#include <msgpack.h>

#include "proto/cursor.h"
#include "proto/fault.h"
#include "proto/table.h"
#include "proto/writer.h"

typedef enum CodecRole {
        CODEC_ARGUMENTS, /* unknown keys are refused; what is absent is left out */
        CODEC_RESULT,    /* unknown keys are ignored; what does not apply is nil */
} CodecRole;

/*
 * Fills the structure at `ret_value` (zeroed first) from the map at `cursor`; nil counts as an empty one.
 * Strings and lists are copied into `zone`; so are the bytes of arguments, while those of a result stay where
 * they lie. Returns 0, a GPUD_E_ code with `fault` naming field, value and limit, or -ENOMEM.
 */
int codec_decode(const ProtoStruct *type, CodecRole role, Cursor cursor, msgpack_zone *zone, void *ret_value,
                 ProtoFault *fault);

/* Packs the structure at `value` as a map. */
void codec_encode(Writer *writer, const ProtoStruct *type, CodecRole role, const void *value);
