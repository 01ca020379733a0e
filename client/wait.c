/*
 * A call that waits gives up when gpud has been silent for as long as the program allows. The call's slot is
 * then kept for the reply, which may still come: it is dropped, and what it brought is given back.
 */

#include "client/wait.h"

#include <poll.h>
#include <string.h>
#include <time.h>

/* What a blocking call waits for. */
typedef struct BlockingCall {
        bool is_done;
        int r;
        void *ret_result; /* may be NULL */
        size_t n_result;
} BlockingCall;

int client_check_blocking(struct gpud_client *client) {
        if (!client->is_in_callback)
                return 0;
        return client_fail(client, GPUD_E_BUSY, "a callback may submit calls, not wait for them");
}

int gpud_dispatch(struct gpud_client *client) {
        int r;

        r = client_check_blocking(client);
        if (r == 0)
                r = client_check(client);
        if (r < 0)
                return r;
        conn_flush(&client->conn);
        return client_read(client, false);
}

int gpud_wait(struct gpud_client *client, int timeout_ms) {
        struct pollfd poll_fd = {.fd = client->conn.fd};
        int r;

        r = client_check_blocking(client);
        if (r == 0)
                r = client_check(client);
        if (r < 0)
                return r;
        conn_flush(&client->conn);
        if (timeout_ms < 0 && conn_get_n_queued(&client->conn) == 0)
                return client_read(client, true);

        poll_fd.events = gpud_events(client);
        r = poll(&poll_fd, 1, timeout_ms);
        if (r == 0)
                return client_fail(client, GPUD_E_DEADLINE_EXCEEDED, "nothing came within %d ms", timeout_ms);
        return r < 0 ? 0 : gpud_dispatch(client);
}

void gpud_set_spin(struct gpud_client *client, uint32_t spin_us) {
        spin_init(&client->spin, spin_us);
}

void gpud_set_timeout(struct gpud_client *client, uint32_t timeout_ms) {
        client->timeout_ms = timeout_ms;
}

static int64_t get_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int wait_for_gpud(struct gpud_client *client) {
        uint64_t n_heard = client->n_heard;
        int64_t deadline, left;
        int r;

        if (client->timeout_ms == 0)
                return gpud_wait(client, -1);
        deadline = get_ms() + client->timeout_ms;
        /* A signal ends a wait, and so does room for what is queued. */
        do {
                left = deadline - get_ms();
                r = left > 0 ? gpud_wait(client, left < INT32_MAX ? (int)left : INT32_MAX)
                             : -GPUD_E_DEADLINE_EXCEEDED;
        } while (r == 0 && client->n_heard == n_heard);
        if (r == -GPUD_E_DEADLINE_EXCEEDED)
                client_fail(client, GPUD_E_DEADLINE_EXCEEDED, "gpud said nothing for %u ms",
                            client->timeout_ms);
        return r;
}

void wait_complete(struct gpud_client *client, const Call *call, int r, const void *result) {
        BlockingCall *blocking = call->userdata;

        (void)client;
        if (r == 0 && blocking->ret_result)
                memcpy(blocking->ret_result, result, blocking->n_result);
        blocking->r = r;
        blocking->is_done = true;
}

/* Nobody waits for this reply any more: the reference or region that it brings goes back. */
static void complete_late(struct gpud_client *client, const Call *call, int r, const void *result) {
        const struct gpud_shm_register_result *region = result;
        const struct gpud_mem_info *info = result;

        if (r < 0)
                return;
        if (call->method == &proto_methods[PROTO_METHOD_mem_alloc] ||
            call->method == &proto_methods[PROTO_METHOD_mem_open])
                gpud_mem_close_submit(client, &(struct gpud_mem_ref){.mem = info->mem}, NULL, NULL);
        else if (call->method == &proto_methods[PROTO_METHOD_shm_register])
                gpud_shm_release_submit(client, &(struct gpud_shm_ref){.shm = region->shm}, NULL, NULL);
}

/* Leaves the slot of the call to its reply. */
static void forget(struct gpud_client *client, const BlockingCall *blocking) {
        for (size_t i = 0; i < client->n_calls; i++)
                if (client->calls[i].thunk == wait_complete && client->calls[i].userdata == blocking) {
                        client->calls[i].thunk = complete_late;
                        client->calls[i].userdata = NULL;
                }
}

int client_call(struct gpud_client *client, const ProtoMethod *method, const void *args, int fd,
                void *ret_result) {
        BlockingCall blocking = {.ret_result = ret_result, .n_result = method->result->size};
        struct pollfd poll_fd = {.fd = client->conn.fd};
        int r;

        r = client_check_blocking(client);
        if (r == 0)
                r = client_submit(client, method, args, fd, wait_complete, NULL, &blocking);
        if (r < 0)
                return r;
        conn_flush(&client->conn);
        while (!blocking.is_done) {
                poll_fd.events = gpud_events(client);
                spin_before(&client->spin, &poll_fd);
                /* A lost connection ends the call as well. */
                if (wait_for_gpud(client) == -GPUD_E_DEADLINE_EXCEEDED && !blocking.is_done) {
                        forget(client, &blocking);
                        return -GPUD_E_DEADLINE_EXCEEDED;
                }
        }
        return blocking.r;
}
