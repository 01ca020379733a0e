#pragma once

/*
 * A connected client as the pipeline sees it: its session, what came from it and what goes to it. The
 * connection (net) owns it, moves the bytes, and is woken when a request has ended.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/object/session.h"
#include "daemon/rpc/fdqueue.h"
#include "daemon/util/buffer.h"
#include "daemon/util/list.h"

typedef struct Channel Channel;
typedef struct Request Request;
typedef struct Rpc Rpc;

struct Channel {
        Session *session;
        FdQueue fds;   /* came, and wait for their message */
        Buffer output; /* waits to be sent */
        List decoded;  /* Request.link, to be run */
        size_t n_decoded;
        List requests;           /* Request.link, in flight */
        List ended;              /* Request.link, whose replies are to be packed yet */
        size_t n_arena;          /* bytes that these keep, messages and results */
        void (*wake)(Channel *); /* there is output, or room for requests */
        bool is_broken;          /* a reply was lost for want of memory: close the connection */
};

/*
 * Begins a session of `credentials`, which it takes over if it succeeds. The caller deinits the channel, after failure
 * too. Returns 0 or -ENOMEM.
 */
int channel_init(Channel *channel, Registry *registry, Credentials *credentials, void (*wake)(Channel *));

/* Lets go of the requests in flight, which end without a reply, drops those not run yet, and ends the session. */
void channel_deinit(Channel *channel);

/* Whether replies are still to come or to be sent, those to requests not run yet aside. */
bool channel_is_busy(const Channel *channel);

/* Whether it has so much in flight or unsent that nothing more is read from it. */
bool channel_is_full(const Channel *channel);

/* Whether a request may be run: there is one, and not too much unsent. */
bool channel_can_run(const Channel *channel);

/* Whether a reply that was set aside may be packed: there is one, and less unsent than is sent at once. */
bool channel_can_pack(const Channel *channel);

/* Where the next reply is packed. An output without memory takes that which Rpc keeps for the next one. */
Buffer *channel_get_output(Channel *channel, Rpc *rpc);

/* Leaves the memory of the output to Rpc, for the next channel that has something to say, once all of it is sent. */
void channel_recycle_output(Channel *channel, Rpc *rpc);
