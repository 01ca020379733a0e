#pragma once

/*
 * One connection: bytes and file descriptors in, whole messages to the pipeline, replies out. Owned by Net.
 */

#include <stdbool.h>

#include "daemon/net/net.h"
#include "daemon/rpc/channel.h"
#include "daemon/util/buffer.h"
#include "daemon/util/list.h"
#include "proto/scan.h"

typedef struct Peer {
        Channel channel;
        Net *net;
        int fd;
        uint32_t events;     /* of epoll, polled for */
        uint32_t events_due; /* of epoll, that came and are not looked at yet */
        Buffer input;        /* bytes of messages that are not run yet */
        Scan scan;           /* of the message at the front of `input` */
        bool is_cut_short;   /* for want of time, not all that could be run was */
        bool is_half_closed; /* the client sends no more; what it sent may not be read yet */
        bool is_eof;         /* the client has sent its last byte */
        bool is_ending;      /* to be closed once the output is sent */
        List link;           /* Net.peers */
        List dirty_link;     /* Net.dirty */
} Peer;

/*
 * Takes over the connected socket `fd`, also when it fails, and `credentials` if it does not. Returns 0 or
 * -errno.
 */
int peer_new(Net *net, int fd, Credentials *credentials);

/* Closes the connection and ends its session. NULL is fine. Returns NULL. */
Peer *peer_free(Peer *peer);

/* Notes events of epoll. Who is served in this turn, net_serve() decides. */
void peer_note(Peer *peer, uint32_t events);

/*
 * Does what the peer's events ask for, runs messages that wait, sends replies that wait, and polls for what
 * is due next. What the turn's time is not enough for is done in the next one, after the other peers had
 * theirs. A peer that has come to its end is freed.
 */
void peer_serve(Peer *peer);

/* Whether replies are still to come or to be sent. */
bool peer_is_busy(const Peer *peer);
