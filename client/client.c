/* Requests out, replies in, and who waits for which. */

#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/cleanup.h"
#include "client/fork.h"
#include "client/headroom.h"
#include "client/region.h"
#include "client/wait.h"
#include "proto/codec.h"

#define CALL_NONE UINT32_MAX

/* Queued bytes above which a submitting call sends by itself. */
#define FLUSH_SIZE (64 * 1024)

#define ZONE_SIZE 8192

/* Arguments of any method, all absent. */
static const AnyStruct nothing;

int client_fail(struct gpud_client *client, int code, const char *format, ...) {
        va_list args;

        client->fault.code = code;
        va_start(args, format);
        vsnprintf(client->fault.text, sizeof(client->fault.text), format, args);
        va_end(args);
        return -code;
}

static int fail_no_memory(struct gpud_client *client) {
        return client_fail(client, GPUD_E_SYSTEM_CALL, "out of memory in this process");
}

/* ---- calls ---- */

/* Sees to it that a slot is free, the one that call_open() will take: `first_free`. */
static int calls_reserve(struct gpud_client *client) {
        size_t n = client->n_calls ? 2 * client->n_calls : 64;
        Call *calls;

        if (client->first_free != CALL_NONE)
                return 0;
        calls = realloc(client->calls, n * sizeof(*calls));
        if (!calls)
                return fail_no_memory(client);
        client->calls = calls;
        for (size_t i = n; i-- > client->n_calls;) {
                calls[i] = (Call){.next_free = client->first_free};
                client->first_free = (uint32_t)i;
        }
        client->n_calls = n;
        return 0;
}

/* Requires: a slot is free. */
static void call_open(struct gpud_client *client, const Call *call) {
        uint32_t slot = client->first_free;

        client->first_free = client->calls[slot].next_free;
        client->calls[slot] = *call;
        client->n_pending++;
}

static void call_close(struct gpud_client *client, uint32_t slot) {
        client->calls[slot] = (Call){.next_free = client->first_free};
        client->first_free = slot;
        client->n_pending--;
}

/* Ends the call in `slot`. Its callback may submit, which may move the slots. */
static void call_complete(struct gpud_client *client, uint32_t slot, int r, const void *result) {
        Call call = client->calls[slot];

        call_close(client, slot);
        client->is_in_callback = true;
        call.thunk(client, &call, r, result);
        client->is_in_callback = false;
}

/* ---- connection ---- */

/* Ends every pending call with the reason why the connection is lost. */
static void fail_pending(struct gpud_client *client) {
        for (uint32_t i = 0; i < client->n_calls; i++)
                if (client->calls[i].method) {
                        client->fault = client->lost;
                        call_complete(client, i, -client->lost.code, NULL);
                }
}

/*
 * Gives the connection up, for the reason `why` if it was not lost before, and ends every pending call with
 * it. Returns the reason's code negated.
 */
static int lose_for(struct gpud_client *client, const ProtoFault *why) {
        if (!client->lost.code) {
                client->lost = *why;
                /* A forked child leaves the socket alone: its parent goes on with it. */
                if (client->fork_depth == fork_get_depth())
                        shutdown(client->conn.fd, SHUT_RDWR);
                fail_pending(client);
        }
        client->fault = client->lost;
        return -client->lost.code;
}

__attribute__((format(printf, 2, 3))) static int client_lose(struct gpud_client *client, const char *format,
                                                             ...) {
        ProtoFault why = {.code = GPUD_E_CONNECTION_LOST};
        va_list args;

        va_start(args, format);
        vsnprintf(why.text, sizeof(why.text), format, args);
        va_end(args);
        return lose_for(client, &why);
}

int client_check(struct gpud_client *client) {
        if (client->lost.code || client->fork_depth != fork_get_depth())
                return client_lose(client, "the connection belongs to the process before the fork");
        return 0;
}

static void client_freep(struct gpud_client **client) {
        gpud_close(*client);
}

int client_new(struct gpud_client **ret_client, int fd) {
        _cleanup_(fd_closep) int owned_fd = fd;
        _cleanup_(client_freep) struct gpud_client *client = NULL;
        int r;

        client = calloc(1, sizeof(*client));
        if (!client)
                return -GPUD_E_SYSTEM_CALL;
        client->fork_depth = fork_get_depth();
        client->first_free = CALL_NONE;
        spin_init(&client->spin, GPUD_SPIN_US);
        r = conn_init(&client->conn, fd);
        owned_fd = -1;
        if (r)
                return -GPUD_E_SYSTEM_CALL;
        client->zone = msgpack_zone_new(ZONE_SIZE);
        client->kept_zone = msgpack_zone_new(ZONE_SIZE);
        if (!client->zone || !client->kept_zone)
                return -GPUD_E_SYSTEM_CALL;
        *ret_client = STEAL(client);
        return 0;
}

