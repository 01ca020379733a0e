/* Tasks on worker threads: each runs once and ends once, whoever sleeps meanwhile. */

#include "daemon/executor.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/util/macros.h"

#define N_TASKS   64u
#define N_ENDS    20000u
#define TIMEOUT_S 60

typedef struct Counted {
        GpuTask task;
        atomic_uint n_runs;
        unsigned n_ends;
} Counted;

static Executor executor;
static unsigned n_ended;

/* Some take a while, so that the threads overtake each other. */
static void run(GpuTask *task) {
        Counted *counted = container_of(task, Counted, task);

        if (atomic_fetch_add(&counted->n_runs, 1) % 64 == 0)
                usleep(100);
}

/* Tasks submit tasks; the first that is ended is submitted again first. */
static void done(GpuTask *task) {
        Counted *counted = container_of(task, Counted, task);

        if (atomic_load(&counted->n_runs) != ++counted->n_ends)
                ck_abort_msg("%u runs for %u ends", atomic_load(&counted->n_runs), counted->n_ends);
        if (++n_ended <= N_ENDS - N_TASKS)
                executor_submit(&executor, task);
}

/* As the loop does: sleeps until it is woken, clears that, and looks. */
static void turn(int wake_fd) {
        struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
        eventfd_t n;

        ck_assert_msg(poll(&wake, 1, TIMEOUT_S * 1000) == 1, "a wake-up is lost after %u ends", n_ended);
        eventfd_read(wake_fd, &n);
        executor_poll(&executor);
}

START_TEST(every_task_ends_once) {
        static Counted counted[N_TASKS];
        int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        unsigned n = 0;

        ck_assert_int_eq(executor_init(&executor, wake_fd), 0);
        ck_assert(executor_is_idle(&executor));
        for (size_t i = 0; i < N_TASKS; i++) {
                counted[i].task = (GpuTask){.run = run, .done = done};
                executor_submit(&executor, &counted[i].task);
        }
        while (!executor_is_idle(&executor))
                turn(wake_fd);
        for (size_t i = 0; i < N_TASKS; i++)
                n += counted[i].n_ends;
        ck_assert_uint_eq(n, N_ENDS);
        executor_deinit(&executor);
        close(wake_fd);
}
END_TEST

static atomic_uint n_there;

/* Returns when as many run as there are threads. */
static void run_together(GpuTask *task) {
        (void)task;
        atomic_fetch_add(&n_there, 1);
        while (atomic_load(&n_there) < EXECUTOR_THREADS)
                usleep(100);
}

static void done_together(GpuTask *task) {
        (void)task;
        n_ended++;
}

START_TEST(tasks_run_beside_each_other) {
        GpuTask tasks[EXECUTOR_THREADS];
        int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        n_ended = 0;
        ck_assert_int_eq(executor_init(&executor, wake_fd), 0);
        for (size_t i = 0; i < EXECUTOR_THREADS; i++) {
                tasks[i] = (GpuTask){.run = run_together, .done = done_together};
                executor_submit(&executor, &tasks[i]);
        }
        while (!executor_is_idle(&executor))
                turn(wake_fd);
        ck_assert_uint_eq(n_ended, EXECUTOR_THREADS);
        executor_deinit(&executor);
        close(wake_fd);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("executor");
        TCase *tests = tcase_create("executor");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_set_timeout(tests, 2 * TIMEOUT_S);
        tcase_add_test(tests, every_task_ends_once);
        tcase_add_test(tests, tasks_run_beside_each_other);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
