/* Descriptors in order, and none lost. */

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/rpc/fdqueue.h"

static int open_null(void) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static int is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(they_come_in_order_and_the_rest_is_closed) {
        FdQueue queue = {0};
        int first = open_null();
        int second = open_null();
        int third = open_null();

        ck_assert_int_eq(fd_queue_pop(&queue), -1);
        ck_assert_int_eq(fd_queue_push(&queue, first), 0);
        ck_assert_int_eq(fd_queue_push(&queue, second), 0);
        ck_assert_int_eq(fd_queue_push(&queue, third), 0);
        ck_assert_int_eq(fd_queue_pop(&queue), first);
        fd_queue_deinit(&queue);
        ck_assert(is_open(first));
        ck_assert(!is_open(second) && !is_open(third));
        close(first);
}
END_TEST

START_TEST(one_too_many_is_closed) {
        FdQueue queue = {0};
        int last;

        for (int i = 0; i < GPUD_FDS_MAX; i++)
                ck_assert_int_eq(fd_queue_push(&queue, open_null()), 0);
        last = open_null();
        ck_assert_int_eq(fd_queue_push(&queue, last), GPUD_E_RESOURCE_EXHAUSTED);
        ck_assert(!is_open(last));
        fd_queue_deinit(&queue);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("fdqueue");
        TCase *tests = tcase_create("fdqueue");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_test(tests, they_come_in_order_and_the_rest_is_closed);
        tcase_add_test(tests, one_too_many_is_closed);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
