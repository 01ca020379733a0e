/* Log lines. The level is set once at the start, before there are threads. */

#include "daemon/util/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int log_max_level = LOG_INFO;

void log_set_level(int level) {
        log_max_level = level;
}

void log_line(int level, const char *format, ...) {
        char line[2048];
        size_t n = 0;
        va_list args;
        int written;

        if (level > log_max_level)
                return;
        if (getenv("JOURNAL_STREAM"))
                n = (size_t)snprintf(line, sizeof(line), "<%d>", level);

        va_start(args, format);
        written = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
        va_end(args);
        if (written < 0)
                return;
        n = MIN(n + (size_t)written, sizeof(line) - 2);
        line[n++] = '\n';
        /* That the log is gone can be told to nobody. */
        if (write(STDERR_FILENO, line, n) < 0)
                return;
}
