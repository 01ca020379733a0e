/* A connected client: back-pressure, and what is left behind when it goes. */

#include "daemon/rpc/client.h"

#include "daemon/rpc/request.h"

void client_init(Client *client, Session *session, void (*wake)(Client *)) {
        *client = (Client){.session = session, .wake = wake};
        list_init(&client->requests);
}

void client_deinit(Client *client) {
        list_for_each (link, &client->requests)
                request_orphan(container_of(link, Request, link));
        client->session = session_end(client->session);
        fd_queue_deinit(&client->fds);
        buffer_deinit(&client->output);
}

bool client_is_full(const Client *client) {
        return client->session->n_inflight >= GPUD_INFLIGHT_MAX ||
               buffer_get_length(&client->output) + client->n_arena >= GPUD_OUTPUT_MAX;
}
