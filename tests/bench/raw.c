/*
 * The same plain client of three servers: gpud, Redis and the bare echo. It packs its requests beforehand and
 * looks at the replies no closer than it must, so that what is compared is the servers.
 * `raw gpud|redis|echo PATH`, then commands (side.h):
 *
 *      trip N               one request at a time, N of them
 *      pipe DEPTH N         N requests, DEPTH at a time in one write, then DEPTH replies
 *      set DEPTH N          the same with Redis's SET
 *      pair DEPTH N SIZE    the same with DEPTH mem.alloc, then DEPTH mem.free: N pairs
 *      grow N SIZE          allocates until N live
 *      churn DEPTH N SIZE   pairs: frees DEPTH of the live ones, taken at random, then allocates as many anew
 *      many CONNS N         N requests over CONNS new connections, each with one in flight
 *      idle CONNS           opens that many connections and leaves them open
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/scan.h"
#include "tests/bench/side.h"

#define DEPTH_MAX  128 /* message ids of one byte */
#define GROW_DEPTH 64
#define UUID_TEXT  36
#define INPUT_SIZE 65536

/* What the ping is to each server. */
typedef struct Server {
        const char *name;
        const char *request;
        size_t n_request;
        const char *reply; /* how it begins */
        size_t n_reply_start;
        size_t n_reply;
} Server;

/* The id of the ping is 0. */
#define PING_GPUD                                                                                            \
        "\x94\x00\x00\xab"                                                                                   \
        "daemon.ping\x91\x80"
#define PONG_GPUD  "\x94\x01\x00\xc0"
#define PING_REDIS "*1\r\n$4\r\nPING\r\n"
#define PONG_REDIS "+PONG\r\n"
#define LENGTH(s_) (sizeof(s_) - 1)

static const Server servers[] = {
        {"gpud", PING_GPUD, LENGTH(PING_GPUD), PONG_GPUD, LENGTH(PONG_GPUD), LENGTH(PONG_GPUD) + 1},
        {"redis", PING_REDIS, LENGTH(PING_REDIS), PONG_REDIS, LENGTH(PONG_REDIS), LENGTH(PONG_REDIS)},
        {"echo", PING_GPUD, LENGTH(PING_GPUD), PING_GPUD, LENGTH(PING_GPUD), LENGTH(PING_GPUD)},
};

#define SET_REDIS "*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\nxxx\r\n"
#define OK_REDIS  "+OK\r\n"

typedef struct Uuid {
        char text[UUID_TEXT];
} Uuid;

typedef struct Raw {
        const Server *server;
        const char *path;
        int fd;
        Samples samples;
        Uuid *live; /* owned */
        size_t n_live;
        size_t n_live_max;
        unsigned long long random;
        size_t n_alloc; /* bytes of one request of `allocs` */
        char allocs[DEPTH_MAX * 64];
        char output[DEPTH_MAX * 128];
        char input[INPUT_SIZE];
} Raw;

static int raw_connect(const Raw *raw) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || strlen(raw->path) >= sizeof(address.sun_path))
                die("%s: cannot make a socket for it", raw->path);
        strcpy(address.sun_path, raw->path);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die("%s: %s", raw->path, strerror(errno));
        return fd;
}

static void send_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n < 0)
                        die("send: %s", strerror(errno));
                data += n;
                size -= (size_t)n;
        }
}

static size_t receive(int fd, char *data, size_t size) {
        ssize_t n = recv(fd, data, size, 0);

        if (n <= 0)
                die("recv: %s", n < 0 ? strerror(errno) : "the server hung up");
        return (size_t)n;
}

/* Waits for `size` bytes, the first of which must be `start`. */
static void expect(Raw *raw, size_t size, const char *start, size_t n_start) {
        size_t n = 0;

        while (n < n_start)
                n += receive(raw->fd, raw->input + n, INPUT_SIZE - n);
        if (memcmp(raw->input, start, n_start) != 0)
                die("%s replied something else: %.*s", raw->server->name, (int)n, raw->input);
        while (n < size)
                n += receive(raw->fd, raw->input, INPUT_SIZE);
        if (n != size)
                die("%s replied %zu bytes, not %zu", raw->server->name, n, size);
}

