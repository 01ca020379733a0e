/* Submitted calls: each callback runs once, whatever comes, in whatever order. */

#include "tests/unit/client/peer.h"

#include <poll.h>
#include <sys/wait.h>

typedef struct Tally {
        int n_called;
        int r;
        char name[32];
        char message[64];
} Tally;

static void done_none(struct gpud_client *client, int r, void *userdata) {
        Tally *tally = userdata;

        tally->n_called++;
        tally->r = r;
        snprintf(tally->message, sizeof(tally->message), "%s", r < 0 ? gpud_error_message(client) : "");
}

static void done_info(struct gpud_client *client, int r, const struct gpud_mem_info *result, void *userdata) {
        Tally *tally = userdata;

        done_none(client, r, userdata);
        ck_assert_int_eq(r == 0, result != NULL);
        if (result)
                snprintf(tally->name, sizeof(tally->name), "%s", result->name);
}

START_TEST(replies_come_in_any_order) {
        const struct gpud_mem_ref args = {0};
        Tally tallies[8] = {0};
        struct gpud_mem_info info;
        Peer peer = peer_new();
        char name[16];

        for (int i = 0; i < 8; i++)
                ck_assert_int_eq(gpud_mem_info_submit(peer.client, &args, done_info, &tallies[i]), 0);
        ck_assert_uint_eq(gpud_pending(peer.client), 8);
        for (uint32_t i = 8; i-- > 0;) {
                if (i == 5) {
                        peer_refuse(&peer, i, GPUD_E_NOT_FOUND, "no such thing");
                        continue;
                }
                snprintf(name, sizeof(name), "mem %d", (int)i);
                info = (struct gpud_mem_info){.device = "vulkan:0", .name = name};
                peer_reply(&peer, i, &proto_struct_mem_info, &info);
        }
        while (gpud_pending(peer.client) > 0)
                ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        for (int i = 0; i < 8; i++) {
                ck_assert_int_eq(tallies[i].n_called, 1);
                snprintf(name, sizeof(name), "mem %d", i);
                if (i == 5)
                        ck_assert_str_eq(tallies[i].message, "no such thing");
                else
                        ck_assert_str_eq(tallies[i].name, name);
        }
        peer_free(&peer);
}
END_TEST

START_TEST(hang_up_ends_every_call_once) {
        Tally tallies[200] = {0};
        Peer peer = peer_new();

        for (int i = 0; i < 200; i++)
                ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, done_none, &tallies[i]), 0);
        ck_assert_int_eq(gpud_dispatch(peer.client), 0);
        peer_reply(&peer, 7, &proto_struct_none, NULL);
        peer_hang_up(&peer);
        while (gpud_pending(peer.client) > 0)
                gpud_wait(peer.client, 1000);
        for (int i = 0; i < 200; i++) {
                ck_assert_int_eq(tallies[i].n_called, 1);
                ck_assert_int_eq(tallies[i].r, i == 7 ? 0 : -GPUD_E_CONNECTION_LOST);
        }
        ck_assert_str_eq(tallies[0].message, "gpud closed the connection");
        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, done_none, &tallies[0]),
                         -GPUD_E_CONNECTION_LOST);
        peer_free(&peer);
        ck_assert_int_eq(tallies[0].n_called, 1);
}
END_TEST

START_TEST(closing_ends_every_call_once) {
        Tally tally = {0};
        Peer peer = peer_new();

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, done_none, &tally), 0);
        peer_free(&peer);
        ck_assert_int_eq(tally.n_called, 1);
        ck_assert_int_eq(tally.r, -GPUD_E_CONNECTION_LOST);
}
END_TEST

/* A callback goes on submitting, far more often than there are slots. */
static void submit_again(struct gpud_client *client, int r, void *userdata) {
        Tally *tally = userdata;

        tally->r = r;
        if (++tally->n_called < 1000 && r == 0)
                ck_assert_int_eq(gpud_daemon_ping_submit(client, submit_again, userdata), 0);
}

