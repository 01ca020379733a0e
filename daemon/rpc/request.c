/* Requests, and a few spare ones kept so that a busy connection does not go through malloc for each. */

#include "daemon/rpc/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/rpc/pipeline.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/error.h"
#include "daemon/util/fd.h"

/* Holds the arguments and the result of nearly every request. */
#define ZONE_CHUNK ((size_t)2048)

#define SPARE_MAX ((size_t)256) /* requests */

static int request_new_fresh(Request **ret_request) {
        _cleanup_(freep) Request *request = calloc(1, sizeof(*request));

        if (!request || !msgpack_zone_init(&request->zone, ZONE_CHUNK))
                return error_origin(-ENOMEM);
        *ret_request = STEAL(request);
        return 0;
}

int request_new(Request **ret_request, Rpc *rpc, Channel *channel, size_t n_message) {
        List *spare = list_pop(&rpc->spare);
        Request *request = NULL;
        int r;

        if (spare) {
                request = container_of(spare, Request, link);
                rpc->n_spare--;
        } else {
                r = request_new_fresh(&request);
                if (r)
                        return r;
        }
        request->rpc = rpc;
        request->channel = channel;
        request->n_arena = n_message;
        channel->n_arena += n_message;
        request->owns_result = false;
        request->method = NULL;
        request->row = NULL;
        request->args = NULL;
        request->result = NULL;
        request->scratch = NULL;
        request->fd = -1;
        request->fault.code = 0;
        request->fault.text[0] = '\0';
        list_link(&channel->decoded, &request->link);
        channel->n_decoded++;
        channel->session->n_inflight++;
        rpc->n_inflight++;
        *ret_request = request;
        return 0;
}

Request *request_free(Request *request) {
        Rpc *rpc;

        if (!request)
                return NULL;
        rpc = request->rpc;
        if (request->fd >= 0)
                fd_discard(&request->fd, 1);
        request_orphan(request);
        rpc->n_inflight--;
        if (rpc->n_spare >= SPARE_MAX) {
                msgpack_zone_destroy(&request->zone);
                free(request);
                return NULL;
        }
        msgpack_zone_clear(&request->zone);
        /* In front, so that the next request takes the one whose memory is still in the cache. */
        list_link(rpc->spare.next, &request->link);
        rpc->n_spare++;
        return NULL;
}

void request_orphan(Request *request) {
        if (!request->channel)
                return;
        request->channel->session->n_inflight--;
        request->channel->n_arena -= request->n_arena;
        list_unlink(&request->link);
        request->channel = NULL;
}

void *request_alloc(Request *request, size_t size) {
        void *memory = msgpack_zone_malloc(&request->zone, size);

        if (memory) {
                request->n_arena += size;
                request->channel->n_arena += size;
        }
        return memory;
}

void *request_alloc_zero(Request *request, size_t size) {
        void *memory = request_alloc(request, size);

        return memory ? memset(memory, 0, size) : NULL;
}

void request_complete(Request *request, int r) {
        pipeline_finish(request, r);
}
