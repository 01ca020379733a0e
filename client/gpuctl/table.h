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

/* What may become of a column where the table is too wide. */
typedef struct TableColumn {
        const char *title; /* copied */
        bool is_number;    /* stands on the right */
        bool is_cut;       /* loses its end alone, as a handle may; else its middle, for an ellipsis */
        size_t width_min;  /* it is shortened to no less than this; 0: never */
        unsigned rank;     /* it is left out, the highest rank first; 0: never */
} TableColumn;

/* Columns are declared before the first row. */
void table_add(Table *table, TableColumn column);
/* One that stays as it is. */
void table_add_column(Table *table, const char *title, bool is_number);
/* Cells fill rows from left to right. The text is copied, control characters in it replaced. */
void table_add_cell(Table *table, const char *text);
size_t table_get_n_rows(const Table *table);

/* Columns of a screen that the aligned table takes. */
size_t table_get_width(const Table *table);
/*
 * Has the aligned table take no more than `width`: leaves columns out where shortening were not enough, then
 * shortens cells, the longest first. False if it still is too wide.
 */
bool table_fit(Table *table, size_t width);
/* Whether something was shortened or left out. */
bool table_is_fitted(const Table *table);
/* `is_bold`: the header is. */
void table_print_aligned(const Table *table, FILE *file, bool is_bold);
/* One block per row, a line for each column: for tables too wide. */
void table_print_blocks(const Table *table, FILE *file, bool is_bold);
/* Aligned, without the header. */
void table_print_rows(const Table *table, FILE *file);
void table_print_tabs(const Table *table, FILE *file);
