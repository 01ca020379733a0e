#pragma once

/*
 * The socket side: the listening sockets and the connections. Owns every Peer; runs on the loop thread.
 *
 * Sockets are polled and read here with recvmsg and sendmsg: libuv's own streams cannot carry memfds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "daemon/net/credentials.h"
#include "daemon/rpc/pipeline.h"
#include "daemon/util/list.h"

typedef struct Net Net;

/* Bytes that one recvmsg may bring. */
#define NET_SCRATCH_SIZE ((size_t)256 * 1024)

struct Net {
        uv_loop_t *loop;
        Pipeline *pipeline;      /* borrowed */
        const AdminList *admins; /* borrowed */
        size_t connections_max;
        uv_poll_t listener;
        int listener_fd;
        char *path;        /* to unlink at the end; NULL: the socket was passed in */
        bool is_listening; /* polled for connections */
        bool is_stopping;  /* nothing more is read */
        List peers;        /* Peer.link */
        size_t n_peers;
        List dirty;    /* Peer.dirty_link: something changed that net_flush() has to look at */
        char *scratch; /* what one recvmsg brings */
};

/* Takes over the listening socket `fd`, and `path`, which it unlinks at the end. Returns 0 or -errno. */
int net_init(Net *net, uv_loop_t *loop, Pipeline *pipeline, const AdminList *admins, size_t connections_max,
             int fd, char *path);

/* All handles are closed and have been seen off by the loop. */
void net_deinit(Net *net);

/* Accepts connections again after a shortage; a peer that closes calls it. */
void net_resume_listening(Net *net);

/* Sends what waits, goes on with connections that were full. Once per loop turn. */
void net_flush(Net *net);

/* Accepts and reads nothing more; requests in flight still get their replies. */
void net_stop(Net *net);

/* Whether every reply has been sent or its client is gone. */
bool net_is_drained(Net *net);

/* Closes every connection and the listener. */
void net_close(Net *net);
