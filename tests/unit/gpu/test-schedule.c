/* Who gets how much of a queue, and who goes first. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define KIB     UINT64_C(1024)
#define MIB     (1024 * KIB)
#define N_MANY  16
#define OP_SIZE (24 * MIB) /* more than one chunk */
#define WINDOW  (2000 * MIB)
#define FEW     (10 * GPU_CHUNK) /* one op: between it and the next its flow asks for nothing */

static const GpuOptions variants[] = {
        {},
        {.split_queues = true},
        {.force_staging = true, .staging_bytes = 16 * MIB},
};

/* One session: so many ops in flight, each begun anew when it ends, each with a place of its own. */
typedef struct Session {
        uint64_t flow;
        uint32_t n_ops;
        uint64_t size;
        uint64_t place;  /* in the region, of the first op */
        uint64_t served; /* bytes of ops that have ended */
        TestOp ops[32];
} Session;

typedef struct World {
        Loop loop;
        TestRegion region;
        TestMemory memory;
} World;

static void world_init(World *world, const GpuOptions *options) {
        loop_init(&world->loop, options);
        region_init(&world->loop, &world->region, FEW + N_MANY * OP_SIZE);
        memory_init(&world->loop, &world->memory, world->loop.device, FEW, false);
}

static void world_deinit(World *world) {
        region_deinit(&world->loop, &world->region);
        memory_deinit(&world->loop, &world->memory);
        loop_deinit(&world->loop);
}

/* Reads do not conflict: only the queue is what they compete for. */
static void session_submit(Session *session, World *world, TestOp *op) {
        uint64_t place = session->place + (uint64_t)(op - session->ops) * session->size;

        op_prepare(op);
        op->op.flow = session->flow;
        gpu_op_read_region(&op->op, &world->memory.memory, 0, &world->region.region, place, session->size);
}

static void session_begin(Session *session, World *world) {
        for (uint32_t i = 0; i < session->n_ops; i++)
                session_submit(session, world, &session->ops[i]);
}

/* Returns how many ops have ended. */
static uint32_t session_turn(Session *session, World *world, bool is_ending) {
        uint32_t n_ended = 0;

        for (uint32_t i = 0; i < session->n_ops; i++) {
                TestOp *op = &session->ops[i];

                if (op->r < 0)
                        continue;
                ck_assert_int_eq(op->r, 0);
                n_ended++;
                if (is_ending)
                        continue;
                session->served += session->size;
                session_submit(session, world, op);
        }
        return n_ended;
}

/* Returns the bytes that chunks were made for. */
static uint64_t session_get_issued(const Session *session) {
        uint64_t issued = session->served;

        for (uint32_t i = 0; i < session->n_ops; i++)
                issued += session->ops[i].op.issued;
        return issued;
}

static void world_turn(World *world) {
        loop_wake(&world->loop);
        loop_turn(&world->loop);
}

static void session_end(Session *session, World *world) {
        while (session_turn(session, world, true) < session->n_ops)
                world_turn(world);
}

static void check_shares(World *world, Session *few, Session *many) {
        uint64_t few_before, many_before, few_share, many_share;

        session_begin(many, world);
        session_begin(few, world);
        for (int i = 0; i < 20; i++)
                world_turn(world);
        few_before = session_get_issued(few);
        many_before = session_get_issued(many);
        do {
                world_turn(world);
                session_turn(few, world, false);
                session_turn(many, world, false);
                few_share = session_get_issued(few) - few_before;
                many_share = session_get_issued(many) - many_before;
        } while (few_share + many_share < WINDOW);
        ck_assert_msg(few_share * 10 >= many_share * 9 && many_share * 10 >= few_share * 9,
                      "%u op in flight got %lu MiB, %u ops got %lu MiB", few->n_ops,
                      (unsigned long)(few_share / MIB), many->n_ops, (unsigned long)(many_share / MIB));
        session_end(few, world);
        session_end(many, world);
}

START_TEST(test_shares) {
        static Session few = {.flow = 1, .n_ops = 1, .size = FEW};
        static Session many = {.flow = 2, .n_ops = N_MANY, .size = OP_SIZE, .place = FEW};
        World world;

        world_init(&world, &variants[_i]);
        world.loop.is_spinning = true;
        check_shares(&world, &few, &many);
        world_deinit(&world);
}
END_TEST

/* Shares are counted in bytes: who asks for less at a time gets no less. */
START_TEST(test_sizes) {
        static Session few = {.flow = 1, .n_ops = 32, .size = 3 * MIB};
        static Session many = {.flow = 2, .n_ops = N_MANY, .size = OP_SIZE, .place = FEW};
        World world;

        world_init(&world, &variants[_i]);
        check_shares(&world, &few, &many);
        world_deinit(&world);
}
END_TEST

