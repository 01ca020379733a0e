/* The allocator against a naive model: one byte per unit, and every range remembered. */

#include "daemon/gpu/tlsf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/util/macros.h"

#define N_UNITS   4096u /* of one region */
#define N_REGIONS 3u
#define GAP       64u /* between regions */
#define N_RANGES  2048u
#define N_STEPS   1000000u

/* ck_assert() writes to a pipe each time it holds: too slow for millions. */
#define MUST(condition_)                                                                                     \
        do {                                                                                                 \
                if (!(condition_))                                                                           \
                        ck_abort_msg("%s", #condition_);                                                     \
        } while (false)

typedef struct Range {
        uint32_t node;
        uint32_t offset;
        uint32_t size;
} Range;

typedef struct Model {
        Tlsf tlsf;
        uint32_t regions[N_REGIONS];
        unsigned char taken[N_REGIONS * (N_UNITS + GAP)];
        Range ranges[N_RANGES];
        uint32_t n_ranges;
        uint32_t random;
} Model;

static uint32_t model_random(Model *model, uint32_t below) {
        model->random = model->random * 1664525u + 1013904223u;
        return (uint32_t)(((uint64_t)model->random * below) >> 32);
}

static uint32_t region_offset(uint32_t region) {
        return region * (N_UNITS + GAP);
}

static void model_add(Model *model, uint32_t node, uint32_t size) {
        Range range = {.node = node, .offset = tlsf_get_offset(&model->tlsf, node), .size = size};

        MUST(tlsf_get_size(&model->tlsf, node) == size);
        MUST(range.offset % (N_UNITS + GAP) + size <= N_UNITS);
        for (uint32_t i = 0; i < size; i++) {
                MUST(!model->taken[range.offset + i]);
                model->taken[range.offset + i] = 1;
        }
        model->ranges[model->n_ranges++] = range;
}

/* The longest run of free units. */
static uint32_t model_longest(const Model *model) {
        uint32_t longest = 0;

        for (uint32_t region = 0; region < N_REGIONS; region++) {
                uint32_t run = 0;

                for (uint32_t i = 0; i < N_UNITS; i++) {
                        run = model->taken[region_offset(region) + i] ? 0 : run + 1;
                        longest = MAX(longest, run);
                }
        }
        return longest;
}

static void step_alloc(Model *model) {
        uint32_t size = 1 + model_random(model, model_random(model, 8) ? 24 : 1500), node;
        int r = tlsf_alloc(&model->tlsf, size, &node);

        if (r == TLSF_E_FULL) {
                /* The allocator may refuse a run that is not 1/16 longer, never a longer one. */
                MUST(model_longest(model) <= size + size / 16);
                return;
        }
        MUST(r == 0);
        model_add(model, node, size);
}

static void step_free(Model *model) {
        uint32_t i = model_random(model, model->n_ranges);
        Range range = model->ranges[i];

        memset(model->taken + range.offset, 0, range.size);
        tlsf_free(&model->tlsf, range.node);
        model->ranges[i] = model->ranges[--model->n_ranges];
}

static void step_claim(Model *model) {
        uint32_t region = model_random(model, N_REGIONS), size = 1 + model_random(model, 40);
        uint32_t offset = region_offset(region) + model_random(model, N_UNITS - size + 1), node;
        bool is_taken = memchr(model->taken + offset, 1, size);
        int r = tlsf_claim(&model->tlsf, model->regions[region], offset, size, &node);

        MUST(r == (is_taken ? TLSF_E_TAKEN : 0));
        if (r)
                return;
        MUST(tlsf_get_offset(&model->tlsf, node) == offset);
        model_add(model, node, size);
}

START_TEST(test_against_model) {
        static Model model;

        model = (Model){.random = 1 + (uint32_t)_i};
        tlsf_init(&model.tlsf);
        for (uint32_t i = 0; i < N_REGIONS; i++)
                ck_assert_int_eq(tlsf_add(&model.tlsf, region_offset(i), N_UNITS, &model.regions[i]), 0);
        for (uint32_t step = 0; step < N_STEPS; step++) {
                /* The load swings, so that it is full now and then, and empty as well. */
                uint32_t fill = step / 20000 % 2 ? 3 : 6, choice = model_random(&model, 10);

                if (model.n_ranges == N_RANGES || (choice >= fill && model.n_ranges))
                        step_free(&model);
                else if (choice == 0)
                        step_claim(&model);
                else
                        step_alloc(&model);
        }
        while (model.n_ranges)
                step_free(&model);
        for (uint32_t i = 0; i < N_REGIONS; i++)
                tlsf_remove(&model.tlsf, model.regions[i]);
        ck_assert_uint_eq(model.tlsf.first_map, 0);
        tlsf_deinit(&model.tlsf);
}
END_TEST

START_TEST(test_limits) {
        uint32_t region, node, other;
        Tlsf tlsf;

        tlsf_init(&tlsf);
        ck_assert_int_eq(tlsf_alloc(&tlsf, 1, &node), TLSF_E_FULL);
        ck_assert_int_eq(tlsf_add(&tlsf, 0, UINT32_MAX, &region), 0);
        ck_assert_int_eq(tlsf_alloc(&tlsf, UINT32_MAX, &node), TLSF_E_FULL);
        ck_assert_int_eq(tlsf_claim(&tlsf, region, 0, UINT32_MAX, &node), 0);
        ck_assert_int_eq(tlsf_alloc(&tlsf, 1, &other), TLSF_E_FULL);
        ck_assert_int_eq(tlsf_claim(&tlsf, region, UINT32_MAX, 1, &other), TLSF_E_TAKEN);
        tlsf_free(&tlsf, node);
        ck_assert_int_eq(tlsf_claim(&tlsf, region, UINT32_MAX - 1, 2, &other), TLSF_E_TAKEN);
        ck_assert_int_eq(tlsf_claim(&tlsf, region, UINT32_MAX - 1, 1, &node), 0);
        ck_assert_int_eq(tlsf_claim(&tlsf, node, UINT32_MAX - 1, 1, &other), TLSF_E_TAKEN);
        tlsf_free(&tlsf, node);
        tlsf_remove(&tlsf, region);
        tlsf_deinit(&tlsf);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("tlsf");
        TCase *tcase = tcase_create("tlsf");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 120);
        tcase_add_loop_test(tcase, test_against_model, 0, 4);
        tcase_add_test(tcase, test_limits);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
