/*
 * View: methods.def as C structures. The includer says how a structure is called, STRUCT_NAME(s), and which
 * C type a kind has, TYPE(kind). An OPTIONAL field whose type has no value to spare for "absent" gets a
 * `has_` member; strings and bytes are absent when their pointer is NULL. No include guard.
 */
#define HAS_REQUIRED(kind_, name_)
#define HAS_OPTIONAL(kind_, name_) HAS_##kind_(name_)
#define HAS_BOOL(name_)            bool has_##name_;
#define HAS_U64(name_)             bool has_##name_;
#define HAS_F64(name_)             bool has_##name_;
#define HAS_UUID(name_)            bool has_##name_;
#define HAS_MEM(name_)             bool has_##name_;
#define HAS_MEM_R(name_)           bool has_##name_;
#define HAS_MEM_W(name_)           bool has_##name_;
#define HAS_MEM_OWN(name_)         bool has_##name_;
#define HAS_SHM(name_)             bool has_##name_;
#define HAS_ENUM(name_)            bool has_##name_;
#define HAS_STR(name_)
#define HAS_BIN(name_)
#define HAS_DEVICE(name_)

#define STRUCT(name_, doc_) struct STRUCT_NAME(name_) {
#define FIELD(struct_, name_, kind_, need_, doc_)                                                            \
        TYPE(kind_) name_;                                                                                   \
        HAS_##need_(kind_, name_)
#define CHOICE(struct_, name_, enum_, need_, doc_)                                                           \
        enum gpud_##enum_ name_;                                                                             \
        HAS_##need_(ENUM, name_)
#define EMBED(struct_, name_, other_, doc_) struct STRUCT_NAME(other_) name_;
#define LIST(struct_, name_, other_, doc_)                                                                   \
        const struct STRUCT_NAME(other_) * name_;                                                            \
        size_t n_##name_;
#define END_STRUCT(name_)                                                                                    \
        }                                                                                                    \
        ;

#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#undef HAS_REQUIRED
#undef HAS_OPTIONAL
#undef HAS_BOOL
#undef HAS_U64
#undef HAS_F64
#undef HAS_UUID
#undef HAS_MEM
#undef HAS_MEM_R
#undef HAS_MEM_W
#undef HAS_MEM_OWN
#undef HAS_SHM
#undef HAS_ENUM
#undef HAS_STR
#undef HAS_BIN
#undef HAS_DEVICE