/* A small op ends while bulk ops that came long before it are still queued. */
START_TEST(test_small_overtakes) {
        static Session bulk = {.flow = 1, .n_ops = N_MANY, .size = OP_SIZE};
        unsigned char data[4096];
        TestMemory small;
        World world;

        world_init(&world, &variants[_i]);
        memory_init(&world.loop, &small, world.loop.device, sizeof(data), false);
        session_begin(&bulk, &world);
        for (int i = 0; i < 3; i++) {
                uint64_t before = session_get_issued(&bulk);

                memset(data, i, sizeof(data));
                write_wait(&world.loop, &small, 0, data, sizeof(data));
                ck_assert_uint_lt(session_get_issued(&bulk), N_MANY * OP_SIZE);
                /* What was under way, and what was let through meanwhile. */
                ck_assert_uint_le(session_get_issued(&bulk) - before, 12 * GPU_CHUNK);
        }
        session_end(&bulk, &world);
        memory_deinit(&world.loop, &small);
        world_deinit(&world);
}
END_TEST

/* More sessions than are remembered, each with little to do now and then. */
START_TEST(test_many_flows) {
        enum { N = 300 };
        static TestOp ops[N];
        World world;

        world_init(&world, &variants[_i]);
        for (int round = 0; round < 4; round++) {
                uint64_t size = round % 2 ? 4 * KIB : 300 * KIB;

                for (uint32_t i = 0; i < N; i++) {
                        op_prepare(&ops[i]);
                        ops[i].op.flow = (uint64_t)i << 20 | (uint64_t)round % 3;
                        gpu_op_read_region(&ops[i].op, &world.memory.memory, i, &world.region.region,
                                           i * size, size);
                }
                for (uint32_t i = 0; i < N; i++) {
                        op_wait(&world.loop, &ops[i]);
                        ck_assert_int_eq(ops[i].r, 0);
                }
        }
        world_deinit(&world);
}
END_TEST

/*
 * Far more ops on one memory than are compared with one another: they take effect in their order all the
 * same.
 */
START_TEST(test_crowd) {
        enum { N = 3000 };
        static TestOp ops[N];
        static uint32_t values[N];
        TestMemory memories[2];
        uint32_t back[2];
        TestOp sync;
        World world;

        world_init(&world, &variants[_i]);
        for (size_t i = 0; i < 2; i++)
                memory_init(&world.loop, &memories[i], world.loop.device, 4 * KIB, false);
        for (uint32_t i = 0; i < N; i++) {
                values[i] = i;
                op_prepare(&ops[i]);
                if (i % 3 == 2)
                        gpu_op_copy(&ops[i].op, &memories[i % 2].memory, 0, &memories[!(i % 2)].memory, 4, 4);
                else
                        gpu_op_write(&ops[i].op, &memories[i % 2].memory, 0, &values[i], 4);
        }
        gpu_op_sync(op_prepare(&sync), world.loop.device);
        op_wait(&world.loop, &sync);
        for (uint32_t i = 0; i < N; i++)
                ck_assert_int_eq(ops[i].r, 0);
        for (uint32_t i = 0; i < 2; i++) {
                uint32_t last = N - 1;

                while (last % 2 != i || last % 3 == 2)
                        last--;
                read_wait(&world.loop, &memories[i], 0, back, sizeof(back));
                ck_assert_uint_eq(back[0], last);
                /* What the last copy to here saw there. */
                last = N - 1;
                while (last % 2 == i || last % 3 != 2)
                        last--;
                while (last % 2 == i || last % 3 == 2)
                        last--;
                ck_assert_uint_eq(back[1], last);
                memory_deinit(&world.loop, &memories[i]);
        }
        world_deinit(&world);
}
END_TEST

/*
 * An owner who has gone leaves nothing reserved, even if its bytes must be zeroed first or its block was not
 * there.
 */
START_TEST(test_trim_sticks) {
        static TestMemory memories[40];
        GpuLedger ledger;
        TestOp op;
        Loop loop;

        loop_init(&loop, &(GpuOptions){.block_max = MIB});
        for (int round = 0; round < 6; round++) {
                for (size_t i = 0; i < N_ELEMENTS(memories); i++) {
                        TestMemory *memory = &memories[i];

                        *memory = (TestMemory){.r = -1};
                        if (gpu_memory_init(&memory->memory, loop.device, 7, 100 * KIB, false,
                                            memory_on_ready) == 0)
                                memory->r = 0;
                        while (memory->r < 0 && round % 2 == 0) {
                                loop_wake(&loop);
                                loop_turn(&loop);
                        }
                }
                if (round % 2 == 0)
                        gpu_op_fill(op_prepare(&op), &memories[0].memory, 0, 100, "x", 1);
                for (int i = 0; i < round; i++) {
                        loop_wake(&loop);
                        loop_turn(&loop);
                }
                for (size_t i = 0; i < N_ELEMENTS(memories); i++)
                        gpu_memory_deinit(&memories[i].memory, memory_on_gone);
                gpu_instance_trim(loop.instance, 7);
                do {
                        loop_wake(&loop);
                        loop_turn(&loop);
                        gpu_device_get_ledger(loop.device, &ledger);
                } while (!gpu_instance_is_idle(loop.instance));
                ck_assert_uint_eq(ledger.used, 0);
                ck_assert_uint_eq(ledger.reserved, 0);
        }
        loop_deinit(&loop);
}
END_TEST

