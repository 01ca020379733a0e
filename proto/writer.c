/* Where the gathered bytes go. */

#include "proto/writer.h"

#include <errno.h>

static void hand_on(Writer *writer, const void *data, size_t n_data) {
        if (!writer->has_failed && n_data > 0 && writer->out->callback(writer->out->data, data, n_data) != 0)
                writer->has_failed = true;
}

void writer_flush(Writer *writer) {
        hand_on(writer, writer->bytes, (size_t)(writer->at - writer->bytes));
        writer->at = writer->bytes;
}

int writer_finish(Writer *writer) {
        writer_flush(writer);
        return writer->has_failed ? -ENOMEM : 0;
}

void writer_write(Writer *writer, const void *data, size_t n_data) {
        if (n_data > sizeof(writer->bytes)) {
                writer_flush(writer);
                hand_on(writer, data, n_data);
                return;
        }
        writer_reserve(writer, n_data);
        if (n_data > 0)
                memcpy(writer->at, data, n_data);
        writer->at += n_data;
}

void writer_write_str(Writer *writer, const char *text) {
        size_t n = strlen(text);

        writer_commit(writer, writer_put_str(writer_reserve(writer, WRITER_ITEM_MAX), n));
        writer_write(writer, text, n);
}
