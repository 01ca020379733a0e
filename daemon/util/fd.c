/* Owned file descriptors. */

#include "daemon/util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/util/thread.h"

#define BLOCK_SIZE  512                  /* of stat() */
#define QUICK_BYTES (INT64_C(256) << 10) /* of a memfd: 30 us */

typedef struct Discarded {
        size_t n_fds;
        int fds[];
} Discarded;

int fd_close(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

void fd_closep(int *fd) {
        *fd = fd_close(*fd);
}

int fd_claim_standard(void) {
        int fd;

        /* What is opened gets the lowest number that is free, which is the one that is missing. */
        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

/* The last to close a memfd frees its pages. A socket takes descriptors with it that wait to be received. */
static bool is_quick_to_close(int fd) {
        int domain, n_unread;
        socklen_t n_domain = sizeof(domain);
        struct stat status;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n_domain) == 0)
                return domain == AF_UNIX && ioctl(fd, FIONREAD, &n_unread) == 0 && n_unread == 0;
        return fcntl(fd, F_GET_SEALS) >= 0 && fstat(fd, &status) == 0 &&
               status.st_blocks * BLOCK_SIZE <= QUICK_BYTES;
}

static void *run_close(void *userdata) {
        Discarded *discarded = userdata;

        for (size_t i = 0; i < discarded->n_fds; i++)
                close(discarded->fds[i]);
        free(discarded);
        return NULL;
}

void fd_discard(const int *fds, size_t n_fds) {
        Discarded *slow = NULL;
        pthread_t thread;

        for (size_t i = 0; i < n_fds; i++) {
                if (!slow && !is_quick_to_close(fds[i])) {
                        slow = malloc(sizeof(*slow) + n_fds * sizeof(*fds));
                        if (slow)
                                slow->n_fds = 0;
                }
                if (slow)
                        slow->fds[slow->n_fds++] = fds[i];
                else
                        close(fds[i]);
        }
        if (!slow)
                return;
        if (thread_start(&thread, run_close, slow))
                run_close(slow);
        else
                pthread_detach(thread);
}
