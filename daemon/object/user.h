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

/* One session more of `uid`; NULL without memory. */
User *user_enter(UserTable *table, uid_t uid);

/* One session less; the user goes with the last. NULL is fine. Returns NULL. */
User *user_leave(User *user, UserTable *table);

/* NULL: no session is there. */
User *user_find(const UserTable *table, uid_t uid);
