#pragma once

/* uthash, told to leave an element out when there is no memory for it, instead of exiting. */

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
