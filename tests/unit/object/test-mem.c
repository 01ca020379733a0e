/* Allocations, who holds them and how they are found, on a GPU layer of host memory. */

#include "daemon/object/mem.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/object/registry.h"
#include "daemon/util/clock.h"
#include "tests/unit/failing.h"
#include "tests/unit/rpc/fake-gpu.h"

#define N_MEMS   5000u /* more than a chunk of the slab has */
#define N_SLICES 2500u /* more than twice what one turn reaps */
#define N_SHARED 1000u

static Registry registry;
static GpuDevice *device;
static int n_ready;
static int ready_r;

static void on_ready(Mem *mem, int r, void *userdata) {
        (void)mem;
        (void)userdata;
        n_ready++;
        ready_r = r;
}

static void setup(void) {
        n_ready = 0;
        registry_init(&registry, NULL, &fake_gpu_host, &(RegistryOptions){.shm_max = 1 << 20});
        device = registry_find_device(&registry, "vulkan:0");
}

/* Everybody has gone. */
static void teardown(void) {
        while (registry_reap(&registry))
                continue;
        registry_close(&registry);
        ck_assert_uint_eq(fake_gpu_count(), 0);
        registry_deinit(&registry);
}

static Session *open_session(uid_t uid) {
        Credentials credentials = {.uid = uid, .gid = uid};
        Session *session;

        return session_new(&session, &registry, &credentials) ? NULL : session;
}

static MemParams named(const char *name) {
        return (MemParams){.device = device, .size = 1, .mode = 0600, .name = name};
}

static Mem *alloc(Session *session, const char *name) {
        MemParams params = named(name);
        Mem *mem;

        if (mem_new(&mem, session, &params, on_ready, NULL))
                ck_abort_msg("no memory");
        return mem;
}

static bool is_found(const struct gpud_uuid *id) {
        return registry_find_mem(&registry, id) != NULL;
}

static void drop(Session *session, Mem *mem) {
        session_drop(session_find_hold(session, mem));
}

START_TEST(a_handle_means_one_allocation_for_ever) {
        static struct gpud_uuid stale[N_MEMS];
        static Mem *mems[N_MEMS];
        Session *session = open_session(1000);
        struct gpud_uuid random;
        size_t end;

        for (size_t i = 0; i < N_MEMS; i++)
                mems[i] = alloc(session, NULL);
        end = slab_get_end(&registry.mems);
        for (size_t i = 0; i < N_MEMS; i++) {
                stale[i] = mems[i]->id;
                if ((stale[i].bytes[6] >> 4) != 4 || (stale[i].bytes[8] >> 6) != 2)
                        ck_abort_msg("no UUID of version 4");
                if (registry_find_mem(&registry, &stale[i]) != mems[i])
                        ck_abort_msg("a handle is not found");
        }
        /* Others come to where they were; all but two of the bytes say which is which. */
        for (size_t i = 0; i < N_MEMS; i++)
                drop(session, mems[i]);
        for (size_t i = 0; i < N_MEMS; i++)
                mems[i] = alloc(session, NULL);
        ck_assert_uint_eq(slab_get_end(&registry.mems), end);
        for (size_t i = 0; i < N_MEMS; i++) {
                uuid_new_random(&random);
                if (is_found(&stale[i]) || is_found(&random))
                        ck_abort_msg("a handle of nothing is found");
        }
        for (size_t bit = 0; bit < 128; bit++) {
                random = mems[0]->id;
                random.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
                ck_assert(!is_found(&random));
        }
        ck_assert(is_found(&mems[0]->id));
        session_end(session);
}
END_TEST

