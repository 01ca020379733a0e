#pragma once

/* Strings from strangers: valid UTF-8 on the wire, and no control characters on a terminal. */

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes are UTF-8 as RFC 3629 has it: shortest form, no surrogates, at most U+10FFFF. */
bool text_is_utf8(const char *text, size_t n_text);

/* Replaces control characters by '?', and every byte above ASCII too unless the text is valid UTF-8. */
void text_sanitize(char *text);
