/* Grains on several threads: each byte once, in order where that is promised, and failures. */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/copier.h"
#include "client/stream.h"
#include "proto/types.h"

#define SIZE  100003
#define GRAIN 64

#define NOBODY 65534

typedef struct Work {
        unsigned char counts[SIZE]; /* how often each byte was carried */
        uint64_t due;               /* next position of a serial job */
        uint64_t fail_from;
        bool is_serial;
} Work;

static int carry(void *userdata, uint64_t position, size_t size, ProtoFault *fault) {
        Work *work = userdata;

        if (position >= work->fail_from)
                return proto_fault(fault, GPUD_E_SYSTEM_CALL, "at %d", (int)position);
        if (work->is_serial) {
                ck_assert_uint_eq(position, work->due);
                work->due += size;
        }
        ck_assert_uint_le(size, GRAIN);
        for (size_t i = 0; i < size; i++)
                work->counts[position + i]++;
        return 0;
}

static Work *work_new(void) {
        Work *work = calloc(1, sizeof(*work));

        work->fail_from = UINT64_MAX;
        return work;
}

static Copier *new_copier(size_t n_threads) {
        Copier *copier;

        ck_assert_int_eq(copier_new(&copier, n_threads), 0);
        return copier;
}

/* Opens some bytes at a time and carries along until all are through, or it fails. */
static int run(Copier *copier, Work *work, uint64_t step) {
        const CopyJob job = {carry, work, GRAIN, work->is_serial};
        uint64_t end = 0;
        int r = 0;

        copier_begin(copier, &job);
        while (end < SIZE && r >= 0) {
                end = end + step < SIZE ? end + step : SIZE;
                copier_open(copier, end);
                while ((r = copier_check(copier, end)) == 0)
                        if (!copier_step(copier))
                                copier_wait(copier);
        }
        return r;
}

START_TEST(each_byte_is_carried_once) {
        Copier *copier = new_copier((size_t)_i);
        Work *work = work_new();
        ProtoFault fault;

        for (int round = 1; round <= 5; round++) {
                work->is_serial = round == 3;
                work->due = 0;
                ck_assert_int_eq(run(copier, work, (uint64_t)(round * 1000 + 7)), 1);
                ck_assert_int_eq(copier_end(copier, &fault), 0);
                for (size_t i = 0; i < SIZE; i++)
                        ck_assert_int_eq(work->counts[i], round);
        }
        copier_free(copier);
        free(work);
}
END_TEST

/* A container that has as many processes as it may have: the owner carries all by itself. */
START_TEST(no_thread_is_to_be_had) {
        Copier *copier = new_copier(4);
        Work *work = work_new();
        struct rlimit before;
        ProtoFault fault;

        /* Root may have as many as it likes. The test is a process of its own. */
        if (getuid() == 0)
                ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NPROC, &before), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &(struct rlimit){1, before.rlim_max}), 0);
        for (int round = 1; round <= 2; round++) {
                ck_assert_int_eq(run(copier, work, 1007), 1);
                ck_assert_int_eq(copier_end(copier, &fault), 0);
                for (size_t i = 0; i < SIZE; i++)
                        ck_assert_int_eq(work->counts[i], round);
        }
        copier_free(copier);
        free(work);
        ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &before), 0);
}
END_TEST

START_TEST(first_failure_counts) {
        Copier *copier = new_copier(4);
        Work *work = work_new();
        ProtoFault fault;

        for (int round = 0; round < 50; round++) {
                work->fail_from = 50 * GRAIN;
                ck_assert_int_eq(run(copier, work, SIZE), -GPUD_E_SYSTEM_CALL);
                ck_assert_int_eq(copier_end(copier, &fault), -GPUD_E_SYSTEM_CALL);
                ck_assert_str_eq(fault.text, "at 3200");
                work->fail_from = UINT64_MAX;
                ck_assert_int_eq(run(copier, work, SIZE), 1);
                ck_assert_int_eq(copier_end(copier, &fault), 0);
        }
        copier_free(copier);
        free(work);
}
END_TEST

START_TEST(end_in_the_middle) {
        Copier *copier = new_copier(4);
        Work *work = work_new();
        const CopyJob job = {carry, work, GRAIN, false};
        ProtoFault fault;
        size_t i = 0;

        copier_begin(copier, &job);
        copier_open(copier, SIZE);
        copier_step(copier);
        ck_assert_int_eq(copier_end(copier, &fault), 0);
        ck_assert(!copier_step(copier) && work->counts[0] == 1);
        while (i < SIZE && work->counts[i])
                i++;
        for (; i < SIZE; i++)
                ck_assert_int_eq(work->counts[i], 0);
        copier_free(copier);
        free(work);
}
END_TEST

START_TEST(threads_are_bounded) {
        ck_assert_uint_ge(copier_count_threads(), 1);
        ck_assert_uint_le(copier_count_threads(), COPIER_THREADS_MAX);
        ck_assert_ptr_null(copier_free(NULL));
}
END_TEST

START_TEST(stream_is_a_copy) {
        unsigned char from[400], to[400], expected[400];

        for (size_t i = 0; i < sizeof(from); i++)
                from[i] = (unsigned char)(i * 7 + 1);
        for (size_t offset = 0; offset < 65; offset++)
                for (size_t size = 0; size < 260; size += 13) {
                        memset(to, 0xee, sizeof(to));
                        memset(expected, 0xee, sizeof(expected));
                        memcpy(expected + offset, from + offset / 2, size);
                        stream_copy(to + offset, from + offset / 2, size, _i == 1);
                        ck_assert_mem_eq(to, expected, sizeof(to));
                }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/copier");
        TCase *tcase = tcase_create("copier");
        SRunner *runner;
        int n_failed;

        tcase_add_loop_test(tcase, each_byte_is_carried_once, 1, COPIER_THREADS_MAX + 1);
        tcase_add_test(tcase, no_thread_is_to_be_had);
        tcase_add_test(tcase, first_failure_counts);
        tcase_add_test(tcase, end_in_the_middle);
        tcase_add_test(tcase, threads_are_bounded);
        tcase_add_loop_test(tcase, stream_is_a_copy, 0, stream_can_be_wide() ? 2 : 1);
        tcase_set_timeout(tcase, 120);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
