/* The words of the errors, as a C program gets them. */

#include "tests/unit/client/peer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

START_TEST(every_error_has_words) {
        for (size_t i = 0; i < proto_n_errors; i++) {
                ck_assert_str_eq(gpud_strerror(-proto_errors[i].code), proto_errors[i].text);
                ck_assert_str_eq(gpud_strerror(proto_errors[i].code), proto_errors[i].text);
                ck_assert_str_eq(gpud_error_name(-proto_errors[i].code), proto_errors[i].name);
                ck_assert_str_eq(gpud_error_hint(-proto_errors[i].code), proto_errors[i].hint);
                ck_assert_int_ge(proto_errors[i].exit_code, 1);
                ck_assert_int_le(proto_errors[i].exit_code, 4);
        }
}
END_TEST

START_TEST(what_is_no_error_has_words_too) {
        ck_assert_str_eq(gpud_strerror(0), "success");
        ck_assert_str_eq(gpud_strerror(-9999), "unknown error");
        ck_assert_str_eq(gpud_strerror(INT32_MIN), "unknown error");
        ck_assert_ptr_null(gpud_error_name(12345));
        ck_assert_ptr_null(gpud_error_hint(0));
}
END_TEST

START_TEST(connecting_to_nothing_says_why) {
        struct gpud_client *client = (struct gpud_client *)1;
        char path[300];

        ck_assert_int_eq(gpud_connect(&client, "/nonexistent/gpud.sock"), -GPUD_E_CONNECTION_LOST);
        ck_assert_int_eq(errno, ENOENT);
        ck_assert_ptr_null(client);

        memset(path, 'x', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        ck_assert_int_eq(gpud_connect(&client, path), -GPUD_E_CONNECTION_LOST);
        ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

START_TEST(environment_names_the_socket) {
        setenv("GPUD_SOCKET", "/tmp/some.sock", 1);
        ck_assert_str_eq(gpud_socket_path(NULL), "/tmp/some.sock");
        ck_assert_str_eq(gpud_socket_path("/other"), "/other");
        setenv("GPUD_SOCKET", "", 1);
        ck_assert_str_eq(gpud_socket_path(NULL), "/run/gpud/gpud.sock");
        unsetenv("GPUD_SOCKET");
        ck_assert_str_eq(gpud_socket_path(NULL), "/run/gpud/gpud.sock");
}
END_TEST

START_TEST(handles_are_text_both_ways) {
        static const char text[] = "0123abcd-0000-4000-8000-00000000ffff";
        char back[GPUD_UUID_TEXT + 1];
        struct gpud_uuid uuid;

        ck_assert(gpud_uuid_from_string(text, &uuid));
        gpud_uuid_to_string(&uuid, back);
        ck_assert_str_eq(back, text);
        ck_assert(gpud_uuid_from_string("0123ABCD-0000-4000-8000-00000000FFFF", &uuid));
        ck_assert(!gpud_uuid_from_string("", &uuid));
        ck_assert(!gpud_uuid_from_string("0123abcd-0000-4000-8000-00000000fff", &uuid));
        ck_assert(!gpud_uuid_from_string("0123abcd-0000-4000-8000-00000000fffff", &uuid));
        ck_assert(!gpud_uuid_from_string("0123abcdX0000-4000-8000-00000000ffff", &uuid));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/error");
        TCase *tcase = tcase_create("error");

        tcase_add_test(tcase, every_error_has_words);
        tcase_add_test(tcase, what_is_no_error_has_words_too);
        tcase_add_test(tcase, connecting_to_nothing_says_why);
        tcase_add_test(tcase, environment_names_the_socket);
        tcase_add_test(tcase, handles_are_text_both_ways);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