void gpud_close(struct gpud_client *client) {
        if (!client)
                return;
        client_lose(client, "the connection was closed by this process");
        if (client->fork_depth == fork_get_depth())
                copier_free(client->copier);
        else
                copier_abandon(client->copier);
        region_arena_free(client);
        region_orphan_all(client);
        if (client->zone)
                msgpack_zone_free(client->zone);
        if (client->kept_zone)
                msgpack_zone_free(client->kept_zone);
        free(client->calls);
        conn_deinit(&client->conn);
        free(client);
}

int gpud_fd(const struct gpud_client *client) {
        return client->conn.fd;
}

short gpud_events(const struct gpud_client *client) {
        return POLLIN | (conn_get_n_queued(&client->conn) > 0 ? POLLOUT : 0);
}

size_t gpud_pending(const struct gpud_client *client) {
        return client->n_pending;
}

void client_flush(struct gpud_client *client) {
        if (!client->lost.code)
                conn_flush(&client->conn);
}

/* ---- out ---- */

/* Refuses what the codec, which trusts the program, would pack: unknown values and missing pointers. */
static int check_arg(struct gpud_client *client, const ProtoField *field, const void *value) {
        const unsigned *choice = value;
        const char *const *text = value;
        const struct gpud_bin *bin = value;

        if (field->wire == PROTO_WIRE_ENUM && *choice >= field->choices->n_values)
                return client_fail(client, GPUD_E_INVALID_ARGUMENT, "`%s` is %u, no value of enum gpud_%s",
                                   field->name, *choice, field->choices->name);
        if (field->is_required &&
            ((field->wire == PROTO_WIRE_BIN && !bin->data) || (field->wire == PROTO_WIRE_STR && !*text)))
                return client_fail(client, GPUD_E_INVALID_ARGUMENT, "`%s` is missing", field->name);
        return 0;
}

/* What a newer gpud.h put where this library knows of nothing is a wish that it would drop in silence. */
static int check_room(struct gpud_client *client, const ProtoStruct *type, const void *args) {
        size_t end = proto_struct_get_end(type);

        if (type->n_fields == 0 || memcmp((const char *)args + end, &nothing, type->size - end) == 0)
                return 0;
        return client_fail(
                client, GPUD_E_INVALID_ARGUMENT,
                "struct gpud_%s has more in it than libgpud %s knows of: the program was built with "
                "a newer gpud.h, or did not zero it",
                type->name, gpud_version());
}

static int check_args(struct gpud_client *client, const ProtoStruct *type, const void *args) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < type->n_fields; i++)
                r = check_arg(client, &type->fields[i], (const char *)args + type->fields[i].offset);
        return r < 0 ? r : check_room(client, type, args);
}

/* Lets a copy of the descriptor travel with the request that was appended at `start`. */
static int append_fd(struct gpud_client *client, size_t start, int fd) {
        _cleanup_(fd_closep) int copy = -1;
        char text[128];

        /* The caller may close its own before the request is out. */
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
                return client_fail(client, GPUD_E_SYSTEM_CALL, "file descriptor %d: %s", fd,
                                   headroom_error_to_string(errno, text, sizeof(text)));
        if (conn_queue_fd(&client->conn, start, copy))
                return fail_no_memory(client);
        copy = -1;
        return 0;
}

static int append_request(struct gpud_client *client, uint32_t msgid, const ProtoMethod *method,
                          const void *args, int fd) {
        msgpack_sbuffer *output = &client->conn.output;
        size_t start = output->size;
        msgpack_packer packer;

        msgpack_packer_init(&packer, output, msgpack_sbuffer_write);
        if (message_pack_request(&packer, msgid, method, args))
                return fail_no_memory(client);
        if (output->size - start > GPUD_MESSAGE_MAX)
                return client_fail(client, GPUD_E_INVALID_ARGUMENT,
                                   "request has %zu bytes, message_max is %d", output->size - start,
                                   GPUD_MESSAGE_MAX);
        return method->n_fds > 0 ? append_fd(client, start, fd) : 0;
}

/* Appends the request to the output, whole or not at all. */
static int queue_request(struct gpud_client *client, uint32_t msgid, const ProtoMethod *method,
                         const void *args, int fd) {
        size_t before = client->conn.output.size;
        int r;

        r = append_request(client, msgid, method, args, fd);
        if (r < 0)
                client->conn.output.size = before;
        return r;
}

