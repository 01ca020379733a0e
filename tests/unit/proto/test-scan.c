/* The bounded scanner: every type, every limit, any split of the bytes, and msgpack-c beside it. */

#include <check.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/scan.h"
#include "proto/types.h"

static const ScanLimits narrow = {.size_max = 64, .depth_max = 3, .items_max = 10};

static int scan_once(const ScanLimits *limits, const void *data, size_t n, size_t *ret_size) {
        Scan scan = SCAN_NULL;

        return scan_walk(&scan, limits, data, n, ret_size);
}

static void expect(int r, const void *data, size_t n) {
        size_t size;

        ck_assert_int_eq(scan_once(&narrow, data, n, &size), r);
        if (r == 0)
                ck_assert_uint_eq(size, n);
}

#define EXPECT(r_, bytes_) expect((r_), (bytes_), sizeof(bytes_) - 1)

START_TEST(every_type_is_walked) {
        EXPECT(0, "\x00");
        EXPECT(0, "\xff");
        EXPECT(0, "\xc0");
        EXPECT(0, "\xc2");
        EXPECT(0, "\xcc\x01");
        EXPECT(0, "\xcd\x01\x02");
        EXPECT(0, "\xcf\x01\x02\x03\x04\x05\x06\x07\x08");
        EXPECT(0, "\xd3\x01\x02\x03\x04\x05\x06\x07\x08");
        EXPECT(0, "\xca\x00\x00\x00\x00");
        EXPECT(0, "\xcb\x00\x00\x00\x00\x00\x00\x00\x00");
        EXPECT(0, "\xa3"
                  "abc");
        EXPECT(0, "\xd9\x03"
                  "abc");
        EXPECT(0, "\xc4\x00");
        EXPECT(0, "\xc6\x00\x00\x00\x01x");
        EXPECT(0, "\x90");
        EXPECT(0, "\x80");
        EXPECT(0, "\x93\x01\x90\x81\xa1k\xc0");
        EXPECT(0, "\xdc\x00\x02\x01\x02");
        EXPECT(0, "\xdf\x00\x00\x00\x01\x01\x02");
}
END_TEST

START_TEST(what_is_not_used_is_refused) {
        EXPECT(SCAN_E_INVALID, "\xc1");
        EXPECT(SCAN_E_INVALID, "\xc7\x01\x01x");
        EXPECT(SCAN_E_INVALID, "\xd4\x01\x01");
        EXPECT(SCAN_E_INVALID, "\x92\x01\xd8");
}
END_TEST

START_TEST(promises_are_not_believed) {
        EXPECT(SCAN_E_TOO_MANY, "\xdd\x0f\xff\xff\xff");
        EXPECT(SCAN_E_TOO_MANY, "\xdf\xff\xff\xff\xff");
        EXPECT(SCAN_E_TOO_MANY, "\x93\xdc\x00\x04\xdc\x00\x04");
        EXPECT(SCAN_E_TOO_LARGE, "\xdb\xff\xff\xff\xff");
        EXPECT(SCAN_E_TOO_LARGE, "\xc6\x00\x00\x00\x3c");
        EXPECT(SCAN_E_MORE, "\xc6\x00\x00\x00\x3b");
        EXPECT(SCAN_E_TOO_DEEP, "\x91\x91\x91\x91\x01");
        EXPECT(0, "\x91\x91\x91\x01");
        EXPECT(SCAN_E_TOO_DEEP, "\x91\x91\x91\x90");
}
END_TEST

START_TEST(a_message_may_come_in_any_pieces) {
        static const char message[] = "\x94\x00\xcd\x01\x02\xa8mem.info\x91\x81\xa3mem\xd9\x04"
                                      "abcd\x94";
        size_t n = sizeof(message) - 2; /* the last byte begins the next message */
        size_t size = 0;

        for (size_t step = 1; step <= n; step++) {
                Scan scan = SCAN_NULL;
                size_t have = 0;

                for (have = step; have < n; have += step)
                        ck_assert_int_eq(scan_walk(&scan, &scan_request_limits, message, have, &size),
                                         SCAN_E_MORE);
                ck_assert_int_eq(scan_walk(&scan, &scan_request_limits, message, n + 1, &size), 0);
                ck_assert_uint_eq(size, n);
        }
}
END_TEST

/* What the scanner lets through, msgpack-c must find as long as the scanner does. */
START_TEST(msgpack_agrees_on_random_bytes) {
        unsigned state = 1;
        size_t n_agreed = 0;

        for (int round = 0; round < 200000; round++) {
                unsigned char bytes[24];
                msgpack_unpacked unpacked;
                size_t offset = 0;
                size_t size;

                for (size_t i = 0; i < sizeof(bytes); i++) {
                        state = state * 1103515245 + 12345;
                        bytes[i] = (unsigned char)(state >> 16);
                        /* Mostly small containers and strings, so that many are whole. */
                        if (state >> 28 < 8)
                                bytes[i] = (unsigned char)((i % 2 ? 0x90 : 0xa0) | (bytes[i] & 3));
                }
                if (scan_once(&scan_request_limits, bytes, sizeof(bytes), &size))
                        continue;
                msgpack_unpacked_init(&unpacked);
                ck_assert_int_ge(msgpack_unpack_next(&unpacked, (const char *)bytes, sizeof(bytes), &offset),
                                 MSGPACK_UNPACK_EXTRA_BYTES);
                ck_assert_uint_eq(offset, size);
                msgpack_unpacked_destroy(&unpacked);
                n_agreed++;
        }
        ck_assert_uint_gt(n_agreed, 1000);
}
END_TEST

START_TEST(errors_name_the_limit) {
        char text[128];

        scan_error_to_string(SCAN_E_TOO_LARGE, &narrow, text, sizeof(text));
        ck_assert_ptr_nonnull(strstr(text, "message_max = 64"));
        scan_error_to_string(SCAN_E_TOO_DEEP, &narrow, text, sizeof(text));
        ck_assert_ptr_nonnull(strstr(text, "depth_max = 3"));
        scan_error_to_string(SCAN_E_TOO_MANY, &narrow, text, sizeof(text));
        ck_assert_ptr_nonnull(strstr(text, "items_max = 10"));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("scan");
        TCase *tests = tcase_create("scan");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_test(tests, every_type_is_walked);
        tcase_add_test(tests, what_is_not_used_is_refused);
        tcase_add_test(tests, promises_are_not_believed);
        tcase_add_test(tests, a_message_may_come_in_any_pieces);
        tcase_add_test(tests, msgpack_agrees_on_random_bytes);
        tcase_add_test(tests, errors_name_the_limit);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
