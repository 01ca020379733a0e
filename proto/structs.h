/*
 * View: methods.def as C structures. The includer says how a structure is called, STRUCT_NAME(s), and
 * which C type a kind has, TYPE(kind). An OPTIONAL field has a `has_` member behind it where its kind is
 * absent by a flag; strings and bytes are absent when their pointer is NULL. ROOM_BEGIN and ROOM_END(s)
 * stand around all fields: with them the includer gives a structure its size. No include guard.
 */
#define HAS_REQUIRED(type_, name_)
#define HAS_OPTIONAL(type_, name_)    type_ has_##name_;
#define HAS_SINCE(version_, default_) HAS_REQUIRED

#define STRUCT(name_, doc_)                                                                                  \
        struct STRUCT_NAME(name_) {                                                                          \
                ROOM_BEGIN
#define FIELD(struct_, name_, kind_, need_, doc_)                                                            \
        TYPE(kind_) name_;                                                                                   \
        HAS_##need_(ProtoHas##kind_, name_)
#define CHOICE(struct_, name_, enum_, need_, doc_)                                                           \
        enum gpud_##enum_ name_;                                                                             \
        HAS_##need_(ProtoFlag, name_)
#define EMBED(struct_, name_, other_, doc_) struct STRUCT_NAME(other_) name_;
#define LIST(struct_, name_, other_, doc_)                                                                   \
        const struct STRUCT_NAME(other_) * name_;                                                            \
        size_t n_##name_;
#define END_STRUCT(name_)                                                                                    \
        ROOM_END(name_)                                                                                      \
        }                                                                                                    \
        ;

#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#undef HAS_REQUIRED
#undef HAS_OPTIONAL
#undef HAS_SINCE
