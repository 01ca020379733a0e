/* Items read and written as msgpack-c does it, over every form that a value can have. */

#include <check.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cursor.h"
#include "proto/writer.h"

static msgpack_sbuffer theirs;
static msgpack_sbuffer ours;
static msgpack_packer their_packer;
static msgpack_packer our_packer;
static Writer writer;

static void setup(void) {
        msgpack_sbuffer_init(&theirs);
        msgpack_sbuffer_init(&ours);
        msgpack_packer_init(&their_packer, &theirs, msgpack_sbuffer_write);
        msgpack_packer_init(&our_packer, &ours, msgpack_sbuffer_write);
        writer_init(&writer, &our_packer);
}

static void teardown(void) {
        msgpack_sbuffer_destroy(&theirs);
        msgpack_sbuffer_destroy(&ours);
}

/* What both have written is the same; begins anew. */
static void expect_same(void) {
        ck_assert_int_eq(writer_finish(&writer), 0);
        ck_assert_uint_eq(ours.size, theirs.size);
        ck_assert_mem_eq(ours.data, theirs.data, ours.size);
        msgpack_sbuffer_clear(&ours);
        msgpack_sbuffer_clear(&theirs);
}

/* Reads what msgpack-c wrote, which must be one item; begins anew. */
static Item read_theirs(void) {
        Cursor cursor = cursor_from_bytes(theirs.data, theirs.size);
        Item item = cursor_read(&cursor);

        ck_assert_ptr_eq(cursor.at, cursor.end);
        ck_assert_int_eq(cursor_read(&cursor).kind, ITEM_NONE);
        msgpack_sbuffer_clear(&theirs);
        return item;
}

/* Around every power of two, where forms begin and end. */
#define N_NUMBERS (64 * 3)

static uint64_t number_of(size_t i) {
        return (UINT64_C(1) << i / 3) + i % 3 - 1;
}

START_TEST(integers_of_every_width) {
        for (size_t i = 0; i < N_NUMBERS; i++) {
                uint64_t number = number_of(i);
                int64_t negative = -(int64_t)(number >> 1) - 1;
                Item item;

                msgpack_pack_uint64(&their_packer, number);
                writer_commit(&writer, writer_put_uint(writer_reserve(&writer, WRITER_ITEM_MAX), number));
                expect_same();

                msgpack_pack_uint64(&their_packer, number);
                item = read_theirs();
                ck_assert(item.kind == ITEM_UINT && item.number == number);

                msgpack_pack_int64(&their_packer, negative);
                item = read_theirs();
                ck_assert(item.kind == ITEM_INT && (int64_t)item.number == negative);
        }
}
END_TEST

START_TEST(signed_forms_of_what_is_not_negative) {
        static const struct {
                const char *bytes;
                size_t n;
                uint64_t number;
        } cases[] = {
#define CASE(bytes_, number_) {bytes_, sizeof(bytes_) - 1, number_}
                CASE("\xd0\x7f", 0x7f),
                CASE("\xd1\x00\x01", 1),
                CASE("\xd2\x7f\xff\xff\xff", INT32_MAX),
                CASE("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", INT64_MAX),
                CASE("\xcf\x00\x00\x00\x00\x00\x00\x00\x00", 0),
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                Cursor cursor = cursor_from_bytes(cases[i].bytes, cases[i].n);
                Item item = cursor_read(&cursor);

                ck_assert(item.kind == ITEM_UINT && item.number == cases[i].number);
        }
}
END_TEST

START_TEST(values_that_are_no_integers) {
        Item item;

        msgpack_pack_double(&their_packer, -0.1);
        item = read_theirs();
        ck_assert(item.kind == ITEM_FLOAT && item_get_float(&item) == -0.1);
        msgpack_pack_float(&their_packer, 0.1F);
        item = read_theirs();
        ck_assert(item.kind == ITEM_FLOAT && item_get_float(&item) == (double)0.1F);
        msgpack_pack_nil(&their_packer);
        ck_assert_int_eq(read_theirs().kind, ITEM_NIL);
        msgpack_pack_true(&their_packer);
        item = read_theirs();
        ck_assert(item.kind == ITEM_BOOL && item.number == 1);
        msgpack_pack_false(&their_packer);
        item = read_theirs();
        ck_assert(item.kind == ITEM_BOOL && item.number == 0);

        msgpack_pack_nil(&their_packer);
        msgpack_pack_true(&their_packer);
        msgpack_pack_false(&their_packer);
        msgpack_pack_double(&their_packer, 1e300);
        writer_commit(&writer, writer_put_nil(writer_reserve(&writer, 1)));
        writer_commit(&writer, writer_put_bool(writer_reserve(&writer, 1), true));
        writer_commit(&writer, writer_put_bool(writer_reserve(&writer, 1), false));
        writer_commit(&writer, writer_put_double(writer_reserve(&writer, WRITER_ITEM_MAX), 1e300));
        expect_same();
}
END_TEST

