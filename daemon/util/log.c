/*
 * Log lines. What must not happen is that the loop waits for who reads them: a pager that was left alone, a
 * terminal that was stopped, a journal that hangs. A thread that writes in the loop's place would lose the
 * last lines before a crash, which are the ones that matter. So each line is written at once, and never
 * waits: into a pipe or a terminal through a non-blocking open file description of our own (O_NONBLOCK on
 * the one we were given would be the shell's as well), into a socket by MSG_DONTWAIT. Only where opening it
 * is refused, poll() alone says whether there is room; a line is shorter than PIPE_BUF, so a pipe takes all
 * of it.
 */

#include "daemon/util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/util/clock.h"

#define PATIENCE_MS   1000
#define LINE_MAX_SIZE 2048

_Static_assert(LINE_MAX_SIZE <= PIPE_BUF, "a pipe takes a line as a whole or not at all");

atomic_int log_max_level = LOG_INFO;

/* Written before there are threads. */
static int log_fd = STDERR_FILENO;
static bool log_is_socket;
static bool log_is_journal;
static bool log_is_timed;

static atomic_int log_wait_ms = PATIENCE_MS;
static atomic_uint log_n_dropped;

void log_set_level(int level) {
        atomic_store(&log_max_level, level);
}

/*
 * Whether stderr is what JOURNAL_STREAM says. A child of a service has the variable, but maybe another
 * stderr.
 */
static bool is_journal(const struct stat *status) {
        const char *stream = getenv("JOURNAL_STREAM");
        uintmax_t device, inode;

        return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && device == status->st_dev &&
               inode == status->st_ino;
}

void log_open(void) {
        struct stat status;
        int fd = -1;

        if (fstat(STDERR_FILENO, &status) < 0)
                return;
        log_is_journal = is_journal(&status);
        log_is_socket = S_ISSOCK(status.st_mode);
        if (S_ISFIFO(status.st_mode) || isatty(STDERR_FILENO))
                fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0)
                log_fd = fd;
}

void log_set_timed(bool is_timed) {
        log_is_timed = is_timed;
}

void log_set_patient(bool is_patient) {
        atomic_store(&log_wait_ms, is_patient ? PATIENCE_MS : 0);
}

/* How a line begins. Returns its length. */
static int print_head(char *text, size_t n_text, int level) {
        static const char *const words[] = {
                [LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
        char date[32] = "", zone[8] = "";
        struct timespec now;
        struct tm local;

        if (log_is_journal)
                return snprintf(text, n_text, "<%d>", level);
        if (!log_is_timed)
                return 0;
        clock_gettime(CLOCK_REALTIME, &now);
        if (localtime_r(&now.tv_sec, &local)) {
                strftime(date, sizeof(date), "%F %T", &local);
                strftime(zone, sizeof(zone), "%z", &local);
        }
        return snprintf(text, n_text, "%s.%03u%s gpud: %s: ", date, (unsigned)(now.tv_nsec / 1000000), zone,
                        words[level]);
}

/* Returns whether the line is written. */
static bool write_line(const char *line, size_t n, int wait_ms) {
        struct pollfd place = {.fd = log_fd, .events = POLLOUT};
        int n_ready;

        do
                n_ready = poll(&place, 1, wait_ms);
        while (n_ready < 0 && errno == EINTR);
        if (n_ready == 0)
                return false;
        return (log_is_socket ? send(log_fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                              : write(log_fd, line, n)) == (ssize_t)n;
}

/* Says how many lines were dropped, if any. Returns whether there was room for that. */
static bool write_dropped(void) {
        unsigned n_dropped = atomic_exchange(&log_n_dropped, 0);
        char line[128];
        int n;

        if (n_dropped == 0)
                return true;
        n = print_head(line, sizeof(line), LOG_WARNING);
        n += snprintf(line + n, sizeof(line) - (size_t)n, "%u lines were dropped: nobody read the log\n",
                      n_dropped);
        if (write_line(line, (size_t)n, 0))
                return true;
        atomic_fetch_add(&log_n_dropped, n_dropped);
        return false;
}

_printf_(2, 0) static void log_args(int level, const char *format, va_list args) {
        char line[LINE_MAX_SIZE];
        size_t n = (size_t)print_head(line, sizeof(line), level);
        int written = vsnprintf(line + n, sizeof(line) - n - 1, format, args);

        if (written < 0)
                return;
        n = MIN(n + (size_t)written, sizeof(line) - 2);
        line[n++] = '\n';
        if (!write_dropped() || !write_line(line, n, atomic_load(&log_wait_ms)))
                atomic_fetch_add(&log_n_dropped, 1);
}

void log_line(int level, const char *format, ...) {
        va_list args;

        if (!log_has_level(level))
                return;
        va_start(args, format);
        log_args(level, format, args);
        va_end(args);
}

void log_answer(const char *format, ...) {
        va_list args;

        va_start(args, format);
        log_args(LOG_INFO, format, args);
        va_end(args);
}

void log_seldom(LogGate *gate, int level, const char *format, ...) {
        uint64_t now_ns = clock_get_monotonic_ns();
        char text[LINE_MAX_SIZE / 2];
        va_list args;

        if (!log_has_level(level))
                return;
        if (now_ns < gate->until_ns) {
                gate->n_more++;
                return;
        }
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (gate->n_more > 0)
                log_line(level, "%s (and %" PRIu64 " more before)", text, gate->n_more);
        else
                log_line(level, "%s", text);
        *gate = (LogGate){.until_ns = now_ns + NS_PER_S};
}
