/* The listening socket and the list of connections. */

#include "daemon/net/net.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/net/peer.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"
#include "daemon/util/fd.h"
#include "daemon/util/log.h"
#include "proto/message.h"

/*
 * Connections are served until TURN_NS after the turn began, or for SERVE_MIN_NS where the devices took most
 * of that. Then the devices are looked after again. It is a time, and no number of requests, since one
 * request takes 0.2 us and another 300. To submit what was asked for takes half as long again.
 */
#define TURN_NS      (450 * NS_PER_US)
#define SERVE_MIN_NS (150 * NS_PER_US)

/* Connections accepted in one loop turn, so that a flood of them does not hold the others up. */
#define ACCEPT_MAX 32

int net_init(Net *net, int epoll_fd, Rpc *rpc, const NetOptions *options, int fd) {
        int r;

        *net = (Net){
                .epoll_fd = epoll_fd,
                .rpc = rpc,
                .options = options,
                .scratch = malloc(NET_SCRATCH_SIZE),
                .listener = LISTENER_NULL,
        };
        list_init(&net->peers);
        list_init(&net->dirty);
        r = fd >= 0 ? listener_adopt(&net->listener, fd) : listener_open(&net->listener, options);
        if (r)
                return r;
        if (!net->scratch)
                return error_origin(-ENOMEM);
        net_resume_listening(net);
        return net->is_listening ? 0 : error_origin(-errno);
}

void net_deinit(Net *net) {
        assert(net->n_peers == 0);
        listener_close(&net->listener);
        free(net->scratch);
}

void net_resume_listening(Net *net) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = net};

        if (!net->is_listening && !net->is_stopping)
                net->is_listening = epoll_ctl(net->epoll_fd, EPOLL_CTL_ADD, net->listener.fd, &event) == 0;
}

static void net_pause_listening(Net *net) {
        net->is_listening = false;
        epoll_ctl(net->epoll_fd, EPOLL_CTL_DEL, net->listener.fd, NULL);
}

/* Closes `fd`, of one client too many, and tells it why if its socket takes that at once. */
static void refuse_connection(const Net *net, int fd) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        ProtoFault fault;

        proto_fault(&fault, GPUD_E_RESOURCE_EXHAUSTED,
                    "gpud has %zu connections, limit connections_max = %" PRIu64, net->n_peers,
                    net->options->connections_max);
        log_warning("refused a connection: %s", fault.text);
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        if (message_pack_error(&packer, NULL, &fault) == 0 &&
            send(fd, buffer.data, buffer.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                log_debug("a refused client did not wait for the reason");
        msgpack_sbuffer_destroy(&buffer);
        fd_discard(&fd, 1);
}

void net_take_event(Net *net, const struct epoll_event *event) {
        if (event->data.ptr == net)
                net->has_arrivals = true;
        else
                peer_note(event->data.ptr, event->events);
}

static void net_accept(Net *net) {
        int fd;

        net->has_arrivals = false;
        for (size_t i = 0; i < ACCEPT_MAX; i++) {
                fd = accept4(net->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
                        /* Polling on would spin. The next connection that closes makes room. */
                        log_warning("cannot accept connections: %s", strerror(errno));
                        net_pause_listening(net);
                }
                if (fd < 0)
                        return;
                if (net->n_peers >= net->options->connections_max)
                        refuse_connection(net, fd);
                else
                        (void)peer_new(net, fd); /* where it fails, the log says why */
        }
}

bool net_read_clock(Net *net) {
        net->n_unclocked = 0;
        net->is_late = clock_get_monotonic_ns() >= net->until_ns;
        return net->is_late;
}

bool net_serve(Net *net) {
        if (!net->has_arrivals && list_is_empty(&net->dirty))
                return false;
        net->until_ns = MAX(net->rpc->stats.turn_ns + TURN_NS, clock_get_monotonic_ns() + SERVE_MIN_NS);
        net->is_late = false;
        if (net->has_arrivals)
                net_accept(net);
        for (List *link = list_first(&net->dirty); link; link = list_first(&net->dirty)) {
                peer_serve(container_of(link, Peer, dirty_link));
                if (net_read_clock(net))
                        break;
        }
        return !list_is_empty(&net->dirty);
}

void net_stop(Net *net) {
        net->is_stopping = true;
        net->has_arrivals = false;
        if (net->is_listening)
                net_pause_listening(net);
        list_for_each (link, &net->peers)
                peer_serve(container_of(link, Peer, link));
}

bool net_is_drained(Net *net) {
        list_for_each (link, &net->peers)
                if (peer_is_busy(container_of(link, Peer, link)))
                        return false;
        return true;
}

void net_close(Net *net) {
        list_for_each (link, &net->peers)
                peer_free(container_of(link, Peer, link));
        listener_close(&net->listener);
}
