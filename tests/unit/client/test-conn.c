/* The client against a peer that sends what it likes: whole, in pieces, nonsense; and what the peer gets. */

#include "tests/unit/client/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "proto/codec.h"
#include "proto/scan.h"

/* Everything the client sent, up to `n_messages` messages. */
static size_t receive(const Peer *peer, char *data, size_t n_data) {
        ssize_t n = recv(peer->fd, data, n_data, MSG_DONTWAIT);

        return n < 0 ? 0 : (size_t)n;
}

START_TEST(request_is_msgpack_rpc) {
        static const char expected[] = "\x94\x00\x00\xabmem.persist\x91\x81\xa3mem\xd9\x24"
                                       "0123abcd-0000-4000-8000-00000000ffff";
        Peer peer = peer_new();
        struct gpud_mem_own_ref args;
        char data[256];

        ck_assert(gpud_uuid_from_string("0123abcd-0000-4000-8000-00000000ffff", &args.mem));
        ck_assert_int_eq(gpud_mem_persist_submit(peer.client, &args, NULL, NULL), 0);
        ck_assert_uint_eq(receive(&peer, data, sizeof(data)), 0);
        ck_assert(gpud_events(peer.client) & POLLOUT);
        ck_assert_int_eq(gpud_dispatch(peer.client), 0);
        ck_assert_int_eq(gpud_events(peer.client), POLLIN);
        ck_assert_uint_eq(receive(&peer, data, sizeof(data)), sizeof(expected) - 1);
        ck_assert_mem_eq(data, expected, sizeof(expected) - 1);
        peer_free(&peer);
}
END_TEST

START_TEST(method_without_arguments_has_empty_params) {
        Peer peer = peer_new();
        char data[64];

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, NULL, NULL), 0);
        ck_assert_int_eq(gpud_dispatch(peer.client), 0);
        ck_assert_uint_eq(receive(&peer, data, sizeof(data)), 16);
        ck_assert_mem_eq(data,
                         "\x94\x00\x00\xab"
                         "daemon.ping\x90",
                         16);
        peer_free(&peer);
}
END_TEST

START_TEST(blocking_call_takes_its_reply) {
        const struct gpud_mem_info sent = {
                .device = "vulkan:0", .size = 1ULL << 40, .name = "a name", .refs = 3};
        struct gpud_mem_info info;
        Peer peer = peer_new();

        peer_reply(&peer, 0, &proto_struct_mem_info, &sent);
        ck_assert_int_eq(gpud_mem_info(peer.client, &(struct gpud_mem_ref){0}, &info), 0);
        ck_assert_str_eq(info.device, "vulkan:0");
        ck_assert_str_eq(info.name, "a name");
        ck_assert_uint_eq(info.size, 1ULL << 40);
        ck_assert_uint_eq(info.refs, 3);
        ck_assert(!info.has_expires_ns);
        ck_assert_uint_eq(gpud_pending(peer.client), 0);

        /* By name, and with nobody wanting the result. */
        peer_reply(&peer, 0, &proto_struct_mem_info, &sent);
        ck_assert_int_eq(gpud_call(peer.client, "mem.info", &(struct gpud_mem_ref){0}, -1, NULL), 0);
        ck_assert_int_eq(gpud_call(peer.client, "mem.infos", NULL, -1, NULL), -GPUD_E_UNKNOWN_METHOD);
        peer_free(&peer);
}
END_TEST

