/* The command line, the limits of the process, and the daemon's life. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/util/fd.h"
#include "daemon/util/log.h"
#include "daemon/util/macros.h"
#include "proto/socket.h"
#include "proto/types.h"
#include "proto/version.h"

#define EXIT_USAGE 2

/* Descriptors that gpud needs before anybody connects, with some devices. With very few, libuv aborts. */
#define FDS_LEAST ((rlim_t)64)

/* Descriptors that are no connection's: of devices, of memory, and on their way in a message. */
#define FDS_BESIDE ((rlim_t)60 * 1024)

/* What the command line says. */
typedef struct Arguments {
        ConfigSource source;
        bool is_check; /* read the configuration and end */
} Arguments;

static void print_help(void) {
        puts("gpud [--socket PATH] [--config FILE]\n"
             "gpud --check-config --config FILE\n"
             "\n"
             "Owns all GPU memory of this node and serves it to clients on a Unix socket.\n"
             "Runs in the foreground and logs to stderr.\n"
             "\n"
             "  --socket PATH   listen there instead of " PROTO_SOCKET_DEFAULT " or the configured path\n"
             "  --config FILE   read this configuration instead of taking the defaults; gpud.conf(5)\n"
             "                  describes every key\n"
             "  --check-config  only say whether FILE is right, or what is wrong with it, line by line\n"
             "  --version       print the version\n"
             "  --help          print this");
}

/*
 * Ignores what would end gpud by default and means nothing to it: everybody's bytes would go with it.
 * SIGHUP and SIGUSR1 get their meaning when the daemon runs. What asks for a core (SIGQUIT, SIGABRT), tells
 * of a fault, or stops and continues a job is left as it is.
 */
static void ignore_signals(void) {
        static const int numbers[] = {
                SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF,
                SIGIO,  SIGTTIN, SIGTTOU, SIGPWR,  SIGXCPU, SIGXFSZ,   SIGSTKFLT,
        };

        for (size_t i = 0; i < N_ELEMENTS(numbers); i++)
                signal(numbers[i], SIG_IGN);
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                signal(number, SIG_IGN);
}

/* Raises a limit as far as gpud may. Returns what it then is. */
static rlim_t raise_limit(int resource, const char *name) {
        struct rlimit limit;

        if (getrlimit(resource, &limit) < 0)
                return RLIM_INFINITY;
        if (limit.rlim_cur == limit.rlim_max)
                return limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(resource, &limit) < 0)
                log_warning("cannot raise %s: %s", name, strerror(errno));
        return limit.rlim_max;
}

/*
 * Takes as much as it may, and says now what would fail later, with the connection or the allocation that
 * is one too many. Returns 0 or -errno.
 */
static int check_limits(uint64_t connections_max) {
        rlim_t n_fds = raise_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE"),
               file_size = raise_limit(RLIMIT_FSIZE, "RLIMIT_FSIZE");

        if (n_fds < FDS_LEAST) {
                log_error("only %ju file descriptors are allowed (RLIMIT_NOFILE), gpud needs %ju at least",
                          (uintmax_t)n_fds, (uintmax_t)FDS_LEAST);
                return -EMFILE;
        }
        if (n_fds < connections_max + FDS_LEAST)
                log_warning("only %ju file descriptors are allowed (RLIMIT_NOFILE), too few for "
                            "connections_max = "
                            "%" PRIu64 " and the devices: some clients will be refused",
                            (uintmax_t)n_fds, connections_max);
        if (file_size != RLIM_INFINITY)
                log_warning("a file may have no more than %ju bytes (RLIMIT_FSIZE): the log may end there",
                            (uintmax_t)file_size);
        return 0;
}

/*
 * Makes the kernel's table of descriptors as large as it will have to be, while there is no thread yet. Later
 * it doubles when it is full, and in a process with threads whoever opens that descriptor waits 10 ms for it.
 * A place takes 8 bytes of kernel memory.
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
 * Lets malloc keep the memory of messages. If it were given back after each message, its pages would be
 * faulted in again for the next: that took longer than all the copying. If it were given back when there is
 * much of it, all would go in one call, at 70 ms per GiB.
 */
static void keep_heap(void) {
        mallopt(M_MMAP_THRESHOLD, 2 * GPUD_MESSAGE_MAX);
        mallopt(M_TRIM_THRESHOLD, -1);
}

/* Returns below 0 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, Arguments *ret_arguments) {
        static const struct option options[] = {
                {"socket", required_argument, NULL, 's'}, {"config", required_argument, NULL, 'c'},
                {"check-config", no_argument, NULL, 'k'}, {"version", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},         {0},
        };

        *ret_arguments = (Arguments){0};
        for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
                switch (option) {
                case 's':
                        ret_arguments->source.socket = optarg;
                        break;
                case 'c':
                        ret_arguments->source.path = optarg;
                        break;
                case 'k':
                        ret_arguments->is_check = true;
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
        if (ret_arguments->is_check && !ret_arguments->source.path) {
                fputs("gpud: --check-config needs --config FILE; `gpud --help` lists the options\n", stderr);
                return EXIT_USAGE;
        }
        return -1;
}

static int run(Config *config, const ConfigSource *source) {
        Daemon *daemon;
        int r;

        log_set_timed(true);
        log_set_level((int)config->log.log_level);
        r = check_limits(config->net.connections_max);
        if (r)
                return r;
        reserve_fds(config->net.connections_max);
        keep_heap();
        r = daemon_new(&daemon, config, source);
        if (r)
                return r;
        r = daemon_run(daemon);
        daemon_free(daemon);
        return r;
}

int main(int argc, char **argv) {
        Arguments arguments;
        Config config;
        int r;

        if (fd_claim_standard())
                return EXIT_FAILURE;
        ignore_signals();
        r = parse_arguments(argc, argv, &arguments);
        if (r >= 0)
                return r;
        log_open();
        r = config_init(&config);
        if (!r)
                r = config_read(&config, &arguments.source);
        if (!r && arguments.is_check)
                printf("%s: ok\n", arguments.source.path);
        else if (!r)
                r = run(&config, &arguments.source);
        config_deinit(&config);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
