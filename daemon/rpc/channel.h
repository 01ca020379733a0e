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
        FdQueue fds;   /* that wait for their message */
        Buffer output; /* replies that wait to be sent */
        List decoded;  /* Request.link, to be run */
        size_t n_decoded;
        List requests;           /* Request.link, in flight */
        List ended;              /* Request.link, whose replies are still to be packed */
        size_t n_arena;          /* bytes that all of them keep: messages, arguments, results */
        void (*wake)(Channel *); /* called when there is output, or room for requests */
        bool is_broken;          /* a reply was lost for want of memory: close the connection */
};

/*
 * Begins a session of who connected. Takes over `credentials` if it succeeds. The caller deinits the channel,
 * after failure too. Returns 0 or -ENOMEM.
 */
int channel_init(Channel *channel, Registry *registry, Credentials *credentials, void (*wake)(Channel *));

/* Ends the session. Requests in flight end without a reply; those that were not run are dropped. */
void channel_deinit(Channel *channel);

/* Whether replies are still to come or to be sent. Requests that were not run yet do not count. */
bool channel_is_busy(const Channel *channel);

/* Whether so much is in flight or unsent that nothing more is to be read from the client. */
bool channel_is_full(const Channel *channel);

/* Whether a request may be run: one is decoded, and not too much is unsent. */
bool channel_can_run(const Channel *channel);

/* Whether a reply that was set aside may be packed: there is one, and less is unsent than is sent at once. */
bool channel_can_pack(const Channel *channel);

/* Returns where the next reply is packed. An output without memory takes the spare one that Rpc keeps. */
Buffer *channel_get_output(Channel *channel, Rpc *rpc);

/* Leaves the memory of an output that is all sent to Rpc, for the next channel that has something to say. */
void channel_recycle_output(Channel *channel, Rpc *rpc);
