/* Tables. Memory that runs out ends the program: there is nothing it could still do. */

#include "client/gpuctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

#define COLUMNS_MAX 64
#define GAP         2

struct Table {
        struct {
                const char *title;
                bool is_number;
                size_t width;
        } columns[COLUMNS_MAX];
        size_t n_columns;
        char **cells; /* owned, row by row */
        size_t n_cells;
        size_t capacity;
};

Table *table_new(void) {
        Table *table;

        table = calloc(1, sizeof(*table));
        if (!table)
                abort();
        return table;
}

Table *table_free(Table *table) {
        if (!table)
                return NULL;
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i]);
        free(table->cells);
        free(table);
        return NULL;
}

/* Characters of UTF-8: bytes that do not continue one. */
static size_t text_width(const char *text) {
        size_t n = 0;

        for (; *text; text++)
                n += (*text & 0xc0) != 0x80;
        return n;
}

void table_add_column(Table *table, const char *title, bool is_number) {
        if (table->n_columns == COLUMNS_MAX)
                abort();
        table->columns[table->n_columns].title = title;
        table->columns[table->n_columns].is_number = is_number;
        table->columns[table->n_columns].width = text_width(title);
        table->n_columns++;
}

void table_add_cell(Table *table, const char *text) {
        size_t column = table->n_cells % table->n_columns;
        size_t capacity = table->capacity ? 2 * table->capacity : 64;
        char *copy = strdup(text);
        char **cells;

        if (table->n_cells == table->capacity) {
                cells = realloc(table->cells, capacity * sizeof(*cells));
                if (!cells)
                        abort();
                table->cells = cells;
                table->capacity = capacity;
        }
        if (!copy)
                abort();
        text_sanitize(copy);
        table->cells[table->n_cells++] = copy;
        if (text_width(copy) > table->columns[column].width)
                table->columns[column].width = text_width(copy);
}

size_t table_get_n_rows(const Table *table) {
        return table->n_columns ? table->n_cells / table->n_columns : 0;
}

size_t table_get_width(const Table *table) {
        size_t width = 0;

        for (size_t i = 0; i < table->n_columns; i++)
                width += table->columns[i].width + (i ? GAP : 0);
        return width;
}

static void print_cell(const Table *table, FILE *file, size_t column, const char *text) {
        size_t pad = table->columns[column].width - text_width(text);
        bool is_number = table->columns[column].is_number;

        fprintf(file, "%*s", column ? GAP : 0, "");
        if (is_number)
                fprintf(file, "%*s", (int)pad, "");
        fputs(text, file);
        /* No blanks at the end of a line. */
        if (!is_number && column + 1 < table->n_columns)
                fprintf(file, "%*s", (int)pad, "");
}

void table_print_rows(const Table *table, FILE *file) {
        for (size_t i = 0; i < table->n_cells; i++) {
                print_cell(table, file, i % table->n_columns, table->cells[i]);
                if ((i + 1) % table->n_columns == 0)
                        fputc('\n', file);
        }
}

void table_print_aligned(const Table *table, FILE *file, bool is_bold) {
        if (is_bold)
                fputs("\033[1m", file);
        for (size_t i = 0; i < table->n_columns; i++)
                print_cell(table, file, i, table->columns[i].title);
        fputs(is_bold ? "\033[0m\n" : "\n", file);
        table_print_rows(table, file);
}

void table_print_blocks(const Table *table, FILE *file, bool is_bold) {
        size_t width = 0, column;

        for (size_t i = 0; i < table->n_columns; i++)
                if (text_width(table->columns[i].title) > width)
                        width = text_width(table->columns[i].title);
        for (size_t i = 0; i < table->n_cells; i++) {
                column = i % table->n_columns;
                if (column == 0 && i > 0)
                        fputc('\n', file);
                fprintf(file, "%s%-*s%s  %s\n", is_bold ? "\033[1m" : "", (int)width,
                        table->columns[column].title, is_bold ? "\033[0m" : "", table->cells[i]);
        }
}

void table_print_tabs(const Table *table, FILE *file) {
        for (size_t i = 0; i < table->n_cells; i++)
                fprintf(file, "%s%c", table->cells[i], (i + 1) % table->n_columns ? '\t' : '\n');
}
