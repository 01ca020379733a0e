#pragma once

/*
 * The socket of one client: bytes and descriptors out, whole messages in. Knows nothing of what they say.
 * The socket itself is in blocking mode, so that a waiting call is one recv() and not poll() and recv();
 * everything that must not block says MSG_DONTWAIT.
 */

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/scan.h"

/* A queued message that takes a descriptor: bytes start to end of the output. */
typedef struct ConnFd {
        size_t start;
        size_t end;
        int fd; /* owned */
} ConnFd;

typedef struct Conn {
        int fd; /* owned */
        msgpack_sbuffer output;
        size_t n_sent; /* bytes of it that are out */
        ConnFd *fds;   /* in order */
        size_t n_fds;
        size_t fds_capacity;
        char *input;
        size_t input_start; /* first byte of the message being received */
        size_t input_end;
        size_t input_capacity;
        Scan scan;
        char *kept; /* the input buffer that conn_keep() put aside */
        size_t kept_capacity;
        bool is_send_broken; /* the peer takes no more; what it said before is still read */
} Conn;

enum {
        _CONN_E_SUCCESS,
        CONN_E_AGAIN,   /* nothing there, or a signal came */
        CONN_E_CLOSED,  /* the peer hung up */
        CONN_E_MORE,    /* no whole message yet */
        CONN_E_INVALID, /* what came is no message */
        CONN_E_SYSTEM,  /* errno says what */
        CONN_E_NO_MEMORY,
};

/* Takes over `fd`. 0 or CONN_E_NO_MEMORY; deinit is due either way. */
int conn_init(Conn *conn, int fd);
void conn_deinit(Conn *conn);

/* Bytes that wait to be sent. */
size_t conn_get_n_queued(const Conn *conn);

/*
 * Lets `fd` travel with the message queued from `start` to the end of the output, and takes it over. On
 * CONN_E_NO_MEMORY it is still the caller's.
 */
int conn_queue_fd(Conn *conn, size_t start, int fd);

/* Sends what the socket takes. Never blocks. */
int conn_flush(Conn *conn);

/* Receives once; if `is_blocking`, waits for it. 0, CONN_E_AGAIN, _CLOSED, _SYSTEM or _NO_MEMORY. */
int conn_read(Conn *conn, bool is_blocking);

/*
 * Finds the next whole message. It stays until the next conn_read(). 0, CONN_E_MORE, or CONN_E_INVALID with
 * what is wrong in `ret_fault`.
 */
int conn_next(Conn *conn, const void **ret_data, size_t *ret_size, char *ret_fault, size_t n_fault);

/* Lets the message of the last conn_next() stay until conn_keep() is called again. 0 or CONN_E_NO_MEMORY. */
int conn_keep(Conn *conn);
