/* Bytes in a row. */

#include "daemon/util/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/util/error.h"
#include "daemon/util/macros.h"

#define SIZE_MIN ((size_t)1024)

void buffer_deinit(Buffer *buffer) {
        free(buffer->data);
        *buffer = (Buffer){0};
}

char *buffer_reserve(Buffer *buffer, size_t n) {
        size_t length = buffer_get_length(buffer);
        size_t size;
        char *data;

        if (buffer->size - buffer->end >= n && buffer->data)
                return buffer->data + buffer->end;

        /* Moving pays only when at least half of the space has been consumed. */
        if (buffer->start > length && buffer->size - length >= n) {
                memmove(buffer->data, buffer->data + buffer->start, length);
        } else {
                size = MAX(MAX(2 * buffer->size, SIZE_MIN), length + n);
                data = malloc(size);
                if (!data)
                        return NULL;
                if (length > 0)
                        memcpy(data, buffer->data + buffer->start, length);
                free(buffer->data);
                buffer->data = data;
                buffer->size = size;
        }
        buffer->start = 0;
        buffer->end = length;
        return buffer->data + buffer->end;
}

int buffer_append(Buffer *buffer, const void *data, size_t n) {
        char *place = buffer_reserve(buffer, n);

        if (!place)
                return error_origin(-ENOMEM);
        if (n > 0)
                memcpy(place, data, n);
        buffer->end += n;
        return 0;
}

int buffer_write(void *buffer, const char *data, size_t n) {
        return buffer_append(buffer, data, n);
}

void buffer_consume(Buffer *buffer, size_t n) {
        buffer->start += n;
        if (buffer->start < buffer->end)
                return;
        buffer->start = buffer->end = 0;
}
