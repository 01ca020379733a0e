#pragma once

/* Names as people type them: with '-' for '_', and mistyped. */

#include <stdbool.h>
#include <stddef.h>

/* The candidate most like `word`, or NULL if none is near. '-' and '_' are the same. */
const char *guess(const char *word, const char *const *candidates, size_t n_candidates);

/* Whether two names are the same but for '-' and '_'. */
bool name_is(const char *word, const char *name);
