/* Users in a balanced tree: thousands of sessions may be there when the last of one user goes. */

#include "daemon/object/user.h"

#include <search.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
        const User *x = a, *y = b;

        return (x->uid > y->uid) - (x->uid < y->uid);
}

User *user_find(const UserTable *table, uid_t uid) {
        User **found = tfind(&(User){.uid = uid}, &table->root, compare);

        return found ? *found : NULL;
}

User *user_enter(UserTable *table, uid_t uid) {
        User *user = user_find(table, uid);

        if (!user) {
                user = malloc(sizeof(*user));
                if (!user)
                        return NULL;
                *user = (User){.uid = uid};
                if (!tsearch(user, &table->root, compare)) {
                        free(user);
                        return NULL;
                }
        }
        user->n_sessions++;
        return user;
}

User *user_leave(User *user, UserTable *table) {
        if (user && --user->n_sessions == 0) {
                tdelete(user, &table->root, compare);
                free(user);
        }
        return NULL;
}
