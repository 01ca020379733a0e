/* Users in a balanced tree: thousands of sessions may be there when the last of one user goes. */

#include "daemon/object/user.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "daemon/util/error.h"
#include "daemon/util/macros.h"

static int compare(const void *a, const void *b) {
        const User *x = a, *y = b;

        return (x->uid > y->uid) - (x->uid < y->uid);
}

User *user_find(const UserTable *table, uid_t uid) {
        User **found = tfind(&(User){.uid = uid}, &table->root, compare);

        return found ? *found : NULL;
}

static int user_new(User **ret_user, UserTable *table, uid_t uid) {
        _cleanup_(freep) User *user = malloc(sizeof(*user));

        if (!user)
                return error_origin(-ENOMEM);
        *user = (User){.uid = uid};
        if (!tsearch(user, &table->root, compare))
                return error_origin(-ENOMEM);
        *ret_user = STEAL(user);
        return 0;
}

int user_enter(User **ret_user, UserTable *table, uid_t uid) {
        User *user = user_find(table, uid);
        int r;

        if (!user) {
                r = user_new(&user, table, uid);
                if (r)
                        return r;
        }
        user->n_sessions++;
        *ret_user = user;
        return 0;
}

User *user_leave(User *user, UserTable *table) {
        if (user && --user->n_sessions == 0) {
                tdelete(user, &table->root, compare);
                free(user);
        }
        return NULL;
}
