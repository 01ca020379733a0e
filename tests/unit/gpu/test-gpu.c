/* Bytes into device memory and back, on the software GPU with the validation layer. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gpu/result.h"
#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/* Every path: imported or staged, queues shared or apart. */
static const GpuOptions variants[] = {
        {},
        {.force_staging = true, .staging_bytes = MIB},
        {.split_queues = true},
        {.segment_max = MIB, .block_max = MIB, .staging_bytes = MIB, .split_queues = true},
};

START_TEST(test_write_read) {
        unsigned char *bytes = malloc(MIB), *back = calloc(1, MIB);
        TestMemory memory;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        memory_init(&loop, &memory, loop.device, MIB, false);
        ck_assert_int_eq(memory.r, 0);
        bytes_init(bytes, MIB, 1);
        write_wait(&loop, &memory, 0, bytes, MIB);
        read_wait(&loop, &memory, 0, back, MIB);
        ck_assert(!memcmp(bytes, back, MIB));
        memory_deinit(&loop, &memory);
        loop_deinit(&loop);
        free(bytes);
        free(back);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("gpu");
        TCase *tcase = tcase_create("gpu");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 120);
        tcase_add_loop_test(tcase, test_write_read, 0, (int)N_ELEMENTS(variants));
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
