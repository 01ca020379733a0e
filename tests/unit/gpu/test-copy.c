/*
 * Copies and fills inside a device at every alignment, by shader and by command, against memmove() in
 * ordinary memory. Whole memories are compared: a byte written beside a range is seen.
 */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define KIB      UINT64_C(1024)
#define MIB      (1024 * KIB)
#define N_ALIGN  16
#define N_RANDOM 80

static const GpuOptions variants[] = {
        {.copy = GPU_COPY_COMMAND},
        {.copy = GPU_COPY_SHADER},
        {.copy = GPU_COPY_SHADER, .segment_max = 256 * KIB, .split_queues = true},
        {},
};

#define N_VARIANTS ((int)N_ELEMENTS(variants))

typedef struct Shadow {
        TestMemory memory;
        unsigned char *bytes;
        unsigned char *back;
        uint64_t size;
} Shadow;

static void shadow_init(Loop *loop, Shadow *shadow, uint64_t size, uint32_t seed) {
        *shadow = (Shadow){.size = size, .bytes = malloc(size), .back = malloc(size)};
        memory_init(loop, &shadow->memory, loop->device, size, false);
        ck_assert_int_eq(shadow->memory.r, 0);
        bytes_init(shadow->bytes, size, seed);
        write_wait(loop, &shadow->memory, 0, shadow->bytes, size);
}

static void shadow_check(Loop *loop, Shadow *shadow) {
        read_wait(loop, &shadow->memory, 0, shadow->back, shadow->size);
        for (uint64_t i = 0; i < shadow->size; i++) {
                if (shadow->bytes[i] != shadow->back[i])
                        ck_abort_msg("byte %lu is %u and should be %u", (unsigned long)i, shadow->back[i],
                                     shadow->bytes[i]);
        }
}

static void shadow_deinit(Loop *loop, Shadow *shadow) {
        memory_deinit(loop, &shadow->memory);
        free(shadow->bytes);
        free(shadow->back);
}

/* All of them in flight at once, each to a place of its own. */
START_TEST(test_copy_alignments) {
        static const uint64_t sizes[] = {1, 15, 16, 40, 1023, 1024, 1025, 1040, 1057, 4099, 16 * KIB, 20011};
        const uint64_t room = 20 * KIB;
        static TestOp ops[N_ALIGN * N_ALIGN];
        Shadow src, dst;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        loop.is_spinning = true;
        shadow_init(&loop, &src, room + N_ALIGN, 1);
        shadow_init(&loop, &dst, N_ELEMENTS(ops) * room + N_ALIGN, 2);
        for (size_t s = 0; s < N_ELEMENTS(sizes); s++) {
                for (size_t i = 0; i < N_ELEMENTS(ops); i++) {
                        uint64_t from = i / N_ALIGN, to = i * room + i % N_ALIGN;

                        gpu_op_copy(op_prepare(&ops[i]), &src.memory.memory, from, &dst.memory.memory, to,
                                    sizes[s]);
                        memcpy(dst.bytes + to, src.bytes + from, sizes[s]);
                }
                for (size_t i = 0; i < N_ELEMENTS(ops); i++) {
                        op_wait(&loop, &ops[i]);
                        ck_assert_int_eq(ops[i].r, 0);
                }
                shadow_check(&loop, &dst);
        }
        shadow_check(&loop, &src);
        shadow_deinit(&loop, &src);
        shadow_deinit(&loop, &dst);
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_fill_alignments) {
        static const uint64_t sizes[] = {1, 8, 31, 64 * KIB, 64 * KIB + 16, 68000, 70001, 300 * KIB + 8};
        static const size_t patterns[] = {1, 2, 4, 8, 16};
        const uint64_t room = 304 * KIB;
        unsigned char pattern[16];
        TestOp ops[N_ALIGN];
        Shadow dst;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        loop.is_spinning = true;
        shadow_init(&loop, &dst, N_ALIGN * room + N_ALIGN, 3);
        for (size_t s = 0; s < N_ELEMENTS(sizes) * N_ELEMENTS(patterns); s++) {
                uint64_t size = sizes[s / N_ELEMENTS(patterns)];
                size_t n = patterns[s % N_ELEMENTS(patterns)];

                bytes_init(pattern, sizeof(pattern), (uint32_t)s);
                for (size_t i = 0; i < N_ALIGN; i++) {
                        uint64_t to = i * room + i;

                        gpu_op_fill(op_prepare(&ops[i]), &dst.memory.memory, to, size, pattern, n);
                        for (uint64_t k = 0; k < size; k++)
                                dst.bytes[to + k] = pattern[k % n];
                }
                for (size_t i = 0; i < N_ALIGN; i++) {
                        op_wait(&loop, &ops[i]);
                        ck_assert_int_eq(ops[i].r, 0);
                }
                shadow_check(&loop, &dst);
        }
        shadow_deinit(&loop, &dst);
        loop_deinit(&loop);
}
END_TEST

/* One after another on the same bytes, with and without overlap, in flight together. */
START_TEST(test_random) {
        static TestOp ops[N_RANDOM];
        uint32_t random = (uint32_t)_i;
        unsigned char pattern[16];
        Shadow shadow;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        shadow_init(&loop, &shadow, 9 * MIB + 5, 4);
        for (size_t i = 0; i < N_RANDOM; i++) {
                uint64_t numbers[3], size;

                for (size_t k = 0; k < N_ELEMENTS(numbers); k++) {
                        random = random * 1664525u + 1013904223u;
                        numbers[k] = random >> 8;
                }
                size = numbers[0] % (i % 4 ? 100 * KIB : 5 * MIB);
                numbers[1] %= shadow.size - size;
                numbers[2] %= i % 3 ? shadow.size - size : MIN(shadow.size - size, UINT64_C(5000));
                if (i % 5 == 0) {
                        bytes_init(pattern, sizeof(pattern), random);
                        gpu_op_fill(op_prepare(&ops[i]), &shadow.memory.memory, numbers[1], size, pattern,
                                    sizeof(pattern));
                        for (uint64_t k = 0; k < size; k++)
                                shadow.bytes[numbers[1] + k] = pattern[k % sizeof(pattern)];
                } else {
                        gpu_op_copy(op_prepare(&ops[i]), &shadow.memory.memory, numbers[1],
                                    &shadow.memory.memory, numbers[2], size);
                        memmove(shadow.bytes + numbers[2], shadow.bytes + numbers[1], size);
                }
        }
        for (size_t i = 0; i < N_RANDOM; i++) {
                op_wait(&loop, &ops[i]);
                ck_assert_int_eq(ops[i].r, 0);
        }
        shadow_check(&loop, &shadow);
        shadow_deinit(&loop, &shadow);
        loop_deinit(&loop);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("copy");
        TCase *tcase = tcase_create("copy");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_loop_test(tcase, test_copy_alignments, 0, N_VARIANTS);
        tcase_add_loop_test(tcase, test_fill_alignments, 0, N_VARIANTS);
        tcase_add_loop_test(tcase, test_random, 0, N_VARIANTS);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