static void do_trip(void *side, char **args) {
        Raw *raw = side;
        const Server *server = raw->server;
        size_t n = to_size(args[0]);

        /* The first are for caches and clocks that have to warm up. */
        for (size_t i = 0; i < n + n / 10; i++) {
                double began = now_us();

                send_all(raw->fd, server->request, server->n_request);
                expect(raw, server->n_reply, server->reply, server->n_reply_start);
                if (i >= n / 10)
                        samples_add(&raw->samples, now_us() - began);
        }
        printf("{");
        samples_print(&raw->samples);
        printf("}\n");
}

static size_t to_depth(const char *text) {
        size_t depth = to_size(text);

        if (depth < 1 || depth > DEPTH_MAX)
                die("the depth can be 1 to %d", DEPTH_MAX);
        return depth;
}

static void print_rate(size_t n, double us) {
        printf("{\"n\": %zu, \"per_s\": %.0f, \"us_each\": %.4f}\n", n, (double)n * 1e6 / us, us / (double)n);
}

static void pipe_requests(Raw *raw, char **args, const char *request, size_t n_request, const char *reply,
                          size_t n_start, size_t n_reply) {
        size_t depth = to_depth(args[0]);
        size_t n_batches = to_size(args[1]) / depth + 1;
        size_t n_warm = n_batches / 10;
        double began = 0;

        for (size_t i = 0; i < depth; i++)
                memcpy(raw->output + i * n_request, request, n_request);
        for (size_t i = 0; i < n_warm + n_batches; i++) {
                if (i == n_warm)
                        began = now_us();
                send_all(raw->fd, raw->output, depth * n_request);
                expect(raw, depth * n_reply, reply, n_start);
        }
        print_rate(n_batches * depth, now_us() - began);
}

static void do_pipe(void *side, char **args) {
        Raw *raw = side;
        const Server *server = raw->server;

        pipe_requests(raw, args, server->request, server->n_request, server->reply, server->n_reply_start,
                      server->n_reply);
}

static void do_set(void *side, char **args) {
        pipe_requests(side, args, SET_REDIS, LENGTH(SET_REDIS), OK_REDIS, LENGTH(OK_REDIS), LENGTH(OK_REDIS));
}

/* ---- allocations ---- */

#define ALLOC                                                                                                \
        "\xa9mem.alloc\x91\x82\xa6"                                                                          \
        "device\xa8vulkan:0\xa4size\xcf"
#define FREE "\xa8mem.free\x91\x81\xa3mem\xd9\x24"

/* How a reply begins that is no error: [1, id, nil, ...; and what comes first in that of mem.alloc. */
#define REPLY_START "\x94\x01"
#define REPLY_NIL   3
#define REPLY_MEM   5
#define ALLOC_REPLY "\xa3mem\xd9\x24"

static size_t pack_alloc(char *data, size_t id, size_t size) {
        char *at = data;

        *at++ = '\x94';
        *at++ = '\x00';
        *at++ = (char)id;
        memcpy(at, ALLOC, LENGTH(ALLOC));
        at += LENGTH(ALLOC);
        for (int shift = 56; shift >= 0; shift -= 8)
                *at++ = (char)(size >> shift);
        return (size_t)(at - data);
}

static size_t pack_free(char *data, size_t id, const Uuid *uuid) {
        char *at = data;

        *at++ = '\x94';
        *at++ = '\x00';
        *at++ = (char)id;
        memcpy(at, FREE, LENGTH(FREE));
        at += LENGTH(FREE);
        memcpy(at, uuid->text, UUID_TEXT);
        return (size_t)(at + UUID_TEXT - data);
}

/* Readies the requests of a batch. Only mem.free's differ from one batch to the next. */
static void pack_allocs(Raw *raw, size_t depth, size_t size) {
        char *at = raw->allocs;

        for (size_t i = 0; i < depth; i++)
                at += pack_alloc(at, i, size);
        raw->n_alloc = (size_t)(at - raw->allocs) / depth;
}

static void check_reply(const char *reply, size_t size) {
        if (size <= REPLY_NIL || memcmp(reply, REPLY_START, LENGTH(REPLY_START)) != 0 ||
            reply[REPLY_NIL] != '\xc0')
                die("gpud refused: %.*s", (int)size, reply);
}

