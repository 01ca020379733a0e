#pragma once

/*
 * The protocol as C types: limits, errors, enumerations and structures, expanded from the .def files.
 * C programs that use libgpud see the same types, printed for reading, in client/gpud-protocol.h; the two
 * have one layout, and never meet in one translation unit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/uuid.h"

#define GPUD_PROTOCOL 1

struct gpud_uuid {
        uint8_t bytes[16];
};

/* Bytes that somebody else owns; absent when `data` is NULL. */
struct gpud_bin {
        const void *data;
        size_t size;
};

enum {
#define LIMIT(NAME_, name_, value_, doc_) GPUD_##NAME_ = value_,
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
};

enum gpud_error {
#define ERROR(NAME_, code_, errno_, exit_, base_, text_, hint_) GPUD_E_##NAME_ = code_,
#include "proto/errors.def"
#include "proto/view.h"
};

#define ENUM(name_, doc_)                enum gpud_##name_ {
#define VALUE(enum_, NAME_, text_, doc_) GPUD_##NAME_,
#define END_ENUM(name_)                                                                                      \
        }                                                                                                    \
        ;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

struct gpud_none {
        char unused;
};

#define TYPE_BOOL    bool
#define TYPE_U64     uint64_t
#define TYPE_F64     double
#define TYPE_STR     const char *
#define TYPE_BIN     struct gpud_bin
#define TYPE_UUID    struct gpud_uuid
#define TYPE_MEM     struct gpud_uuid
#define TYPE_MEM_R   struct gpud_uuid
#define TYPE_MEM_W   struct gpud_uuid
#define TYPE_MEM_OWN struct gpud_uuid
#define TYPE_DEVICE  const char *
#define TYPE_SHM     struct gpud_uuid

#define STRUCT_NAME(name_) gpud_##name_
#define TYPE(kind_)        TYPE_##kind_
#include "proto/structs.h"
#undef STRUCT_NAME
#undef TYPE