START_TEST(a_session_holds_an_allocation_once) {
        Session *sessions[] = {open_session(1000), open_session(1000), open_session(1001)};
        struct gpud_session_info info;
        struct gpud_uuid id;
        Mem *mem = alloc(sessions[0], NULL);

        id = mem->id;
        for (int i = 0; i < 2; i++)
                for (size_t j = 0; j < 3; j++)
                        ck_assert_int_eq(session_hold(sessions[j], mem), 0);
        ck_assert_uint_eq(mem->n_holds, 3);
        /* Who allocated drops it and takes it again, as any other. */
        drop(sessions[0], mem);
        ck_assert_ptr_null(session_find_hold(sessions[0], mem));
        drop(sessions[1], mem);
        ck_assert_int_eq(session_hold(sessions[1], mem), 0);
        ck_assert_int_eq(session_hold(sessions[0], mem), 0);
        ck_assert_uint_eq(mem->n_holds, 3);
        for (size_t i = 0; i < 3; i++) {
                session_get_info(sessions[i], &info);
                ck_assert_uint_eq(info.mems, 1);
                ck_assert_uint_eq(info.bytes, 1);
                ck_assert(is_found(&id));
                drop(sessions[i], mem);
                session_get_info(sessions[i], &info);
                ck_assert_uint_eq(info.mems + info.bytes, 0);
        }
        ck_assert(!is_found(&id));
        for (size_t i = 0; i < 3; i++)
                session_end(sessions[i]);
}
END_TEST

START_TEST(an_allocation_is_shared_by_many) {
        static Session *sessions[N_SHARED];
        static bool is_held[N_SHARED];
        size_t n_held = 1;
        Mem *mem;

        for (size_t i = 0; i < N_SHARED; i++)
                sessions[i] = open_session(1000);
        mem = alloc(sessions[0], NULL);
        is_held[0] = true;
        srandom(1);
        for (size_t step = 0; step < 50 * N_SHARED; step++) {
                size_t i = (size_t)random() % N_SHARED;

                if (!session_find_hold(sessions[i], mem) != !is_held[i])
                        ck_abort_msg("step %zu: session %zu", step, i);
                if (!is_held[i] && session_hold(sessions[i], mem))
                        ck_abort_msg("no memory");
                if (is_held[i] && n_held == 1)
                        continue;
                if (is_held[i])
                        drop(sessions[i], mem);
                n_held += is_held[i] ? -1 : 1;
                is_held[i] = !is_held[i];
                if (mem->n_holds != n_held)
                        ck_abort_msg("step %zu: %u holds for %zu", step, mem->n_holds, n_held);
        }
        for (size_t i = 0; i < N_SHARED; i++)
                session_end(sessions[i]);
}
END_TEST

START_TEST(sessions_are_found_until_they_end) {
        static struct gpud_uuid ids[N_MEMS];
        static Session *sessions[N_MEMS];
        struct gpud_uuid random;
        uint32_t end;

        for (size_t i = 0; i < N_MEMS; i++)
                sessions[i] = open_session((uid_t)i / 1000);
        end = slab_get_end(&registry.sessions);
        for (size_t i = 0; i < N_MEMS; i++) {
                ids[i] = sessions[i]->id;
                if (registry_find_session(&registry, &ids[i]) != sessions[i])
                        ck_abort_msg("a session is not found");
        }
        for (size_t i = 0; i < N_MEMS; i++) {
                session_end(sessions[i]);
                /* Also while it is not reaped. */
                uuid_new_random(&random);
                if (registry_find_session(&registry, &ids[i]) || registry_find_session(&registry, &random))
                        ck_abort_msg("a session is found that is none");
        }
        while (registry_reap(&registry))
                continue;
        ck_assert_uint_eq(registry.n_sessions, 0);
        for (size_t i = 0; i < N_MEMS; i++)
                sessions[i] = open_session(1000);
        ck_assert_uint_eq(slab_get_end(&registry.sessions), end);
        for (size_t i = 0; i < N_MEMS; i++) {
                if (registry_find_session(&registry, &ids[i]))
                        ck_abort_msg("a session is found that has ended");
                session_end(sessions[i]);
        }
}
END_TEST

/* What is kept for a user is given back with the last session, whoever else is there. */
START_TEST(users_go_with_their_last_session) {
        Session *first = open_session(1000), *last = open_session(1000), *other = open_session(1001);

        fake_gpu_n_trims = 0;
        session_end(first);
        registry_reap(&registry);
        ck_assert_uint_eq(fake_gpu_n_trims, 0);
        session_end(other);
        registry_reap(&registry);
        ck_assert_uint_eq(fake_gpu_n_trims, 1);
        ck_assert_uint_eq(fake_gpu_trimmed, 1001);
        first = open_session(1001);
        session_end(last);
        registry_reap(&registry);
        ck_assert_uint_eq(fake_gpu_n_trims, 2);
        ck_assert_uint_eq(fake_gpu_trimmed, 1000);
        session_end(first);
}
END_TEST

