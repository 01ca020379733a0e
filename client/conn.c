/* Bytes between one client and gpud. Owned by the client, used by its thread. */

#include "client/conn.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes of the input buffer at first: room for the largest inline read. A longer reply lets it grow. */
#define INPUT_SIZE (128 * 1024)

/* Replies may be long: a list of everything there is. */
static const ScanLimits reply_limits = {
        .size_max = 64 * 1024 * 1024,
        .depth_max = 16,
        .items_max = 16 * 1024 * 1024,
};

int conn_init(Conn *conn, int fd) {
        *conn = (Conn){.fd = fd, .scan = SCAN_NULL, .input_capacity = INPUT_SIZE};
        msgpack_sbuffer_init(&conn->output);
        conn->input = malloc(INPUT_SIZE);
        return conn->input ? 0 : CONN_E_NO_MEMORY;
}

static void drop_output(Conn *conn) {
        for (size_t i = 0; i < conn->n_fds; i++)
                close(conn->fds[i].fd);
        conn->n_fds = 0;
        conn->n_sent = 0;
        msgpack_sbuffer_clear(&conn->output);
}

void conn_deinit(Conn *conn) {
        drop_output(conn);
        msgpack_sbuffer_destroy(&conn->output);
        free(conn->fds);
        free(conn->input);
        free(conn->kept);
        close(conn->fd);
}

size_t conn_get_n_queued(const Conn *conn) {
        return conn->output.size - conn->n_sent;
}

int conn_queue_fd(Conn *conn, size_t start, int fd) {
        size_t capacity = conn->fds_capacity ? 2 * conn->fds_capacity : 4;
        ConnFd *fds;

        if (conn->n_fds == conn->fds_capacity) {
                fds = realloc(conn->fds, capacity * sizeof(*fds));
                if (!fds)
                        return CONN_E_NO_MEMORY;
                conn->fds = fds;
                conn->fds_capacity = capacity;
        }
        conn->fds[conn->n_fds++] = (ConnFd){start, conn->output.size, fd};
        return 0;
}

/* Closes the first descriptor, which has been sent: the kernel has a reference of its own. */
static void pop_fd(Conn *conn) {
        close(conn->fds[0].fd);
        conn->n_fds--;
        memmove(conn->fds, conn->fds + 1, conn->n_fds * sizeof(*conn->fds));
}

/* Gives the space of sent bytes back where a queue never runs empty. */
static void compact_output(Conn *conn) {
        size_t n_sent = conn->n_sent;

        if (n_sent < conn->output.size / 2)
                return;
        memmove(conn->output.data, conn->output.data + n_sent, conn->output.size - n_sent);
        conn->output.size -= n_sent;
        conn->n_sent = 0;
        for (size_t i = 0; i < conn->n_fds; i++) {
                conn->fds[i].start -= n_sent;
                conn->fds[i].end -= n_sent;
        }
}

/* Sends bytes up to `end` together with the first descriptor. */
static ssize_t send_with_fd(const Conn *conn, size_t end) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {.iov_base = conn->output.data + conn->n_sent, .iov_len = end - conn->n_sent};
        const struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control.space),
        };

        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &conn->fds[0].fd, sizeof(int));
        return sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends once: what stands before the next message with a descriptor, or that message and the descriptor. */
static ssize_t send_some(Conn *conn, bool *ret_has_fd) {
        size_t end = conn->n_fds > 0 ? conn->fds[0].start : conn->output.size;

        *ret_has_fd = conn->n_fds > 0 && end <= conn->n_sent;
        if (*ret_has_fd)
                return send_with_fd(conn, conn->fds[0].end);
        return send(conn->fd, conn->output.data + conn->n_sent, end - conn->n_sent,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
}

int conn_flush(Conn *conn) {
        bool has_fd;
        ssize_t n;

        while (conn_get_n_queued(conn) > 0) {
                n = send_some(conn, &has_fd);
                if (n < 0 && errno == EINTR)
                        continue;
                /* ETOOMANYREFS: this user has too many descriptors under way; gpud is taking them. */
                if (n < 0 && (errno == EAGAIN || errno == ETOOMANYREFS)) {
                        compact_output(conn);
                        return 0;
                }
                if (n < 0) {
                        conn->is_send_broken = true;
                        drop_output(conn);
                        return 0;
                }
                if (has_fd)
                        pop_fd(conn);
                conn->n_sent += (size_t)n;
        }
        msgpack_sbuffer_clear(&conn->output);
        conn->n_sent = 0;
        return 0;
}

/* Makes room for input behind what is there. */
static int make_room(Conn *conn) {
        size_t n = conn->input_end - conn->input_start;
        char *input;

        if (conn->input_start > 0 && (n == 0 || conn->input_end == conn->input_capacity)) {
                memmove(conn->input, conn->input + conn->input_start, n);
                conn->input_start = 0;
                conn->input_end = n;
        }
        if (conn->input_end < conn->input_capacity)
                return 0;
        input = realloc(conn->input, 2 * conn->input_capacity);
        if (!input)
                return CONN_E_NO_MEMORY;
        conn->input = input;
        conn->input_capacity *= 2;
        return 0;
}

int conn_read(Conn *conn, bool is_blocking) {
        ssize_t n;
        int r;

        r = make_room(conn);
        if (r)
                return r;
        /* Without room for control messages the kernel closes descriptors that nobody asked for. */
        n = recv(conn->fd, conn->input + conn->input_end, conn->input_capacity - conn->input_end,
                 is_blocking ? 0 : MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return conn->is_send_broken ? CONN_E_CLOSED : CONN_E_AGAIN;
        if (n < 0 && errno != ECONNRESET)
                return CONN_E_SYSTEM;
        if (n <= 0)
                return CONN_E_CLOSED;
        conn->input_end += (size_t)n;
        return 0;
}

int conn_next(Conn *conn, const void **ret_data, size_t *ret_size, char *ret_fault, size_t n_fault) {
        const char *data = conn->input + conn->input_start;
        size_t size;
        int r;

        if (conn->input_end == conn->input_start)
                return CONN_E_MORE;
        r = scan_walk(&conn->scan, &reply_limits, data, conn->input_end - conn->input_start, &size);
        if (r == SCAN_E_MORE)
                return CONN_E_MORE;
        if (r) {
                scan_error_to_string(r, &reply_limits, ret_fault, n_fault);
                return CONN_E_INVALID;
        }
        conn->input_start += size;
        *ret_data = data;
        *ret_size = size;
        return 0;
}

int conn_keep(Conn *conn) {
        size_t n = conn->input_end - conn->input_start;
        size_t capacity = n > INPUT_SIZE ? n : INPUT_SIZE;
        char *input = conn->kept;

        if (conn->kept_capacity < capacity) {
                input = realloc(conn->kept, capacity);
                if (!input)
                        return CONN_E_NO_MEMORY;
                conn->kept_capacity = capacity;
        }
        memcpy(input, conn->input + conn->input_start, n);
        conn->kept = conn->input;
        conn->input = input;
        capacity = conn->kept_capacity;
        conn->kept_capacity = conn->input_capacity;
        conn->input_capacity = capacity;
        conn->input_start = 0;
        conn->input_end = n;
        return 0;
}
