#pragma once

/* The text of one value, as people write it, into what a structure holds. */

#include "client/gpuctl/gpuctl.h"

/*
 * Reads `text` as the field's kind has it into `ret_value`, or complains. `ret_owned`: memory that the value
 * points at, for the caller to free; NULL if there is none.
 */
int value_parse(const ProtoField *field, const char *text, void *ret_value, void **ret_owned);

#define CHOICES_TEXT_MAX 256

/* "session, persistent" */
const char *choices_to_text(const ProtoEnum *choices, char ret_text[CHOICES_TEXT_MAX]);

/*
 * "4096", "64K", "1.5G", "10GiB", "0x1000"; K is 1024, kB 1000. A fraction is rounded down to whole bytes.
 * False if it is none or too large.
 */
bool parse_size(const char *text, uint64_t *ret_value);

/* "90", "90s", "15min", "12h", "7d"; false if it is none. */
bool parse_duration(const char *text, uint64_t *ret_seconds);
