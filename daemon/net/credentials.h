#pragma once

/* Who is at the other end of a Unix socket, as the kernel says. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/object/session.h"

/* Users besides root who may do everything. */
typedef struct AdminList {
        uid_t *uids;
        size_t n_uids;
} AdminList;

/* Says who is at the other end of `fd`. The caller deinits it, after failure too. Returns 0 or -errno. */
int credentials_init(Credentials *credentials, int fd, const AdminList *admins);
