/*
 * Very many small ops over several queues, now spinning, now sleeping: none is lost, none sleeps for ever. As
 * many as GPU_TEST_STRESS says. Without validation, which would be most of the time.
 */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define N_OPS_DEFAULT 20000
#define N_MEMORIES    8
#define N_SLOTS       96
#define SIZE          4096

typedef struct Stress {
        Loop loop;
        TestMemory memories[N_MEMORIES];
        TestRegion region;
        TestOp slots[N_SLOTS];
        unsigned char data[N_SLOTS][64];
        uint32_t random;
} Stress;

static uint32_t stress_random(Stress *stress, uint32_t below) {
        stress->random = stress->random * 1664525u + 1013904223u;
        return (stress->random >> 8) % below;
}

static void stress_submit(Stress *stress, uint32_t slot) {
        GpuMemory *memory = &stress->memories[stress_random(stress, N_MEMORIES)].memory;
        GpuMemory *other = &stress->memories[stress_random(stress, N_MEMORIES)].memory;
        uint64_t offset = stress_random(stress, SIZE - 64), size = 1 + stress_random(stress, 64);
        GpuOp *op = op_prepare(&stress->slots[slot]);

        op->flow = stress_random(stress, 40);
        switch (stress_random(stress, 6)) {
        case 0:
                gpu_op_write(op, memory, offset, stress->data[slot], size);
                break;
        case 1:
                gpu_op_read(op, memory, offset, stress->data[slot], size);
                break;
        case 2:
                gpu_op_write_region(op, memory, offset, &stress->region.region, (uint64_t)slot * 64, size);
                break;
        case 3:
                gpu_op_copy(op, memory, offset, other, stress_random(stress, SIZE - 64), size);
                break;
        case 4:
                gpu_op_fill(op, memory, offset, size, stress->data[slot], 1);
                break;
        default:
                gpu_op_sync(op, stress->loop.device);
        }
}

static uint32_t get_n_ops(void) {
        const char *text = getenv("GPU_TEST_STRESS");

        return text ? (uint32_t)strtoul(text, NULL, 10) : N_OPS_DEFAULT;
}

/*
 * Runs a turn. One that sleeps must have something to wake it: an op in flight, or what was submitted since
 * the last turn.
 */
static void stress_turn(Stress *stress, bool is_new) {
        stress->loop.is_spinning = stress_random(stress, 3) > 0;
        if (is_new)
                loop_wake(&stress->loop);
        loop_turn(&stress->loop);
}

static void stress_run(Stress *stress) {
        uint32_t n_ops = get_n_ops(), n_submitted = 0, n_ended = 0;

        for (uint32_t i = 0; i < N_SLOTS; i++)
                stress->slots[i].r = 0;
        while (n_ended < n_ops) {
                uint32_t burst = stress_random(stress, 2) ? 1 : stress_random(stress, N_SLOTS);
                uint32_t n_flying = 0, n_new = 0;

                for (uint32_t i = 0; i < N_SLOTS; i++) {
                        TestOp *op = &stress->slots[i];

                        if (op->r >= 0 && n_submitted < n_ops && n_new < burst) {
                                stress_submit(stress, i);
                                n_submitted++;
                                n_new++;
                        }
                        n_flying += op->r < 0;
                }
                n_ended = n_submitted - n_flying;
                if (n_flying > 0)
                        stress_turn(stress, n_new > 0);
        }
}

START_TEST(test_stress) {
        static Stress stress;

        setenv("GPU_TEST_NO_VALIDATION", "1", 1);
        stress.random = (uint32_t)_i + 1;
        loop_init(&stress.loop, &(GpuOptions){.split_queues = true, .force_staging = _i > 0});
        region_init(&stress.loop, &stress.region, N_SLOTS * 64);
        for (uint32_t i = 0; i < N_MEMORIES; i++)
                memory_init(&stress.loop, &stress.memories[i], stress.loop.device, SIZE, false);
        stress_run(&stress);
        for (uint32_t i = 0; i < N_SLOTS; i++)
                ck_assert_int_eq(stress.slots[i].r, 0);
        for (uint32_t i = 0; i < N_MEMORIES; i++)
                memory_deinit(&stress.loop, &stress.memories[i]);
        region_deinit(&stress.loop, &stress.region);
        loop_deinit(&stress.loop);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("stress");
        TCase *tcase = tcase_create("stress");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 3600);
        tcase_add_loop_test(tcase, test_stress, 0, 2);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
