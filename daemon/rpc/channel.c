/*
 * A connected client: how much may wait for it, where replies are packed, what becomes of all when it goes.
 */

#include "daemon/rpc/channel.h"

#include "daemon/rpc/request.h"
#include "daemon/rpc/rpc.h"

/* While this much output is unsent, a reply that can wait does. A socket takes a little more at once. */
#define PACK_MAX ((size_t)128 * 1024)

/* Memory of an output that is larger goes back to malloc. It may be PACK_MAX and one such reply, doubled. */
#define SPARE_OUTPUT_MAX ((size_t)512 * 1024)

int channel_init(Channel *channel, Registry *registry, Credentials *credentials, void (*wake)(Channel *)) {
        *channel = (Channel){.wake = wake};
        list_init(&channel->decoded);
        list_init(&channel->requests);
        list_init(&channel->ended);
        return session_new(&channel->session, registry, credentials);
}

void channel_deinit(Channel *channel) {
        list_for_each (link, &channel->decoded)
                request_free(container_of(link, Request, link));
        list_for_each (link, &channel->requests)
                request_orphan(container_of(link, Request, link));
        list_for_each (link, &channel->ended)
                request_free(container_of(link, Request, link));
        channel->session = session_end(channel->session);
        fd_queue_deinit(&channel->fds);
        buffer_deinit(&channel->output);
}

bool channel_is_busy(const Channel *channel) {
        return !list_is_empty(&channel->requests) || !list_is_empty(&channel->ended) ||
               buffer_get_length(&channel->output) > 0;
}

bool channel_is_full(const Channel *channel) {
        return channel->session->n_inflight >= GPUD_INFLIGHT_MAX ||
               buffer_get_length(&channel->output) + channel->n_arena >= GPUD_OUTPUT_MAX;
}

bool channel_can_run(const Channel *channel) {
        return !list_is_empty(&channel->decoded) && buffer_get_length(&channel->output) < GPUD_OUTPUT_MAX;
}

bool channel_can_pack(const Channel *channel) {
        return !list_is_empty(&channel->ended) && buffer_get_length(&channel->output) < PACK_MAX;
}

Buffer *channel_get_output(Channel *channel, Rpc *rpc) {
        if (!channel->output.data) {
                channel->output = rpc->spare_output;
                rpc->spare_output = (Buffer){0};
        }
        return &channel->output;
}

void channel_recycle_output(Channel *channel, Rpc *rpc) {
        if (buffer_get_length(&channel->output) > 0)
                return;
        if (rpc->spare_output.data || channel->output.size > SPARE_OUTPUT_MAX)
                buffer_deinit(&channel->output);
        else
                rpc->spare_output = channel->output;
        channel->output = (Buffer){0};
}
