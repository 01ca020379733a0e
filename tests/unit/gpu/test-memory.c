/* Allocations from birth to death: kinds, ledger, the promise of zeros, ends that come early. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/result.h"
#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static const GpuOptions defaults = {};
static const GpuOptions small_blocks = {.block_max = MIB, .segment_max = MIB, .staging_bytes = MIB};

static GpuLedger get_ledger(const Loop *loop) {
        GpuLedger ledger;

        gpu_device_get_ledger(loop->device, &ledger);
        return ledger;
}

START_TEST(test_ledger) {
        TestMemory small, large, exported;
        GpuLedger ledger;
        Loop loop;

        loop_init(&loop, &small_blocks);
        ck_assert_uint_eq(get_ledger(&loop).total, gpu_device_get_info(loop.device)->memory_total);
        memory_init(&loop, &small, loop.device, 100, false);
        ck_assert_uint_eq(get_ledger(&loop).reserved, MIB);
        memory_init(&loop, &large, loop.device, 5 * MIB / 2, false);
        ck_assert_uint_eq(large.memory.backing->n_segments, 3);
        memory_init(&loop, &exported, loop.device, 2 * MIB, true);
        ck_assert_uint_eq(exported.memory.backing->n_segments, 1);
        ledger = get_ledger(&loop);
        ck_assert_uint_eq(ledger.used, 100 + 5 * MIB / 2 + 2 * MIB);
        ck_assert_uint_eq(ledger.peak, ledger.used);
        ck_assert_uint_eq(ledger.count, 3);
        ck_assert_uint_eq(ledger.available, ledger.total - ledger.used);
        ck_assert_uint_eq(ledger.reserved, MIB + 5 * MIB / 2 + 2 * MIB);
        memory_deinit(&loop, &large);
        ck_assert_uint_eq(get_ledger(&loop).used, 100 + 2 * MIB);
        ck_assert_uint_eq(get_ledger(&loop).reserved, 3 * MIB);
        ck_assert_uint_eq(get_ledger(&loop).peak, ledger.peak);
        memory_deinit(&loop, &small);
        memory_deinit(&loop, &exported);
        /* The last block is kept for the next allocation of its owner, which has it at once. */
        ck_assert_uint_eq(get_ledger(&loop).reserved, MIB);
        ck_assert_int_eq(gpu_memory_init(&small.memory, loop.device, 0, 1, false, memory_on_ready), 0);
        small.is_gone = false;
        memory_deinit(&loop, &small);
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_refusals) {
        uint64_t total;
        TestMemory memory;
        Loop loop;

        loop_init(&loop, &defaults);
        total = get_ledger(&loop).total;
        memory_init(&loop, &memory, loop.device, total + 1, false);
        ck_assert_int_eq(memory.r, GPU_E_NO_MEMORY);
        memory_init(&loop, &memory, loop.device, UINT64_MAX, true);
        ck_assert_int_eq(memory.r, GPU_E_NO_MEMORY);
        ck_assert_uint_eq(get_ledger(&loop).used, 0);
        loop_deinit(&loop);
}
END_TEST

static bool is_zero(const unsigned char *bytes, uint64_t size) {
        return bytes[0] == 0 && !memcmp(bytes, bytes + 1, size - 1);
}

/* Whatever was there before, and however it came there, the next one reads zeros; the padding included. */
START_TEST(test_zeros) {
        static TestMemory memories[64];
        unsigned char *back = malloc(3 * MIB);
        Loop loop;

        loop_init(&loop, &small_blocks);
        for (uint32_t round = 0; round < 12; round++) {
                for (uint32_t i = 0; i < N_ELEMENTS(memories); i++) {
                        uint64_t size =
                                i == 63 ? 3 * MIB : (round * 977 + i * 131) % (200 * KIB / (1 + i)) + 2;

                        memory_init(&loop, &memories[i], loop.device, size, false);
                        ck_assert_int_eq(memories[i].r, 0);
                        read_wait(&loop, &memories[i], 0, back, size);
                        ck_assert(is_zero(back, size));
                        memset(back, 0xff, size);
                        if (i % 3 == 0)
                                fill_wait(&loop, &memories[i], 0, size, back, 1);
                        else if (i % 3 == 1)
                                write_wait(&loop, &memories[i], 0, back, size);
                        else
                                copy_wait(&loop, &memories[0], 0, &memories[i], 0,
                                          MIN(size, memories[0].memory.size));
                }
                for (uint32_t i = 0; i < N_ELEMENTS(memories); i++)
                        memory_deinit(&loop, &memories[i]);
        }
        free(back);
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_many) {
        const uint32_t n = 100000;
        TestMemory *memories = calloc(n, sizeof(*memories));
        uint32_t n_pending = 0;
        unsigned char byte = 1;
        Loop loop;

        ck_assert_uint_le(sizeof(GpuMemory), 96);
        loop_init(&loop, &defaults);
        for (uint32_t i = 0; i < n; i++) {
                int r;

                memories[i].r = -1;
                r = gpu_memory_init(&memories[i].memory, loop.device, i % 3, 4096, false, memory_on_ready);
                n_pending += r == REQUEST_LATER;
                while (r == REQUEST_LATER && memories[i].r < 0) {
                        loop_wake(&loop);
                        loop_turn(&loop);
                }
        }
        /* One wait for each block. */
        ck_assert_uint_le(n_pending, 20);
        ck_assert_uint_eq(get_ledger(&loop).count, n);
        for (uint32_t i = 0; i < n; i += 1000)
                write_wait(&loop, &memories[i], 4095, &byte, 1);
        for (uint32_t i = 0; i < n; i++)
                gpu_memory_deinit(&memories[i].memory, memory_on_gone);
        ck_assert_uint_eq(get_ledger(&loop).used, 0);
        for (uint32_t i = 0; i < n; i++) {
                while (!memories[i].is_gone) {
                        loop_wake(&loop);
                        loop_turn(&loop);
                }
        }
        for (uint32_t owner = 0; owner < 3; owner++)
                gpu_instance_trim(loop.instance, owner);
        loop_deinit(&loop);
        free(memories);
}
END_TEST

