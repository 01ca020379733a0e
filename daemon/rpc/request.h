#pragma once

/*
 * One request, from its message to its reply. It owns the descriptor that came with it and an arena (the
 * zone) for arguments and result; both go when the reply is queued. Its client may go first: then the request
 * ends without a reply.
 */

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/gpu/op.h"
#include "daemon/rpc/channel.h"
#include "daemon/util/error.h"
#include "daemon/util/list.h"
#include "proto/fault.h"
#include "proto/table.h"

typedef struct Rpc Rpc;
typedef struct Request Request;

/* One row per method, in the order of proto_methods: what runs it, and the layout of its arguments. */
typedef struct MethodRow {
        int (*call)(Request *request, const void *args, void *result);
        const ProtoStruct *args;
} MethodRow;

struct Request {
        Rpc *rpc;
        Channel *channel; /* NULL: the client has gone */
        List link;        /* Channel.decoded, .requests or .ended, or Rpc.spare */
        msgpack_zone zone;
        size_t n_arena; /* bytes that count against the client: the message, and what is in `zone` */
        uint32_t msgid;
        int r;            /* outcome of decode and authorise; the client is told in its turn */
        bool wants_reply; /* false: it came as a notification */
        bool owns_result; /* the result may be large, and points to nothing outside: its reply can wait */
        const ProtoMethod *method;
        const MethodRow *row;
        void *args;
        void *result;
        void *scratch; /* the handler's own, to find its way back on completion */
        int fd;        /* the descriptor that came with it; -1: none */
        ProtoFault fault;
        GpuOp op;
};

/*
 * Takes a spare request of Rpc's, or makes one, for a message of `n_message` bytes, and puts it behind the
 * client's decoded ones. Returns 0 or -ENOMEM.
 */
int request_new(Request **ret_request, Rpc *rpc, Channel *channel, size_t n_message);

/* Drops everything that the request owns. NULL is fine. Returns NULL. */
Request *request_free(Request *request);

/* Takes the request off its client, which has gone: it ends without a reply. */
void request_orphan(Request *request);

/*
 * Returns memory that lives as long as the request and counts against its client; NULL if there is none.
 * Requires: the client has not gone.
 */
void *request_alloc(Request *request, size_t size);

/* request_alloc(), zeroed. */
void *request_alloc_zero(Request *request, size_t size);

/* Says why the request is refused. Returns `code`. */
#define request_refuse(request_, ...) proto_fault(&(request_)->fault, __VA_ARGS__)

/*
 * Ends a request whose handler returned REQUEST_LATER: `r` is 0 and the result is filled in, or a GPUD_E_
 * code, or -errno. The request is gone afterwards.
 */
void request_complete(Request *request, int r);

/* Returns the session that asks. Requires: the client has not gone; until the handler returns, it has not. */
static inline Session *request_get_session(const Request *request) {
        return request->channel->session;
}
