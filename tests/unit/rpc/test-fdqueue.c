/* Descriptors in order, and none lost. */

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/rpc/fdqueue.h"

/* One that is closed at once: a small memfd. */
static int open_small(void) {
        int fd = memfd_create("small", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static int is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(they_come_in_order_and_the_rest_is_closed) {
        FdQueue queue = {0};
        int fds[] = {open_small(), open_small(), open_small()};

        ck_assert_int_eq(fd_queue_pop(&queue), -1);
        ck_assert_int_eq(fd_queue_push(&queue, fds, 1), 0);
        ck_assert_int_eq(fd_queue_push(&queue, fds + 1, 2), 0);
        ck_assert_int_eq(fd_queue_pop(&queue), fds[0]);
        fd_queue_deinit(&queue);
        ck_assert(is_open(fds[0]));
        ck_assert(!is_open(fds[1]) && !is_open(fds[2]));
        close(fds[0]);
}
END_TEST

START_TEST(those_too_many_are_closed) {
        FdQueue queue = {0};
        int fds[GPUD_FDS_MAX + 2];

        for (size_t i = 0; i < GPUD_FDS_MAX + 2; i++)
                fds[i] = open_small();
        ck_assert_int_eq(fd_queue_push(&queue, fds, 1), 0);
        ck_assert_int_eq(fd_queue_push(&queue, fds + 1, GPUD_FDS_MAX + 1), GPUD_E_RESOURCE_EXHAUSTED);
        for (size_t i = 0; i < GPUD_FDS_MAX + 2; i++)
                ck_assert(is_open(fds[i]) == (i < GPUD_FDS_MAX));
        fd_queue_deinit(&queue);
}
END_TEST

/* By a thread: a large memfd, a socket with something in it. */
START_TEST(slow_ones_are_closed_later) {
        int large = open_small(), pair[2];
        FdQueue queue = {0};

        ck_assert_int_eq(posix_fallocate(large, 0, 16 << 20), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(write(pair[0], "x", 1), 1);
        ck_assert_int_eq(fd_queue_push(&queue, &large, 1), 0);
        ck_assert_int_eq(fd_queue_push(&queue, &pair[1], 1), 0);
        fd_queue_deinit(&queue);
        while (is_open(large) || is_open(pair[1]))
                usleep(1000);
        close(pair[0]);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("fdqueue");
        TCase *tests = tcase_create("fdqueue");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_test(tests, they_come_in_order_and_the_rest_is_closed);
        tcase_add_test(tests, those_too_many_are_closed);
        tcase_add_test(tests, slow_ones_are_closed_later);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
