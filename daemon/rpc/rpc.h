#pragma once

/*
 * What all requests share: the objects they are about, the handlers that run them, and what is counted and
 * kept between them. One per daemon; the loop thread alone uses it.
 */

#include <stddef.h>

#include "daemon/object/registry.h"
#include "daemon/rpc/request.h"
#include "daemon/rpc/stats.h"
#include "daemon/util/buffer.h"
#include "daemon/util/list.h"

struct Rpc {
        Registry *registry;    /* borrowed */
        const MethodRow *rows; /* PROTO_N_METHODS of them */
        size_t n_inflight;
        Stats stats;
        List spare; /* Request.link */
        size_t n_spare;
        Buffer spare_output; /* empty; its memory is for the next channel that has something to say */
};

void rpc_init(Rpc *rpc, Registry *registry, const MethodRow *rows);

/* Requires: no request is in flight. */
void rpc_deinit(Rpc *rpc);
