#pragma once

/*
 * Lines on stderr, one write each; any thread. Under journald (JOURNAL_STREAM is set) each begins with its
 * level, `<N>`. Levels are syslog's.
 */

#include <stdbool.h>

#include "daemon/util/macros.h"

typedef enum LogLevel {
        LOG_LEVEL_ERROR = 3,
        LOG_LEVEL_WARNING = 4,
        LOG_LEVEL_INFO = 6,
        LOG_LEVEL_DEBUG = 7,
} LogLevel;

/* Drops lines less important than `level`; INFO at first. */
void log_set_level(LogLevel level);

/* Returns whether `name` (error, warning, info, debug) is a level. */
bool log_level_from_string(const char *name, LogLevel *ret_level);

void log_line(LogLevel level, const char *format, ...) _printf_(2, 3);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
