/*
 * The way of a request: six steps, forward only, which stand here in their order.
 *
 *   decode      decode()            here        a message becomes arguments; nothing behind it is untrusted
 *   authorise   authorise()         here        may the caller call the method at all?
 *   resolve     request_resolve()   resolve.c   names become objects, if the caller has a right to them
 *   execute     execute()           here        the method's handler, of daemon/method/
 *   finish      pipeline_finish()   here        what came out becomes a reply
 *   release     request_free()      request.c   what the request owns goes
 *
 * Below the steps stand the functions that take them: pipeline_decode() the first two, pipeline_run() the
 * others. In between, requests wait in Channel.decoded, so that what several need from memory is fetched
 * together. Where a handler returns REQUEST_LATER, pipeline_run() stops there, and request_complete() takes
 * the last two.
 */

#include "daemon/rpc/pipeline.h"

#include <errno.h>
#include <string.h>

#include "daemon/rpc/resolve.h"
#include "daemon/util/error.h"
#include "proto/codec.h"
#include "proto/message.h"

/* Bytes to envelope: they must be a message, and one for a server. */
static int open_message(const void *data, size_t n_data, Message *ret_message, ProtoFault *fault) {
        int r = message_parse(data, n_data, ret_message, fault);

        if (r == 0 && ret_message->type == MESSAGE_RESPONSE)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "message is a response, and gpud asked nothing");
        return r;
}

/* Takes the descriptor that the method wants. A request that brought more is refused. */
static int take_fd(Request *request, bool is_last) {
        FdQueue *fds = &request->channel->fds;
        size_t n_wanted = request->method->n_fds;
        size_t n_fds = fds->n_fds;

        if (n_wanted > 0 && n_fds == 0)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "%s takes %zu file descriptor, none is attached", request->method->name,
                                      n_wanted);
        if (n_wanted > 0)
                request->fd = fd_queue_pop(fds);
        if (!is_last || fds->n_fds == 0)
                return 0;
        fd_queue_deinit(fds);
        return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                              "%s takes %zu file descriptors, %zu are attached", request->method->name,
                              n_wanted, n_fds);
}

/* Envelope to arguments: there must be such a method, and what came be what it takes. */
static int decode(Request *request, const Message *message, bool is_last) {
        int r;

        request->method = proto_method_find(message->method, message->n_method);
        if (!request->method)
                return request_refuse(request, GPUD_E_UNKNOWN_METHOD, "unknown method `%.*s`",
                                      (int)MIN(message->n_method, (size_t)64), message->method);
        request->row = &request->rpc->rows[request->method - proto_methods];
        r = take_fd(request, is_last);
        if (r)
                return r;
        request->args = request_alloc(request, request->row->args->size);
        request->result = request_alloc_zero(request, request->method->result->size);
        if (!request->args || !request->result)
                return error_origin(-ENOMEM);
        r = codec_decode(request->row->args, CODEC_ARGUMENTS, message->arguments, &request->zone,
                         request->args, &request->fault);
        return r < 0 ? error_origin(r) : r;
}

/* Whether the caller may call the method at all. */
static int authorise(Request *request) {
        const Credentials *credentials = &request_get_session(request)->credentials;

        if (request->method->access == PROTO_ACCESS_ADMIN && !credentials->is_admin)
                return request_refuse(request, GPUD_E_PERMISSION_DENIED,
                                      "%s is for administrators, uid %u is none", request->method->name,
                                      credentials->uid);
        return 0;
}

static int execute(Request *request) {
        return request->row->call(request, request->args, request->result);
}

/* Finds words for what is not explained yet: failures of gpud, and conditions that only have a code. */
static void explain(Request *request, int r) {
        if (r == -ENOMEM)
                request_refuse(request, GPUD_E_RESOURCE_EXHAUSTED, "gpud is out of host memory");
        else if (r < 0)
                request_refuse(request, GPUD_E_INTERNAL, "gpud failed: %s", strerror(-r));
        else if (request->fault.code != r)
                request_refuse(request, r, "%s", proto_error_find(r)->text);
}

/* Appends the reply to the client's output, or nothing of it if there is no memory for all of it. */
static int pack_reply(Request *request, int r) {
        Buffer *output = channel_get_output(request->channel, request->rpc);
        size_t length = buffer_get_length(output);
        msgpack_packer packer;

        msgpack_packer_init(&packer, output, buffer_write);
        if (r == 0)
                r = message_pack_result(&packer, request->msgid, request->method->result, request->result);
        else
                r = message_pack_error(&packer, &request->msgid, &request->fault);
        if (r)
                output->end = output->start + length;
        return r;
}

/* Leaves the reply to pipeline_pack(), until there is room for it in the client's output. */
static void set_aside(Request *request) {
        Channel *channel = request->channel;

        request->owns_result = false;
        list_unlink(&request->link);
        list_link(&channel->ended, &request->link);
        channel->wake(channel);
}

void pipeline_finish(Request *request, int r) {
        Rpc *rpc = request->rpc;
        Channel *channel = request->channel;

        if (request->owns_result && channel && r == 0) {
                set_aside(request);
                return;
        }
        rpc->stats.n_requests++;
        if (r) {
                rpc->stats.n_errors++;
                explain(request, r);
        }
        if (channel && request->wants_reply && pack_reply(request, r))
                channel->is_broken = true;
        request_free(request);
        /* Also where there is no reply: so much may have been in flight that nothing was read. */
        if (channel)
                channel->wake(channel);
}

int pipeline_decode(Rpc *rpc, Channel *channel, const void *data, size_t n_data, bool is_last) {
        Request *request;
        Message message;
        ProtoFault fault;
        int r;

        if (open_message(data, n_data, &message, &fault)) {
                pipeline_refuse(rpc, channel, data, n_data, &fault);
                return PIPELINE_E_PROTOCOL;
        }
        r = request_new(&request, rpc, channel, n_data);
        if (r)
                return r;
        request->msgid = message.msgid;
        request->wants_reply = message.type == MESSAGE_REQUEST;

        request->r = decode(request, &message, is_last);
        if (request->r == 0)
                request->r = authorise(request);
        return 0;
}

void pipeline_prefetch(Channel *channel) {
        list_for_each (link, &channel->decoded) {
                Request *request = container_of(link, Request, link);

                if (request->r == 0)
                        request_prefetch(request);
        }
}

void pipeline_run(Channel *channel) {
        Request *request = container_of(list_first(&channel->decoded), Request, link);
        int r = request->r;

        channel->n_decoded--;
        list_unlink(&request->link);
        list_link(&channel->requests, &request->link);
        if (r == 0)
                r = request_resolve(request);
        if (r == 0)
                r = execute(request);
        if (r != REQUEST_LATER)
                pipeline_finish(request, r);
}

void pipeline_pack(Channel *channel) {
        while (channel_can_pack(channel))
                pipeline_finish(container_of(list_first(&channel->ended), Request, link), 0);
}

void pipeline_refuse(Rpc *rpc, Channel *channel, const void *data, size_t n_data, const ProtoFault *fault) {
        msgpack_packer packer;
        uint32_t msgid;
        bool has_msgid = message_peek_msgid(data, n_data, &msgid);

        while (channel->n_decoded > 0)
                pipeline_run(channel);
        rpc->stats.n_requests++;
        rpc->stats.n_errors++;
        msgpack_packer_init(&packer, channel_get_output(channel, rpc), buffer_write);
        /* The connection is closed next: without memory, the client just is not told why. */
        (void)message_pack_error(&packer, has_msgid ? &msgid : NULL, fault);
        channel->wake(channel);
}
