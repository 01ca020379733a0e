/* Holds that come and go in any order: those that are there are found, each once, and no others. */

#include "daemon/object/holdset.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>

#define N_HOLDS 3000u /* some pages */
#define N_STEPS 200000u

typedef struct World {
        HoldSet set;
        Hold holds[N_HOLDS];
        bool is_linked[N_HOLDS];
        size_t n;
        uint32_t random;
} World;

static uint32_t world_random(World *world, uint32_t below) {
        world->random = world->random * 1664525u + 1013904223u;
        return (uint32_t)(((uint64_t)world->random * below) >> 32);
}

static void toggle(World *world, size_t i) {
        if (world->is_linked[i])
                hold_set_unlink(&world->set, &world->holds[i]);
        else if (hold_set_link(&world->set, &world->holds[i]))
                ck_abort_msg("no memory");
        world->is_linked[i] = !world->is_linked[i];
        world->n += world->is_linked[i] ? 1 : (size_t)-1;
}

/* Takes out all that are left. */
static void drain(World *world) {
        Hold *hold;

        while ((hold = hold_set_find_any(&world->set))) {
                size_t i = (size_t)(hold - world->holds);

                if (i >= N_HOLDS || !world->is_linked[i])
                        ck_abort_msg("a hold that had gone was found");
                toggle(world, i);
        }
        ck_assert_uint_eq(world->n, 0);
        ck_assert_uint_eq(hold_set_get_n(&world->set), 0);
}

START_TEST(any_order) {
        static World world;

        world = (World){.random = 1 + (uint32_t)_i};
        for (uint32_t step = 1; step <= N_STEPS; step++) {
                /* Now among all, now among a few, so that the same places are left again and again. */
                toggle(&world, world_random(&world, step / 1000 % 3 ? N_HOLDS : 20));
                if (hold_set_get_n(&world.set) != world.n)
                        ck_abort_msg("%zu holds, not %zu", hold_set_get_n(&world.set), world.n);
                if (step % 20000 == 0)
                        drain(&world);
        }
        drain(&world);
        hold_set_deinit(&world.set);
}
END_TEST

START_TEST(pages_go_back) {
        static World world;

        world = (World){0};
        for (size_t i = 0; i < N_HOLDS; i++)
                toggle(&world, i);
        ck_assert_uint_ge(world.set.n_pages, 5);
        drain(&world);
        ck_assert_uint_le(world.set.n_pages, 2);
        hold_set_deinit(&world.set);
        hold_set_deinit(&world.set);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("holdset");
        TCase *tests = tcase_create("holdset");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_loop_test(tests, any_order, 0, 5);
        tcase_add_test(tests, pages_go_back);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