/* The result of a blocking call survives replies to others that come with it and after it. */
START_TEST(blocking_result_outlives_what_follows) {
        static char bytes[GPUD_INLINE_MAX];
        const struct gpud_mem_read_result sent = {.data = {bytes, sizeof(bytes)}};
        const struct gpud_mem_read_args args = {.size = sizeof(bytes)};
        struct gpud_mem_read_result result;
        Peer peer = peer_new();

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (char)(i * 7);
        for (uint32_t i = 0; i < 3; i++)
                ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, NULL, NULL), 0);
        peer_reply(&peer, 0, &proto_struct_none, NULL);
        peer_reply(&peer, 3, &proto_struct_mem_read_result, &sent);
        peer_reply(&peer, 1, &proto_struct_none, NULL);
        ck_assert_int_eq(gpud_mem_read(peer.client, &args, &result), 0);
        peer_reply(&peer, 2, &proto_struct_none, NULL);
        while (gpud_pending(peer.client) > 0)
                ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        ck_assert_uint_eq(result.data.size, sizeof(bytes));
        ck_assert_mem_eq(result.data.data, bytes, sizeof(bytes));
        peer_free(&peer);
}
END_TEST

static void count_reply(struct gpud_client *client, int r, const struct gpud_mem_list_result *result,
                        void *userdata) {
        int *n = userdata;

        (void)client;
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(result->n_mems, 1000);
        ck_assert_str_eq(result->mems[999].device, "vulkan:1");
        (*n)++;
}

/* A long reply in pieces of every awkward size. */
START_TEST(reply_comes_in_any_pieces) {
        static const size_t pieces[] = {1, 2, 3, 7, 1000, 65536, 1 << 20};
        struct gpud_mem_info *mems = calloc(1000, sizeof(*mems));
        struct gpud_mem_list_result list = {.mems = mems, .n_mems = 1000};
        msgpack_sbuffer buffer;
        Peer peer = peer_new();
        int n = 0;

        for (size_t i = 0; i < 1000; i++)
                mems[i] = (struct gpud_mem_info){.device = "vulkan:1"};
        buffer = reply_result(0, &proto_struct_mem_list_result, &list);
        for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
                ck_assert_int_eq(gpud_mem_list_submit(peer.client, NULL, count_reply, &n), 0);
                for (size_t at = 0; at < buffer.size; at += pieces[i]) {
                        size_t size = buffer.size - at < pieces[i] ? buffer.size - at : pieces[i];

                        ck_assert_int_eq(n, (int)i);
                        while (size > 0) {
                                ssize_t sent =
                                        send(peer.fd,
                                             buffer.data + at +
                                                     (pieces[i] < buffer.size - at ? pieces[i]
                                                                                   : buffer.size - at) -
                                                     size,
                                             size, MSG_DONTWAIT);

                                if (sent > 0)
                                        size -= (size_t)sent;
                                ck_assert_int_eq(gpud_dispatch(peer.client), 0);
                        }
                }
                while (n == (int)i)
                        ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        }
        msgpack_sbuffer_destroy(&buffer);
        free(mems);
        peer_free(&peer);
}
END_TEST

START_TEST(refusal_has_its_message) {
        Peer peer = peer_new();

        peer_refuse(&peer, 0, GPUD_E_OUT_OF_RANGE, "offset 4096 + size 8192 exceeds allocation size 8192");
        ck_assert_int_eq(gpud_mem_free(peer.client, &(struct gpud_mem_free_args){0}), -GPUD_E_OUT_OF_RANGE);
        ck_assert_str_eq(gpud_error_message(peer.client),
                         "offset 4096 + size 8192 exceeds allocation size 8192");
        ck_assert_uint_eq(gpud_pending(peer.client), 0);

        /* The connection goes on. */
        peer_reply(&peer, 0, &proto_struct_none, NULL);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), 0);
        peer_free(&peer);
}
END_TEST

/* A reply that this library does not understand fails its call alone. */
START_TEST(strange_result_fails_one_call) {
        Peer peer = peer_new();
        struct gpud_mem_info info;

        peer_send(&peer, "\x94\x01\x00\xc0\x81\xa3mem\x05", 10);
        ck_assert_int_eq(gpud_mem_info(peer.client, &(struct gpud_mem_ref){0}, &info), -GPUD_E_INTERNAL);
        peer_send(&peer,
                  "\x94\x01\x00\xa3"
                  "odd\xc0",
                  8);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), -GPUD_E_INTERNAL);
        /* Unknown keys are a newer gpud's. */
        peer_send(&peer, "\x94\x01\x00\xc0\x81\xa3new\x05", 10);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), 0);
        /* So are notifications. */
        peer_send(&peer,
                  "\x93\x02\xa5"
                  "event\x90",
                  9);
        peer_reply(&peer, 0, &proto_struct_none, NULL);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), 0);
        peer_free(&peer);
}
END_TEST

