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

/* Requires: the session was reaped, or is half made. NULL is fine. Returns NULL. */
static Session *session_free(Session *session) {
        if (!session)
                return NULL;
        list_unlink(&session->link);
        hold_set_deinit(&session->holds);
        credentials_deinit(&session->credentials);
        free(session->client);
        registry_free_session(session->registry, session);
        return NULL;
}

static void session_freep(Session **session) {
        session_free(*session);
}

int session_new(Session **ret_session, Registry *registry, Credentials *credentials) {
        _cleanup_(session_freep) Session *session = NULL;
        int r;

        r = registry_new_session(&session, registry);
        if (r)
                return r;
        session->connected_ns = clock_get_boottime_ns();
        list_init(&session->shms);
        list_init(&session->link);
        r = user_enter(&session->user, &registry->users, credentials->uid);
        if (r)
                return r;
        session->credentials = *credentials;
        *credentials = (Credentials){0};
        registry->n_sessions++;
        *ret_session = STEAL(session);
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

void session_reap(Session *session, uint64_t end) {
        Registry *registry = session->registry;
        Hold *hold = hold_set_find_any(&session->holds);

        for (; hold && registry->n_released < end; hold = hold_set_find_any(&session->holds))
                session_drop(hold);
        if (hold)
                return;
        registry->n_released++;
        registry_trim(registry, session->credentials.uid);
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

/* Thousands of sessions may share an allocation, so each is found in a tree. */
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

/* Takes the hold, which may be half made, off its mem's table. NULL is fine. Returns NULL. */
static Hold *hold_free(Hold *hold) {
        if (!hold)
                return NULL;
        if (hold == &hold->mem->first_hold) {
                hold->session = NULL;
                return NULL;
        }
        tdelete(hold, &hold->mem->other_holds, compare_holders);
        free(hold);
        return NULL;
}

static void hold_freep(Hold **hold) {
        hold_free(*hold);
}

static int hold_new(Hold **ret_hold, Session *session, Mem *mem) {
        _cleanup_(hold_freep) Hold *hold = NULL;
        int r;

        hold = mem->first_hold.session ? malloc(sizeof(*hold)) : &mem->first_hold;
        if (!hold)
                return error_origin(-ENOMEM);
        *hold = (Hold){.session = session, .mem = mem};
        if (hold != &mem->first_hold && !tsearch(hold, &mem->other_holds, compare_holders))
                return error_origin(-ENOMEM);
        r = hold_set_link(&session->holds, hold);
        if (r)
                return r;
        *ret_hold = STEAL(hold);
        return 0;
}

int session_hold(Session *session, Mem *mem) {
        Hold *hold = session_find_hold(session, mem);
        int r;

        if (hold && hold->n_refs == GPUD_REFS_MAX)
                return GPUD_E_RESOURCE_EXHAUSTED;
        if (!hold) {
                r = hold_new(&hold, session, mem);
                if (r)
                        return r;
                mem->n_holds++;
                session->bytes += mem->size;
        }
        hold->n_refs++;
        mem->n_refs++;
        return 0;
}

void session_close(Hold *hold) {
        if (hold->n_refs == 1) {
                session_drop(hold);
                return;
        }
        hold->n_refs--;
        hold->mem->n_refs--;
}

void session_drop(Hold *hold) {
        Session *session = hold->session;
        Mem *mem = hold->mem;

        session->registry->n_released++;
        mem->n_refs -= hold->n_refs;
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
                .connected_ns = clock_to_realtime_ns(session->connected_ns),
                .mems = hold_set_get_n(&session->holds),
                .bytes = session->bytes,
                .inflight = session->n_inflight,
        };
}
