#pragma once

/*
 * Lines on stderr, one write each; any thread. Under journald (JOURNAL_STREAM is set) each begins with its
 * level, `<N>`. Levels are syslog's.
 */

#include <syslog.h>

#include "daemon/util/macros.h"

/* Drops lines less important than `level`; LOG_INFO at first. */
void log_set_level(int level);

void log_line(int level, const char *format, ...) _printf_(2, 3);

#define log_error(...)   log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)
