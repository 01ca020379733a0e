/* Structure to msgpack and back: round trips, every refusal and what it says, and the envelope. */

#include <check.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/message.h"
#include "proto/types.h"

typedef struct Box {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        msgpack_zone zone;
        Message message;
        ProtoFault fault;
} Box;

static Box box;

static void setup(void) {
        box = (Box){0};
        msgpack_sbuffer_init(&box.buffer);
        msgpack_packer_init(&box.packer, &box.buffer, msgpack_sbuffer_write);
        ck_assert(msgpack_zone_init(&box.zone, 1024));
}

static void teardown(void) {
        msgpack_zone_destroy(&box.zone);
        msgpack_sbuffer_destroy(&box.buffer);
}

static int parse(const void *data, size_t n) {
        return message_parse(data, n, &box.message, &box.fault);
}

static int decode_alloc(const void *data, size_t n, struct gpud_mem_alloc_args *ret) {
        ck_assert_int_eq(parse(data, n), 0);
        return codec_decode(proto_methods[PROTO_METHOD_mem_alloc].args, CODEC_ARGUMENTS,
                            box.message.arguments, &box.zone, ret, &box.fault);
}

/* [0, 1, "mem.alloc", [<map>]] */
#define ALLOC "\x94\x00\x01\xa9mem.alloc\x91"

static void expect_refusal(const char *data, size_t n, const char *text) {
        struct gpud_mem_alloc_args args;

        ck_assert_int_eq(decode_alloc(data, n, &args), GPUD_E_INVALID_ARGUMENT);
        ck_assert_msg(strstr(box.fault.text, text) != NULL, "\"%s\" has no \"%s\"", box.fault.text, text);
}

#define EXPECT_REFUSAL(map_, text_) expect_refusal(ALLOC map_, sizeof(ALLOC map_) - 1, (text_))

START_TEST(arguments_go_round) {
        const struct gpud_mem_alloc_args in = {
                .device = "vulkan:0",
                .size = UINT64_C(5) << 32,
                .name = "gr\xc3\xb6\xc3\x9f"
                        "e",
                .mode = 0640,
                .has_mode = true,
                .lifetime = GPUD_LIFETIME_PERSISTENT,
                .has_lifetime = true,
                .meta = {"a\0b", 3},
        };
        struct gpud_mem_alloc_args out;

        ck_assert_int_eq(
                message_pack_request(&box.packer, 70000, &proto_methods[PROTO_METHOD_mem_alloc], &in), 0);
        ck_assert_int_eq(decode_alloc(box.buffer.data, box.buffer.size, &out), 0);
        ck_assert_uint_eq(box.message.msgid, 70000);
        ck_assert_str_eq(out.device, in.device);
        ck_assert_str_eq(out.name, in.name);
        ck_assert_uint_eq(out.size, in.size);
        ck_assert_uint_eq(out.mode, in.mode);
        ck_assert(out.has_mode && out.has_lifetime && !out.has_ttl_s && !out.has_exportable);
        ck_assert_int_eq(out.lifetime, GPUD_LIFETIME_PERSISTENT);
        ck_assert_uint_eq(out.meta.size, 3);
        ck_assert_mem_eq(out.meta.data, in.meta.data, 3);
}
END_TEST

/* `.mode = 0640` is said, with or without its flag; a zero is said by the flag alone. */
START_TEST(a_value_needs_no_flag) {
        const struct gpud_mem_alloc_args in = {
                .device = "d",
                .mode = 0640,
                .lifetime = GPUD_LIFETIME_PERSISTENT,
                .has_ttl_s = true,
                .exportable = true,
        };
        const struct gpud_mem_open_args open = {.name = "n", .mem = {{1}}, .has_uid = true};
        struct gpud_mem_open_args open_out;
        struct gpud_mem_alloc_args out;

        ck_assert_int_eq(message_pack_request(&box.packer, 1, &proto_methods[PROTO_METHOD_mem_alloc], &in),
                         0);
        ck_assert_int_eq(decode_alloc(box.buffer.data, box.buffer.size, &out), 0);
        ck_assert(out.has_mode && out.mode == 0640);
        ck_assert(out.has_lifetime && out.lifetime == GPUD_LIFETIME_PERSISTENT);
        ck_assert(out.has_ttl_s && out.ttl_s == 0);
        ck_assert(out.has_exportable && out.exportable);

        box.buffer.size = 0;
        ck_assert_int_eq(message_pack_request(&box.packer, 1, &proto_methods[PROTO_METHOD_mem_open], &open),
                         0);
        ck_assert_int_eq(parse(box.buffer.data, box.buffer.size), 0);
        ck_assert_int_eq(codec_decode(proto_methods[PROTO_METHOD_mem_open].args, CODEC_ARGUMENTS,
                                      box.message.arguments, &box.zone, &open_out, &box.fault),
                         0);
        ck_assert(open_out.has_mem && open_out.mem.bytes[0] == 1);
        ck_assert(open_out.has_uid && open_out.uid == 0);

        box.buffer.size = 0;
        ck_assert_int_eq(message_pack_request(&box.packer, 1, &proto_methods[PROTO_METHOD_mem_alloc],
                                              &(struct gpud_mem_alloc_args){.device = "d"}),
                         0);
        ck_assert_int_eq(decode_alloc(box.buffer.data, box.buffer.size, &out), 0);
        ck_assert(!out.has_mode && !out.has_lifetime && !out.has_ttl_s && !out.has_exportable);
}
END_TEST

