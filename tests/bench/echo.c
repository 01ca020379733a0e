/*
 * The least a server on libuv can do: sends back the bytes that come. The floor under daemon.ping.
 * `echo PATH` serves a Unix socket until it is killed.
 */

#include <stdlib.h>
#include <uv.h>

#include "tests/bench/side.h"

#define BUFFER_SIZE 65536

typedef struct Conn {
        uv_pipe_t pipe;
        char buffer[BUFFER_SIZE];
} Conn;

/* What the socket did not take at once. */
typedef struct Rest {
        uv_write_t write;
        char data[];
} Rest;

static void on_closed(uv_handle_t *handle) {
        free(handle);
}

static void on_buffer(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer) {
        Conn *conn = (Conn *)handle;

        (void)size;
        *ret_buffer = uv_buf_init(conn->buffer, BUFFER_SIZE);
}

static void on_written(uv_write_t *write, int r) {
        (void)r;
        free(write);
}

static void write_rest(uv_stream_t *stream, const char *data, size_t size) {
        Rest *rest = must_alloc(sizeof(Rest) + size);
        uv_buf_t buffer = uv_buf_init(rest->data, (unsigned int)size);

        for (size_t i = 0; i < size; i++)
                rest->data[i] = data[i];
        if (uv_write(&rest->write, stream, &buffer, 1, on_written) < 0)
                free(rest);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
        uv_buf_t reply;
        int written;

        if (n < 0) {
                uv_close((uv_handle_t *)stream, on_closed);
                return;
        }
        reply = uv_buf_init(buffer->base, (unsigned int)n);
        written = uv_try_write(stream, &reply, 1);
        if (written < 0)
                written = 0;
        if (written < n)
                write_rest(stream, buffer->base + written, (size_t)(n - written));
}

static void on_connection(uv_stream_t *server, int r) {
        Conn *conn = must_alloc(sizeof(Conn));

        if (r < 0 || uv_pipe_init(server->loop, &conn->pipe, 0) < 0 ||
            uv_accept(server, (uv_stream_t *)&conn->pipe) < 0 ||
            uv_read_start((uv_stream_t *)&conn->pipe, on_buffer, on_read) < 0)
                die("accept: %s", uv_strerror(r));
}

int main(int argc, char **argv) {
        uv_loop_t *loop = uv_default_loop();
        uv_pipe_t server;
        int r;

        if (argc != 2)
                die("usage: echo PATH");
        r = uv_pipe_init(loop, &server, 0);
        if (r == 0)
                r = uv_pipe_bind(&server, argv[1]);
        if (r == 0)
                r = uv_listen((uv_stream_t *)&server, 4096, on_connection);
        if (r < 0)
                die("%s: %s", argv[1], uv_strerror(r));
        return uv_run(loop, UV_RUN_DEFAULT);
}
