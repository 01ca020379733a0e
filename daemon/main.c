/* gpud: command line, limits of the process, and the daemon's life. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/util/log.h"
#include "daemon/util/macros.h"
#include "daemon/util/version.h"
#include "proto/socket.h"
#include "proto/types.h"

#define EXIT_USAGE 2

/* Descriptors besides those of connections: of devices, of memory, and on their way in a message. */
#define FDS_BESIDE ((rlim_t)60 * 1024)

static void print_help(void) {
        puts("gpud [--socket PATH] [--config FILE]\n"
             "\n"
             "Owns all GPU memory of this node and serves it to clients on a Unix socket.\n"
             "Runs in the foreground and logs to stderr.\n"
             "\n"
             "  --socket PATH   listen there instead of " PROTO_SOCKET_DEFAULT " or the configured path\n"
             "  --config FILE   read this configuration; /etc/gpud/gpud.conf describes every key\n"
             "  --version       print the version\n"
             "  --help          print this");
}

/* Every connection, region and allocation costs descriptors. */
static void raise_fd_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                log_warning("cannot raise the limit of file descriptors: %s", strerror(errno));
}

/*
 * Makes the kernel's table of descriptors as large as it will have to be, while there is no thread yet. Later it
 * doubles when it is full, and in a process with threads whoever opens that descriptor waits 10 ms for it. A place
 * is 8 bytes of kernel memory.
 */
static void reserve_fds(uint64_t connections_max) {
        struct rlimit limit;
        rlim_t n_fds;
        int fd;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        n_fds = MIN(MIN(limit.rlim_cur, (rlim_t)INT_MAX - FDS_BESIDE), connections_max) + FDS_BESIDE;
        n_fds = MIN(n_fds, limit.rlim_cur);
        fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)n_fds - 1);
        if (fd < 0)
                log_warning("cannot reserve %ju descriptors: %s", (uintmax_t)n_fds, strerror(errno));
        else
                close(fd);
}

/*
 * Lets malloc keep what messages take. Given back after each, their pages are faulted in again for the next: that took
 * longer than all the copying. Given back when there is much of it, all goes in one call, at 70 ms per GiB.
 */
static void keep_heap(void) {
        mallopt(M_MMAP_THRESHOLD, 2 * GPUD_MESSAGE_MAX);
        mallopt(M_TRIM_THRESHOLD, -1);
}

/* Returns below 0 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, const char **ret_socket, const char **ret_config) {
        static const struct option options[] = {
                {"socket", required_argument, NULL, 's'},
                {"config", required_argument, NULL, 'c'},
                {"version", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };

        for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
                switch (option) {
                case 's':
                        *ret_socket = optarg;
                        break;
                case 'c':
                        *ret_config = optarg;
                        break;
                case 'v':
                        puts("gpud " GPUD_VERSION);
                        return EXIT_SUCCESS;
                case 'h':
                        print_help();
                        return EXIT_SUCCESS;
                default:
                        fputs("`gpud --help` lists the options\n", stderr);
                        return EXIT_USAGE;
                }
        if (optind < argc) {
                fprintf(stderr, "gpud: unexpected argument \"%s\"; `gpud --help` lists the options\n",
                        argv[optind]);
                return EXIT_USAGE;
        }
        return -1;
}

static int run(Config *config, const char *socket_path, const char *config_path) {
        Daemon *daemon;
        int r;

        if (config_path) {
                r = config_read(config, config_path);
                if (r)
                        return r;
        }
        if (socket_path) {
                free(config->socket);
                config->socket = strdup(socket_path);
                if (!config->socket)
                        return -ENOMEM;
        }
        raise_fd_limit();
        reserve_fds(config->connections_max);
        keep_heap();
        signal(SIGPIPE, SIG_IGN);
        r = daemon_new(&daemon, config);
        if (r)
                return r;
        r = daemon_run(daemon);
        daemon_free(daemon);
        return r;
}

int main(int argc, char **argv) {
        const char *socket_path = NULL;
        const char *config_path = NULL;
        Config config;
        int r;

        r = parse_arguments(argc, argv, &socket_path, &config_path);
        if (r >= 0)
                return r;
        if (config_init(&config))
                return EXIT_FAILURE;
        r = run(&config, socket_path, config_path);
        config_deinit(&config);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