static const struct {
        const char *bytes;
        size_t n;
} nonsense[] = {
#define BYTES(text_)                                                                                         \
        { text_, sizeof(text_) - 1 }
        BYTES("\xc1"),
        BYTES("GET / HTTP/1.1\r\n\r\n"),
        BYTES("\x94\x01\x05\xc0\xc0"), /* nobody asked */
        BYTES("\x94\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xc0\xc0"),
        BYTES("\x94\x01\xc0\xc0\xc0"),  /* to no request */
        BYTES("\x94\x00\x00\xa1x\x90"), /* a request */
        BYTES("\x93\x01\x00\xc0"),      /* too short */
        BYTES("\xdd\x0f\xff\xff\xff"),  /* promises 268435455 items */
        BYTES("\xc6\xff\xff\xff\xff"),  /* promises 4 GiB */
        BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"),
        BYTES("\x80"),
        BYTES("\xd4\x01\x01"),
};

static void note_result(struct gpud_client *client, int r, void *userdata) {
        (void)client;
        *(int *)userdata = r;
}

START_TEST(nonsense_ends_the_connection) {
        Peer peer = peer_new();

        peer_send(&peer, nonsense[_i].bytes, nonsense[_i].n);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), -GPUD_E_CONNECTION_LOST);
        ck_assert(gpud_error_message(peer.client)[0]);
        ck_assert_uint_eq(gpud_pending(peer.client), 0);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), -GPUD_E_CONNECTION_LOST);
        ck_assert_int_eq(gpud_dispatch(peer.client), -GPUD_E_CONNECTION_LOST);
        ck_assert_int_eq(gpud_wait(peer.client, -1), -GPUD_E_CONNECTION_LOST);
        peer_free(&peer);
}
END_TEST

/* As gpud does where it has as many connections as it may: before it has read anything. */
START_TEST(a_refused_connection_says_why) {
        Peer peer = peer_new();
        int r = -1;

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, note_result, &r), 0);
        peer_refuse_any(&peer, NULL, GPUD_E_RESOURCE_EXHAUSTED,
                        "gpud has 3 connections, limit connections_max = 3");
        peer_hang_up(&peer);
        for (int i = 0; i < 2; i++) {
                ck_assert_int_eq(gpud_daemon_ping(peer.client), -GPUD_E_RESOURCE_EXHAUSTED);
                ck_assert_str_eq(gpud_error_message(peer.client),
                                 "gpud has 3 connections, limit connections_max = 3");
        }
        ck_assert_int_eq(r, -GPUD_E_RESOURCE_EXHAUSTED);
        ck_assert_int_eq(gpud_wait(peer.client, -1), -GPUD_E_RESOURCE_EXHAUSTED);
        peer_free(&peer);
}
END_TEST

START_TEST(half_a_reply_and_silence) {
        Peer peer = peer_new();

        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, NULL, NULL), 0);
        peer_send(&peer, "\x94\x01", 2);
        ck_assert_int_eq(gpud_wait(peer.client, 1000), 0);
        ck_assert_int_eq(gpud_wait(peer.client, 10), -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert_uint_eq(gpud_pending(peer.client), 1);
        peer_hang_up(&peer);
        ck_assert_int_eq(gpud_wait(peer.client, -1), -GPUD_E_CONNECTION_LOST);
        ck_assert_uint_eq(gpud_pending(peer.client), 0);
        peer_free(&peer);
}
END_TEST

