/* The words of the errors, as a C program gets them. */

#include "tests/unit/client/peer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

START_TEST(no_descriptor_names_the_limit) {
        struct gpud_client *client;
        struct rlimit limit, few;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        few = (struct rlimit){3, limit.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        ck_assert_int_eq(gpud_connect(&client, "/nonexistent/gpud.sock"), -GPUD_E_SYSTEM_CALL);
        ck_assert_int_eq(errno, EMFILE);
        ck_assert_str_eq(gpud_error_message(NULL), "socket: Too many open files, limit RLIMIT_NOFILE = 3");
        /* LeakSanitizer looks for leaks at the end, and opens files for that. */
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

START_TEST(connecting_to_nothing_says_why) {
        struct gpud_client *client = (struct gpud_client *)1;
        char path[300];

        ck_assert_int_eq(gpud_connect(&client, "/nonexistent/gpud.sock"), -GPUD_E_CONNECTION_LOST);
        ck_assert_int_eq(errno, ENOENT);
        ck_assert_ptr_null(client);
        ck_assert_str_eq(gpud_error_message(client), "/nonexistent/gpud.sock: No such file or directory");

        ck_assert_int_eq(gpud_connect(&client, ""), -GPUD_E_INVALID_ARGUMENT);
        ck_assert_str_eq(gpud_error_message(client), "the path of the socket is empty");

        memset(path, 'x', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        ck_assert_int_eq(gpud_connect(&client, path), -GPUD_E_CONNECTION_LOST);
        ck_assert_int_eq(errno, ENAMETOOLONG);
        ck_assert_ptr_nonnull(strstr(gpud_error_message(NULL), "at most 107 bytes"));
}
END_TEST

/* A socket that takes connections of its group, or of its owner alone, and lets two wait. */
static int listen_at(const char *path, mode_t mode) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_eq(chmod(path, mode), 0);
        ck_assert_int_eq(listen(fd, 1), 0);
        return fd;
}

START_TEST(a_closed_socket_names_who_may) {
        char directory[] = "/tmp/gpud-test-XXXXXX", path[64], expected[128];
        struct gpud_client *client = NULL;
        int fd;

        if (geteuid() != 0)
                return;
        ck_assert_ptr_nonnull(mkdtemp(directory));
        ck_assert_int_eq(chmod(directory, 0755), 0);
        snprintf(path, sizeof(path), "%s/s", directory);
        fd = listen_at(path, 0660);
        /* Of Debian's groups, this one has a number that never changes. */
        ck_assert_int_eq(chown(path, 0, 4), 0);
        ck_assert_int_eq(seteuid(65534), 0);
        ck_assert_int_eq(gpud_connect(&client, path), -GPUD_E_PERMISSION_DENIED);
        ck_assert_int_eq(errno, EACCES);
        snprintf(expected, sizeof(expected), "%s: Permission denied; you must be in the group adm", path);
        ck_assert_str_eq(gpud_error_message(NULL), expected);

        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(chmod(path, 0600), 0);
        ck_assert_int_eq(seteuid(65534), 0);
        ck_assert_int_eq(gpud_connect(&client, path), -GPUD_E_PERMISSION_DENIED);
        ck_assert_ptr_nonnull(strstr(gpud_error_message(NULL), "its owner alone, uid 0"));

        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(chmod(directory, 0700), 0);
        ck_assert_int_eq(seteuid(65534), 0);
        ck_assert_int_eq(gpud_connect(&client, path), -GPUD_E_PERMISSION_DENIED);
        ck_assert_ptr_nonnull(strstr(gpud_error_message(NULL), "a directory on the way"));
        ck_assert_int_eq(seteuid(0), 0);
        close(fd);
        unlink(path);
        rmdir(directory);
}
END_TEST

START_TEST(connecting_does_not_wait_for_ever) {
        struct gpud_client *clients[8] = {NULL};
        char path[] = "/tmp/gpud-test-XXXXXX";
        int fd, r = 0;
        size_t n = 0;

        close(mkstemp(path));
        unlink(path);
        fd = listen_at(path, 0600);
        while (r == 0 && n < 8)
                r = gpud_connect_timeout(&clients[n++], path, 50);
        ck_assert_int_eq(r, -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_ptr_nonnull(strstr(gpud_error_message(NULL), "gpud took no connection for 50 ms"));
        for (size_t i = 0; i < n; i++)
                gpud_close(clients[i]);
        close(fd);
        unlink(path);
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
        tcase_add_test(tcase, no_descriptor_names_the_limit);
        tcase_add_test(tcase, connecting_to_nothing_says_why);
        tcase_add_test(tcase, a_closed_socket_names_who_may);
        tcase_add_test(tcase, connecting_does_not_wait_for_ever);
        tcase_add_test(tcase, environment_names_the_socket);
        tcase_add_test(tcase, handles_are_text_both_ways);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
