#pragma once

/* What goes wrong: one line on stderr, with what to do about it where that is known. */

#include "client/gpuctl/gpuctl.h"

/* Prints "gpuctl: ..." and returns `exit_code`. */
int complain(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Complains of a call that returned `r` on the client. Returns the exit code of errors.def. */
int complain_call(const Gpuctl *ctl, const char *what, int r);

#define NAME_TEXT_MAX 32

/* The name as people write it, with '-' for '_'. */
const char *name_to_text(const char *name, char ret_text[NAME_TEXT_MAX]);
