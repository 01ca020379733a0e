#pragma once

/* Bytes in a row: appended at the end, consumed at the front. Keeps its memory when it runs empty. */

#include <stddef.h>

typedef struct Buffer {
        char *data;
        size_t start; /* first byte not consumed */
        size_t end;   /* behind the last byte */
        size_t size;  /* allocated */
} Buffer;

/* Gives the memory back; the buffer is empty, and can be used again. */
void buffer_deinit(Buffer *buffer);

static inline size_t buffer_get_length(const Buffer *buffer) {
        return buffer->end - buffer->start;
}

static inline char *buffer_get_data(const Buffer *buffer) {
        return buffer->data + buffer->start;
}

/* Makes room for `n` bytes behind the end. Returns the place, or NULL without memory. */
char *buffer_reserve(Buffer *buffer, size_t n);

/* Copies `n` bytes to the end. Returns 0 or -ENOMEM. */
int buffer_append(Buffer *buffer, const void *data, size_t n);

/* buffer_append() in the shape that msgpack's packer wants. */
int buffer_write(void *buffer, const char *data, size_t n);

/* Takes `n` bytes off the front. Requires: there are as many. */
void buffer_consume(Buffer *buffer, size_t n);
