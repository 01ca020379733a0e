/* session.*: who is connected. */

#include "daemon/object/session.h"

#include <errno.h>

#include "daemon/method/args.h"
#include "daemon/object/registry.h"
#include "daemon/rpc/pipeline.h"
#include "daemon/util/error.h"
#include "daemon/util/version.h"

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
                .limits =
                        {
                                .message_max = GPUD_MESSAGE_MAX,
                                .inline_max = GPUD_INLINE_MAX,
                                .inflight_max = GPUD_INFLIGHT_MAX,
                                .output_max = GPUD_OUTPUT_MAX,
                                .name_max = GPUD_NAME_MAX,
                                .meta_max = GPUD_META_MAX,
                                .list_max = GPUD_LIST_MAX,
                                .shms_max = GPUD_SHMS_MAX,
                        },
        };
        return 0;
}

int method_session_list(Request *request, const struct none *args, struct gpud_session_list_result *ret) {
        Registry *registry = request->pipeline->registry;
        Session *caller = request_get_session(request);
        struct gpud_session_info *sessions =
                request_alloc_zero(request, (registry->n_sessions + 1) * sizeof(*sessions));
        size_t n = 0;

        (void)args;
        if (!sessions)
                return error_origin(-ENOMEM);
        list_for_each (link, &registry->sessions) {
                Session *session = container_of(link, Session, link);

                if (session_owns(caller, session->credentials.uid))
                        session_get_info(session, &sessions[n++]);
        }
        ret->sessions = sessions;
        ret->n_sessions = n;
        return 0;
}