/* What the daemon said last is heard, though it no longer listens; and no SIGPIPE, ever. */
START_TEST(last_words_are_read) {
        Peer peer = peer_new();

        signal(SIGPIPE, SIG_DFL);
        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, NULL, NULL), 0);
        peer_refuse(&peer, 0, GPUD_E_BUSY, "going down");
        peer_hang_up(&peer);
        ck_assert_int_eq(gpud_daemon_ping(peer.client), -GPUD_E_CONNECTION_LOST);
        ck_assert_uint_eq(gpud_pending(peer.client), 0);
        peer_free(&peer);
}
END_TEST

/* ---- descriptors ---- */

/* One recvmsg at the peer; returns its bytes and whether a descriptor came along. */
static size_t receive_fd(const Peer *peer, char *data, size_t n_data, int *ret_fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {data, n_data};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(peer->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        *ret_fd = -1;
        ck_assert_int_ge(n, 0);
        if (CMSG_FIRSTHDR(&message))
                memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
        return (size_t)n;
}

/* The message that takes a descriptor is a packet of its own, wherever it stands in the queue. */
START_TEST(descriptor_travels_with_its_message) {
        const struct gpud_shm_register_args args = {.size = 4096};
        Peer peer = peer_new();
        char data[256];
        int memfd, fd;
        size_t n;

        memfd = memfd_create("test", MFD_CLOEXEC);
        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, NULL, NULL), 0);
        ck_assert_int_eq(gpud_shm_register_submit(peer.client, &args, memfd, NULL, NULL), 0);
        ck_assert_int_eq(gpud_shm_register_submit(peer.client, &args, memfd, NULL, NULL), 0);
        ck_assert_int_eq(gpud_daemon_ping_submit(peer.client, NULL, NULL), 0);
        /* The caller's descriptor is the caller's at once. */
        close(memfd);
        ck_assert_int_eq(gpud_dispatch(peer.client), 0);

        n = receive_fd(&peer, data, 16, &fd);
        ck_assert_uint_eq(n, 16);
        ck_assert_int_eq(fd, -1);
        for (int i = 0; i < 2; i++) {
                n = receive_fd(&peer, data, sizeof(data), &fd);
                ck_assert_int_ge(fd, 0);
                ck_assert_mem_eq(data + 4, "shm.register", 12);
                ck_assert_mem_eq(data + n - 3, "\xcd\x10\x00", 3);
                close(fd);
        }
        n = receive_fd(&peer, data, sizeof(data), &fd);
        ck_assert_uint_eq(n, 16);
        ck_assert_int_eq(fd, -1);
        peer_free(&peer);
}
END_TEST

static size_t count_fds(void) {
        size_t n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

START_TEST(descriptors_do_not_leak) {
        const struct gpud_shm_register_args args = {.size = 4096};
        size_t before = count_fds();
        Peer peer = peer_new();
        int memfd = memfd_create("test", MFD_CLOEXEC);
        struct iovec iov = {(void *)(uintptr_t) "\x93\x02\xa1x\x90", 5};
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS}};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control.space)};

        /* Ones that nobody asked for ... */
        memcpy(CMSG_DATA(&control.header), &memfd, sizeof(int));
        ck_assert_int_eq(sendmsg(peer.fd, &message, 0), 5);
        ck_assert_int_eq(gpud_dispatch(peer.client), 0);
        /* ... a wrong one ... */
        ck_assert_int_eq(gpud_shm_register_submit(peer.client, &args, 9999, NULL, NULL), -GPUD_E_SYSTEM_CALL);
        /* ... and ones that never left. */
        ck_assert_int_eq(gpud_shm_register_submit(peer.client, &args, memfd, NULL, NULL), 0);
        close(memfd);
        peer_free(&peer);
        ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* More than the socket takes at once: the rest goes out as the peer reads. */