START_TEST(callback_may_submit) {
        msgpack_object object;
        msgpack_zone *zone = msgpack_zone_new(1024);
        Tally tally = {0};
        Peer peer = peer_new();
        char data[256];
        size_t offset;
        ssize_t n;

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, submit_again, &tally), 0);
        while (tally.n_called < 1000) {
                ck_assert_int_eq(gpud_dispatch(peer.client), 0);
                n = recv(peer.fd, data, sizeof(data), MSG_DONTWAIT);
                if (n <= 0)
                        continue;
                offset = 0;
                ck_assert_int_eq(msgpack_unpack(data, (size_t)n, &offset, zone, &object),
                                 MSGPACK_UNPACK_SUCCESS);
                peer_reply(&peer, (uint32_t)object.via.array.ptr[1].via.u64, &proto_struct_none, NULL);
        }
        ck_assert_uint_eq(gpud_pending(peer.client), 0);
        msgpack_zone_free(zone);
        peer_free(&peer);
}
END_TEST

/*
 * What the client has sent: the msgid of the last request, its method in the packed form, and whether it
 * is there.
 */
static bool has_sent(const Peer *peer, const char *method, uint32_t *ret_msgid) {
        msgpack_zone *zone = msgpack_zone_new(1024);
        msgpack_object object;
        char data[1024];
        size_t offset = 0;
        ssize_t n = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);
        bool found = false;

        while (n > 0 && offset < (size_t)n &&
               msgpack_unpack(data, (size_t)n, &offset, zone, &object) >= MSGPACK_UNPACK_EXTRA_BYTES) {
                const msgpack_object *item = object.via.array.ptr;

                found = item[2].via.str.size == strlen(method) &&
                        memcmp(item[2].via.str.ptr, method, strlen(method)) == 0;
                *ret_msgid = (uint32_t)item[1].via.u64;
        }
        msgpack_zone_free(zone);
        return found;
}

/* gpud says nothing: the call ends, the client works on, and what the late reply brings goes back. */
START_TEST(silence_ends_a_call) {
        const struct gpud_mem_alloc_args alloc = {.device = "d", .size = 1};
        const struct gpud_mem_info info = {.mem = {{7}}, .device = "d"};
        struct gpud_mem_info taken = {.size = 77};
        uint32_t late = 0, msgid = 0;
        Peer peer = peer_new();

        gpud_set_timeout(peer.client, 20);
        ck_assert_int_eq(gpud_mem_alloc(peer.client, &alloc, &taken), -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert_str_eq(gpud_error_message(peer.client), "gpud said nothing for 20 ms");
        ck_assert(has_sent(&peer, "mem.alloc", &late));
        ck_assert_int_eq(gpud_daemon_ping(peer.client), -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert(has_sent(&peer, "daemon.ping", &msgid));
        ck_assert_uint_ne(msgid, late);
        ck_assert_uint_eq(gpud_pending(peer.client), 2);

        peer_reply(&peer, late, &proto_struct_mem_info, &info);
        peer_reply(&peer, msgid, &proto_struct_none, NULL);
        while (gpud_pending(peer.client) > 1)
                ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        ck_assert_int_eq(gpud_dispatch(peer.client), 0);
        ck_assert(has_sent(&peer, "mem.close", &msgid));
        peer_reply(&peer, msgid, &proto_struct_none, NULL);
        while (gpud_pending(peer.client) > 0)
                ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        ck_assert_uint_eq(taken.size, 77);
        peer_free(&peer);
}
END_TEST

/* Other replies say that gpud is at work. */
START_TEST(a_time_out_is_of_silence) {
        Peer peer = peer_new();
        int status;
        pid_t pid;

        gpud_set_timeout(peer.client, 400);
        for (int i = 0; i < 10; i++)
                ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, NULL, NULL), 0);
        pid = fork();
        if (pid == 0) {
                for (uint32_t i = 0; i <= 10; i++) {
                        usleep(100 * 1000);
                        peer_reply(&peer, i, &proto_struct_none, NULL);
                }
                _exit(0);
        }
        ck_assert_int_eq(gpud_daemon_ping(peer.client), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        peer_free(&peer);
}
END_TEST

static void try_to_block(struct gpud_client *client, int r, void *userdata) {
        int *n_refused = userdata;
        char byte;

        (void)r;
        *n_refused += gpud_daemon_ping(client) == -GPUD_E_BUSY;
        *n_refused += gpud_wait(client, 0) == -GPUD_E_BUSY;
        *n_refused += gpud_dispatch(client) == -GPUD_E_BUSY;
        *n_refused += gpud_read(client, (struct gpud_uuid){{0}}, 0, &byte, 1) == -GPUD_E_BUSY;
}

START_TEST(callback_may_not_block) {
        int n_refused = 0;
        Peer peer = peer_new();

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, try_to_block, &n_refused), 0);
        peer_reply(&peer, 0, &proto_struct_none, NULL);
        ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        ck_assert_int_eq(n_refused, 4);
        ck_assert_uint_eq(gpud_pending(peer.client), 0);
        peer_free(&peer);
}
END_TEST

