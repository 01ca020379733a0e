/* Log lines. The level is set once at the start, before there are threads. */

#include "daemon/util/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static LogLevel log_max_level = LOG_LEVEL_INFO;

void log_set_level(LogLevel level) {
        log_max_level = level;
}

bool log_level_from_string(const char *name, LogLevel *ret_level) {
        static const struct {
                const char *name;
                LogLevel level;
        } levels[] = {
                {"error", LOG_LEVEL_ERROR},
                {"warning", LOG_LEVEL_WARNING},
                {"info", LOG_LEVEL_INFO},
                {"debug", LOG_LEVEL_DEBUG},
        };

        for (size_t i = 0; i < N_ELEMENTS(levels); i++)
                if (strcmp(levels[i].name, name) == 0) {
                        *ret_level = levels[i].level;
                        return true;
                }
        return false;
}

void log_line(LogLevel level, const char *format, ...) {
        char line[2048];
        size_t n = 0;
        va_list args;
        int written;

        if (level > log_max_level)
                return;
        if (getenv("JOURNAL_STREAM"))
                n = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);

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
