#pragma once

/* The version of all that is built from this tree. */

#define GPUD_VERSION "0.1.0"