START_TEST(long_output_leaves_in_parts) {
        static char meta[512 * 1024];
        const struct gpud_mem_meta_args args = {.meta = {meta, sizeof(meta)}};
        Peer peer = peer_new();
        size_t n_total = 0, n;
        char *data = malloc(1 << 20);

        for (int i = 0; i < 16; i++)
                ck_assert_int_eq(gpud_mem_meta_submit(peer.client, &args, NULL, NULL), 0);
        ck_assert(gpud_events(peer.client) & POLLOUT);
        do {
                ck_assert_int_eq(gpud_dispatch(peer.client), 0);
                n = receive(&peer, data, 1 << 20);
                n_total += n;
        } while (n > 0);
        ck_assert_uint_gt(n_total, 16 * sizeof(meta));
        ck_assert_int_eq(gpud_events(peer.client), POLLIN);
        free(data);
        peer_free(&peer);
}
END_TEST

START_TEST(queue_is_bounded) {
        static char meta[GPUD_META_MAX];
        const struct gpud_mem_meta_args args = {.meta = {meta, sizeof(meta)}};
        Peer peer = peer_new();
        int r = 0, n = 0;

        while (r == 0 && n++ < 1000)
                r = gpud_mem_meta_submit(peer.client, &args, NULL, NULL);
        ck_assert_int_eq(r, -GPUD_E_RESOURCE_EXHAUSTED);
        ck_assert_int_lt(n, 30);
        peer_free(&peer);
}
END_TEST

START_TEST(request_over_the_limit_is_refused_here) {
        static char meta[GPUD_MESSAGE_MAX];
        const struct gpud_mem_meta_args args = {.meta = {meta, sizeof(meta)}};
        Peer peer = peer_new();

        ck_assert_int_eq(gpud_mem_meta_submit(peer.client, &args, NULL, NULL), -GPUD_E_INVALID_ARGUMENT);
        ck_assert_uint_eq(gpud_pending(peer.client), 0);
        ck_assert_int_eq(gpud_events(peer.client), POLLIN);
        peer_free(&peer);
}
END_TEST

START_TEST(wrong_arguments_are_refused_here) {
        const struct gpud_mem_alloc_args args = {
                .device = "vulkan:0", .size = 1, .lifetime = (enum gpud_lifetime)77, .has_lifetime = true};
        Peer peer = peer_new();

        ck_assert_int_eq(gpud_mem_alloc(peer.client, &args, NULL), -GPUD_E_INVALID_ARGUMENT);
        ck_assert_int_eq(gpud_mem_fill(peer.client, &(struct gpud_mem_fill_args){.pattern = {NULL, 4}}),
                         -GPUD_E_INVALID_ARGUMENT);
        ck_assert_int_eq(gpud_device_info(peer.client, &(struct gpud_device_ref){0}, NULL),
                         -GPUD_E_INVALID_ARGUMENT);
        ck_assert_str_eq(gpud_error_message(peer.client), "`device` is missing");
        peer_free(&peer);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/conn");
        TCase *tcase = tcase_create("conn");

        tcase_add_test(tcase, request_is_msgpack_rpc);
        tcase_add_test(tcase, method_without_arguments_has_empty_params);
        tcase_add_test(tcase, blocking_call_takes_its_reply);
        tcase_add_test(tcase, blocking_result_outlives_what_follows);
        tcase_add_test(tcase, reply_comes_in_any_pieces);
        tcase_add_test(tcase, refusal_has_its_message);
        tcase_add_test(tcase, strange_result_fails_one_call);
        tcase_add_loop_test(tcase, nonsense_ends_the_connection, 0, sizeof(nonsense) / sizeof(*nonsense));
        tcase_add_test(tcase, a_refused_connection_says_why);
        tcase_add_test(tcase, half_a_reply_and_silence);
        tcase_add_test(tcase, last_words_are_read);
        tcase_add_test(tcase, descriptor_travels_with_its_message);
        tcase_add_test(tcase, descriptors_do_not_leak);
        tcase_add_test(tcase, long_output_leaves_in_parts);
        tcase_add_test(tcase, queue_is_bounded);
        tcase_add_test(tcase, request_over_the_limit_is_refused_here);
        tcase_add_test(tcase, wrong_arguments_are_refused_here);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