/* Ranges that were freed and rest still serve longer allocations, and hold no block back. */
START_TEST(test_resting) {
        enum { N_RANGES = 3 * 256 }; /* three blocks full */
        static TestMemory memories[N_RANGES];
        TestMemory joined;
        Loop loop;

        loop_init(&loop, &small_blocks);
        for (uint32_t i = 0; i < N_RANGES; i++)
                memory_init(&loop, &memories[i], loop.device, 4 * KIB, false);
        ck_assert_uint_eq(get_ledger(&loop).reserved, 3 * MIB);
        memory_deinit(&loop, &memories[10]);
        memory_deinit(&loop, &memories[11]);
        memory_init(&loop, &joined, loop.device, 8 * KIB, false);
        ck_assert_int_eq(joined.r, 0);
        ck_assert_uint_eq(get_ledger(&loop).reserved, 3 * MIB);
        memory_deinit(&loop, &joined);
        memory_init(&loop, &memories[11], loop.device, 4 * KIB, false);
        memory_init(&loop, &memories[10], loop.device, 4 * KIB, false);
        ck_assert_uint_eq(get_ledger(&loop).reserved, 3 * MIB);

        /* From each block in turn, so that ranges of all three rest when they run empty. */
        for (uint32_t i = 0; i < N_RANGES; i++)
                memory_deinit(&loop, &memories[i % 3 * 256 + i / 3]);
        ck_assert_uint_eq(get_ledger(&loop).reserved, MIB);
        loop_deinit(&loop);
}
END_TEST

/* Freed and released while a long copy is under way: that ends well, then they go. */
START_TEST(test_gone_in_flight) {
        unsigned char back[64];
        TestMemory memory, other;
        TestRegion region;
        TestOp ops[3];
        Loop loop;

        loop_init(&loop, _i ? &small_blocks : &defaults);
        region_init(&loop, &region, 40 * MIB);
        memory_init(&loop, &memory, loop.device, 40 * MIB, false);
        memory_init(&loop, &other, loop.device, 40 * MIB, false);
        bytes_init(region.map, 40 * MIB, 5);
        memcpy(back, region.map + 39 * MIB, sizeof(back));
        gpu_op_write_region(op_prepare(&ops[0]), &memory.memory, 0, &region.region, 0, 40 * MIB);
        gpu_op_copy(op_prepare(&ops[1]), &memory.memory, 0, &other.memory, 0, 40 * MIB);
        gpu_memory_deinit(&memory.memory, memory_on_gone);
        gpu_region_deinit(&region.region, region_on_gone);
        ck_assert(!memory.is_gone && !region.is_gone);
        gpu_op_read(op_prepare(&ops[2]), &other.memory, 39 * MIB, region.map + 39 * MIB, 0);
        loop_wake(&loop);
        while (!memory.is_gone || !region.is_gone || ops[1].r < 0)
                loop_turn(&loop);
        for (size_t i = 0; i < N_ELEMENTS(ops); i++)
                ck_assert_int_eq(ops[i].r, 0);
        read_wait(&loop, &other, 39 * MIB, back + 32, 32);
        ck_assert(!memcmp(back, back + 32, 32));
        memory_deinit(&loop, &other);
        loop_deinit(&loop);
}
END_TEST

