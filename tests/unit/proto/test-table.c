/* The rules that the rows of the tables keep, and what a result of an older gpud reads as. */

#include <check.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/table.h"
#include "proto/types.h"

static bool ends_with(const char *text, const char *end) {
        size_t n_text = strlen(text), n_end = strlen(end);

        return n_text >= n_end && strcmp(text + n_text - n_end, end) == 0;
}

static void for_each_field(void (*check)(const ProtoStruct *type, const ProtoField *field)) {
        for (size_t i = 0; i < proto_n_structs; i++)
                for (size_t k = 0; k < proto_structs[i]->n_fields; k++)
                        check(proto_structs[i], &proto_structs[i]->fields[k]);
}

/* Whoever reads a message and not the tables knows the unit by the name; so the two must agree. */
static void check_name(const ProtoStruct *type, const ProtoField *field) {
        static const struct {
                const char *end;
                ProtoKind kind;
        } units[] = {{"_ns", PROTO_TIME}, {"_us", PROTO_DURATION_US}, {"_s", PROTO_DURATION}};

        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
                ck_assert_msg(ends_with(field->name, units[i].end) == (field->kind == units[i].kind),
                              "%s.%s: kind and name do not agree", type->name, field->name);
        if (strcmp(field->name, "mode") == 0)
                ck_assert_int_eq(field->kind, PROTO_MODE);
        if (strcmp(field->name, "size") == 0 || ends_with(field->name, "offset"))
                ck_assert_msg(field->kind == PROTO_SIZE, "%s.%s: no SIZE", type->name, field->name);
}

START_TEST(names_tell_the_unit) {
        for_each_field(check_name);
}
END_TEST

/* Pages are asked for by the cursor that the reply before gave, and have one list. */
START_TEST(cursors_come_in_pairs) {
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                const ProtoMethod *method = &proto_methods[i];
                bool is_paged = proto_struct_find_kind(method->args, PROTO_CURSOR);

                ck_assert_msg(is_paged == !!proto_struct_find_kind(method->result, PROTO_CURSOR), "%s",
                              method->name);
                ck_assert_msg(!is_paged || proto_struct_find_kind(method->result, PROTO_LIST), "%s",
                              method->name);
        }
}
END_TEST

static bool is_argument(const ProtoStruct *type) {
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (proto_methods[i].args == type)
                        return true;
        return false;
}

static void check_since(const ProtoStruct *type, const ProtoField *field) {
        ck_assert_msg(!field->preset || !is_argument(type), "%s.%s: an argument may be OPTIONAL, not SINCE",
                      type->name, field->name);
        ck_assert_uint_le(field->since, GPUD_PROTOCOL);
}

START_TEST(only_results_have_fields_since) {
        for_each_field(check_since);
        ck_assert_int_ge(GPUD_PROTOCOL, 2);
}
END_TEST

/* session.hello tells each limit under its name, with its value if it says nothing. */
START_TEST(an_older_gpud_has_the_defaults) {
        struct gpud_limits limits;
        msgpack_zone zone;
        ProtoFault fault;

        ck_assert(msgpack_zone_init(&zone, 1024));
        ck_assert_int_eq(codec_decode(&proto_struct_limits, CODEC_RESULT, cursor_from_bytes("\x80", 1), &zone,
                                      &limits, &fault),
                         0);
#define LIMIT(NAME_, name_, kind_, value_, since_, doc_) ck_assert_uint_eq(limits.name_, GPUD_##NAME_);
#include "proto/limits.def"
#include "proto/view.h"
        /* Behind those stands what is configured. */
        ck_assert_uint_eq(proto_struct_limits.n_fields, proto_n_limits + 1);
        ck_assert_uint_eq(limits.shm_max, 0);
        msgpack_zone_destroy(&zone);
}
END_TEST

/* What a kind says is kept: {"mem": "...", "mode": 01000}, {"device": "d", "name": "n", "uid": 1 << 32}. */
START_TEST(numbers_beyond_their_kind_are_refused) {
        static const struct {
                const ProtoStruct *type;
                const char *name, *text;
                uint64_t value;
        } cases[] = {
                {&proto_struct_mem_chmod_args, "mode", "`mode` is 01000, limit 0777", 01000},
                {&proto_struct_mem_open_args, "uid", "`uid` is 4294967296, limit 4294967295", 1ULL << 32},
        };
        char args[512];

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                msgpack_sbuffer buffer;
                msgpack_packer packer;
                msgpack_zone zone;
                ProtoFault fault;

                msgpack_sbuffer_init(&buffer);
                msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
                msgpack_pack_map(&packer, 1);
                msgpack_pack_str_with_body(&packer, cases[i].name, strlen(cases[i].name));
                msgpack_pack_uint64(&packer, cases[i].value);
                ck_assert(msgpack_zone_init(&zone, 1024));
                ck_assert_uint_le(cases[i].type->size, sizeof(args));
                ck_assert_int_eq(codec_decode(cases[i].type, CODEC_ARGUMENTS,
                                              cursor_from_bytes(buffer.data, buffer.size), &zone, args,
                                              &fault),
                                 GPUD_E_INVALID_ARGUMENT);
                ck_assert_str_eq(fault.text, cases[i].text);
                msgpack_zone_destroy(&zone);
                msgpack_sbuffer_destroy(&buffer);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("proto/table");
        TCase *tcase = tcase_create("table");
        SRunner *runner;
        int n_failed;

        tcase_add_test(tcase, names_tell_the_unit);
        tcase_add_test(tcase, cursors_come_in_pairs);
        tcase_add_test(tcase, only_results_have_fields_since);
        tcase_add_test(tcase, an_older_gpud_has_the_defaults);
        tcase_add_test(tcase, numbers_beyond_their_kind_are_refused);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