START_TEST(names_move) {
        static Mem *mems[1000];
        Session *session = open_session(1000);
        Session *other = open_session(1001);
        MemParams taken = named("name-1999");
        char name[16];
        Mem *mem;

        for (unsigned i = 0; i < 1000; i++) {
                snprintf(name, sizeof(name), "name-%u", i);
                mems[i] = alloc(session, name);
        }
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(name, sizeof(name), "name-%u", i + 1000);
                ck_assert_int_eq(mem_set_name(mems[i], name), 0);
                ck_assert_int_eq(mem_set_name(mems[i], name), 0);
        }
        for (unsigned i = 0; i < 2000; i++) {
                snprintf(name, sizeof(name), "name-%u", i);
                ck_assert_ptr_eq(registry_find_name(&registry, device, 1000, name),
                                 i < 1000 ? NULL : mems[i - 1000]);
        }
        ck_assert_int_eq(mem_new(&mem, session, &taken, on_ready, NULL), GPUD_E_ALREADY_EXISTS);
        ck_assert_int_eq(mem_set_name(mems[0], taken.name), GPUD_E_ALREADY_EXISTS);
        ck_assert_ptr_eq(registry_find_name(&registry, device, 1000, "name-1000"), mems[0]);
        /* Each user has names of its own. */
        mem = alloc(other, taken.name);
        ck_assert_ptr_eq(registry_find_name(&registry, device, 1001, taken.name), mem);
        drop(session, mems[999]);
        ck_assert_ptr_null(registry_find_name(&registry, device, 1000, taken.name));
        ck_assert_int_eq(mem_set_name(mems[0], taken.name), 0);
        ck_assert_int_eq(mem_set_name(mems[1], NULL), 0);
        ck_assert_ptr_null(registry_find_name(&registry, device, 1000, "name-1001"));
        session_end(session);
        session_end(other);
}
END_TEST

START_TEST(sessions_end_in_slices) {
        static struct gpud_uuid ids[N_SLICES];
        Session *session = open_session(1000);
        Session *other = open_session(1000);
        MemParams pending = {.device = device, .size = 1, .is_exportable = true, .is_persistent = true};
        size_t n_turns = 0;
        bool is_left;
        Mem *mem;

        for (size_t i = 0; i < N_SLICES; i++) {
                mem = alloc(session, NULL);
                ids[i] = mem->id;
                mem->is_persistent = i % 3 == 1;
                if (i % 3 == 2)
                        ck_assert_int_eq(session_hold(other, mem), 0);
        }
        ck_assert_int_eq(mem_new(&mem, session, &pending, on_ready, NULL), REQUEST_LATER);
        session_end(session);
        do {
                /* New ones take the places of those that go. */
                session = open_session(1000);
                for (size_t i = 0; i < 100; i++)
                        alloc(session, NULL);
                is_left = registry_reap(&registry);
                n_turns++;
                session_end(session);
        } while (is_left && n_turns < 10);
        while (registry_reap(&registry))
                continue;
        ck_assert_uint_ge(n_turns, 3);
        ck_assert_uint_lt(n_turns, 10);
        /* A pending one goes with its session, whatever it was to be. */
        ck_assert_int_eq(n_ready, 1);
        ck_assert_int_eq(ready_r, GPUD_E_CONNECTION_LOST);
        fake_gpu_turn();
        ck_assert_int_eq(n_ready, 1);
        for (size_t i = 0; i < N_SLICES; i++)
                if (is_found(&ids[i]) != (i % 3 > 0))
                        ck_abort_msg("allocation %zu went or stayed", i);
        ck_assert_uint_eq(registry.n_mems, N_SLICES / 3 * 2);
        session_end(other);
}
END_TEST

static size_t count_longer(const uint64_t *ttls, uint64_t ttl_s) {
        size_t n = 0;

        for (size_t i = 0; i < N_SLICES; i++)
                n += ttls[i] > ttl_s;
        return n;
}

