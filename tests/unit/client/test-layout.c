/* gpud-protocol.h is printed for reading; its structures must be those that the tables describe. */

#include "tests/unit/client/peer.h"

#include <stddef.h>

/* The same tables, over the public structures. */
#define STRUCT(name_, doc_) static const ProtoStruct public_struct_##name_;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#define STRUCT_NAME(name_) gpud_##name_
#define TABLE_NAME(name_)  public_##name_
#define TABLE_STORAGE      static
#include "proto/fields.h"

static const ProtoStruct *const public_structs[] = {
#define STRUCT(name_, doc_) &public_struct_##name_,
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
};

/*
 * What programs are built against. Rows are added to layout.def when a version is released, and never
 * changed: a program built before would read and write other bytes than the library.
 */
#define SIZE(s_, size_) _Static_assert(sizeof(struct gpud_##s_) == (size_), "a size that programs rely on");
#define FIELD_AT(s_, name_, offset_)                                                                         \
        _Static_assert(offsetof(struct gpud_##s_, name_) == (offset_), "a place that programs rely on");
#include "tests/unit/client/layout.def"
#undef SIZE
#undef FIELD_AT

/*
 * A newer program's wish is not dropped in silence, and an older library's result is zero where it knows
 * nothing.
 */
START_TEST(room_is_zero) {
        static const unsigned char zeros[sizeof(struct gpud_mem_info)];
        const struct gpud_mem_info reply = {.device = "d"};
        struct gpud_mem_alloc_args args = {.device = "d", .size = 1, .room = {0}};
        struct gpud_mem_info info;
        Peer peer = peer_new();

        args.room[sizeof(args.room) - 1] = 1;
        ck_assert_int_eq(gpud_mem_alloc(peer.client, &args, &info), -GPUD_E_INVALID_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(gpud_error_message(peer.client), "struct gpud_mem_alloc_args"));
        args.room[sizeof(args.room) - 1] = 0;
        args.room[0] = 1;
        ck_assert_int_eq(gpud_mem_alloc(peer.client, &args, &info), -GPUD_E_INVALID_ARGUMENT);
        args.room[0] = 0;
        memset(&info, 0xff, sizeof(info));
        peer_reply(&peer, 0, &proto_struct_mem_info, &reply);
        ck_assert_int_eq(gpud_mem_alloc(peer.client, &args, &info), 0);
        ck_assert_mem_eq(info.room, zeros, sizeof(info.room));
        peer_free(&peer);
}
END_TEST

START_TEST(structures_have_one_layout) {
        const ProtoField *ours, *theirs;

        ck_assert_uint_eq(sizeof(public_structs) / sizeof(*public_structs), proto_n_structs);
        for (size_t i = 0; i < proto_n_structs; i++) {
                ck_assert_str_eq(public_structs[i]->name, proto_structs[i]->name);
                ck_assert_uint_eq(public_structs[i]->size, proto_structs[i]->size);
                ck_assert_uint_eq(public_structs[i]->n_fields, proto_structs[i]->n_fields);
                for (size_t k = 0; k < proto_structs[i]->n_fields; k++) {
                        ours = &public_structs[i]->fields[k];
                        theirs = &proto_structs[i]->fields[k];
                        ck_assert_uint_eq(ours->offset, theirs->offset);
                        ck_assert_uint_eq(ours->has_offset, theirs->has_offset);
                        ck_assert_uint_eq(ours->count_offset, theirs->count_offset);
                }
                ck_assert_uint_eq(proto_struct_get_end(public_structs[i]),
                                  proto_struct_get_end(proto_structs[i]));
        }
}
END_TEST

/* The printed constants come from the strings on the wire, those of types.h from the NAME column. */
START_TEST(constants_have_one_value) {
        size_t n = 0;
#define ENUM(name_, doc_) n = 0;
#define VALUE(enum_, NAME_, text_, doc_)                                                                     \
        ck_assert_uint_eq(GPUD_##NAME_, n);                                                                  \
        ck_assert_str_eq(proto_enum_##enum_.values[n++].text, text_);
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

#define LIMIT(NAME_, name_, kind_, value_, since_, doc_) ck_assert_uint_eq(GPUD_##NAME_, value_);
#include "proto/limits.def"
#include "proto/view.h"

#define ERROR(NAME_, code_, exit_, base_, text_, hint_) ck_assert_int_eq(GPUD_E_##NAME_, code_);
#include "proto/errors.def"
#include "proto/view.h"
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/layout");
        TCase *tcase = tcase_create("layout");

        tcase_add_test(tcase, structures_have_one_layout);
        tcase_add_test(tcase, constants_have_one_value);
        tcase_add_test(tcase, room_is_zero);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
