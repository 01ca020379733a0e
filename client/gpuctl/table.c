/* Tables. Memory that runs out ends the program: there is nothing it could still do. */

#include "client/gpuctl/table.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "proto/text.h"

#define COLUMNS_MAX 64
#define GAP         2

typedef struct Column {
        TableColumn kind;
        char *title; /* owned */
        size_t width;
        bool is_left_out;
} Column;

struct Table {
        Column columns[COLUMNS_MAX];
        size_t n_columns;
        bool is_fitted;
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
        for (size_t i = 0; i < table->n_columns; i++)
                free(table->columns[i].title);
        free(table->cells);
        free(table);
        return NULL;
}

/* Steps past one character of UTF-8 and tells the columns it takes: CJK ones two, combining ones none. */
static size_t step_character(const char **text) {
        const char *end = *text + 1;
        wchar_t character;
        int width;

        while ((*end & 0xc0) == 0x80)
                end++;
        if (mbrtowc(&character, *text, (size_t)(end - *text), &(mbstate_t){0}) != (size_t)(end - *text))
                width = 1;
        else
                width = wcwidth(character);
        *text = end;
        return width < 0 ? 1 : (size_t)width;
}

static size_t text_width(const char *text) {
        size_t n = 0;

        while (*text)
                n += step_character(&text);
        return n;
}

void table_add(Table *table, TableColumn kind) {
        Column *column = &table->columns[table->n_columns];

        if (table->n_columns++ == COLUMNS_MAX)
                abort();
        *column = (Column){.kind = kind, .title = strdup(kind.title), .width = text_width(kind.title)};
        if (!column->title)
                abort();
}

void table_add_column(Table *table, const char *title, bool is_number) {
        table_add(table, (TableColumn){.title = title, .is_number = is_number});
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
                if (!table->columns[i].is_left_out)
                        width += table->columns[i].width + (width ? GAP : 0);
        return width;
}

/* What it is shortened to at most: its title stays whole. */
static size_t column_min(const Column *column) {
        size_t n_title = text_width(column->title);
        size_t width = column->kind.width_min > n_title ? column->kind.width_min : n_title;

        return column->kind.width_min > 0 && width < column->width ? width : column->width;
}

/* The next to lose a character: one that is cut, else the widest. NULL if there is none. */
static Column *find_longest(Table *table) {
        Column *longest = NULL;

        for (Column *column = table->columns; column < table->columns + table->n_columns; column++) {
                if (column->is_left_out || column->width == column_min(column))
                        continue;
                if (column->kind.is_cut)
                        return column;
                if (!longest || column->width > longest->width)
                        longest = column;
        }
        return longest;
}

static Column *find_least(Table *table) {
        Column *least = NULL;

        for (Column *column = table->columns; column < table->columns + table->n_columns; column++)
                if (column->kind.rank > 0 && !column->is_left_out &&
                    (!least || column->kind.rank > least->kind.rank))
                        least = column;
        return least;
}

static size_t get_narrowest(const Table *table) {
        size_t width = table_get_width(table);

        for (size_t i = 0; i < table->n_columns; i++)
                if (!table->columns[i].is_left_out)
                        width -= table->columns[i].width - column_min(&table->columns[i]);
        return width;
}

bool table_fit(Table *table, size_t width) {
        Column *column;

        table->is_fitted = table_get_width(table) > width;
        while (get_narrowest(table) > width) {
                column = find_least(table);
                if (!column)
                        break;
                column->is_left_out = true;
        }
        while (table_get_width(table) > width) {
                column = find_longest(table);
                if (!column)
                        return false;
                column->width--;
        }
        return true;
}

bool table_is_fitted(const Table *table) {
        return table->is_fitted;
}

/* Prints the part of the text that fits into so many columns of the screen. Returns how many it took. */
static size_t print_part(FILE *file, const char *text, size_t width) {
        const char *end = text, *next = text;
        size_t n = 0, n_next;

        while (*next) {
                n_next = n + step_character(&next);
                if (n_next > width)
                        break;
                n = n_next;
                end = next;
        }
        fwrite(text, 1, (size_t)(end - text), file);
        return n;
}

/* The last characters of the text that fit. */
static const char *find_end(const char *text, size_t width) {
        while (text_width(text) > width)
                step_character(&text);
        return text;
}

/* At most so many columns of the text; returns how many it took. */
static size_t print_text(FILE *file, const Column *column, const char *text) {
        size_t n_tail = (column->width - 1) / 2, n;
        const char *tail;

        if (text_width(text) <= column->width || column->kind.is_cut)
                return print_part(file, text, column->width);
        n = print_part(file, text, column->width - 1 - n_tail);
        fputs("\u2026", file);
        tail = find_end(text, n_tail);
        return n + 1 + print_part(file, tail, n_tail);
}

static void print_cell(const Table *table, FILE *file, size_t i, const char *text) {
        const Column *column = &table->columns[i];
        size_t n = text_width(text);

        if (column->is_left_out)
                return;
        fprintf(file, "%*s", i ? GAP : 0, "");
        if (column->kind.is_number && n < column->width)
                fprintf(file, "%*s", (int)(column->width - n), "");
        n = print_text(file, column, text);
        /* No blanks at the end of a line. */
        if (!column->kind.is_number && i + 1 < table->n_columns)
                fprintf(file, "%*s", (int)(column->width - n), "");
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