START_TEST(results_go_round_with_lists_and_nils) {
        struct gpud_mem_info mems[3] = {
                {.device = "vulkan:0", .size = 1, .name = "one", .expires_ns = 9, .has_expires_ns = true},
                {.device = "vulkan:1", .size = 2},
                {.device = "vulkan:2", .size = 3, .sealed = true},
        };
        struct gpud_mem_list_result in = {.mems = mems, .n_mems = 3, .next = 17, .has_next = true};
        struct gpud_mem_list_result out;

        uuid_new_random(&mems[2].mem);
        ck_assert_int_eq(message_pack_result(&box.packer, 1, &proto_struct_mem_list_result, &in), 0);
        ck_assert_int_eq(parse(box.buffer.data, box.buffer.size), 0);
        ck_assert_int_eq(box.message.type, MESSAGE_RESPONSE);
        ck_assert_int_eq(codec_decode(&proto_struct_mem_list_result, CODEC_RESULT, box.message.result,
                                      &box.zone, &out, &box.fault),
                         0);
        ck_assert_uint_eq(out.n_mems, 3);
        ck_assert_uint_eq(out.next, 17);
        ck_assert_str_eq(out.mems[0].name, "one");
        ck_assert(out.mems[0].has_expires_ns && !out.mems[1].has_expires_ns);
        ck_assert_ptr_null(out.mems[1].name);
        ck_assert(out.mems[2].sealed);
        ck_assert_mem_eq(&out.mems[2].mem, &mems[2].mem, sizeof(struct gpud_uuid));
}
END_TEST

START_TEST(refusals_name_argument_and_limit) {
        EXPECT_REFUSAL("\x80", "`device` is missing");
        EXPECT_REFUSAL("\x82\xa6"
                       "device\xa1x\xa4size\xa1"
                       "1",
                       "`size` is not a non-negative integer: \"1\"");
        EXPECT_REFUSAL("\x82\xa6"
                       "device\xa1x\xa4size\xff",
                       "`size` is not a non-negative integer: -1");
        EXPECT_REFUSAL("\x82\xa6"
                       "device\x01\xa4size\x01",
                       "`device` is not a str: 1");
        EXPECT_REFUSAL("\x81\xa5ofset\x01", "unknown argument `ofset`");
        EXPECT_REFUSAL("\x81\x01\x01", "name is not a str");
        EXPECT_REFUSAL("\x82\xa4size\x01\xa4size\x02", "`size` is given twice");
        EXPECT_REFUSAL("\x81\xa8lifetime\xa7"
                       "forever",
                       "`lifetime` is not one of session, persistent: \"forever\"");
        EXPECT_REFUSAL("\x81\xa4name\xa2\xc3\x28", "`name` is not UTF-8");
        EXPECT_REFUSAL("\x81\xa4name\xa3"
                       "a\0b",
                       "`name` contains a NUL byte");
        EXPECT_REFUSAL("\x01", "not a map");
}
END_TEST

START_TEST(bounded_fields_are_bounded) {
        char name[GPUD_NAME_MAX + 2];
        struct gpud_mem_alloc_args args = {.device = "d", .size = 1, .name = name};
        struct gpud_mem_alloc_args out;

        memset(name, 'n', sizeof(name));
        name[GPUD_NAME_MAX] = '\0';
        message_pack_request(&box.packer, 1, &proto_methods[PROTO_METHOD_mem_alloc], &args);
        ck_assert_int_eq(decode_alloc(box.buffer.data, box.buffer.size, &out), 0);

        name[GPUD_NAME_MAX] = 'n';
        name[GPUD_NAME_MAX + 1] = '\0';
        msgpack_sbuffer_clear(&box.buffer);
        message_pack_request(&box.packer, 1, &proto_methods[PROTO_METHOD_mem_alloc], &args);
        ck_assert_int_eq(decode_alloc(box.buffer.data, box.buffer.size, &out), GPUD_E_INVALID_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(box.fault.text, "`name` has 256 bytes, limit 255"));
}
END_TEST

