/* The tables of table.h, expanded from the .def files over the layout of types.h. */

#include "proto/table.h"

#include <string.h>

#include "proto/types.h"

#define ENUM(name_, doc_)                static const ProtoValue values_##name_[] = {
#define VALUE(enum_, NAME_, text_, doc_) {text_, doc_},
#define END_ENUM(name_)                                                                                      \
        }                                                                                                    \
        ;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#define ENUM(name_, doc_)                                                                                    \
        const ProtoEnum proto_enum_##name_ = {#name_, doc_, values_##name_,                                  \
                                              sizeof(values_##name_) / sizeof(ProtoValue)};
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#define STRUCT_NAME(name_) gpud_##name_
#define TABLE_NAME(name_)  proto_##name_
#define TABLE_STORAGE
#include "proto/fields.h"

/* The codec keeps a bit per field. */
#define STRUCT(name_, doc_)                                                                                  \
        _Static_assert(sizeof(proto_fields_##name_) / sizeof(ProtoField) <= 65,                              \
                       #name_ " has too many fields");
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#define NAME_FITS(name_)                                                                                     \
        _Static_assert(sizeof(#name_) <= PROTO_NAME_SIZE, #name_ " is too long a name for a field");
#define FIELD(struct_, name_, kind_, need_, doc_)  NAME_FITS(name_)
#define CHOICE(struct_, name_, enum_, need_, doc_) NAME_FITS(name_)
#define EMBED(struct_, name_, other_, doc_)        NAME_FITS(name_)
#define LIST(struct_, name_, other_, doc_)         NAME_FITS(name_)
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
#undef NAME_FITS

static const ProtoField no_fields[] = {{.n_name = 0}};
const ProtoStruct proto_struct_none = {"none", "Nothing.", sizeof(struct gpud_none), no_fields, 0};

const ProtoStruct *const proto_structs[] = {
#define STRUCT(name_, doc_) &proto_struct_##name_,
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
};
const size_t proto_n_structs = sizeof(proto_structs) / sizeof(*proto_structs);

const ProtoEnum *const proto_enums[] = {
#define ENUM(name_, doc_) &proto_enum_##name_,
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
};
const size_t proto_n_enums = sizeof(proto_enums) / sizeof(*proto_enums);

const ProtoMethod proto_methods[] = {
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_)                                    \
        {#noun_ "." #verb_,      #noun_, #verb_, doc_, &proto_struct_##args_, &proto_struct_##result_,       \
         PROTO_ACCESS_##ACCESS_, fds_,   since_},
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
};
_Static_assert(sizeof(proto_methods) / sizeof(*proto_methods) == PROTO_N_METHODS, "one row per method");

const ProtoError proto_errors[] = {
#define ERROR(NAME_, code_, exit_, base_, text_, hint_) {#NAME_, code_, exit_, #base_, text_, hint_},
#include "proto/errors.def"
#include "proto/view.h"
};
const size_t proto_n_errors = sizeof(proto_errors) / sizeof(*proto_errors);

const ProtoLimit proto_limits[] = {
#define LIMIT(NAME_, name_, kind_, value_, since_, doc_) {#name_, value_, since_, doc_},
#include "proto/limits.def"
#include "proto/view.h"
};
const size_t proto_n_limits = sizeof(proto_limits) / sizeof(*proto_limits);

/* A few dozen methods: a walk over their lengths, which fit a cache line, is as fast as a hash. */
const ProtoMethod *proto_method_find(const char *name, size_t n_name) {
        static const uint8_t lengths[PROTO_N_METHODS] = {
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_) sizeof(#noun_ "." #verb_) - 1,
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
        };
        const ProtoMethod *method;

        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                method = &proto_methods[i];
                /* The last byte tells most of one length apart. */
                if (lengths[i] == n_name && method->name[n_name - 1] == name[n_name - 1] &&
                    memcmp(method->name, name, n_name) == 0)
                        return method;
        }
        return NULL;
}

const ProtoError *proto_error_find(int code) {
        for (size_t i = 0; i < proto_n_errors; i++)
                if (proto_errors[i].code == code)
                        return &proto_errors[i];
        return NULL;
}

const ProtoField *proto_struct_find_kind(const ProtoStruct *type, ProtoKind kind) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].kind == kind)
                        return &type->fields[i];
        return NULL;
}

size_t proto_struct_get_end(const ProtoStruct *type) {
        static const size_t sizes[] = {
                [PROTO_WIRE_BOOL] = sizeof(bool),
                [PROTO_WIRE_U64] = sizeof(uint64_t),
                [PROTO_WIRE_F64] = sizeof(double),
                [PROTO_WIRE_STR] = sizeof(const char *),
                [PROTO_WIRE_BIN] = sizeof(struct gpud_bin),
                [PROTO_WIRE_UUID] = sizeof(struct gpud_uuid),
                [PROTO_WIRE_ENUM] = sizeof(int),
        };
        const ProtoField *last = &type->fields[type->n_fields - 1];

        if (type->n_fields == 0)
                return 0;
        if (last->has_offset != PROTO_NO_OFFSET)
                return last->has_offset + sizeof(bool);
        if (last->wire == PROTO_WIRE_LIST)
                return last->count_offset + sizeof(size_t);
        return last->offset + (last->wire == PROTO_WIRE_STRUCT ? last->sub->size : sizes[last->wire]);
}

const char *proto_wire_to_string(ProtoWire wire) {
        static const char *const names[] = {
                [PROTO_WIRE_BOOL] = "bool", [PROTO_WIRE_U64] = "u64",       [PROTO_WIRE_F64] = "f64",
                [PROTO_WIRE_STR] = "str",   [PROTO_WIRE_BIN] = "bin",       [PROTO_WIRE_UUID] = "uuid",
                [PROTO_WIRE_ENUM] = "enum", [PROTO_WIRE_STRUCT] = "struct", [PROTO_WIRE_LIST] = "list",
        };
        return names[wire];
}

const char *proto_object_to_string(ProtoObject object) {
        static const char *const names[] = {
                [PROTO_OBJECT_NONE] = NULL,
                [PROTO_OBJECT_MEM] = "mem",
                [PROTO_OBJECT_DEVICE] = "device",
                [PROTO_OBJECT_SHM] = "shm",
        };
        return names[object];
}

const uint64_t proto_kind_maxima[PROTO_N_KINDS] = {
#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_) [PROTO_##NAME_] = max_,
#include "proto/kinds.def"
#include "proto/view.h"
};

const char *proto_kind_get_format(ProtoKind kind) {
        static const char *const formats[PROTO_N_KINDS] = {
#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_) [PROTO_##NAME_] = format_,
#include "proto/kinds.def"
#include "proto/view.h"
        };

        return formats[kind] && formats[kind][0] ? formats[kind] : NULL;
}
