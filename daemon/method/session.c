/* session.*: who is connected. */

#include "daemon/object/session.h"

#include <errno.h>

#include "daemon/method/args.h"
#include "daemon/object/registry.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/error.h"
#include "proto/version.h"

int method_session_hello(Request *request, const struct session_hello_args *args,
                         struct gpud_session_hello_result *ret) {
        Session *session = request_get_session(request);
        struct gpud_uuid token;
        int r;

        /* No session outlives its connection yet, so no token is that of another session. */
        if (args->token)
                return request_refuse(request, GPUD_E_NOT_FOUND, "no session has that token");
        if (args->client) {
                r = session_set_client(session, args->client);
                if (r)
                        return r;
        }
        if (!session->token[0]) {
                uuid_new_random(&token);
                uuid_to_string(&token, session->token);
        }
        *ret = (struct gpud_session_hello_result){
                .session = session->id,
                .token = session->token,
                .server = "gpud " GPUD_VERSION,
                .protocol = GPUD_PROTOCOL,
                .uid = session->credentials.uid,
                .gid = session->credentials.gid,
                .is_admin = session->credentials.is_admin,
                .limits =
                        {
#define LIMIT(NAME_, name_, kind_, value_, since_, doc_) .name_ = GPUD_##NAME_,
#include "proto/limits.def"
#include "proto/view.h"
                                .shm_max = session->registry->options.shm_max,
                        },
        };
        return 0;
}

int method_session_list(Request *request, const struct session_list_args *args,
                        struct gpud_session_list_result *ret) {
        Registry *registry = request->rpc->registry;
        Session *caller = request_get_session(request);
        uint32_t number = slab_next(&registry->sessions, args->cursor);
        uint32_t end = slab_get_end(&registry->sessions);
        size_t n_max = MIN((size_t)GPUD_LIST_MAX, registry->n_sessions);
        struct gpud_session_info *sessions = request_alloc_zero(request, n_max * sizeof(*sessions));
        size_t n = 0;

        if (!sessions)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < SCAN_MAX && number < end && n < n_max; i++) {
                Session *session = registry_find_session_number(registry, number);

                if (session && session_owns(caller, session->credentials.uid) &&
                    (!args->has_mem || session_find_hold(session, args->mem.mem)))
                        session_get_info(session, &sessions[n++]);
                number = slab_next(&registry->sessions, number + 1);
        }
        ret->sessions = sessions;
        ret->n_sessions = n;
        ret->next = number;
        ret->has_next = number < end;
        return 0;
}
