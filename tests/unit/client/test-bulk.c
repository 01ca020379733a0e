/* Copies of any size through the arena, against a small daemon of the test's own on a thread. */

#include "tests/unit/client/daemon.h"

#include <fcntl.h>
#include <stdio.h>

/* The largest piece of a copy. */
#define SLOT ((size_t)4 << 20)

static const size_t sizes[] = {1,
                               100,
                               GPUD_INLINE_MAX - 1,
                               GPUD_INLINE_MAX,
                               GPUD_INLINE_MAX + 1,
                               SLOT - 1,
                               SLOT,
                               SLOT + 1,
                               3 * SLOT + 5,
                               4 * SLOT,
                               4 * SLOT + 1,
                               5 * SLOT,
                               9 * SLOT + 77};

START_TEST(bytes_go_there_and_back) {
        size_t size = sizes[_i];
        Daemon *daemon = daemon_new(size + 20);
        char *data = malloc(size), *back = malloc(size);

        daemon_start(daemon);
        for (size_t i = 0; i < size; i++)
                data[i] = (char)(i * 13 + 1 + (i >> 16));
        memset(daemon->memory, 0x55, daemon->size);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 10, data, size), 0);
        ck_assert_mem_eq(daemon->memory + 10, data, size);
        for (size_t i = 0; i < 10; i++) {
                ck_assert_int_eq(daemon->memory[i], 0x55);
                ck_assert_int_eq(daemon->memory[size + 10 + i], 0x55);
        }
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 10, back, size), 0);
        ck_assert_mem_eq(back, data, size);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_uint_le(daemon->n_regions, 1);
        free(data);
        free(back);
        daemon_free(daemon);
}
END_TEST

START_TEST(nothing_is_copied) {
        Daemon *daemon = daemon_new(16);

        daemon_start(daemon);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 16, NULL, 0), 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 16, NULL, 0), 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 17, NULL, 0), -GPUD_E_OUT_OF_RANGE);
        daemon_free(daemon);
}
END_TEST

/* The n-th piece fails: one error, its message, and a client that still works. */
START_TEST(failure_in_the_middle) {
        size_t size = 8 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = calloc(1, size);

        daemon->fail_at = _i;
        daemon_start(daemon);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEVICE_LOST);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client), "copy refused by the test");
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        daemon->fail_at = daemon->n_copies + _i;
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEVICE_LOST);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client), "copy refused by the test");
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), 0);
        free(data);
        daemon_free(daemon);
}
END_TEST

START_TEST(daemon_dies_in_the_middle) {
        size_t size = 9 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = calloc(1, size);

        daemon->hang_at = _i;
        daemon_start(daemon);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_CONNECTION_LOST);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_CONNECTION_LOST);
        free(data);
        daemon_free(daemon);
}
END_TEST

/*
 * The copy ends, and the arena stays until gpud has answered: the next copy does not share it with the
 * last.
 */
START_TEST(silence_in_the_middle) {
        size_t size = 9 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size);

        memset(data, 'd', size);
        daemon->pause_at = _i;
        daemon_start(daemon);
        gpud_set_timeout(daemon->peer.client, 100);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client), "gpud said nothing for 100 ms");
        ck_assert_uint_gt(gpud_pending(daemon->peer.client), 0);
        ck_assert_uint_eq(daemon->n_released, 0);

        gpud_set_timeout(daemon->peer.client, 0);
        sem_post(&daemon->go_on);
        memset(data, 'e', size);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), 0);
        ck_assert_mem_eq(daemon->memory, data, size);
        while (gpud_pending(daemon->peer.client) > 0)
                ck_assert_int_eq(gpud_wait(daemon->peer.client, 10000), 0);
        ck_assert_uint_eq(daemon->n_regions, 2);
        ck_assert_uint_eq(daemon->n_released, 1);
        free(data);
        daemon_free(daemon);
}
END_TEST

/* Nor does a program that ends meanwhile meet the run again. */
START_TEST(silence_and_then_the_end) {
        size_t size = 9 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size);

        daemon->mute_at = _i;
        daemon_start(daemon);
        gpud_set_timeout(daemon->peer.client, 100);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert_uint_gt(gpud_pending(daemon->peer.client), 0);
        free(data);
        daemon_free(daemon);
}
END_TEST

START_TEST(range_may_not_wrap) {
        Daemon *daemon = daemon_new(16);
        static char data[GPUD_INLINE_MAX + 1];

        daemon_start(daemon);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, UINT64_MAX - 5, data, sizeof(data)),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, UINT64_MAX - 5, data, sizeof(data)),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_uint_eq(daemon->n_regions, 0);
        daemon_free(daemon);
}
END_TEST