START_TEST(lengths_of_every_width) {
        static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 1023, 1024, 65535, 65536, 100000};
        char *bytes = calloc(1, 100001);

        memset(bytes, 'x', 100000);
        for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
                size_t n = lengths[i];
                Item item;

                bytes[n] = '\0';
                msgpack_pack_str(&their_packer, n);
                msgpack_pack_str_body(&their_packer, bytes, n);
                msgpack_pack_bin(&their_packer, n);
                msgpack_pack_bin_body(&their_packer, bytes, n);
                msgpack_pack_array(&their_packer, n);
                writer_write_str(&writer, bytes);
                writer_commit(&writer, writer_put_bin(writer_reserve(&writer, WRITER_ITEM_MAX), n));
                writer_write(&writer, bytes, n);
                writer_commit(&writer, writer_put_array(writer_reserve(&writer, WRITER_ITEM_MAX), n));
                expect_same();
                bytes[n] = 'x';

                msgpack_pack_str(&their_packer, n);
                msgpack_pack_str_body(&their_packer, bytes, n);
                item = read_theirs();
                ck_assert(item.kind == ITEM_STR && item.number == n && memcmp(item.data, bytes, n) == 0);
                msgpack_pack_bin(&their_packer, n);
                msgpack_pack_bin_body(&their_packer, bytes, n);
                item = read_theirs();
                ck_assert(item.kind == ITEM_BIN && item.number == n && memcmp(item.data, bytes, n) == 0);
                msgpack_pack_array(&their_packer, n);
                item = read_theirs();
                ck_assert(item.kind == ITEM_ARRAY && item_get_n_items(&item) == n);
                msgpack_pack_map(&their_packer, n);
                item = read_theirs();
                ck_assert(item.kind == ITEM_MAP && item_get_n_items(&item) == 2 * n);
        }
        free(bytes);
}
END_TEST

START_TEST(what_is_cut_off_is_no_item) {
        static const char *const heads[] = {"\xcc",      "\xcd\x01", "\xcf\x01\x02\x03", "\xa2x", "\xd9",
                                            "\xd9\x02x", "\xc4\x01", "\xdc\x01",         "\xc1",  "\xd4\x01"};

        for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
                size_t n = strlen(heads[i]);
                char *bytes = malloc(n);
                Cursor cursor = cursor_from_bytes(memcpy(bytes, heads[i], n), n);

                ck_assert_int_eq(cursor_read(&cursor).kind, ITEM_NONE);
                ck_assert_ptr_eq(cursor.at, cursor.end);
                free(bytes);
        }
}
END_TEST

START_TEST(skipping_goes_behind_all_of_it) {
        static const char bytes[] = "\x83\xa1k\x92\x01\x81\xa1x\xc4\x01y\xa1l\x90\xa1m\x80\x07";
        Cursor cursor = cursor_from_bytes(bytes, sizeof(bytes) - 1);
        Item item = cursor_read(&cursor);

        ck_assert_int_eq(item.kind, ITEM_MAP);
        cursor_skip(&cursor, &item);
        item = cursor_read(&cursor);
        ck_assert(item.kind == ITEM_UINT && item.number == 7);
        ck_assert_ptr_eq(cursor.at, cursor.end);
}
END_TEST

static int refuse(void *data, const char *bytes, size_t n) {
        (void)bytes;
        (void)n;
        (*(int *)data)++;
        return -1;
}

START_TEST(lost_bytes_are_told_at_the_end) {
        int n_calls = 0;
        const msgpack_packer refusing = {.data = &n_calls, .callback = refuse};
        char bytes[2 * WRITER_SIZE] = {0};

        writer_init(&writer, &refusing);
        writer_write(&writer, bytes, 10);
        writer_write(&writer, bytes, sizeof(bytes));
        writer_write(&writer, bytes, 10);
        ck_assert_int_eq(n_calls, 1);
        ck_assert_int_lt(writer_finish(&writer), 0);
        ck_assert_int_eq(n_calls, 1);
}
END_TEST

START_TEST(values_in_words) {
        double half = 0.5;
        char text[ITEM_TEXT];
        Item items[] = {
                {.kind = ITEM_NIL},
                {.kind = ITEM_BOOL, .number = 1},
                {.kind = ITEM_UINT, .number = UINT64_MAX},
                {.kind = ITEM_INT, .number = (uint64_t)-5},
                {.kind = ITEM_FLOAT},
                {.kind = ITEM_STR, .number = 3, .data = "oneandmore"},
                {.kind = ITEM_BIN, .number = 70000, .data = ""},
                {.kind = ITEM_ARRAY, .number = 2},
                {.kind = ITEM_MAP, .number = 1},
        };
        static const char *const texts[] = {
                "nil",     "true",        "18446744073709551615", "-5",         "0.5",
                "\"one\"", "70000 bytes", "an array of 2",        "a map of 1",
        };

        memcpy(&items[4].number, &half, sizeof(half));
        for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
                item_to_string(&items[i], text);
                ck_assert_str_eq(text, texts[i]);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("item");
        TCase *tests = tcase_create("item");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, integers_of_every_width);
        tcase_add_test(tests, signed_forms_of_what_is_not_negative);
        tcase_add_test(tests, values_that_are_no_integers);
        tcase_add_test(tests, lengths_of_every_width);
        tcase_add_test(tests, what_is_cut_off_is_no_item);
        tcase_add_test(tests, skipping_goes_behind_all_of_it);
        tcase_add_test(tests, lost_bytes_are_told_at_the_end);
        tcase_add_test(tests, values_in_words);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
