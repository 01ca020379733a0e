/* Sessions and what they hold. */

#include "daemon/object/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/object/mem.h"
#include "daemon/object/registry.h"
#include "daemon/object/shm.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"

void credentials_deinit(Credentials *credentials) {
        free(credentials->groups);
        credentials->groups = NULL;
}

int session_new(Session **ret_session, Registry *registry, Credentials *credentials) {
        Session *session = calloc(1, sizeof(*session));

        if (!session)
                return error_origin(-ENOMEM);
        uuid_new_random(&session->id);
        session->credentials = *credentials;
        credentials->groups = NULL;
        session->registry = registry;
        session->connected_ns = clock_get_realtime_ns();
        list_init(&session->holds);
        list_init(&session->shms);
        list_link(&registry->sessions, &session->link);
        registry->n_sessions++;
        *ret_session = session;
        return 0;
}

Session *session_end(Session *session) {
        if (!session)
                return NULL;
        list_for_each (link, &session->shms)
                shm_free(container_of(link, Shm, session_link));
        list_unlink(&session->link);
        list_link(&session->registry->ending, &session->link);
        session->registry->n_sessions--;
        return NULL;
}

static void session_free(Session *session) {
        list_unlink(&session->link);
        registry_trim(session->registry, session->credentials.uid);
        credentials_deinit(&session->credentials);
        free(session->client);
        free(session);
}

size_t session_reap(Session *session, size_t n_max) {
        size_t n = 0;

        for (; n < n_max && !list_is_empty(&session->holds); n++)
                session_drop(container_of(list_first(&session->holds), Hold, session_link));
        if (list_is_empty(&session->holds))
                session_free(session);
        return n;
}

int session_set_client(Session *session, const char *client) {
        char *copy = strdup(client);

        if (!copy)
                return error_origin(-ENOMEM);
        free(session->client);
        session->client = copy;
        return 0;
}

bool session_owns(const Session *session, uid_t uid) {
        return session->credentials.is_admin || session->credentials.uid == uid;
}

Hold *session_find_hold(Session *session, Mem *mem) {
        list_for_each (link, &mem->holds) {
                Hold *hold = container_of(link, Hold, mem_link);

                if (hold->session == session)
                        return hold;
        }
        return NULL;
}

int session_hold(Session *session, Mem *mem) {
        Hold *hold = session_find_hold(session, mem);

        if (hold)
                return 0;
        hold = mem->first_hold.mem ? calloc(1, sizeof(*hold)) : &mem->first_hold;
        if (!hold)
                return error_origin(-ENOMEM);
        hold->session = session;
        hold->mem = mem;
        list_link(&session->holds, &hold->session_link);
        list_link(&mem->holds, &hold->mem_link);
        mem->n_holds++;
        session->n_holds++;
        session->bytes += mem->size;
        return 0;
}

void session_drop(Hold *hold) {
        Session *session = hold->session;
        Mem *mem = hold->mem;

        list_unlink(&hold->session_link);
        list_unlink(&hold->mem_link);
        if (hold == &mem->first_hold)
                hold->mem = NULL;
        else
                free(hold);
        session->n_holds--;
        session->bytes -= mem->size;
        mem->n_holds--;
        mem_release_unused(mem);
}

void session_get_info(const Session *session, struct gpud_session_info *ret_info) {
        const Credentials *credentials = &session->credentials;

        *ret_info = (struct gpud_session_info){
                .session = session->id,
                .uid = credentials->uid,
                .gid = credentials->gid,
                .pid = (uint64_t)credentials->pid,
                .comm = credentials->comm[0] ? credentials->comm : NULL,
                .client = session->client,
                .connected_ns = session->connected_ns,
                .mems = session->n_holds,
                .bytes = session->bytes,
                .inflight = session->n_inflight,
        };
}