/* Small ops that wait together go to the driver in one submit: it is most of what one costs. */
START_TEST(test_one_submit) {
        static TestOp ops[64];
        TestMemory memory;
        unsigned char bytes[N_ELEMENTS(ops)];
        GpuQueue *queue;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        memory_init(&loop, &memory, loop.device, sizeof(bytes), false);
        queue = loop.device->bus[1];
        for (int round = 0; round < 3; round++) {
                uint64_t submitted = queue->submitted;

                bytes_init(bytes, sizeof(bytes), (uint32_t)round);
                for (size_t i = 0; i < N_ELEMENTS(ops); i++)
                        gpu_op_write(op_prepare(&ops[i]), &memory.memory, i, &bytes[i], 1);
                gpu_instance_flush(loop.instance);
                ck_assert_uint_eq(queue->submitted, submitted + 1);
                for (size_t i = 0; i < N_ELEMENTS(ops); i++)
                        op_wait(&loop, &ops[i]);
                ck_assert_uint_eq(queue->submitted, submitted + 1);
        }
        memory_deinit(&loop, &memory);
        loop_deinit(&loop);
}
END_TEST

/* However many reads end at once: a turn copies 1 MiB and makes 128 replies at most. */
static void read_many(Loop *loop, TestMemory *memory, size_t n_ops, uint64_t size, uint32_t most) {
        static TestOp ops[1000];
        unsigned char *data = malloc(n_ops * size), *expected = malloc(size);
        uint32_t n_ended = 0, n_before;

        bytes_init(expected, size, (uint32_t)size);
        write_wait(loop, memory, 0, expected, size);
        for (size_t i = 0; i < n_ops; i++)
                gpu_op_read(op_prepare(&ops[i]), &memory->memory, 0, data + i * size, size);
        loop_wake(loop);
        while (n_ended < n_ops) {
                loop_turn(loop);
                n_before = n_ended;
                n_ended = 0;
                for (size_t i = 0; i < n_ops; i++)
                        n_ended += ops[i].r == 0;
                ck_assert_uint_le(n_ended - n_before, most);
        }
        for (size_t i = 0; i < n_ops; i++)
                ck_assert_mem_eq(data + i * size, expected, size);
        free(expected);
        free(data);
}

static size_t count(const List *list) {
        size_t n = 0;

        list_for_each (link, list)
                n++;
        return n;
}

/* However many ops have waited for the gate, a turn gets commands for 128 of a queue. */
START_TEST(test_turns_are_short_behind_the_gate) {
        static TestOp ops[1000];
        unsigned char *bytes = malloc(N_ELEMENTS(ops)), *back = malloc(N_ELEMENTS(ops));
        TestMemory memory, held = {.r = -1};
        size_t n_before, n_after;
        List *works;
        Loop loop;

        bytes_init(bytes, N_ELEMENTS(ops), 1);
        loop_init(&loop, &variants[_i]);
        memory_init(&loop, &memory, loop.device, N_ELEMENTS(ops), false);
        works = &loop.device->compute->works;
        loop.is_holding = true;
        ck_assert_int_eq(gpu_memory_init(&held.memory, loop.device, 0, 300 * MIB, false, memory_on_ready),
                         REQUEST_LATER);
        while (!loop.held) {
                loop_wake(&loop);
                loop_turn(&loop);
        }
        for (size_t i = 0; i < N_ELEMENTS(ops); i++)
                gpu_op_fill(op_prepare(&ops[i]), &memory.memory, i, 1, &bytes[i], 1);
        gpu_instance_flush(loop.instance);
        n_after = count(works);
        ck_assert_uint_gt(n_after, 200);
        loop_release(&loop);
        do {
                n_before = n_after;
                loop_turn(&loop);
                n_after = count(works);
                ck_assert_uint_le(n_before, n_after + 128);
        } while (n_after > 0);
        for (size_t i = 0; i < N_ELEMENTS(ops); i++)
                op_wait(&loop, &ops[i]);
        read_wait(&loop, &memory, 0, back, N_ELEMENTS(ops));
        ck_assert_mem_eq(back, bytes, N_ELEMENTS(ops));
        while (held.r < 0)
                loop_turn(&loop);
        memory_deinit(&loop, &held);
        memory_deinit(&loop, &memory);
        loop_deinit(&loop);
        free(back);
        free(bytes);
}
END_TEST

START_TEST(test_turns_are_short) {
        TestMemory memory;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        memory_init(&loop, &memory, loop.device, 64 * KIB, false);
        read_many(&loop, &memory, 100, 64 * KIB, 16);
        read_many(&loop, &memory, 1000, 4, 128);
        memory_deinit(&loop, &memory);
        loop_deinit(&loop);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("schedule");
        TCase *tcase = tcase_create("schedule");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_loop_test(tcase, test_shares, 0, (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_sizes, 0, (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_small_overtakes, 0, (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_many_flows, 0, (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_crowd, 0, (int)N_ELEMENTS(variants));
        tcase_add_test(tcase, test_trim_sticks);
        tcase_add_loop_test(tcase, test_one_submit, 0, (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_turns_are_short_behind_the_gate, 0, (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_turns_are_short, 0, (int)N_ELEMENTS(variants));
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
