/* Bytes into device memory and back by every path, on the software GPU with the validation layer. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gpu/result.h"
#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/*
 * Imported or staged, queues shared or apart, memory in one piece or many; copied by command but where it
 * says.
 */
static const GpuOptions variants[] = {
        {},
        {.force_staging = true, .staging_bytes = MIB},
        {.split_queues = true},
        {.segment_max = MIB, .block_max = MIB, .staging_bytes = MIB, .split_queues = true},
        {.copy = GPU_COPY_SHADER},
        {.copy = GPU_COPY_SHADER, .segment_max = MIB, .block_max = MIB, .split_queues = true},
};

#define N_VARIANTS ((int)N_ELEMENTS(variants))

/* An allocation, what should be in it, and room to look. */
typedef struct Shadow {
        TestMemory memory;
        unsigned char *bytes;
        unsigned char *back;
        uint64_t size;
} Shadow;

static void shadow_init(Loop *loop, Shadow *shadow, uint64_t size) {
        *shadow = (Shadow){.size = size, .bytes = malloc(size), .back = malloc(size)};
        memory_init(loop, &shadow->memory, loop->device, size, false);
        ck_assert_int_eq(shadow->memory.r, 0);
        bytes_init(shadow->bytes, size, 7);
        write_wait(loop, &shadow->memory, 0, shadow->bytes, size);
}

static void shadow_check(Loop *loop, Shadow *shadow) {
        memset(shadow->back, 0xee, shadow->size);
        read_wait(loop, &shadow->memory, 0, shadow->back, shadow->size);
        ck_assert(!memcmp(shadow->bytes, shadow->back, shadow->size));
}

static void shadow_deinit(Loop *loop, Shadow *shadow) {
        memory_deinit(loop, &shadow->memory);
        free(shadow->bytes);
        free(shadow->back);
}

START_TEST(test_inline) {
        static const uint64_t sizes[] = {0, 1, 2, 3, 4, 5, 255, 256, 257, 4096, 65535, 65536, 300 * KIB + 1};
        unsigned char *bytes = malloc(MIB);
        Shadow shadow;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        shadow_init(&loop, &shadow, MIB + 13);
        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                uint64_t offset = 1001 * i + i % 4;

                bytes_init(bytes, sizes[i], (uint32_t)i);
                write_wait(&loop, &shadow.memory, offset, bytes, sizes[i]);
                memcpy(shadow.bytes + offset, bytes, sizes[i]);
                shadow_check(&loop, &shadow);
                read_wait(&loop, &shadow.memory, offset, shadow.back, sizes[i]);
                ck_assert(!memcmp(shadow.back, bytes, sizes[i]));
        }
        write_wait(&loop, &shadow.memory, MIB + 13, bytes, 0);
        write_wait(&loop, &shadow.memory, MIB + 12, bytes, 1);
        shadow.bytes[MIB + 12] = bytes[0];
        shadow_check(&loop, &shadow);
        shadow_deinit(&loop, &shadow);
        loop_deinit(&loop);
        free(bytes);
}
END_TEST

START_TEST(test_region) {
        uint64_t size = 40 * MIB + 4321, offset = 77, part = size - 2 * offset;
        TestRegion region;
        Shadow shadow;
        TestOp op;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        shadow_init(&loop, &shadow, size);
        region_init(&loop, &region, size);
        ck_assert_int_eq(region.is_imported, !variants[_i].force_staging);

        bytes_init(region.map, size, 3);
        memcpy(shadow.bytes + offset, region.map + 2 * offset, part);
        gpu_op_write_region(op_prepare(&op), &shadow.memory.memory, offset, &region.region, 2 * offset, part);
        op_wait(&loop, &op);
        ck_assert_int_eq(op.r, 0);
        shadow_check(&loop, &shadow);

        memset(region.map, 0, size);
        gpu_op_read_region(op_prepare(&op), &shadow.memory.memory, offset, &region.region, 5, part);
        op_wait(&loop, &op);
        ck_assert_int_eq(op.r, 0);
        ck_assert(!memcmp(region.map + 5, shadow.bytes + offset, part));
        for (uint64_t i = 0; i < 5; i++)
                ck_assert_uint_eq(region.map[i], 0);
        for (uint64_t i = 5 + part; i < size; i++) {
                if (region.map[i])
                        ck_abort_msg("a byte behind the range was written");
        }
        region_deinit(&loop, &region);
        shadow_deinit(&loop, &shadow);
        loop_deinit(&loop);
}
END_TEST

static void fill_and_check(Loop *loop, Shadow *shadow, uint64_t offset, uint64_t size,
                           const unsigned char *pattern, size_t n) {
        fill_wait(loop, &shadow->memory, offset, size, pattern, n);
        for (uint64_t i = 0; i < size; i++)
                shadow->bytes[offset + i] = pattern[i % n];
        shadow_check(loop, shadow);
}

