#pragma once

/* The users who are connected. */

#include <stddef.h>
#include <sys/types.h>

typedef struct User User;
typedef struct UserTable UserTable;

struct UserTable {
        void *root; /* User by uid, of tsearch() */
};

struct User {
        uid_t uid;
        size_t n_sessions;
};

/* Counts one session more of `uid`. Returns 0 or -ENOMEM. */
int user_enter(User **ret_user, UserTable *table, uid_t uid);

/* Counts one session less; the user goes with the last. NULL is fine. Returns NULL. */
User *user_leave(User *user, UserTable *table);

/* Returns NULL if the user has no session. */
User *user_find(const UserTable *table, uid_t uid);