/* Given up before it was ready, at every stage: ready() is not called, gone() is. */
START_TEST(test_gone_while_pending) {
        static const struct {
                uint64_t size;
                bool exportable;
        } kinds[] = {{100, false}, {5 * MIB, false}, {3 * MIB, true}};
        Loop loop;

        loop_init(&loop, &small_blocks);
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                for (int n_turns = 0; n_turns < 12; n_turns++) {
                        TestMemory memory = {.r = -1};
                        int r = gpu_memory_init(&memory.memory, loop.device, 0, kinds[i].size,
                                                kinds[i].exportable, memory_on_ready);

                        for (int turn = 0; turn < n_turns && memory.r < 0 && r == REQUEST_LATER; turn++) {
                                loop_wake(&loop);
                                loop_turn(&loop);
                        }
                        r = memory.r;
                        memory_deinit(&loop, &memory);
                        ck_assert_int_eq(memory.r, r);
                        ck_assert_uint_eq(get_ledger(&loop).used, 0);
                        gpu_instance_trim(loop.instance, 0);
                }
        }
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_region_gone_while_pending) {
        Loop loop;

        loop_init(&loop, _i ? &(GpuOptions){.force_staging = true} : &defaults);
        for (int n_turns = 0; n_turns < 5; n_turns++) {
                TestRegion region;

                region_init(&loop, &region, 70 * MIB);
                region_deinit(&loop, &region);
                region_init_pending(&loop, &region, 70 * MIB);
                for (int turn = 0; turn < n_turns && !region.is_ready; turn++) {
                        loop_wake(&loop);
                        loop_turn(&loop);
                }
                region_deinit(&loop, &region);
        }
        loop_deinit(&loop);
}
END_TEST

/* Bytes of address space in use. */
static uint64_t get_address_space(void) {
        unsigned long n_pages = 0;
        FILE *file = fopen("/proc/self/statm", "re");

        ck_assert(file && fscanf(file, "%lu", &n_pages) == 1);
        fclose(file);
        return n_pages * 4096;
}

/* The driver has no more: what was had is given back, and what is coming back is waited for. */
START_TEST(test_exhausted) {
        TestMemory first, second = {.r = -1};
        struct rlimit limit, old;
        static unsigned char data[100 * 1024];
        TestOp op;
        Loop loop;

        loop_init(&loop, &small_blocks);
        if (!loop_is_software(&loop)) {
                loop_deinit(&loop);
                return;
        }
        memory_init(&loop, &first, loop.device, 400 * MIB, true);
        ck_assert_int_eq(first.r, 0);
        getrlimit(RLIMIT_AS, &old);
        limit = old;
        limit.rlim_cur = get_address_space() + 100 * MIB;
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);

        memory_init(&loop, &second, loop.device, 300 * MIB, false);
        ck_assert_int_eq(second.r, GPU_E_NO_MEMORY);
        ck_assert_uint_eq(get_ledger(&loop).used, 400 * MIB);
        ck_assert_uint_eq(get_ledger(&loop).reserved, 400 * MIB);

        /* The first is held up in going, and the second waits for it. */
        loop.is_holding = true;
        gpu_op_write(op_prepare(&op), &first.memory, 0, data, sizeof(data));
        while (!loop.held) {
                loop_wake(&loop);
                loop_turn(&loop);
        }
        gpu_memory_deinit(&first.memory, memory_on_gone);
        second.r = -1;
        ck_assert_int_eq(gpu_memory_init(&second.memory, loop.device, 0, 300 * MIB, false, memory_on_ready),
                         REQUEST_LATER);
        loop_wake(&loop);
        while (list_is_empty(&loop.device->starved))
                loop_turn(&loop);
        loop_release(&loop);
        while (second.r < 0)
                loop_turn(&loop);
        ck_assert_int_eq(second.r, 0);
        ck_assert(first.is_gone);
        setrlimit(RLIMIT_AS, &old);
        memory_deinit(&loop, &second);
        loop_deinit(&loop);
}
END_TEST

/* After much was given back the driver is called now and then, by itself, until it has nothing left to do. */
START_TEST(test_arrears) {
        TestMemory memory;
        Loop loop;

        loop_init(&loop, &defaults);
        for (int i = 0; i < 8; i++) {
                ck_assert_uint_eq(gpu_instance_get_next_ns(loop.instance), 0);
                memory_init(&loop, &memory, loop.device, 256 * MIB, false);
                memory_deinit(&loop, &memory);
        }
        ck_assert_uint_ge(loop.device->arrears.released, 2048 * MIB);
        while (loop.device->arrears.released > 0)
                loop_turn(&loop);
        ck_assert_uint_eq(gpu_instance_get_next_ns(loop.instance), 0);
        /* Allocations meanwhile are served all the same. */
        for (int i = 0; i < 8; i++) {
                memory_init(&loop, &memory, loop.device, 256 * MIB, false);
                memory_deinit(&loop, &memory);
        }
        memory_init(&loop, &memory, loop.device, MIB, false);
        memory_deinit(&loop, &memory);
        loop_deinit(&loop);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("memory");
        TCase *tcase = tcase_create("memory");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_test(tcase, test_ledger);
        tcase_add_test(tcase, test_refusals);
        tcase_add_test(tcase, test_zeros);
        tcase_add_test(tcase, test_many);
        tcase_add_test(tcase, test_resting);
        tcase_add_loop_test(tcase, test_gone_in_flight, 0, 2);
        tcase_add_test(tcase, test_gone_while_pending);
        tcase_add_loop_test(tcase, test_region_gone_while_pending, 0, 2);
        tcase_add_test(tcase, test_exhausted);
        tcase_add_test(tcase, test_arrears);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
