#pragma once

/*
 * What this process may still have: of the machine's memory, of its control groups', and of its own limits. A
 * kernel that is asked for more memory than there is, or than a control group may have, kills somebody before
 * it says no. So it is looked at beforehand.
 */

#include <stddef.h>
#include <stdint.h>

#include "proto/fault.h"

/*
 * Whether a region of `size` bytes is no more than this process can have without harm: 0, or
 * GPUD_E_SYSTEM_CALL with `fault` filled. /proc and /sys are below `root`, "" for those of the system.
 */
int headroom_check(uint64_t size, const char *root, ProtoFault *fault);

/* The system's words for an errno, and the limit of this process that it may come from: `ret_text`. */
const char *headroom_error_to_string(int error, char *ret_text, size_t n_text);
