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

/* The version that each row is there since, as so many bytes: together they are as large as the newest. */
union ProtoVersions {
#define VERSION_REQUIRED                                                  1
#define VERSION_OPTIONAL                                                  1
#define VERSION_SINCE(version_, value_)                                   version_
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_) char noun_##_##verb_[since_];
#define FIELD(s_, name_, kind_, need_, doc_)                              char s_##_##name_[VERSION_##need_];
#define CHOICE(s_, name_, enum_, need_, doc_)                             char s_##_##name_[VERSION_##need_];
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
#undef VERSION_REQUIRED
#undef VERSION_OPTIONAL
#undef VERSION_SINCE
};

/* A version only adds: gpud and a client of different ones work together with what both have. */
#define GPUD_PROTOCOL ((int)sizeof(union ProtoVersions))

struct gpud_uuid {
        uint8_t bytes[16];
};

/* Bytes that somebody else owns; absent when `data` is NULL. */
struct gpud_bin {
        const void *data;
        size_t size;
};

enum {
#define LIMIT(NAME_, name_, kind_, value_, since_, doc_) GPUD_##NAME_ = value_,
#include "proto/limits.def"
#include "proto/view.h"
};

enum gpud_error {
#define ERROR(NAME_, code_, exit_, base_, text_, hint_) GPUD_E_##NAME_ = code_,
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

/* Of each kind the type of a field, and that of the `has_` member behind an OPTIONAL one. */
typedef bool ProtoFlag;
__extension__ typedef struct {
} ProtoPointer; /* no member at all: it takes no room */
#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_)                              \
        typedef type_ ProtoType##NAME_;                                                                      \
        typedef PROTO_PRESENCE_##PRESENCE_ ProtoHas##NAME_;
#define PROTO_PRESENCE_FLAG    ProtoFlag
#define PROTO_PRESENCE_POINTER ProtoPointer
#include "proto/kinds.def"
#include "proto/view.h"

enum {
#define SIZE(name_, size_) PROTO_SIZE_##name_ = size_,
#include "proto/sizes.def"
#include "proto/view.h"
};

#define STRUCT_NAME(name_) gpud_##name_
#define TYPE(kind_)        ProtoType##kind_
#define ROOM_BEGIN                                                                                           \
        union {                                                                                              \
                struct {
#define ROOM_END(name_)                                                                                      \
        }                                                                                                    \
        ;                                                                                                    \
        char room[PROTO_SIZE_##name_];                                                                       \
        }                                                                                                    \
        ;
#include "proto/structs.h"
#undef STRUCT_NAME
#undef TYPE
#undef ROOM_BEGIN
#undef ROOM_END

/* Whose fields no longer fit would have grown. */
#define SIZE(name_, size_)                                                                                   \
        _Static_assert(sizeof(struct gpud_##name_) == (size_), "more fields than sizes.def has room for");
#include "proto/sizes.def"
#include "proto/view.h"
