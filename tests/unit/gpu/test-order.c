/*
 * Many ops in flight at once, on the same bytes and across devices, against a model that does one after
 * another: what conflicts must take effect in the order of submission.
 */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gpu/result.h"
#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define KIB        UINT64_C(1024)
#define MIB        (1024 * KIB)
#define N_MEMORIES 6
#define N_SLOTS    24
#define SLOT_SIZE  (2 * MIB)
#define N_STEPS    4000

static const GpuOptions variants[] = {
        {},
        {.force_staging = true, .staging_bytes = MIB},
        {.split_queues = true},
        /* Many chunks to an op, on both copy engines. */
        {.force_staging = true, .staging_bytes = MIB, .split_queues = true},
        {.segment_max = 256 * KIB, .block_max = MIB, .staging_bytes = 4 * MIB, .split_queues = true},
        {.copy = GPU_COPY_SHADER},
        {.copy = GPU_COPY_SHADER, .segment_max = 256 * KIB, .block_max = MIB, .split_queues = true},
};

typedef struct Slot {
        TestOp op;
        uint64_t offset; /* in the region */
        uint64_t size;
        unsigned char *expected; /* of a read */
        bool is_read;
        bool is_inline;
} Slot;

typedef struct Model {
        Loop loop;
        TestRegion region;
        TestMemory memories[N_MEMORIES];
        unsigned char *bytes[N_MEMORIES];
        uint64_t sizes[N_MEMORIES];
        Slot slots[N_SLOTS];
        unsigned char *inline_data[N_SLOTS];
        uint32_t random;
} Model;

static uint64_t model_random(Model *model, uint64_t below) {
        model->random = model->random * 1664525u + 1013904223u;
        return (model->random >> 8) % below;
}

static void slot_settle(Model *model, Slot *slot) {
        const unsigned char *got =
                slot->is_inline ? model->inline_data[slot - model->slots] : model->region.map + slot->offset;

        loop_wake(&model->loop);
        while (slot->op.r < 0)
                loop_turn(&model->loop);
        ck_assert_int_eq(slot->op.r, 0);
        if (slot->is_read && memcmp(got, slot->expected, slot->size))
                ck_abort_msg("a read of %lu bytes saw the wrong ones", (unsigned long)slot->size);
        slot->is_read = false;
}

/* A range of some memory: mostly short and near the beginning, so that ops meet. */
static void pick_range(Model *model, int memory, uint64_t size, uint64_t *ret_offset) {
        uint64_t room = model->sizes[memory] - size;

        *ret_offset = model_random(model, 3) ? model_random(model, MIN(room, UINT64_C(3000)) + 1)
                                             : model_random(model, room + 1);
}

static uint64_t pick_size(Model *model, int memory) {
        uint64_t max = MIN(model->sizes[memory], SLOT_SIZE);

        switch (model_random(model, 12)) {
        case 0:
                return 1 + model_random(model, max);
        case 1:
        case 2:
                return 1 + model_random(model, MIN(max, 70 * KIB));
        default:
                return 1 + model_random(model, MIN(max, UINT64_C(2000)));
        }
}

static void step_write(Model *model, Slot *slot, int memory, uint64_t offset) {
        unsigned char *data =
                slot->is_inline ? model->inline_data[slot - model->slots] : model->region.map + slot->offset;

        bytes_init(data, slot->size, model->random);
        memcpy(model->bytes[memory] + offset, data, slot->size);
        if (slot->is_inline)
                gpu_op_write(op_prepare(&slot->op), &model->memories[memory].memory, offset, data,
                             slot->size);
        else
                gpu_op_write_region(op_prepare(&slot->op), &model->memories[memory].memory, offset,
                                    &model->region.region, slot->offset, slot->size);
}

static void step_read(Model *model, Slot *slot, int memory, uint64_t offset) {
        slot->is_read = true;
        memcpy(slot->expected, model->bytes[memory] + offset, slot->size);
        if (slot->is_inline)
                gpu_op_read(op_prepare(&slot->op), &model->memories[memory].memory, offset,
                            model->inline_data[slot - model->slots], slot->size);
        else
                gpu_op_read_region(op_prepare(&slot->op), &model->memories[memory].memory, offset,
                                   &model->region.region, slot->offset, slot->size);
}

static void step_fill(Model *model, Slot *slot, int memory, uint64_t offset) {
        size_t n = (size_t)1 << model_random(model, 5);
        unsigned char pattern[16];

        bytes_init(pattern, sizeof(pattern), model->random);
        for (uint64_t i = 0; i < slot->size; i++)
                model->bytes[memory][offset + i] = pattern[i % n];
        gpu_op_fill(op_prepare(&slot->op), &model->memories[memory].memory, offset, slot->size, pattern, n);
}

