/* Signals concern the process, so what they do is global. */

#include "client/gpuctl/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "proto/macros.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static int connection = -1;
static volatile sig_atomic_t caught;

static void on_signal(int number) {
        int error = errno;

        caught = number;
        shutdown(connection, SHUT_RDWR);
        errno = error;
}

/* One that is ignored, as by nohup, stays so. */
static void catch_signal(int number) {
        const struct sigaction action = {.sa_handler = on_signal};
        struct sigaction old;

        if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
                sigaction(number, &action, NULL);
}

void interrupt_begin(const Gpuctl *ctl, const char *path) {
        struct stat status;

        if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
                return;
        connection = gpud_fd(ctl->client);
        for (size_t i = 0; i < N_ELEMENTS(signals); i++)
                catch_signal(signals[i]);
}

void interrupt_end(void) {
        if (!caught)
                return;
        signal(caught, SIG_DFL);
        raise(caught);
}