/* Also where the first pieces alone would fit: nothing is copied, and the whole range is named. */
START_TEST(range_past_the_end_is_refused_whole) {
        size_t size = 5 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size);

        daemon_start(daemon);
        memset(data, 'n', size);
        memset(daemon->memory, 'o', size);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 1, data, size), -GPUD_E_OUT_OF_RANGE);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client),
                         "offset 1 + size 20971520 exceeds allocation size 20971520");
        ck_assert_int_eq(daemon->n_copies, 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 1, data, size), -GPUD_E_OUT_OF_RANGE);
        for (size_t i = 0; i < size; i++)
                if (data[i] != 'n' || daemon->memory[i] != 'o')
                        ck_abort_msg("byte %zu has changed", i);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), 0);
        ck_assert_mem_eq(daemon->memory, data, size);
        free(data);
        daemon_free(daemon);
}
END_TEST

/* ---- files ---- */

static void count_progress(uint64_t n_done, void *userdata) {
        uint64_t *last = userdata;

        ck_assert_uint_ge(n_done, *last);
        *last = n_done;
}

static int temporary_file(const char *data, size_t size) {
        FILE *file = tmpfile();
        int fd;

        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(data, 1, size, file), size);
        fflush(file);
        fd = dup(fileno(file));
        fclose(file);
        return fd;
}

START_TEST(files_go_there_and_back) {
        size_t size = sizes[_i];
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size + 7), *back = malloc(size);
        uint64_t last = 0;
        int fd;

        daemon_start(daemon);
        for (size_t i = 0; i < size + 7; i++)
                data[i] = (char)(i * 17 + (i >> 16));
        fd = temporary_file(data, size + 7);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, 7, size, count_progress, &last),
                         0);
        ck_assert_uint_eq(last, size);
        ck_assert_mem_eq(daemon->memory, data + 7, size);
        ck_assert_int_eq(ftruncate(fd, 0), 0);
        last = 0;
        ck_assert_int_eq(gpud_get_file(daemon->peer.client, some_mem, 0, fd, 3, size, count_progress, &last),
                         0);
        ck_assert_uint_eq(last, size);
        ck_assert_int_eq(pread(fd, back, size, 3), (ssize_t)size);
        ck_assert_mem_eq(back, data + 7, size);
        close(fd);
        free(data);
        free(back);
        daemon_free(daemon);
}
END_TEST

START_TEST(short_file_is_out_of_range) {
        Daemon *daemon = daemon_new(100000);
        static char data[70000];
        int fd = temporary_file(data, sizeof(data));

        daemon_start(daemon);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, 0, 70001, NULL, NULL),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, 9999, 0, 70000, NULL, NULL),
                         -GPUD_E_SYSTEM_CALL);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, UINT64_MAX, 1, NULL, NULL),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, 0, 70000, NULL, NULL), 0);
        close(fd);
        fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        ck_assert_int_eq(gpud_get_file(daemon->peer.client, some_mem, 0, fd, 0, 70000, NULL, NULL),
                         -GPUD_E_SYSTEM_CALL);
        close(fd);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        daemon_free(daemon);
}
END_TEST

static void *feed_pipe(void *userdata) {
        static char data[1 << 16];
        const int *fd = userdata;

        memset(data, 'p', sizeof(data));
        for (size_t i = 0; i < 100; i++)
                if (write(*fd, data, sizeof(data)) < 0)
                        break;
        close(*fd);
        return NULL;
}

START_TEST(pipe_will_do) {
        size_t size = 100 << 16;
        Daemon *daemon = daemon_new(size);
        pthread_t thread;
        int fds[2];

        daemon_start(daemon);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, feed_pipe, &fds[1]), 0);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fds[0], 1, size, NULL, NULL),
                         -GPUD_E_INVALID_ARGUMENT);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fds[0], 0, size, NULL, NULL), 0);
        pthread_join(thread, NULL);
        close(fds[0]);
        for (size_t i = 0; i < size; i++)
                if (daemon->memory[i] != 'p')
                        ck_abort_msg("byte %zu is wrong", i);
        daemon_free(daemon);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/bulk");
        TCase *tcase = tcase_create("bulk");
        const int n_sizes = sizeof(sizes) / sizeof(*sizes);

        tcase_add_loop_test(tcase, bytes_go_there_and_back, 0, n_sizes);
        tcase_add_test(tcase, nothing_is_copied);
        tcase_add_loop_test(tcase, failure_in_the_middle, 1, 9);
        tcase_add_loop_test(tcase, daemon_dies_in_the_middle, 1, 9);
        tcase_add_loop_test(tcase, silence_in_the_middle, 1, 9);
        tcase_add_loop_test(tcase, silence_and_then_the_end, 1, 3);
        tcase_add_test(tcase, range_may_not_wrap);
        tcase_add_test(tcase, range_past_the_end_is_refused_whole);
        tcase_add_loop_test(tcase, files_go_there_and_back, 0, n_sizes);
        tcase_add_test(tcase, short_file_is_out_of_range);
        tcase_add_test(tcase, pipe_will_do);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
