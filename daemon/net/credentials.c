/* SO_PEERCRED, SO_PEERGROUPS and the command name in /proc. */

#include "daemon/net/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/util/error.h"
#include "daemon/util/fd.h"
#include "proto/text.h"

/* The name is for operators to read: where /proc does not tell it, the client has none. */
static void read_comm(pid_t pid, char *ret_comm, size_t n_comm) {
        _cleanup_(fd_closep) int fd = -1;
        char path[32];
        ssize_t n;

        ret_comm[0] = '\0';
        snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = read(fd, ret_comm, n_comm - 1);
        if (n <= 0)
                return;
        ret_comm[n] = '\0';
        ret_comm[strcspn(ret_comm, "\n")] = '\0';
        text_sanitize(ret_comm);
}

/* Those that stand for several would be everybody's. */
static void remove_ambiguous_groups(Credentials *credentials, const IdMap *map) {
        size_t n = 0;

        for (size_t i = 0; i < credentials->n_groups; i++)
                if (!id_map_is_ambiguous(map, credentials->groups[i]))
                        credentials->groups[n++] = credentials->groups[i];
        credentials->n_groups = n;
}

static int read_groups(int fd, Credentials *credentials) {
        socklen_t length = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) == 0 || length == 0)
                return 0;
        if (errno == ENOPROTOOPT)
                return 0; /* before Linux 4.13: the primary group counts, no others */
        if (errno != ERANGE)
                return error_origin(-errno);
        credentials->groups = malloc(length);
        if (!credentials->groups)
                return error_origin(-ENOMEM);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, credentials->groups, &length) < 0)
                return error_origin(-errno);
        credentials->n_groups = length / sizeof(gid_t);
        return 0;
}

void credentials_update(Credentials *credentials, const NetOptions *options) {
        credentials->is_admin = credentials->uid == 0;
        for (size_t i = 0; i < options->admins.n_uids; i++)
                if (options->admins.uids[i] == credentials->uid)
                        credentials->is_admin = true;
}

int credentials_init(Credentials *credentials, int fd, const NetOptions *options, const IdMaps *maps) {
        struct ucred peer;
        socklen_t length = sizeof(peer);
        int r;

        *credentials = (Credentials){0};
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
                return error_origin(-errno);
        credentials->uid = peer.uid;
        credentials->gid = peer.gid;
        credentials->pid = peer.pid;
        if (id_map_is_ambiguous(&maps->uids, peer.uid) || id_map_is_ambiguous(&maps->gids, peer.gid))
                return CREDENTIALS_E_AMBIGUOUS;
        credentials_update(credentials, options);
        read_comm(peer.pid, credentials->comm, sizeof(credentials->comm));
        r = read_groups(fd, credentials);
        remove_ambiguous_groups(credentials, &maps->gids);
        return r;
}
