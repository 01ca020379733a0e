/* What all requests share. */

#include "daemon/rpc/rpc.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/util/clock.h"

void rpc_init(Rpc *rpc, Registry *registry, const MethodRow *rows) {
        *rpc = (Rpc){
                .registry = registry,
                .rows = rows,
                .stats.started_ns = clock_get_boottime_ns(),
        };
        list_init(&rpc->spare);
}

void rpc_deinit(Rpc *rpc) {
        assert(rpc->n_inflight == 0);
        for (List *link = list_pop(&rpc->spare); link; link = list_pop(&rpc->spare)) {
                Request *request = container_of(link, Request, link);

                msgpack_zone_destroy(&request->zone);
                free(request);
        }
        buffer_deinit(&rpc->spare_output);
}