static void step_copy(Model *model, Slot *slot, int dst, uint64_t dst_offset) {
        int src = (int)model_random(model, N_MEMORIES);
        uint64_t src_offset;

        slot->size = MIN(slot->size, model->sizes[src]);
        pick_range(model, src, slot->size, &src_offset);
        memmove(model->bytes[dst] + dst_offset, model->bytes[src] + src_offset, slot->size);
        gpu_op_copy(op_prepare(&slot->op), &model->memories[src].memory, src_offset,
                    &model->memories[dst].memory, dst_offset, slot->size);
}

static void model_step(Model *model) {
        Slot *slot = &model->slots[model_random(model, N_SLOTS)];
        int memory = (int)model_random(model, N_MEMORIES);
        uint64_t offset;

        slot_settle(model, slot);
        slot->size = pick_size(model, memory);
        slot->is_inline = slot->size <= 64 * KIB && model_random(model, 2);
        pick_range(model, memory, slot->size, &offset);
        switch (model_random(model, 5)) {
        case 0:
        case 1:
                step_write(model, slot, memory, offset);
                break;
        case 2:
                step_read(model, slot, memory, offset);
                break;
        case 3:
                step_fill(model, slot, memory, offset);
                break;
        default:
                step_copy(model, slot, memory, offset);
        }
}

static void model_init(Model *model, const GpuOptions *options) {
        static const uint64_t sizes[N_MEMORIES] = {5000, 100 * KIB + 1, 3 * MIB + 7,
                                                   2500, 600 * KIB,     2 * MIB};

        loop_add_device();
        *model = (Model){.random = 11};
        loop_init(&model->loop, options);
        region_init(&model->loop, &model->region, N_SLOTS * SLOT_SIZE);
        for (int i = 0; i < N_MEMORIES; i++) {
                GpuDevice *device = i < 3 ? model->loop.device : loop_get_second(&model->loop);

                model->sizes[i] = sizes[i];
                model->bytes[i] = calloc(1, sizes[i]);
                memory_init(&model->loop, &model->memories[i], device, sizes[i], i == 4);
                ck_assert_int_eq(model->memories[i].r, 0);
        }
        for (int i = 0; i < N_SLOTS; i++) {
                model->slots[i].offset = (uint64_t)i * SLOT_SIZE;
                model->slots[i].expected = malloc(SLOT_SIZE);
                model->inline_data[i] = malloc(64 * KIB);
        }
}

static void model_deinit(Model *model) {
        for (int i = 0; i < N_SLOTS; i++) {
                slot_settle(model, &model->slots[i]);
                free(model->slots[i].expected);
                free(model->inline_data[i]);
        }
        for (int i = 0; i < N_MEMORIES; i++) {
                unsigned char *back = malloc(model->sizes[i]);

                read_wait(&model->loop, &model->memories[i], 0, back, model->sizes[i]);
                ck_assert(!memcmp(back, model->bytes[i], model->sizes[i]));
                memory_deinit(&model->loop, &model->memories[i]);
                free(model->bytes[i]);
                free(back);
        }
        region_deinit(&model->loop, &model->region);
        loop_deinit(&model->loop);
}

START_TEST(test_order) {
        static Model model;

        model_init(&model, &variants[_i % (int)N_ELEMENTS(variants)]);
        model.loop.is_spinning = _i >= (int)N_ELEMENTS(variants);
        model.random += (uint32_t)_i;
        for (int i = 0; i < N_STEPS; i++) {
                model_step(&model);
                if (model_random(&model, 6) == 0) {
                        loop_wake(&model.loop);
                        loop_turn(&model.loop);
                }
        }
        model_deinit(&model);
}
END_TEST

/* A sync completes after all that came before it, on every queue of its device. */
START_TEST(test_sync) {
        TestOp writes[16], sync, late;
        unsigned char byte = 1;
        TestMemory memory;
        Loop loop;

        loop_init(&loop, &variants[_i]);
        memory_init(&loop, &memory, loop.device, 20 * MIB, false);
        for (size_t i = 0; i < N_ELEMENTS(writes); i++) {
                if (i % 2)
                        gpu_op_fill(op_prepare(&writes[i]), &memory.memory, i, 16 * MIB, &byte, 1);
                else
                        gpu_op_write(op_prepare(&writes[i]), &memory.memory, i, &byte, 1);
        }
        gpu_op_sync(op_prepare(&sync), loop.device);
        gpu_op_write(op_prepare(&late), &memory.memory, 0, &byte, 1);
        op_wait(&loop, &sync);
        for (size_t i = 0; i < N_ELEMENTS(writes); i++)
                ck_assert_int_eq(writes[i].r, 0);
        op_wait(&loop, &late);
        gpu_op_sync(op_prepare(&sync), loop.device);
        ck_assert_int_eq(sync.r, -1);
        op_wait(&loop, &sync);
        ck_assert_int_eq(sync.r, 0);
        memory_deinit(&loop, &memory);
        loop_deinit(&loop);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("order");
        TCase *tcase = tcase_create("order");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_loop_test(tcase, test_order, 0, 2 * (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_sync, 0, (int)N_ELEMENTS(variants));
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
