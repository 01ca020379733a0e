#pragma once

/*
 * A command that is interrupted while it writes a file takes away what is half written, and ends as it was
 * told.
 */

#include "client/gpuctl/gpuctl.h"

/*
 * From now on a signal to end only ends the connection, and with it the call that writes `path`, until
 * interrupt_end(). Nothing changes where `path` is no regular file: there is nothing to take away, and the
 * call may wait for a reader. Requires: connected.
 */
void interrupt_begin(const Gpuctl *ctl, const char *path);

/* Does not return if such a signal came. */
void interrupt_end(void);
