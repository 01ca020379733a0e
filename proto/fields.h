/*
 * View: methods.def as ProtoStruct tables over one structure layout. The includer says how structure and
 * table are called, STRUCT_NAME(s) and TABLE_NAME(s), and with TABLE_STORAGE whether the tables are static, after
 * including the structures. No include guard.
 */
#define KIND_BOOL    .kind = PROTO_BOOL
#define KIND_U64     .kind = PROTO_U64
#define KIND_F64     .kind = PROTO_F64
#define KIND_STR     .kind = PROTO_STR
#define KIND_BIN     .kind = PROTO_BIN
#define KIND_UUID    .kind = PROTO_UUID
#define KIND_MEM     .kind = PROTO_UUID, .object = PROTO_OBJECT_MEM
#define KIND_MEM_R   .kind = PROTO_UUID, .object = PROTO_OBJECT_MEM_R
#define KIND_MEM_W   .kind = PROTO_UUID, .object = PROTO_OBJECT_MEM_W
#define KIND_MEM_OWN .kind = PROTO_UUID, .object = PROTO_OBJECT_MEM_OWN
#define KIND_SHM     .kind = PROTO_UUID, .object = PROTO_OBJECT_SHM
#define KIND_DEVICE  .kind = PROTO_STR, .object = PROTO_OBJECT_DEVICE

#define HAS_REQUIRED(struct_, kind_, name_) PROTO_NO_OFFSET
#define HAS_OPTIONAL(struct_, kind_, name_) HAS_##kind_(struct_, has_##name_)
#define HAS_BOOL(struct_, has_)             offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_U64(struct_, has_)              offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_F64(struct_, has_)              offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_UUID(struct_, has_)             offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_MEM(struct_, has_)              offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_MEM_R(struct_, has_)            offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_MEM_W(struct_, has_)            offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_MEM_OWN(struct_, has_)          offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_SHM(struct_, has_)              offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_ENUM(struct_, has_)             offsetof(struct STRUCT_NAME(struct_), has_)
#define HAS_STR(struct_, has_)              PROTO_NO_OFFSET
#define HAS_BIN(struct_, has_)              PROTO_NO_OFFSET
#define HAS_DEVICE(struct_, has_)           PROTO_NO_OFFSET
#define NEED_REQUIRED                       true
#define NEED_OPTIONAL                       false

#define ROW(s_, name_, doc_)                                                                                 \
        .name = #name_, .n_name = sizeof(#name_) - 1, .doc = doc_,                                           \
        .offset = offsetof(struct STRUCT_NAME(s_), name_)

/* The sentinel lets a structure have no field; it is not counted. */
#define STRUCT(name_, doc_) static const ProtoField TABLE_NAME(fields_##name_)[] = {
#define FIELD(s_, name_, kind_, need_, doc_)                                                                 \
        {ROW(s_, name_, doc_), KIND_##kind_, .is_required = NEED_##need_,                                    \
         .has_offset = HAS_##need_(s_, kind_, name_)},
#define BOUNDED(s_, name_, kind_, need_, limit_, doc_)                                                       \
        {ROW(s_, name_, doc_), KIND_##kind_, .is_required = NEED_##need_, .max = GPUD_##limit_,              \
         .has_offset = HAS_##need_(s_, kind_, name_)},
#define CHOICE(s_, name_, enum_, need_, doc_)                                                                \
        {ROW(s_, name_, doc_), .kind = PROTO_ENUM, .is_required = NEED_##need_,                              \
         .has_offset = HAS_##need_(s_, ENUM, name_), .choices = &proto_enum_##enum_},
#define EMBED(s_, name_, other_, doc_)                                                                       \
        {ROW(s_, name_, doc_), .kind = PROTO_STRUCT, .is_required = true, .has_offset = PROTO_NO_OFFSET,     \
         .sub = &TABLE_NAME(struct_##other_)},
#define LIST(s_, name_, other_, doc_)                                                                        \
        {ROW(s_, name_, doc_),                                                                               \
         .kind = PROTO_LIST,                                                                                 \
         .is_required = true,                                                                                \
         .has_offset = PROTO_NO_OFFSET,                                                                      \
         .count_offset = offsetof(struct STRUCT_NAME(s_), n_##name_),                                        \
         .sub = &TABLE_NAME(struct_##other_)},
#define END_STRUCT(name_)                                                                                    \
        { .n_name = 0 }                                                                                      \
        }                                                                                                    \
        ;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
#undef ROW

#define STRUCT(name_, doc_)                                                                                  \
        TABLE_STORAGE const ProtoStruct TABLE_NAME(struct_##name_) = {                                       \
                #name_, doc_, sizeof(struct STRUCT_NAME(name_)), TABLE_NAME(fields_##name_),                 \
                sizeof(TABLE_NAME(fields_##name_)) / sizeof(ProtoField) - 1};
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