/* The handle in a reply to mem.alloc. */
static void read_uuid(Uuid *ret_uuid, const char *reply, size_t size) {
        const char *mem = reply + REPLY_MEM;

        if (size < REPLY_MEM + LENGTH(ALLOC_REPLY) + UUID_TEXT ||
            memcmp(mem, ALLOC_REPLY, LENGTH(ALLOC_REPLY)) != 0)
                die("mem.alloc: %.*s", (int)size, reply);
        memcpy(ret_uuid->text, mem + LENGTH(ALLOC_REPLY), UUID_TEXT);
}

/*
 * Takes `n` replies; their handles go to `ret_uuids` in the order they come, if it is not NULL. The first
 * tells how long each of them is: they differ in ids, handles and times.
 */
static void take_replies(Raw *raw, size_t n, Uuid *ret_uuids) {
        Scan scan = SCAN_NULL;
        size_t size = 0;
        size_t end = 0;
        int r;

        do {
                end += receive(raw->fd, raw->input + end, INPUT_SIZE - end);
                r = scan_walk(&scan, &scan_request_limits, raw->input, end, &size);
        } while (r == SCAN_E_MORE);
        if (r != 0 || n * size > INPUT_SIZE)
                die("gpud replied something else: %.*s", (int)end, raw->input);
        for (size_t i = 0; i < n; i++) {
                const char *reply = raw->input + i * size;

                while (end < (i + 1) * size)
                        end += receive(raw->fd, raw->input + end, INPUT_SIZE - end);
                check_reply(reply, size);
                if (ret_uuids)
                        read_uuid(&ret_uuids[i], reply, size);
        }
        if (end != n * size)
                die("gpud replied %zu bytes, not %zu", end, n * size);
}

/* As many as pack_allocs() made ready, or fewer. */
static void alloc_batch(Raw *raw, size_t depth, Uuid *ret_uuids) {
        send_all(raw->fd, raw->allocs, depth * raw->n_alloc);
        take_replies(raw, depth, ret_uuids);
}

static void free_batch(Raw *raw, size_t depth, const Uuid *uuids) {
        size_t n = 0;

        for (size_t i = 0; i < depth; i++)
                n += pack_free(raw->output + n, i, &uuids[i]);
        send_all(raw->fd, raw->output, n);
        take_replies(raw, depth, NULL);
}

static void do_pair(void *side, char **args) {
        Raw *raw = side;
        size_t depth = to_depth(args[0]);
        size_t n_batches = to_size(args[1]) / depth + 1;
        Uuid uuids[DEPTH_MAX];
        double began = 0;

        pack_allocs(raw, depth, to_size(args[2]));
        for (size_t i = 0; i < n_batches / 10 + n_batches; i++) {
                if (i == n_batches / 10)
                        began = now_us();
                alloc_batch(raw, depth, uuids);
                free_batch(raw, depth, uuids);
        }
        print_rate(n_batches * depth, now_us() - began);
}

static void do_grow(void *side, char **args) {
        Raw *raw = side;
        size_t n = to_size(args[0]);
        size_t n_before = raw->n_live;
        double began = now_us();

        pack_allocs(raw, GROW_DEPTH, to_size(args[1]));
        if (n > raw->n_live_max) {
                raw->live = realloc(raw->live, n * sizeof(raw->live[0]));
                if (!raw->live)
                        die("no memory for %zu handles", n);
                raw->n_live_max = n;
        }
        while (raw->n_live < n) {
                size_t depth = n - raw->n_live < GROW_DEPTH ? n - raw->n_live : GROW_DEPTH;

                alloc_batch(raw, depth, &raw->live[raw->n_live]);
                raw->n_live += depth;
        }
        print_rate(n - n_before, now_us() - began);
}

static size_t random_below(Raw *raw, size_t n) {
        raw->random = raw->random * 6364136223846793005ULL + 1442695040888963407ULL;
        return (size_t)(raw->random >> 33) % n;
}