/* Of any length, in any order, some renewed: each ends in its time, and a turn ends only so many. */
START_TEST(leases_end_in_their_order) {
        MemParams params = {.device = device, .size = 1, .is_persistent = true};
        uint64_t begin_ns = clock_get_boottime_ns(), next_ns, now_ns;
        Session *session = open_session(1000);
        static uint64_t ttls[N_SLICES];
        Mem *mem;

        for (size_t i = 0; i < N_SLICES; i++) {
                params.ttl_s = 1 + i * 7919 % 1000;
                ttls[i] = params.ttl_s;
                ck_assert_int_eq(mem_new(&mem, session, &params, on_ready, NULL), 0);
                if (i % 5 > 0)
                        continue;
                ttls[i] = 1 + i * 104729 % 1000;
                ck_assert_int_eq(mem_set_lease(mem, ttls[i]), 0);
        }
        session_end(session);
        while (registry_reap(&registry))
                continue;
        ck_assert_uint_gt(registry_get_lease_ns(&registry), begin_ns);
        /* All of this took less than a second. */
        for (uint64_t s = 1; s <= 500; s += 7) {
                now_ns = begin_ns + s * NS_PER_S - 1;
                registry_expire(&registry, now_ns);
                next_ns = registry_get_lease_ns(&registry);
                ck_assert_uint_eq(registry.n_mems, count_longer(ttls, s - 1));
                ck_assert(next_ns > now_ns && next_ns < now_ns + 2 * NS_PER_S);
        }
        ck_assert_uint_gt(registry.n_mems, 1100);
        now_ns = begin_ns + 2000 * NS_PER_S;
        registry_expire(&registry, now_ns);
        next_ns = registry_get_lease_ns(&registry);
        ck_assert(next_ns > 0 && next_ns < now_ns);
        ck_assert_uint_gt(registry.n_mems, 100);
        registry_expire(&registry, now_ns);
        ck_assert_uint_eq(registry.n_mems, 0);
        ck_assert_uint_eq(registry_get_lease_ns(&registry), 0);
}
END_TEST

/* Everything that takes host memory; what fails is left out. */
static void tell_story(void) {
        static const char large[GPUD_META_MAX] = "meta"; /* has pages of its own */
        Session *owner = open_session(1000);
        Session *other = open_session(1001);
        MemParams params = named(NULL);
        Mem *mem;

        for (size_t i = 0; owner && other && i < 600; i++) {
                char name[] = {(char)('a' + i % 26), (char)('a' + i / 26), '\0'};

                params.name = i % 5 == 0 ? name : NULL;
                params.meta = (struct gpud_bin){large, i % 300 == 3 ? sizeof(large) : i % 4};
                params.is_exportable = i % 7 == 6;
                params.is_persistent = i % 11 == 0;
                params.ttl_s = params.is_persistent ? i % 3 : 0;
                if (mem_new(&mem, owner, &params, on_ready, NULL) != 0)
                        continue;
                session_hold(other, mem);
                name[0] = 'A';
                if (i % 10 == 0)
                        mem_set_name(mem, name);
        }
        fake_gpu_turn();
        session_end(owner);
        session_end(other);
}

START_TEST(any_allocation_may_fail) {
        bool is_through = !FAILING_CAN;

        tell_story();
        for (long n = 1; !is_through; n++) {
                long n_live;

                teardown();
                n_live = failing_n_live;
                registry_init(&registry, NULL, &fake_gpu_host, &(RegistryOptions){.shm_max = 1 << 20});
                failing_n_until = n;
                tell_story();
                is_through = failing_n_until > 0;
                failing_n_until = 0;
                while (registry_reap(&registry))
                        continue;
                registry_close(&registry);
                fake_gpu_turn();
                registry_deinit(&registry);
                if (failing_n_live != n_live || fake_gpu_count() > 0)
                        ck_abort_msg("%ld are left, the %ld-th failed", failing_n_live - n_live, n);
                registry_init(&registry, NULL, &fake_gpu_host, &(RegistryOptions){.shm_max = 1 << 20});
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("mem");
        TCase *tests = tcase_create("mem");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_set_timeout(tests, 60);
        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, a_handle_means_one_allocation_for_ever);
        tcase_add_test(tests, a_session_holds_an_allocation_once);
        tcase_add_test(tests, an_allocation_is_shared_by_many);
        tcase_add_test(tests, sessions_are_found_until_they_end);
        tcase_add_test(tests, users_go_with_their_last_session);
        tcase_add_test(tests, names_move);
        tcase_add_test(tests, sessions_end_in_slices);
        tcase_add_test(tests, leases_end_in_their_order);
        tcase_add_test(tests, any_allocation_may_fail);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
