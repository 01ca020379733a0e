#pragma once

/*
 * The protocol as constant tables: what the codec, the dispatcher, gpuctl, daemon.describe and the
 * generators walk. Knows no structure layout but through offsets, so one codec serves every layout.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a value is in a message. */
typedef enum ProtoWire {
        PROTO_WIRE_BOOL,
        PROTO_WIRE_U64,
        PROTO_WIRE_F64,
        PROTO_WIRE_STR,
        PROTO_WIRE_BIN,
        PROTO_WIRE_UUID,
        PROTO_WIRE_ENUM,
        PROTO_WIRE_STRUCT,
        PROTO_WIRE_LIST,
} ProtoWire;

/* What a value means: a row of kinds.def, or one of the three kinds that consist of other rows. */
typedef enum ProtoKind {
#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_) PROTO_##NAME_,
#include "proto/kinds.def"
#include "proto/view.h"
        PROTO_ENUM,
        PROTO_STRUCT,
        PROTO_LIST,
        PROTO_N_KINDS,
} ProtoKind;

/* The object that a value names, looked up and checked before a handler runs; the kind says for what. */
typedef enum ProtoObject {
        PROTO_OBJECT_NONE,
        PROTO_OBJECT_MEM,
        PROTO_OBJECT_DEVICE,
        PROTO_OBJECT_SHM,
} ProtoObject;

/* Columns of kinds.def as constants. */
enum {
#define PROTO_PRESENCE_IS_FLAG    true
#define PROTO_PRESENCE_IS_POINTER false
#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_)                              \
        PROTO_WIRE_OF_##NAME_ = PROTO_WIRE_##WIRE_, PROTO_OBJECT_OF_##NAME_ = PROTO_OBJECT_##OBJECT_,        \
        PROTO_HAS_OF_##NAME_ = PROTO_PRESENCE_IS_##PRESENCE_,
#include "proto/kinds.def"
#include "proto/view.h"
        PROTO_WIRE_OF_ENUM = PROTO_WIRE_ENUM,
        PROTO_OBJECT_OF_ENUM = PROTO_OBJECT_NONE,
        PROTO_HAS_OF_ENUM = true,
        PROTO_WIRE_OF_STRUCT = PROTO_WIRE_STRUCT,
        PROTO_OBJECT_OF_STRUCT = PROTO_OBJECT_NONE,
        PROTO_HAS_OF_STRUCT = false,
        PROTO_WIRE_OF_LIST = PROTO_WIRE_LIST,
        PROTO_OBJECT_OF_LIST = PROTO_OBJECT_NONE,
        PROTO_HAS_OF_LIST = false,
};

typedef enum ProtoAccess {
        PROTO_ACCESS_ANY,
        PROTO_ACCESS_ADMIN,
} ProtoAccess;

#define PROTO_NO_OFFSET SIZE_MAX

typedef struct ProtoStruct ProtoStruct;

typedef struct ProtoValue {
        const char *text;
        const char *doc;
} ProtoValue;

typedef struct ProtoEnum {
        const char *name;
        const char *doc;
        const ProtoValue *values; /* indexed by the C constant */
        size_t n_values;
} ProtoEnum;

/* Room for a field's name: one copy of so many bytes is quicker than one of just its own. */
#define PROTO_NAME_SIZE 24

typedef struct ProtoField {
        char name[PROTO_NAME_SIZE];
        size_t n_name;
        const char *doc;
        ProtoKind kind;
        ProtoWire wire;
        ProtoObject object;
        bool is_required;
        uint32_t since; /* protocol version; 0: that of its method */
        const void
                *preset; /* what a result of an older gpud has, of the field's type; NULL: it has it always */
        size_t preset_size;
        size_t max;               /* most bytes of a STR or BIN; 0: whatever a message holds */
        size_t offset;            /* of the value */
        size_t has_offset;        /* of its has_ member, or PROTO_NO_OFFSET: absent is a NULL pointer */
        size_t count_offset;      /* of a list's n_ member */
        const ProtoEnum *choices; /* of an ENUM */
        const ProtoStruct *sub;   /* of a STRUCT or LIST */
} ProtoField;

struct ProtoStruct {
        const char *name;
        const char *doc;
        size_t size;
        const ProtoField *fields;
        size_t n_fields;
};

typedef struct ProtoMethod {
        const char *name; /* noun.verb */
        const char *noun;
        const char *verb;
        const char *doc;
        const ProtoStruct *args;
        const ProtoStruct *result;
        ProtoAccess access;
        size_t n_fds;
        uint32_t since;
} ProtoMethod;

typedef struct ProtoError {
        const char *name;
        int code;
        int exit_code;
        const char *python_base;
        const char *text;
        const char *hint;
} ProtoError;

typedef struct ProtoLimit {
        const char *name;
        uint64_t value;
        uint32_t since;
        const char *doc;
} ProtoLimit;

/* One constant per method, in the order of methods.def: indexes of proto_methods. */
typedef enum ProtoMethodId {
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_) PROTO_METHOD_##noun_##_##verb_,
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
        PROTO_N_METHODS,
} ProtoMethodId;

extern const ProtoMethod proto_methods[];
extern const ProtoStruct *const proto_structs[];
extern const size_t proto_n_structs;
extern const ProtoEnum *const proto_enums[];
extern const size_t proto_n_enums;
extern const ProtoError proto_errors[];
extern const size_t proto_n_errors;
extern const ProtoLimit proto_limits[];
extern const size_t proto_n_limits;

extern const ProtoStruct proto_struct_none;
#define STRUCT(name_, doc_) extern const ProtoStruct proto_struct_##name_;
#define ENUM(name_, doc_)   extern const ProtoEnum proto_enum_##name_;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

/* Each returns NULL if there is no such row. The name need not be terminated. */
const ProtoMethod *proto_method_find(const char *name, size_t n_name);
const ProtoError *proto_error_find(int code);

/* A field of the structure by its kind; NULL if there is none. */
const ProtoField *proto_struct_find_kind(const ProtoStruct *type, ProtoKind kind);

/* Bytes up to the end of the last field: those behind it are reserved. */
size_t proto_struct_get_end(const ProtoStruct *type);

const char *proto_wire_to_string(ProtoWire wire);
/* What an object field names ("mem", "device", "shm"), or NULL. */
const char *proto_object_to_string(ProtoObject object);
/* What a number of that kind is ("bytes", "time_ns"); NULL: a number. */
const char *proto_kind_get_format(ProtoKind kind);

extern const uint64_t proto_kind_maxima[PROTO_N_KINDS];

/* The largest number that is taken for an argument of that kind. */
static inline uint64_t proto_kind_get_max(ProtoKind kind) {
        return proto_kind_maxima[kind];
}
