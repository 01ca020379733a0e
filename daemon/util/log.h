#pragma once

/*
 * Lines on stderr, one write each; any thread. Levels are syslog's. For the journal (JOURNAL_STREAM names
 * what stderr is) a line begins with its level, `<N>`; elsewhere with the time, "gpud" and the level as a
 * word.
 *
 * Who logs never waits for who reads: a line that there is no room for is dropped, and the next one that
 * there is room for is preceded by how many that were.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "daemon/util/macros.h"

/* Lets through one line a second of a kind that somebody else may cause as often as he likes; loop thread. */
typedef struct LogGate {
        uint64_t until_ns; /* nothing goes through before */
        uint64_t n_more;   /* that did not since the last line */
} LogGate;

/* Looks at what stderr is. Requires: no other thread. */
void log_open(void);

/*
 * Whether lines that are not for the journal begin with the time and so on. At first they do not: what is
 * wrong with the command or the configuration is told to whoever typed it. Requires: no other thread.
 */
void log_set_timed(bool is_timed);

/*
 * Whether a line waits a second for its reader. At first it does: what cannot start ends with the next
 * line.
 */
void log_set_patient(bool is_patient);

/* Drops lines less important than `level`; LOG_INFO at first. */
void log_set_level(int level);

void log_line(int level, const char *format, ...) _printf_(2, 3);

/* What an operator asked for: at whatever level. */
void log_answer(const char *format, ...) _printf_(1, 2);

/* log_line(), but for how often. The line says how many did not go through before it. */
void log_seldom(LogGate *gate, int level, const char *format, ...) _printf_(3, 4);

extern atomic_int log_max_level;

/* Whether such lines are not dropped. */
static inline bool log_has_level(int level) {
        return level <= atomic_load_explicit(&log_max_level, memory_order_relaxed);
}

#define log_error(...)   log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)

/* What is logged for each client or allocation costs nothing where it is not wanted. */
#define log_debug(...) (log_has_level(LOG_DEBUG) ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)
