/* Strings from strangers: what is UTF-8, and what becomes of the rest. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

#define UTF8(bytes_) text_is_utf8((bytes_), sizeof(bytes_) - 1)

START_TEST(utf8_is_told_from_the_rest) {
        ck_assert(UTF8(""));
        ck_assert(UTF8("plain"));
        ck_assert(UTF8("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
        ck_assert(!UTF8("\x80"));
        ck_assert(!UTF8("\xc3"));
        ck_assert(!UTF8("\xc0\x80"));
        ck_assert(!UTF8("\xc1\xbf"));
        ck_assert(!UTF8("\xe0\x9f\xbf"));
        ck_assert(!UTF8("\xed\xa0\x80"));
        ck_assert(!UTF8("\xf0\x8f\xbf\xbf"));
        ck_assert(!UTF8("\xf4\x90\x80\x80"));
        ck_assert(!UTF8("\xf5\x80\x80\x80"));
        ck_assert(!UTF8("\xe2\x28\xa1"));
}
END_TEST

START_TEST(nothing_reaches_a_terminal_that_moves_it) {
        char escape[] = "a\x1b[2J\nb\x7f";
        char c1[] = "a\xc2\x9b"
                    "b";
        char broken[] = "\xc3\x28\xff";
        char fine[] = "gr\xc3\xbc\xc3\x9f"
                      "e";

        text_sanitize(c1);
        ck_assert_str_eq(c1, "a??b");
        text_sanitize(escape);
        ck_assert_str_eq(escape, "a?[2J?b?");
        text_sanitize(broken);
        ck_assert_str_eq(broken, "?(?");
        text_sanitize(fine);
        ck_assert_str_eq(fine, "gr\xc3\xbc\xc3\x9f"
                               "e");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("text");
        TCase *tests = tcase_create("text");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_test(tests, utf8_is_told_from_the_rest);
        tcase_add_test(tests, nothing_reaches_a_terminal_that_moves_it);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
