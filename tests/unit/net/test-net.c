/* What is left of a network that could not be opened: nothing. */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/net/net.h"
#include "daemon/util/fd.h"
#include "tests/unit/failing.h"

static char folder[] = "/tmp/gpud-test-XXXXXX";
static char path[sizeof(folder) + sizeof("/gpud.sock")];
static NetOptions options = {.socket = path, .socket_mode = 0600, .socket_group = NO_GROUP};

static void setup(void) {
        ck_assert_ptr_nonnull(mkdtemp(folder));
        strcat(strcpy(path, folder), "/gpud.sock");
}

static void teardown(void) {
        ck_assert_int_eq(rmdir(folder), 0);
}

static size_t count_fds(void) {
        DIR *directory = opendir("/proc/self/fd");
        size_t n = 0;

        ck_assert_ptr_nonnull(directory);
        while (readdir(directory))
                n++;
        closedir(directory);
        return n;
}

START_TEST(a_socket_that_cannot_be_polled) {
        size_t n_fds = count_fds();
        Net net;

        ck_assert_int_eq(net_init(&net, -1, NULL, &options, -1), -EBADF);
        ck_assert_int_eq(access(path, F_OK), 0); /* so far it came */
        net_deinit(&net);
        ck_assert_int_eq(access(path, F_OK), -1);
        ck_assert_uint_eq(count_fds(), n_fds);
}
END_TEST

START_TEST(a_socket_passed_in_that_cannot_be_polled) {
        size_t n_fds = count_fds();
        Listener systemd;
        Net net;

        ck_assert_int_eq(listener_open(&systemd, &options), 0);
        ck_assert_int_eq(net_init(&net, -1, NULL, &options, dup(systemd.fd)), -EBADF);
        net_deinit(&net);
        ck_assert_int_eq(access(path, F_OK), 0);
        listener_close(&systemd);
        ck_assert_uint_eq(count_fds(), n_fds);
}
END_TEST

START_TEST(each_allocation_fails) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        size_t n_fds = count_fds();
        int r = -ENOMEM;
        Net net;

        for (long n = 1; FAILING_CAN && r; n++) {
                long n_live = failing_n_live;

                failing_n_until = n;
                r = net_init(&net, epoll_fd, NULL, &options, -1);
                failing_n_until = 0;
                net_deinit(&net);
                if (failing_n_live != n_live)
                        ck_abort_msg("%ld are left, the %ld-th failed", failing_n_live - n_live, n);
                ck_assert_int_eq(access(path, F_OK), -1);
                ck_assert_uint_eq(count_fds(), n_fds);
        }
        fd_close(epoll_fd);
}
END_TEST

START_TEST(none_was_opened) {
        size_t n_fds = count_fds();
        Net net = NET_NULL;

        net_deinit(&net);
        ck_assert_uint_eq(count_fds(), n_fds);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("net");
        TCase *tests = tcase_create("net");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, a_socket_that_cannot_be_polled);
        tcase_add_test(tests, a_socket_passed_in_that_cannot_be_polled);
        tcase_add_test(tests, each_allocation_fails);
        tcase_add_test(tests, none_was_opened);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