static void do_churn(void *side, char **args) {
        Raw *raw = side;
        size_t depth = to_depth(args[0]);
        size_t n_batches = to_size(args[1]) / depth + 1;
        double us = 0;

        if (raw->n_live < depth)
                depth = raw->n_live;
        pack_allocs(raw, depth, to_size(args[2]));
        for (size_t i = 0; i < n_batches / 10 + n_batches; i++) {
                double began;

                /* The ones to be freed come to the front; to choose them is none of gpud's work. */
                for (size_t j = 0; j < depth; j++) {
                        size_t k = j + random_below(raw, raw->n_live - j);
                        Uuid uuid = raw->live[j];

                        raw->live[j] = raw->live[k];
                        raw->live[k] = uuid;
                }
                began = now_us();
                free_batch(raw, depth, raw->live);
                alloc_batch(raw, depth, raw->live);
                if (i >= n_batches / 10)
                        us += now_us() - began;
        }
        print_rate(n_batches * depth, us);
}

/* ---- connections ---- */

typedef struct Conn {
        int fd;
        size_t n_got; /* bytes of the reply */
        double began;
} Conn;

static void conn_ask(const Raw *raw, Conn *conn) {
        conn->n_got = 0;
        conn->began = now_us();
        send_all(conn->fd, raw->server->request, raw->server->n_request);
}

static Conn *open_conns(const Raw *raw, size_t n, int epoll) {
        Conn *conns = must_alloc(n * sizeof(Conn));

        for (size_t i = 0; i < n; i++) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = &conns[i]};

                conns[i] = (Conn){.fd = raw_connect(raw)};
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &event) < 0)
                        die("epoll_ctl: %s", strerror(errno));
        }
        return conns;
}

/* Runs `n` requests over the connections. */
static void run_conns(Raw *raw, int epoll, Conn *conns, size_t n_conns, size_t n, Samples *samples) {
        struct epoll_event events[256];
        size_t n_asked = 0;
        size_t n_done = 0;

        for (; n_asked < n_conns && n_asked < n; n_asked++)
                conn_ask(raw, &conns[n_asked]);
        while (n_done < n) {
                int n_events = epoll_wait(epoll, events, 256, -1);

                for (int i = 0; i < n_events; i++) {
                        Conn *conn = events[i].data.ptr;

                        conn->n_got += receive(conn->fd, raw->input, INPUT_SIZE);
                        if (conn->n_got < raw->server->n_reply)
                                continue;
                        if (samples)
                                samples_add(samples, now_us() - conn->began);
                        n_done++;
                        if (n_asked < n) {
                                n_asked++;
                                conn_ask(raw, conn);
                        }
                }
        }
}

static void do_many(void *side, char **args) {
        Raw *raw = side;
        size_t n_conns = to_size(args[0]);
        size_t n = to_size(args[1]);
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        Conn *conns = open_conns(raw, n_conns, epoll);
        double began;

        run_conns(raw, epoll, conns, n_conns, n / 10 + n_conns, NULL);
        began = now_us();
        run_conns(raw, epoll, conns, n_conns, n, &raw->samples);
        printf("{\"per_s\": %.0f, ", (double)n * 1e6 / (now_us() - began));
        samples_print(&raw->samples);
        printf("}\n");
        for (size_t i = 0; i < n_conns; i++)
                close(conns[i].fd);
        free(conns);
        close(epoll);
}

static void do_idle(void *side, char **args) {
        const Raw *raw = side;
        size_t n = to_size(args[0]);
        char reply[256];

        /* One request each, so that all there is of a connection has come to be. */
        for (size_t i = 0; i < n; i++) {
                int fd = raw_connect(raw);
                size_t n_got = 0;

                send_all(fd, raw->server->request, raw->server->n_request);
                while (n_got < raw->server->n_reply)
                        n_got += receive(fd, reply, sizeof(reply));
        }
        printf("{\"n\": %zu}\n", n);
}

static const Command commands[] = {
        {"trip", 1, do_trip}, {"pipe", 2, do_pipe}, {"set", 2, do_set},
        {"pair", 3, do_pair}, {"grow", 2, do_grow}, {"churn", 3, do_churn},
        {"many", 2, do_many}, {"idle", 1, do_idle}, {NULL, 0, NULL},
};

int main(int argc, char **argv) {
        static Raw raw;

        if (argc != 3)
                die("usage: raw gpud|redis|echo PATH");
        for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
                if (strcmp(servers[i].name, argv[1]) == 0)
                        raw.server = &servers[i];
        if (!raw.server)
                die("no server is called \"%s\"", argv[1]);
        raw.path = argv[2];
        raw.fd = raw_connect(&raw);
        commands_run(commands, &raw);
        return 0;
}
