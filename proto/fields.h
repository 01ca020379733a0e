/*
 * View: methods.def as ProtoStruct tables over one structure layout. The includer says how structure and
 * table are called, STRUCT_NAME(s) and TABLE_NAME(s), and with TABLE_STORAGE whether the tables are static,
 * after including the structures. No include guard.
 */
#define MEMBER_TYPE(s_, name_) __typeof__(((struct STRUCT_NAME(s_) *)0)->name_)

/* A need as five arguments: is it required, may it be absent, NONE or SOME preset, since when, and which. */
#define NEED_REQUIRED              true, false, NONE, 0, 0
#define NEED_OPTIONAL              false, true, NONE, 0, 0
#define NEED_SINCE(since_, value_) true, false, SOME, since_, value_

#define PRESET_NONE(since_, value_, type_)
#define PRESET_SOME(since_, value_, type_)                                                                   \
        .since = since_, .preset = &(const type_){value_}, .preset_size = sizeof(type_),

/* The `has_` member is a bool and stands right behind its field. */
#define ROW(...) ROW_OF(__VA_ARGS__)
#define ROW_OF(s_, name_, kind_, doc_, is_required_, is_optional_, preset_, since_, value_)                  \
        PRESET_##preset_(since_, value_, MEMBER_TYPE(s_, name_)) /* */                                       \
                .name = #name_,                                                                              \
           .n_name = sizeof(#name_) - 1, .doc = doc_, .kind = PROTO_##kind_,                                 \
           .wire = (ProtoWire)PROTO_WIRE_OF_##kind_, .object = (ProtoObject)PROTO_OBJECT_OF_##kind_,         \
           .is_required = is_required_, .offset = offsetof(struct STRUCT_NAME(s_), name_),                   \
           .has_offset = is_optional_ && PROTO_HAS_OF_##kind_                                                \
                                 ? offsetof(struct STRUCT_NAME(s_), name_) + sizeof(MEMBER_TYPE(s_, name_))  \
                                 : PROTO_NO_OFFSET

/* The sentinel lets a structure have no field; it is not counted. */
#define STRUCT(name_, doc_)                  static const ProtoField TABLE_NAME(fields_##name_)[] = {
#define FIELD(s_, name_, kind_, need_, doc_) {ROW(s_, name_, kind_, doc_, NEED_##need_)},
#define BOUNDED(s_, name_, kind_, need_, limit_, doc_)                                                       \
        {ROW(s_, name_, kind_, doc_, NEED_##need_), .max = GPUD_##limit_},
#define CHOICE(s_, name_, enum_, need_, doc_)                                                                \
        {ROW(s_, name_, ENUM, doc_, NEED_##need_), .choices = &proto_enum_##enum_},
#define EMBED(s_, name_, other_, doc_)                                                                       \
        {ROW(s_, name_, STRUCT, doc_, NEED_REQUIRED), .sub = &TABLE_NAME(struct_##other_)},
#define LIST(s_, name_, other_, doc_)                                                                        \
        {ROW(s_, name_, LIST, doc_, NEED_REQUIRED),                                                          \
         .count_offset = offsetof(struct STRUCT_NAME(s_), n_##name_), .sub = &TABLE_NAME(struct_##other_)},
#define END_STRUCT(name_)                                                                                    \
        { .n_name = 0 }                                                                                      \
        }                                                                                                    \
        ;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#define STRUCT(name_, doc_)                                                                                  \
        TABLE_STORAGE const ProtoStruct TABLE_NAME(struct_##name_) = {                                       \
                #name_, doc_, sizeof(struct STRUCT_NAME(name_)), TABLE_NAME(fields_##name_),                 \
                sizeof(TABLE_NAME(fields_##name_)) / sizeof(ProtoField) - 1};
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#undef MEMBER_TYPE
#undef NEED_REQUIRED
#undef NEED_OPTIONAL
#undef NEED_SINCE
#undef PRESET_NONE
#undef PRESET_SOME
#undef ROW
#undef ROW_OF
