/* Numbered elements, against a plain array that remembers all of them. */

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/util/slab.h"

#define SIZE    64u
#define N_MAX   (5 * SLAB_CHUNK)
#define N_STEPS 400000u

/* ck_assert() writes to a pipe each time it holds: too slow for so many. */
#define MUST(condition_)                                                                                     \
        do {                                                                                                 \
                if (!(condition_))                                                                           \
                        ck_abort_msg("%s", #condition_);                                                     \
        } while (false)

typedef struct Element {
        uint32_t number;
        unsigned char rest[SIZE - sizeof(uint32_t)];
} Element;

typedef struct Model {
        Slab slab;
        uint32_t numbers[N_MAX]; /* in use, in no order */
        bool is_used[2 * N_MAX]; /* by number */
        uint32_t n;
        uint32_t random;
} Model;

static uint32_t model_random(Model *model, uint32_t below) {
        model->random = model->random * 1664525u + 1013904223u;
        return (uint32_t)(((uint64_t)model->random * below) >> 32);
}

static void step_alloc(Model *model) {
        uint32_t number;
        Element *element = slab_alloc(&model->slab, &number);

        MUST(element && (uintptr_t)element % SIZE == 0);
        MUST(number < slab_get_end(&model->slab) && number < 2 * N_MAX && !model->is_used[number]);
        element->number = number;
        element->rest[sizeof(element->rest) - 1] = (unsigned char)number;
        model->is_used[number] = true;
        model->numbers[model->n++] = number;
}

static void step_free(Model *model) {
        uint32_t i = model_random(model, model->n), number = model->numbers[i];
        Element *element = slab_find(&model->slab, number);

        MUST(element && element == slab_get(&model->slab, number));
        MUST(element->number == number && element->rest[sizeof(element->rest) - 1] == (unsigned char)number);
        slab_free(&model->slab, number);
        MUST(!slab_find(&model->slab, number));
        model->is_used[number] = false;
        model->numbers[i] = model->numbers[--model->n];
}

static uint32_t count_chunks(const Slab *slab) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < slab->n_chunks; i++)
                n += slab->chunks[i]->elements != NULL;
        return n;
}

START_TEST(elements_keep_number_and_place) {
        static Model model;
        uint32_t next;

        model = (Model){.random = 1 + (uint32_t)_i};
        slab_init(&model.slab, SIZE);
        MUST(!slab_find(&model.slab, 0));
        for (uint32_t step = 0; step < N_STEPS; step++) {
                /* The load swings between nothing and all. */
                uint32_t allocs = step / 40000 % 2 ? 4 : 8;

                if (model.n == 0 || (model.n < N_MAX && model_random(&model, 12) < allocs))
                        step_alloc(&model);
                else
                        step_free(&model);
        }
        next = 0;
        for (uint32_t i = 0; i < 2 * N_MAX; i++) {
                MUST(!slab_find(&model.slab, i) == !model.is_used[i]);
                if (!model.is_used[i])
                        continue;
                /* From behind the one before, from the middle and from itself. */
                MUST(slab_next(&model.slab, next) == i);
                MUST(slab_next(&model.slab, next + (i - next) / 2) == i);
                MUST(slab_next(&model.slab, i) == i);
                next = i + 1;
        }
        MUST(slab_next(&model.slab, next) == slab_get_end(&model.slab));
        MUST(slab_next(&model.slab, UINT64_MAX) == slab_get_end(&model.slab));
        MUST(!slab_find(&model.slab, UINT32_MAX));
        slab_deinit(&model.slab);
}
END_TEST

START_TEST(empty_chunks_go_back) {
        uint32_t numbers[4 * SLAB_CHUNK];
        uint32_t number;
        Slab slab;

        slab_init(&slab, SIZE);
        ck_assert_uint_eq(count_chunks(&slab), 0);
        for (int round = 0; round < 3; round++) {
                for (uint32_t i = 0; i < 4 * SLAB_CHUNK; i++)
                        MUST(slab_alloc(&slab, &numbers[i]));
                ck_assert_uint_eq(count_chunks(&slab), 4);
                ck_assert_uint_eq(slab_get_end(&slab), 4 * SLAB_CHUNK);
                for (uint32_t i = 0; i < 4 * SLAB_CHUNK; i++)
                        slab_free(&slab, numbers[i]);
                ck_assert_uint_eq(count_chunks(&slab), 1);
        }
        /* What comes and goes at a border maps nothing anew. */
        ck_assert_ptr_nonnull(slab_alloc(&slab, &number));
        slab_free(&slab, number);
        ck_assert_uint_eq(count_chunks(&slab), 1);
        slab_deinit(&slab);
        ck_assert_uint_eq(slab.n_chunks, 0);
        slab_deinit(&slab);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("slab");
        TCase *tests = tcase_create("slab");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_set_timeout(tests, 60);
        tcase_add_loop_test(tests, elements_keep_number_and_place, 0, 4);
        tcase_add_test(tests, empty_chunks_go_back);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
