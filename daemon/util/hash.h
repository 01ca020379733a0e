#pragma once

/* uthash, told to leave an element out when there is no memory for it, instead of exiting. */

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION     HASH_FNV /* the default one falls through a switch, which our warnings refuse */
#include <uthash.h>
