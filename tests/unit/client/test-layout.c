/* gpud-protocol.h is printed for reading; its structures must be those that the tables describe. */

#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpud.h"
#include "proto/table.h"

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
        SRunner *runner;
        int n_failed;

        tcase_add_test(tcase, structures_have_one_layout);
        tcase_add_test(tcase, constants_have_one_value);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