START_TEST(test_fill) {
        static const uint64_t sizes[] = {1,  2,  3,  4,     7,     8,     15,    16,
                                         17, 31, 64, 65535, 65536, 65537, 65539, 300001};
        static const size_t patterns[] = {1, 2, 4, 8, 16};
        unsigned char pattern[16];
        Shadow shadow;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        loop.is_spinning = true;
        shadow_init(&loop, &shadow, 320 * KIB);
        for (size_t s = 0; s < N_ELEMENTS(sizes); s++) {
                for (size_t p = 0; p < N_ELEMENTS(patterns); p++) {
                        bytes_init(pattern, sizeof(pattern), (uint32_t)(s + p));
                        fill_and_check(&loop, &shadow, 100 + (s + p) % 5, sizes[s], pattern, patterns[p]);
                }
        }
        fill_and_check(&loop, &shadow, 0, shadow.size, (const unsigned char *)"abababababababab", 16);
        shadow_deinit(&loop, &shadow);
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_fill_long) {
        static const size_t patterns[] = {1, 4, 8, 16};
        unsigned char pattern[16];
        Shadow shadow;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        shadow_init(&loop, &shadow, 20 * MIB + 3);
        for (size_t p = 0; p < N_ELEMENTS(patterns); p++) {
                bytes_init(pattern, sizeof(pattern), (uint32_t)p);
                fill_and_check(&loop, &shadow, 11 + p, 20 * MIB - 13 - p, pattern, patterns[p]);
        }
        shadow_deinit(&loop, &shadow);
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_overlap) {
        static const int64_t distances[] = {
                1, -1, 3, -64, 4096, -100001, 5 * (int64_t)MIB, -17 * (int64_t)MIB};
        uint64_t size = 20 * MIB + 5;
        Shadow shadow;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        shadow_init(&loop, &shadow, 40 * MIB);
        for (size_t i = 0; i < N_ELEMENTS(distances); i++) {
                uint64_t src = 18 * MIB + i, dst = src + (uint64_t)distances[i];

                copy_wait(&loop, &shadow.memory, src, &shadow.memory, dst,
                          size - MIN(size, dst > src ? dst - src : 0));
                memmove(shadow.bytes + dst, shadow.bytes + src, size - MIN(size, dst > src ? dst - src : 0));
                shadow_check(&loop, &shadow);
        }
        /* All but one byte, none, and onto itself. */
        copy_wait(&loop, &shadow.memory, 100, &shadow.memory, 1099, 1000);
        memmove(shadow.bytes + 1099, shadow.bytes + 100, 1000);
        copy_wait(&loop, &shadow.memory, 5000, &shadow.memory, 6000, 1000);
        memmove(shadow.bytes + 6000, shadow.bytes + 5000, 1000);
        copy_wait(&loop, &shadow.memory, 5000, &shadow.memory, 5000, 1000);
        shadow_check(&loop, &shadow);
        shadow_deinit(&loop, &shadow);
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_copy) {
        Shadow small, large;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        shadow_init(&loop, &small, 99999);
        shadow_init(&loop, &large, 35 * MIB + 1);
        bytes_init(small.bytes, small.size, 21);
        write_wait(&loop, &small.memory, 0, small.bytes, small.size);
        copy_wait(&loop, &small.memory, 1, &large.memory, 35 * MIB - 99997, 99998);
        memcpy(large.bytes + 35 * MIB - 99997, small.bytes + 1, 99998);
        shadow_check(&loop, &large);
        copy_wait(&loop, &large.memory, 3, &small.memory, 2, 99990);
        memcpy(small.bytes + 2, large.bytes + 3, 99990);
        shadow_check(&loop, &small);
        copy_wait(&loop, &large.memory, 17 * MIB + 5, &large.memory, 1, 17 * MIB);
        memcpy(large.bytes + 1, large.bytes + 17 * MIB + 5, 17 * MIB);
        shadow_check(&loop, &large);
        shadow_deinit(&loop, &small);
        shadow_deinit(&loop, &large);
        loop_deinit(&loop);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("gpu");
        TCase *tcase = tcase_create("gpu");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_loop_test(tcase, test_inline, 0, N_VARIANTS);
        tcase_add_loop_test(tcase, test_region, 0, N_VARIANTS);
        tcase_add_loop_test(tcase, test_fill, 0, N_VARIANTS);
        tcase_add_loop_test(tcase, test_fill_long, 0, N_VARIANTS);
        tcase_add_loop_test(tcase, test_overlap, 0, N_VARIANTS);
        tcase_add_loop_test(tcase, test_copy, 0, N_VARIANTS);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
