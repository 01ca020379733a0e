/* A connected client: back-pressure, and what is left behind when it goes. */

#include "daemon/rpc/client.h"

#include "daemon/rpc/request.h"

void client_init(Client *client, Session *session, void (*wake)(Client *)) {
        *client = (Client){.session = session, .wake = wake};
        list_init(&client->decoded);
        list_init(&client->requests);
        list_init(&client->ended);
}

void client_deinit(Client *client) {
        list_for_each (link, &client->decoded)
                request_free(container_of(link, Request, link));
        list_for_each (link, &client->requests)
                request_orphan(container_of(link, Request, link));
        list_for_each (link, &client->ended)
                request_free(container_of(link, Request, link));
        client->session = session_end(client->session);
        fd_queue_deinit(&client->fds);
        buffer_deinit(&client->output);
}

bool client_is_busy(const Client *client) {
        return !list_is_empty(&client->requests) || !list_is_empty(&client->ended) ||
               buffer_get_length(&client->output) > 0;
}

bool client_is_full(const Client *client) {
        return client->session->n_inflight >= GPUD_INFLIGHT_MAX ||
               buffer_get_length(&client->output) + client->n_arena >= GPUD_OUTPUT_MAX;
}

bool client_can_run(const Client *client) {
        return !list_is_empty(&client->decoded) && buffer_get_length(&client->output) < GPUD_OUTPUT_MAX;
}
