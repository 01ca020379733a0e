#pragma once

/*
 * What every `int r` means. 0: done. Above 0: a condition documented on the function, which the caller
 * handles or turns into its own. Below 0: -errno, the daemon (or this peer) cannot go on.
 *
 * Who meets a fatal error first logs it, by error_origin() or in words of his own. Nobody else does: those
 * whom it passes on its way up return it as it is.
 */

#include <stdint.h>

/*
 * In all layers: this is not the outcome. What was asked for goes on by itself, and the callback that was
 * given is called with the outcome, once. No other condition has this value.
 */
#define REQUEST_LATER INT32_MAX

int error_log(int r, const char *file, int line, const char *function);
int error_fold_log(int r, const char *file, int line, const char *function);

/* Raises -errno: logs it, with the place. */
#define error_origin(r_) error_log((r_), __FILE__, __LINE__, __func__)

/* Passes on 0 and fatal errors. Turns a condition that cannot be here into a fatal error, and logs it. */
#define error_fold(r_) error_fold_log((r_), __FILE__, __LINE__, __func__)
