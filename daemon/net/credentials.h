#pragma once

/* Who is at the other end of a Unix socket, as the kernel says. */

#include "daemon/object/session.h"
#include "daemon/options.h"

/* Says who is at the other end of `fd`. The caller deinits it, after failure too. Returns 0 or -errno. */
int credentials_init(Credentials *credentials, int fd, const NetOptions *options);
