/* The listening socket and the list of connections. */

#include "daemon/net/net.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/net/credentials.h"
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

/* How long accepting rests after a shortage, unless a connection ends before. */
#define RESUME_NS (100 * NS_PER_MS)

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
                .spare_fd = -1,
        };
        id_maps_init(&net->ids);
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
        net->spare_fd = fd_close(net->spare_fd);
        free(net->scratch);
}

/* Returns whether there is one. */
static bool net_keep_spare(Net *net) {
        if (net->spare_fd < 0)
                net->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return net->spare_fd >= 0;
}

void net_resume_listening(Net *net) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = net};

        net->resume_ns = 0;
        net_keep_spare(net);
        if (!net->is_listening && !net->is_stopping)
                net->is_listening = epoll_ctl(net->epoll_fd, EPOLL_CTL_ADD, net->listener.fd, &event) == 0;
}

/* What was in short supply may come back by others' doing, of which nothing tells us: so time counts too. */
static void net_pause_listening(Net *net) {
        net->resume_ns = clock_get_monotonic_ns() + RESUME_NS;
        net->is_listening = false;
        epoll_ctl(net->epoll_fd, EPOLL_CTL_DEL, net->listener.fd, NULL);
}

/* Closes `fd`, of a client that is not let in, and tells it why if its socket takes that at once. */
static void net_refuse(Net *net, int fd, const ProtoFault *fault) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;

        log_seldom(&net->refusals, LOG_WARNING, "refused a connection: %s", fault->text);
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        if (message_pack_error(&packer, NULL, fault) == 0)
                (void)send(fd, buffer.data, buffer.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        msgpack_sbuffer_destroy(&buffer);
        fd_discard(&fd, 1);
}

static void refuse_too_many(Net *net, int fd) {
        ProtoFault fault;

        proto_fault(&fault, GPUD_E_RESOURCE_EXHAUSTED,
                    "gpud has %zu connections, limit connections_max = %" PRIu64, net->n_peers,
                    net->options->connections_max);
        net_refuse(net, fd, &fault);
}

static void refuse_ambiguous(Net *net, int fd, const Credentials *credentials) {
        ProtoFault fault;

        proto_fault(&fault, GPUD_E_PERMISSION_DENIED,
                    "gpud runs in a user namespace and sees you as uid %u, gid %u, as it sees everybody who "
                    "has no "
                    "id there; have your ids mapped into it, or gpud run outside",
                    credentials->uid, credentials->gid);
        net_refuse(net, fd, &fault);
}

/* Connections that only administrators may have, beyond connections_max. */
static uint64_t net_count_reserved(const Net *net) {
        uint64_t n = net->options->connections_reserved;

        return n == OPTION_UNSET ? net->options->connections_max / OPTION_RESERVED_SHARE : n;
}

/* Makes a peer of the client, or tells it why not. */
static void net_admit(Net *net, int fd) {
        _cleanup_(credentials_deinit) Credentials credentials = {0};
        uint64_t n_max = net->options->connections_max;
        int r;

        if (net->n_peers >= n_max + net_count_reserved(net)) {
                refuse_too_many(net, fd);
                return;
        }
        r = credentials_init(&credentials, fd, net->options, &net->ids);
        if (r == CREDENTIALS_E_AMBIGUOUS)
                refuse_ambiguous(net, fd, &credentials);
        else if (r)
                fd_discard(&fd, 1);
        else if (net->n_peers >= n_max && !credentials.is_admin)
                refuse_too_many(net, fd);
        else
                (void)peer_new(net, fd, &credentials); /* where it fails, the log says why */
}

/*
 * Gives the spare descriptor up for a moment, to tell a client why it is not let in. Returns whether it
 * could.
 */
static bool net_refuse_by_spare(Net *net) {
        struct rlimit limit = {0};
        ProtoFault fault;
        int fd;

        net->spare_fd = fd_close(net->spare_fd);
        fd = accept4(net->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
                getrlimit(RLIMIT_NOFILE, &limit);
                proto_fault(&fault, GPUD_E_RESOURCE_EXHAUSTED,
                            "gpud has %zu connections and no file descriptor for another, limit "
                            "RLIMIT_NOFILE = %ju",
                            net->n_peers, (uintmax_t)limit.rlim_cur);
                net_refuse(net, fd, &fault);
        }
        return net_keep_spare(net) && fd >= 0;
}

/* Accepts one client. Returns whether there may be more. */
static bool net_accept_one(Net *net) {
        int fd = accept4(net->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int r = fd < 0 ? -errno : 0;

        if (r == 0) {
                net_admit(net, fd);
                return true;
        }
        if ((r == -EMFILE || r == -ENFILE) && net_refuse_by_spare(net))
                return true;
        if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM) {
                /* Polling on would spin. */
                log_seldom(&net->refusals, LOG_WARNING, "cannot accept connections: %s", strerror(-r));
                net_pause_listening(net);
        }
        return false;
}

void net_take_event(Net *net, const struct epoll_event *event) {
        if (event->data.ptr == net)
                net->has_arrivals = true;
        else
                peer_note(event->data.ptr, event->events);
}

static void net_accept(Net *net) {
        net->has_arrivals = false;
        for (size_t i = 0; i < ACCEPT_MAX && net_accept_one(net); i++)
                ;
}

void net_update(Net *net) {
        list_for_each (link, &net->peers)
                credentials_update(&container_of(link, Peer, link)->channel.session->credentials,
                                   net->options);
}

bool net_read_clock(Net *net) {
        net->n_unclocked = 0;
        net->is_late = clock_get_monotonic_ns() >= net->until_ns;
        return net->is_late;
}

bool net_serve(Net *net) {
        if (net->resume_ns && clock_get_monotonic_ns() >= net->resume_ns)
                net_resume_listening(net);
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
        net->resume_ns = 0;
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
