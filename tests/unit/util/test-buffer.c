/* Bytes in a row, against a plain array. */

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/util/buffer.h"

/* A stream of counted bytes goes in and out in uneven pieces; what comes out counts on. */
START_TEST(bytes_come_out_in_order) {
        Buffer buffer = {0};
        uint8_t piece[3000];
        uint8_t in = 0;
        uint8_t out = 0;
        unsigned state = 7;
        size_t n_wrong = 0;

        for (int round = 0; round < 20000; round++) {
                size_t n = (state = state * 1103515245 + 12345) >> 16 & 0x7ff;

                if (state >> 31) {
                        for (size_t i = 0; i < n; i++)
                                piece[i] = in++;
                        ck_assert_int_eq(buffer_append(&buffer, piece, n), 0);
                } else {
                        n = n < buffer_get_length(&buffer) ? n : buffer_get_length(&buffer);
                        for (size_t i = 0; i < n; i++)
                                n_wrong += (uint8_t)buffer_get_data(&buffer)[i] != out++;
                        buffer_consume(&buffer, n);
                }
        }
        ck_assert_uint_eq(n_wrong, 0);
        buffer_consume(&buffer, buffer_get_length(&buffer));
        ck_assert_uint_eq(buffer_get_length(&buffer), 0);
        buffer_deinit(&buffer);
}
END_TEST

START_TEST(an_empty_buffer_keeps_its_memory) {
        Buffer buffer = {0};
        const char *data;

        ck_assert_ptr_nonnull(buffer_reserve(&buffer, 1 << 20));
        data = buffer.data;
        buffer.end += 1 << 20;
        buffer_consume(&buffer, 1 << 20);
        ck_assert_ptr_eq(buffer_reserve(&buffer, 1 << 20), data);
        buffer_deinit(&buffer);
        ck_assert_uint_eq(buffer.size, 0);
        ck_assert_int_eq(buffer_append(&buffer, "again", 5), 0);
        buffer_deinit(&buffer);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("buffer");
        TCase *tests = tcase_create("buffer");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_test(tests, bytes_come_out_in_order);
        tcase_add_test(tests, an_empty_buffer_keeps_its_memory);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
