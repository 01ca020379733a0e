#pragma once

/* Who is at the other end of a Unix socket, as the kernel says. */

#include <stdbool.h>

#include "daemon/net/idmap.h"
#include "daemon/object/session.h"
#include "daemon/options.h"

enum {
        CREDENTIALS_E_AMBIGUOUS = 1, /* the user may be any of several, or the group */
};

/*
 * Says who is at the other end of `fd`. The caller deinits it, after failure too. Returns 0,
 * CREDENTIALS_E_AMBIGUOUS or -errno.
 */
int credentials_init(Credentials *credentials, int fd, const NetOptions *options, const IdMaps *maps);

/* Sets again whether the user is an administrator. */
void credentials_update(Credentials *credentials, const NetOptions *options);
