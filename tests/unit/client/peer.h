#pragma once

/*
 * The other end of a client's socket, played by the test: it reads what the client sends and writes whatever
 * it likes, at any time and in any pieces.
 */

#include <check.h>
#include <msgpack.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "proto/message.h"

typedef struct Peer {
        struct gpud_client *client;
        int fd; /* the daemon's end */
} Peer;

static inline Peer peer_new(void) {
        Peer peer;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(client_new(&peer.client, fds[0]), 0);
        peer.fd = fds[1];
        return peer;
}

static inline void peer_hang_up(Peer *peer) {
        close(peer->fd);
        peer->fd = -1;
}

static inline void peer_free(Peer *peer) {
        gpud_close(peer->client);
        if (peer->fd >= 0)
                close(peer->fd);
}

static inline void peer_send(const Peer *peer, const void *data, size_t n) {
        ck_assert_int_eq(send(peer->fd, data, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* The bytes of a whole reply; the caller frees them. */
static inline msgpack_sbuffer reply_result(uint32_t msgid, const ProtoStruct *type, const void *result) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        ck_assert_int_eq(message_pack_result(&packer, msgid, type, result), 0);
        return buffer;
}

static inline void peer_reply(const Peer *peer, uint32_t msgid, const ProtoStruct *type, const void *result) {
        msgpack_sbuffer buffer = reply_result(msgid, type, result);

        peer_send(peer, buffer.data, buffer.size);
        msgpack_sbuffer_destroy(&buffer);
}

/* `msgid` NULL: nil. */
static inline void peer_refuse_any(const Peer *peer, const uint32_t *msgid, int code, const char *text) {
        ProtoFault fault = {.code = code};
        msgpack_sbuffer buffer;
        msgpack_packer packer;

        snprintf(fault.text, sizeof(fault.text), "%s", text);
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        ck_assert_int_eq(message_pack_error(&packer, msgid, &fault), 0);
        peer_send(peer, buffer.data, buffer.size);
        msgpack_sbuffer_destroy(&buffer);
}

static inline void peer_refuse(const Peer *peer, uint32_t msgid, int code, const char *text) {
        peer_refuse_any(peer, &msgid, code, text);
}

static inline int run_suite(Suite *suite) {
        SRunner *runner = srunner_create(suite);
        int n_failed;

        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
