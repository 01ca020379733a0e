#pragma once

/* A table of text: aligned with a header for people, tabs and no header for programs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct Table Table;

Table *table_new(void);
/* Returns NULL. */
Table *table_free(Table *table);

/* For _cleanup_. */
static inline void table_freep(Table **table) {
        table_free(*table);
}

/* Columns are declared before the first row. Numbers stand on the right. */
void table_add_column(Table *table, const char *title, bool is_number);
/* Cells fill rows from left to right. The text is copied, control characters in it replaced. */
void table_add_cell(Table *table, const char *text);
size_t table_get_n_rows(const Table *table);

/* Columns of a screen that the aligned table takes. */
size_t table_get_width(const Table *table);
/* `is_bold`: the header is. */
void table_print_aligned(const Table *table, FILE *file, bool is_bold);
/* One block per row, a line for each column: for tables too wide. */
void table_print_blocks(const Table *table, FILE *file, bool is_bold);
/* Aligned, without the header. */
void table_print_rows(const Table *table, FILE *file);
void table_print_tabs(const Table *table, FILE *file);