/* Blocking and submitted calls mix: the blocking one runs the others' callbacks. */
START_TEST(blocking_call_runs_callbacks) {
        Tally tally = {0};
        Peer peer = peer_new();

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, done_none, &tally), 0);
        peer_reply(&peer, 0, &proto_struct_none, NULL);
        peer_reply(&peer, 1, &proto_struct_none, NULL);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), 0);
        ck_assert_int_eq(tally.n_called, 1);
        peer_free(&peer);
}
END_TEST

START_TEST(pending_calls_are_bounded) {
        Peer peer = peer_new();
        char *data = malloc(1 << 20);
        int r = 0, n = 0;

        while (r == 0 && n < 100000) {
                r = gpud_daemon_ping_submit(peer.client, NULL, NULL);
                n += r == 0;
                while (recv(peer.fd, data, 1 << 20, MSG_DONTWAIT) > 0)
                        ;
        }
        ck_assert_int_eq(r, -GPUD_E_RESOURCE_EXHAUSTED);
        ck_assert_int_eq(n, 65536);
        free(data);
        peer_free(&peer);
}
END_TEST

START_TEST(fork_cannot_use_the_connection) {
        Tally tally = {0};
        Peer peer = peer_new();
        int status;
        pid_t pid;

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, done_none, &tally), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                int good = gpud_daemon_ping(peer.client) == -GPUD_E_CONNECTION_LOST && tally.n_called == 1;

                gpud_close(peer.client);
                _exit(good && tally.n_called == 1 ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        /* The parent's goes on as if nothing had been. */
        ck_assert_int_eq(tally.n_called, 0);
        peer_reply(&peer, 0, &proto_struct_none, NULL);
        ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        ck_assert_int_eq(tally.n_called, 1);
        ck_assert_int_eq(tally.r, 0);
        peer_free(&peer);
}
END_TEST

START_TEST(several_clients_do_not_meet) {
        Peer peers[3] = {peer_new(), peer_new(), peer_new()};
        Tally tallies[3] = {0};

        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(gpud_daemon_ping_submit(peers[i].client, done_none, &tallies[i]), 0);
        peer_reply(&peers[1], 0, &proto_struct_none, NULL);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(gpud_dispatch(peers[i].client), 0);
        ck_assert_int_eq(tallies[0].n_called, 0);
        ck_assert_int_eq(tallies[1].n_called, 1);
        ck_assert_int_eq(tallies[2].n_called, 0);
        for (int i = 0; i < 3; i++)
                peer_free(&peers[i]);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/async");
        TCase *tcase = tcase_create("async");

        tcase_add_test(tcase, replies_come_in_any_order);
        tcase_add_test(tcase, hang_up_ends_every_call_once);
        tcase_add_test(tcase, closing_ends_every_call_once);
        tcase_add_test(tcase, callback_may_submit);
        tcase_add_test(tcase, silence_ends_a_call);
        tcase_add_test(tcase, a_time_out_is_of_silence);
        tcase_add_test(tcase, callback_may_not_block);
        tcase_add_test(tcase, blocking_call_runs_callbacks);
        tcase_add_test(tcase, pending_calls_are_bounded);
        tcase_add_test(tcase, fork_cannot_use_the_connection);
        tcase_add_test(tcase, several_clients_do_not_meet);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
