/* Sessions and what they hold. */

#include "daemon/object/session.h"

#include <errno.h>
#include <search.h>
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
        Session *session = registry_new_session(registry);

        if (!session)
                return error_origin(-ENOMEM);
        session->user = user_enter(&registry->users, credentials->uid);
        if (!session->user) {
                registry_free_session(registry, session);
                return error_origin(-ENOMEM);
        }
        session->credentials = *credentials;
        credentials->groups = NULL;
        session->connected_ns = clock_get_realtime_ns();
        list_init(&session->shms);
        registry->n_sessions++;
        *ret_session = session;
        return 0;
}

Session *session_end(Session *session) {
        if (!session)
                return NULL;
        list_for_each (link, &session->shms)
                shm_free(container_of(link, Shm, session_link));
        session->user = user_leave(session->user, &session->registry->users);
        list_link(&session->registry->ending, &session->link);
        session->registry->n_sessions--;
        return NULL;
}

static void session_free(Session *session) {
        session->registry->n_released++;
        list_unlink(&session->link);
        registry_trim(session->registry, session->credentials.uid);
        hold_set_deinit(&session->holds);
        credentials_deinit(&session->credentials);
        free(session->client);
        registry_free_session(session->registry, session);
}

void session_reap(Session *session, uint64_t end) {
        Registry *registry = session->registry;
        Hold *hold = hold_set_find_any(&session->holds);

        for (; hold && registry->n_released < end; hold = hold_set_find_any(&session->holds))
                session_drop(hold);
        if (!hold)
                session_free(session);
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

/* Those who share an allocation may be thousands, so they are found in a tree. */
static int compare_holders(const void *a, const void *b) {
        const Session *x = ((const Hold *)a)->session, *y = ((const Hold *)b)->session;

        return (x > y) - (x < y);
}

Hold *session_find_hold(Session *session, Mem *mem) {
        Hold **found;

        if (mem->first_hold.session == session)
                return &mem->first_hold;
        found = tfind(&(Hold){.session = session}, &mem->other_holds, compare_holders);
        return found ? *found : NULL;
}

static Hold *hold_new(Session *session, Mem *mem) {
        Hold *hold = mem->first_hold.session ? malloc(sizeof(*hold)) : &mem->first_hold;

        if (!hold)
                return NULL;
        *hold = (Hold){.session = session, .mem = mem};
        if (hold != &mem->first_hold && !tsearch(hold, &mem->other_holds, compare_holders)) {
                free(hold);
                return NULL;
        }
        return hold;
}

static void hold_free(Hold *hold) {
        Mem *mem = hold->mem;

        if (hold == &mem->first_hold) {
                hold->session = NULL;
                return;
        }
        tdelete(hold, &mem->other_holds, compare_holders);
        free(hold);
}

int session_hold(Session *session, Mem *mem) {
        Hold *hold = session_find_hold(session, mem);
        int r;

        if (hold)
                return 0;
        hold = hold_new(session, mem);
        if (!hold)
                return error_origin(-ENOMEM);
        r = hold_set_link(&session->holds, hold);
        if (r) {
                hold_free(hold);
                return r;
        }
        mem->n_holds++;
        session->bytes += mem->size;
        return 0;
}

void session_drop(Hold *hold) {
        Session *session = hold->session;
        Mem *mem = hold->mem;

        session->registry->n_released++;
        hold_set_unlink(&session->holds, hold);
        hold_free(hold);
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
                .mems = hold_set_get_n(&session->holds),
                .bytes = session->bytes,
                .inflight = session->n_inflight,
        };
}
