#pragma once

/*
 * What every `int r` means: 0 done; above 0 a condition documented on the function, which the caller handles
 * or turns into its own; below 0 -errno, the daemon (or this peer) cannot go on. Raising and passing on a
 * fatal error logs the way it took, so that a failure explains itself without a debugger.
 */

int error_log(int r, const char *what, const char *file, int line, const char *function);

/* Raises -errno. */
#define error_origin(r_) error_log((r_), "raised", __FILE__, __LINE__, __func__)

/* Passes on any result; logs it if it is fatal. */
#define error_trace(r_) error_log((r_), "passed on", __FILE__, __LINE__, __func__)

/* Turns a condition that cannot happen here into a fatal error. */
#define error_fold(r_) error_fold_log((r_), __FILE__, __LINE__, __func__)

int error_fold_log(int r, const char *file, int line, const char *function);
