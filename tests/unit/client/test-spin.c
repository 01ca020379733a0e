/* Which waits poll first, and for how long. */

#include <check.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/spin.h"
#include "tests/unit/client/peer.h"

#define N_WAITS 20000

/* A pipe: there is something to read once something was written. */
static int fds[2];

static void set_up(void) {
        ck_assert_int_eq(pipe(fds), 0);
}

static void tear_down(void) {
        close(fds[0]);
        close(fds[1]);
}

/* Whether this wait polled: poll() says that nothing is there, or what is. */
static bool wait_once(Spin *spin) {
        struct pollfd poll_fd = {.fd = fds[0], .events = POLLIN, .revents = POLLNVAL};

        spin_before(spin, &poll_fd);
        return poll_fd.revents != POLLNVAL;
}

static uint64_t get_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

START_TEST(without_time_it_never_polls) {
        Spin spin;

        spin_init(&spin, 0);
        ck_assert_int_eq(write(fds[1], "", 1), 1);
        for (int i = 0; i < 10; i++)
                ck_assert(!wait_once(&spin));
}
END_TEST

START_TEST(it_ends_when_there_is_something) {
        Spin spin;

        spin_init(&spin, UINT32_MAX);
        ck_assert_int_eq(write(fds[1], "", 1), 1);
        for (int i = 0; i < 10; i++)
                ck_assert(wait_once(&spin));
}
END_TEST

START_TEST(it_takes_as_long_as_it_shall) {
        uint64_t began_ns = get_ns();
        Spin spin;

        spin_init(&spin, 20000);
        ck_assert(wait_once(&spin));
        ck_assert_uint_ge(get_ns() - began_ns, 19 * 1000000);
}
END_TEST

START_TEST(in_vain_it_is_tried_ever_more_rarely) {
        uint32_t n_left_out = 0, due = 0;
        Spin spin;

        spin_init(&spin, 1);
        for (int i = 0; i < N_WAITS; i++)
                if (wait_once(&spin)) {
                        ck_assert_uint_eq(n_left_out, due);
                        due = due < (1u << SPIN_MISSED_MAX) - 1 ? 2 * due + 1 : due;
                        n_left_out = 0;
                } else {
                        n_left_out++;
                }
        ck_assert_uint_eq(due, (1u << SPIN_MISSED_MAX) - 1);
}
END_TEST

START_TEST(once_it_pays_every_wait_polls) {
        uint32_t n_left_out = 0;
        Spin spin;

        spin_init(&spin, 1);
        for (int i = 0; i < N_WAITS; i++)
                wait_once(&spin);
        ck_assert_int_eq(write(fds[1], "", 1), 1);
        while (!wait_once(&spin))
                n_left_out++;
        ck_assert_uint_lt(n_left_out, 1u << SPIN_MISSED_MAX);
        for (int i = 0; i < 10; i++)
                ck_assert(wait_once(&spin));
}
END_TEST

START_TEST(clients_poll_until_told_otherwise) {
        Peer peer = peer_new();

        ck_assert_uint_eq(peer.client->spin.us, GPUD_SPIN_US);
        peer.client->spin.n_skipped = 1;
        gpud_set_spin(peer.client, 7);
        ck_assert_uint_eq(peer.client->spin.us, 7);
        ck_assert_uint_eq(peer.client->spin.n_skipped, 0);
        peer_free(&peer);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/spin");
        TCase *tcase = tcase_create("spin");
        SRunner *runner;
        int n_failed;

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_test(tcase, without_time_it_never_polls);
        tcase_add_test(tcase, it_ends_when_there_is_something);
        tcase_add_test(tcase, it_takes_as_long_as_it_shall);
        tcase_add_test(tcase, in_vain_it_is_tried_ever_more_rarely);
        tcase_add_test(tcase, once_it_pays_every_wait_polls);
        tcase_add_test(tcase, clients_poll_until_told_otherwise);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
