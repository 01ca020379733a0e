#pragma once

/*
 * The way of a request, forward only: decode, authorise, resolve, execute, finish, release. Untrusted input
 * ends at decode; every refusal is decided before execute changes anything; what a handler returns becomes a
 * reply in one place, finish.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/rpc/channel.h"
#include "daemon/rpc/request.h"
#include "daemon/rpc/rpc.h"

/* The message broke the protocol; the client was told, and its connection is to be closed. */
#define PIPELINE_E_PROTOCOL 1

/*
 * Decodes one whole message of `channel`: it becomes a request that waits to be run. `is_last`: no byte after
 * it has arrived, so descriptors that it does not take belong to nobody. Returns 0, PIPELINE_E_PROTOCOL or
 * -ENOMEM.
 */
int pipeline_decode(Rpc *rpc, Channel *channel, const void *data, size_t n_data, bool is_last);

/*
 * Has the processor fetch what the decoded requests will look at, which may be in no cache: for a few of them
 * it comes in the time that it takes for one.
 */
void pipeline_prefetch(Channel *channel);

/* Runs the first of the decoded requests. Requires: there is one. */
void pipeline_run(Channel *channel);

/* Tells the client, before its connection is closed, why bytes that begin with `data` are no message. */
void pipeline_refuse(Rpc *rpc, Channel *channel, const void *data, size_t n_data, const ProtoFault *fault);

/*
 * Packs replies that were set aside until there is as much output as is sent at once: a client that has asked
 * for much gets it bit by bit, and the loop can do other things in between.
 */
void pipeline_pack(Channel *channel);

/*
 * Turns the outcome of a request into its reply and drops the request. A result that can wait is set aside
 * instead, for pipeline_pack(), if its client is still there. Handlers call request_complete().
 */
void pipeline_finish(Request *request, int r);
