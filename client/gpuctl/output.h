#pragma once

/*
 * Values of the schema as text: for people (units, dates, aligned) on a terminal, exact and tab-separated for
 * programs, JSON when asked for.
 */

#include <jansson.h>

#include "client/gpuctl/gpuctl.h"
#include "client/gpuctl/table.h"

#define OUTPUT_TEXT_MAX 64

/* "12.3 GiB"; exact below 1 KiB. */
const char *size_to_text(uint64_t size, char ret_text[OUTPUT_TEXT_MAX]);
/* "3 d 4 h", the two largest units. */
const char *duration_to_text(uint64_t seconds, char ret_text[OUTPUT_TEXT_MAX]);

/* "350 us", "1.2 ms", "42 s". */
const char *microseconds_to_text(uint64_t microseconds, char ret_text[OUTPUT_TEXT_MAX]);

/* "alice", or the number where it is nobody's here. */
const char *user_to_text(uint64_t uid, char ret_text[OUTPUT_TEXT_MAX]);

/* "59m", "23h", "12d": the largest unit alone. */
const char *age_to_text(uint64_t seconds, char ret_text[OUTPUT_TEXT_MAX]);
/* Nanoseconds since the epoch. */
uint64_t output_get_now_ns(void);

/* The name of an enumeration's value; "?" for one of a newer gpud. */
const char *choice_to_text(const ProtoEnum *type, unsigned value);

/* A number of bytes: with a unit for people, exact for programs. */
void output_add_size(const Gpuctl *ctl, Table *table, uint64_t size);
/* One field of the structure at `base`, as the table shows it. */
void output_add_cell(const Gpuctl *ctl, Table *table, const ProtoField *field, const void *base);
/* A column for each field. */
void output_add_columns(const Gpuctl *ctl, Table *table, const ProtoStruct *type);
void output_add_row(const Gpuctl *ctl, Table *table, const ProtoStruct *type, const void *base);
/* Prints columns chosen by hand: in a line for each row, shortened to the terminal unless --no-trunc. */
void output_print_columns(const Gpuctl *ctl, Table *table);
/* Prints the table in the form that fits where stdout goes: if need be as a block for each row. */
void output_print_table(const Gpuctl *ctl, Table *table);

/*
 * Text of a paragraph behind `first`. On a terminal its lines break between words, and all but the first
 * begin with `indent` blanks.
 */
void output_print_text(const char *first, size_t indent, const char *text);

/*
 * The whole structure: names and values below each other, then its lists as tables. To a program each row of
 * a list begins with the list's name, unless the structure is one list and no more.
 */
void output_print_struct(const Gpuctl *ctl, const ProtoStruct *type, const void *base);

/* A handle alone, for programs to take. */
void output_print_handle(const struct gpud_uuid *mem);

/* Bytes: as they are to a program, as hexadecimal and text to people. */
void output_print_bytes(const Gpuctl *ctl, const struct gpud_bin *bytes);

/* The structure as a new JSON object. Bytes are a string of hexadecimal digits after 0x. */
json_t *output_to_json(const ProtoStruct *type, const void *base);
/* Prints `json` and drops it. */
void output_print_json(json_t *json);
