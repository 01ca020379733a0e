#pragma once

/*
 * A session: one connected client, who it is and what it holds. The connection owns it; the registry lists
 * it. When it ends it gives up everything it holds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/object/holdset.h"
#include "daemon/util/list.h"
#include "proto/types.h"

typedef struct Mem Mem;
typedef struct Registry Registry;
typedef struct Session Session;
typedef struct User User;

/* Who connected, as the kernel says. */
typedef struct Credentials {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        gid_t *groups; /* supplementary */
        size_t n_groups;
        bool is_admin; /* root, or listed in the configuration */
        char comm[16]; /* command name, sanitized; empty when unknown */
} Credentials;

struct Session {
        struct gpud_uuid id;
        char token[GPUD_UUID_TEXT + 1]; /* empty until the client asks for it */
        Credentials credentials;
        Registry *registry;
        User *user;            /* NULL once it has ended */
        char *client;          /* the name it gave itself; NULL until then */
        uint64_t connected_ns; /* by the boot clock */
        uint64_t bytes;        /* of the allocations it holds */
        HoldSet holds;
        size_t n_shms;
        uint64_t shm_bytes; /* of its regions */
        size_t n_inflight;  /* requests in flight; kept by rpc */
        List shms;          /* Shm.session_link */
        List link;          /* Registry.ending */
};

void credentials_deinit(Credentials *credentials);

/* Takes over `credentials` if it succeeds. Returns 0 or -ENOMEM. */
int session_new(Session **ret_session, Registry *registry, Credentials *credentials);

/*
 * Ends the session: its regions go now, its holds with registry_reap(), since it may have a million. The
 * registry owns it from here on. NULL is fine. Returns NULL.
 */
Session *session_end(Session *session);

/* Drops holds of an ended session until Registry.n_released is `end`, and frees it with the last. */
void session_reap(Session *session, uint64_t end);

/* Keeps a copy of the name that the client gives itself. Returns 0 or -ENOMEM. */
int session_set_client(Session *session, const char *client);

/* Whether the session's user is the owner, or an administrator. */
bool session_owns(const Session *session, uid_t uid);

/* Returns the session's references to `mem`; NULL if it has none. */
Hold *session_find_hold(Session *session, Mem *mem);

/* Adds a reference. Returns 0, GPUD_E_RESOURCE_EXHAUSTED if the session has refs_max of them, or -ENOMEM. */
int session_hold(Session *session, Mem *mem);

/* Gives one reference back; the allocation goes with the last one. */
void session_close(Hold *hold);

/* Drops all the references of the hold; the allocation goes with the last one. */
void session_drop(Hold *hold);

void session_get_info(const Session *session, struct gpud_session_info *ret_info);
