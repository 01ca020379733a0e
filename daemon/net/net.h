#pragma once

/*
 * The socket side: the listening sockets and the connections. Owns every Peer; runs on the loop thread.
 *
 * Sockets are served by recvmsg and sendmsg: libuv's own streams cannot carry memfds. They are not polled by
 * libuv either: with more than 1,024 that are ready, it asks for their events up to 48 times in one turn.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "daemon/net/idmap.h"
#include "daemon/net/listener.h"
#include "daemon/options.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/list.h"
#include "daemon/util/log.h"

typedef struct Net Net;

/* Bytes that one recvmsg may bring. */
#define NET_SCRATCH_SIZE ((size_t)256 * 1024)

/* Work between two looks at the clock, in bytes: a look costs a tenth of a small request. */
#define NET_CLOCK_BYTES   ((size_t)16 * 1024)
#define NET_REQUEST_BYTES ((size_t)1024) /* that any request counts for at least */

struct Net {
        int epoll_fd;              /* borrowed; what the loop sleeps on */
        Rpc *rpc;                  /* borrowed */
        const NetOptions *options; /* borrowed */
        Listener listener;
        int spare_fd;       /* kept to be given up for a connection that is refused for want of one */
        uint64_t resume_ns; /* when to try again to accept after a shortage; 0: there is none */
        LogGate refusals;
        IdMaps ids;
        bool is_listening; /* the listener is polled */
        bool has_arrivals; /* connections wait to be accepted */
        bool is_stopping;  /* nothing more is read */
        List peers;        /* Peer.link */
        size_t n_peers;
        List dirty;         /* Peer.dirty_link: something changed that net_serve() has to look at */
        uint64_t until_ns;  /* when net_serve() leaves the rest to the next turn */
        bool is_late;       /* that time has come */
        size_t n_unclocked; /* work since the clock was read */
        char *scratch;      /* what one recvmsg brings */
};

/* Before net_init(), for net_deinit(). */
#define NET_NULL                                                                                             \
        { .listener = LISTENER_NULL, .spare_fd = -1 }

/*
 * Listens: on `fd`, which is passed in and becomes its own, or, if that is -1, on a socket that it makes as
 * `options` say. Polls by `epoll_fd`, whose events net_take_event() gets. Returns 0 or -errno; then
 * net_deinit() is due all the same.
 */
int net_init(Net *net, int epoll_fd, Rpc *rpc, const NetOptions *options, int fd);

/* Requires: no connection is left. Works on NET_NULL and after a net_init() that failed. */
void net_deinit(Net *net);

/*
 * Accepts connections again after a shortage. A peer that closes, and so makes room, calls it; so does
 * time.
 */
void net_resume_listening(Net *net);

/* The options may be others: who is an administrator is decided again. */
void net_update(Net *net);

/* Returns when net_serve() has something to do that no event tells; 0: nothing. */
static inline uint64_t net_get_next_ns(const Net *net) {
        return net->resume_ns;
}

/* Notes that a socket has something to do. Who is served in this turn, net_serve() decides. */
void net_take_event(Net *net, const struct epoll_event *event);

/*
 * Serves the connections that have something to do, in turn: reads, runs requests, sends. Once per loop turn.
 * Returns whether the time was not enough for all of it: then the loop must not sleep.
 */
bool net_serve(Net *net);

/* Looks at the clock. Returns whether net_serve() has had its time. */
bool net_read_clock(Net *net);

/* Counts some work by its bytes. */
static inline void net_count(Net *net, size_t n_bytes) {
        net->n_unclocked += n_bytes;
}

/* Counts a request, and looks at the clock after much work. Returns whether net_serve() has had its time. */
static inline bool net_is_late(Net *net, size_t n_bytes) {
        net_count(net, NET_REQUEST_BYTES + n_bytes);
        return net->n_unclocked < NET_CLOCK_BYTES ? net->is_late : net_read_clock(net);
}

/* Accepts and reads nothing more; requests in flight still get their replies. */
void net_stop(Net *net);

/* Whether every reply has been sent or its client is gone. */
bool net_is_drained(Net *net);

/* Closes every connection and the listener. */
void net_close(Net *net);
