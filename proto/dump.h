#pragma once

/* What the host tool build/dump prints from the tables. Each writes one whole file. */

#include <stdio.h>

#include "proto/table.h"

#define DUMP_PRESET_MAX 128

/* What a field has that an older gpud does not send, as text. Returns `ret_text`. */
const char *dump_preset(const ProtoField *field, char ret_text[static DUMP_PRESET_MAX]);

/* client/gpud-protocol.h: the C types and calls, for reading. */
void dump_header(FILE *file);
/* proto/methods.md: the protocol reference. */
void dump_markdown(FILE *file);
/* The Python module python-client/src/gpud/_schema.py. */
void dump_python(FILE *file);
/* The Python module python-client/src/gpud/limits.py. */
void dump_python_limits(FILE *file);
