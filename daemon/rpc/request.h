#pragma once

/*
 * One request, from its message to its reply. It owns the descriptor that came with it and an arena (the zone)
 * for arguments and result; both go when the reply is queued. Its client may go first: then it ends without a
 * reply.
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
        Channel *channel; /* NULL: it went */
        List link;        /* Channel.decoded, .requests or .ended, or Rpc.spare */
        msgpack_zone zone;
        size_t n_arena; /* bytes that count against the client: the message, and what is in `zone` */
        uint32_t msgid;
        int r;            /* of decoding it; the reply comes when it is its turn */
        bool wants_reply; /* false: it came as a notification */
        bool owns_result; /* it may be large, and points to nothing else: the reply can be packed later */
        const ProtoMethod *method;
        const MethodRow *row;
        void *args;
        void *result;
        void *scratch; /* the handler's own, to find its way back on completion */
        int fd;        /* came with it; -1: none */
        ProtoFault fault;
        GpuOp op;
};

/*
 * Takes a request off the pipeline's spare ones, or makes one, for a message of `n_message` bytes; it is the client's
 * last decoded one. Returns 0 or -ENOMEM.
 */
int request_new(Request **ret_request, Rpc *rpc, Channel *channel, size_t n_message);

/* Drops everything it owns. Returns NULL. */
Request *request_free(Request *request);

/* Its client has gone. */
void request_orphan(Request *request);

/* Memory that lives as long as the request and counts against its client; NULL without memory. */
void *request_alloc(Request *request, size_t size);

/* The same, zeroed. */
void *request_alloc_zero(Request *request, size_t size);

/* Says why the request is refused. Returns `code`. */
#define request_refuse(request_, ...) proto_fault(&(request_)->fault, __VA_ARGS__)

/*
 * Ends a request whose handler returned REQUEST_LATER: `r` is 0 and the result is filled in, or a GPUD_E_
 * code, or -errno. The request is gone afterwards.
 */
void request_complete(Request *request, int r);

/* The session that asks. Only in a handler: later the client may have gone. */
static inline Session *request_get_session(const Request *request) {
        return request->channel->session;
}