int client_submit(struct gpud_client *client, const ProtoMethod *method, const void *args, int fd,
                  CallThunk *thunk, void (*done)(void), void *userdata) {
        int r;

        r = client_check(client);
        if (r < 0)
                return r;
        if (client->n_pending >= CLIENT_PENDING_MAX)
                return client_fail(client, GPUD_E_RESOURCE_EXHAUSTED,
                                   "%zu calls have no reply yet, the limit of libgpud is %d",
                                   client->n_pending, CLIENT_PENDING_MAX);
        if (conn_get_n_queued(&client->conn) >= CLIENT_OUTPUT_MAX)
                return client_fail(client, GPUD_E_RESOURCE_EXHAUSTED,
                                   "%zu bytes of requests wait for gpud, the limit of libgpud is %d",
                                   conn_get_n_queued(&client->conn), CLIENT_OUTPUT_MAX);
        if (!args)
                args = &nothing;
        r = check_args(client, method->args, args);
        if (r < 0)
                return r;
        r = calls_reserve(client);
        if (r < 0)
                return r;
        r = queue_request(client, client->first_free, method, args, fd);
        if (r < 0)
                return r;
        call_open(client, &(Call){.method = method, .thunk = thunk, .done = done, .userdata = userdata});
        if (conn_get_n_queued(&client->conn) >= FLUSH_SIZE)
                client_flush(client);
        return 0;
}

/* ---- in ---- */

/* Puts aside what the result of a blocking call points into, until the next such result is put aside. */
static int keep_result(struct gpud_client *client) {
        msgpack_zone *zone = client->zone;

        if (conn_keep(&client->conn))
                return fail_no_memory(client);
        client->zone = client->kept_zone;
        client->kept_zone = zone;
        return 0;
}

static int take_response(struct gpud_client *client, const Message *message) {
        const Call *call;
        int r;

        if (message->msgid >= client->n_calls || !client->calls[message->msgid].method)
                return client_lose(client, "gpud answered a request that was not made");
        call = &client->calls[message->msgid];
        if (message->is_error) {
                message_read_error(message->error, &client->fault);
                call_complete(client, message->msgid, -client->fault.code, NULL);
                return 0;
        }
        r = codec_decode(call->method->result, CODEC_RESULT, message->result, client->zone, &client->result,
                         &client->fault);
        if (r > 0)
                r = client_fail(client, GPUD_E_INTERNAL, "gpud's reply to %s is not understood: %.160s",
                                call->method->name, client->fault.text);
        else if (r < 0)
                r = fail_no_memory(client);
        else if (call->thunk == wait_complete)
                r = keep_result(client);
        call_complete(client, message->msgid, r, r == 0 ? &client->result : NULL);
        return 0;
}

/* gpud refuses no call in particular, but the connection, and closes it. */
static int take_refusal(struct gpud_client *client, const Message *message) {
        ProtoFault why;

        message_read_error(message->error, &why);
        return lose_for(client, &why);
}

static int take_message(struct gpud_client *client, const void *data, size_t size) {
        ProtoFault fault;
        Message message;
        int r;

        r = message_parse(data, size, &message, &fault);
        if (r == 0 && message.type == MESSAGE_RESPONSE)
                return message.has_msgid ? take_response(client, &message) : take_refusal(client, &message);
        /* Nobody listens to notifications yet; a newer gpud may send some. */
        if (r == 0 && message.type == MESSAGE_NOTIFICATION)
                return 0;
        return client_lose(client, "gpud sent %.160s",
                           r == 0 ? "a request, which only clients do" : fault.text);
}

/* Takes in every whole message that has come. */
static int take_messages(struct gpud_client *client) {
        char fault[96];
        const void *data;
        size_t size;
        int r;

        for (;;) {
                r = conn_next(&client->conn, &data, &size, fault, sizeof(fault));
                if (r == CONN_E_MORE)
                        return 0;
                if (r)
                        return client_lose(client, "gpud sent what is no reply: %s", fault);
                msgpack_zone_clear(client->zone);
                r = take_message(client, data, size);
                if (r < 0)
                        return r;
        }
}

int client_read(struct gpud_client *client, bool is_blocking) {
        switch (conn_read(&client->conn, is_blocking)) {
        case 0:
                client->n_heard++;
                return take_messages(client);
        case CONN_E_AGAIN:
                return 0;
        case CONN_E_CLOSED:
                return client_lose(client, "gpud closed the connection");
        case CONN_E_NO_MEMORY:
                return client_lose(client, "out of memory in this process");
        default:
                return client_lose(client, "reading from gpud: %s", strerror(errno));
        }
}