START_TEST(clients_ignore_what_they_do_not_know) {
        static const char map[] = "\x83\xa6"
                                  "future\x01\xa4"
                                  "data\xc0\xa5other\x90";
        struct gpud_mem_read_result out;

        ck_assert_int_eq(codec_decode(&proto_struct_mem_read_result, CODEC_RESULT,
                                      cursor_from_bytes(map, sizeof(map) - 1), &box.zone, &out, &box.fault),
                         0);
        ck_assert_ptr_null(out.data.data);
}
END_TEST

START_TEST(broken_envelopes_are_refused) {
        static const struct {
                const char *bytes;
                size_t n;
        } cases[] = {
#define CASE(bytes_) {bytes_, sizeof(bytes_) - 1}
                CASE("\x01"),
                CASE("\x80"),
                CASE("\x90"),
                CASE("\x91\x03"),
                CASE("\x93\x00\x01\xa1m"),
                CASE("\x94\x00\xff\xa1m\x90"),
                CASE("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1m\x90"),
                CASE("\x94\x00\x01\x02\x90"),
                CASE("\x94\x00\x01\xa1m\x80"),
                CASE("\x94\x00\x01\xa1m\x92\x80\x80"),
                CASE("\x92\x02\xa1m"),
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
                ck_assert_int_eq(parse(cases[i].bytes, cases[i].n), GPUD_E_INVALID_ARGUMENT);
        ck_assert_int_eq(parse("\x94\x00\x01\xa1m\x90", 6), 0);
        ck_assert_int_eq(parse("\x93\x02\xa1m\x90", 5), 0);
        ck_assert_int_eq(box.message.type, MESSAGE_NOTIFICATION);
}
END_TEST

START_TEST(the_msgid_is_found_early) {
        uint32_t msgid = 0;

        ck_assert(message_peek_msgid("\x94\x00\x07", 3, &msgid));
        ck_assert_uint_eq(msgid, 7);
        ck_assert(message_peek_msgid("\x94\x00\xce\x01\x02\x03\x04", 7, &msgid));
        ck_assert_uint_eq(msgid, 0x01020304);
        /* However it is written. */
        ck_assert(message_peek_msgid("\xdc\x00\x04\xd0\x00\xd3\x00\x00\x00\x00\x00\x00\x00\x09", 14, &msgid));
        ck_assert_uint_eq(msgid, 9);
        ck_assert(!message_peek_msgid("\x94\x00\xce\x01\x02\x03", 6, &msgid));
        ck_assert(!message_peek_msgid("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 11, &msgid));
        ck_assert(!message_peek_msgid("\x94\x00", 2, &msgid));
        ck_assert(!message_peek_msgid("\x94\x02\x07", 3, &msgid));
        ck_assert(!message_peek_msgid("GET", 3, &msgid));
        ck_assert(!message_peek_msgid(NULL, 0, &msgid));
}
END_TEST

START_TEST(errors_go_round) {
        uint32_t msgid = 5;
        ProtoFault fault;
        ProtoFault back;

        ck_assert_int_eq(proto_fault(&fault, GPUD_E_OUT_OF_RANGE, "offset %d", 4096), GPUD_E_OUT_OF_RANGE);
        ck_assert_int_eq(message_pack_error(&box.packer, &msgid, &fault), 0);
        ck_assert_int_eq(parse(box.buffer.data, box.buffer.size), 0);
        message_read_error(box.message.error, &back);
        ck_assert_int_eq(back.code, GPUD_E_OUT_OF_RANGE);
        ck_assert_str_eq(back.text, "offset 4096");

        proto_fault(&fault, GPUD_E_NOT_FOUND, "\x1b[31m\xff");
        ck_assert_str_eq(fault.text, "?[31m?");
}
END_TEST

/* They go to a terminal. */
START_TEST(errors_of_strangers_are_no_commands) {
        static const char error[] = "\x82\xa7message\xa5\x1b[31m\xa4"
                                    "code\x02";
        ProtoFault fault;

        message_read_error(cursor_from_bytes(error, sizeof(error) - 1), &fault);
        ck_assert_int_eq(fault.code, 2);
        ck_assert_str_eq(fault.text, "?[31m");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("codec");
        TCase *tests = tcase_create("codec");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, arguments_go_round);
        tcase_add_test(tests, a_value_needs_no_flag);
        tcase_add_test(tests, results_go_round_with_lists_and_nils);
        tcase_add_test(tests, refusals_name_argument_and_limit);
        tcase_add_test(tests, bounded_fields_are_bounded);
        tcase_add_test(tests, clients_ignore_what_they_do_not_know);
        tcase_add_test(tests, broken_envelopes_are_refused);
        tcase_add_test(tests, the_msgid_is_found_early);
        tcase_add_test(tests, errors_go_round);
        tcase_add_test(tests, errors_of_strangers_are_no_commands);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
