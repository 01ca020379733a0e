/*
 * A connection. What one recvmsg brings is run straight from the scratch buffer; only the bytes of a message
 * that is not whole yet, or of one that must wait because the client has too much in flight, are kept.
 */

#include "daemon/net/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/rpc/pipeline.h"
#include "daemon/util/error.h"
#include "daemon/util/fd.h"
#include "daemon/util/log.h"
#include "proto/uuid.h"

/* Requests decoded before the first of them is run: what so many need from memory is fetched together. */
#define DECODED_MAX 8

/* Descriptors that one sendmsg may carry, by the kernel's SCM_MAX_FD. */
#define RECV_FDS_MAX 253

/* The client is gone: nothing comes from it any more, and nothing reaches it. */
#define PEER_E_GONE 1

/* Puts the peer in line, behind the others. One that is in line keeps its place. */
static void peer_queue(Peer *peer) {
        if (list_is_empty(&peer->dirty_link))
                list_link(&peer->net->dirty, &peer->dirty_link);
}

static void peer_wake(Channel *channel) {
        peer_queue(container_of(channel, Peer, channel));
}

/* Polls for `events`. Where that is 0, nothing tells even that the client is gone. Returns 0 or -errno. */
static int peer_poll(Peer *peer, uint32_t events) {
        struct epoll_event event = {.events = events, .data.ptr = peer};
        int operation = !events ? EPOLL_CTL_DEL : peer->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

        if (events == peer->events)
                return 0;
        if (epoll_ctl(peer->net->epoll_fd, operation, peer->fd, &event) < 0)
                return error_origin(-errno);
        peer->events = events;
        return 0;
}

/* For an operator who asks who came and went. */
static void peer_log(const Peer *peer, const char *event) {
        const Session *session = peer->channel.session;
        char id[GPUD_UUID_TEXT + 1];

        if (!session || !log_has_level(LOG_DEBUG))
                return;
        uuid_to_string(&session->id, id);
        log_debug("session %s of uid %u, process %d (%s): %s", id, session->credentials.uid,
                  (int)session->credentials.pid, session->credentials.comm, event);
}

static void peer_freep(Peer **peer) {
        peer_free(*peer);
}

int peer_new(Net *net, int fd, Credentials *credentials) {
        _cleanup_(fd_closep) int owned_fd = fd;
        _cleanup_(peer_freep) Peer *peer = NULL;
        int r;

        peer = calloc(1, sizeof(*peer));
        if (!peer)
                return error_origin(-ENOMEM);
        peer->net = net;
        peer->fd = fd_steal(&owned_fd);
        peer->scan = SCAN_NULL;
        list_init(&peer->dirty_link);
        list_link(&net->peers, &peer->link);
        net->n_peers++;
        r = channel_init(&peer->channel, net->rpc->registry, credentials, peer_wake);
        if (r)
                return r;
        peer_log(peer, "connected");
        peer_serve(STEAL(peer));
        return 0;
}

Peer *peer_free(Peer *peer) {
        Net *net;

        if (!peer)
                return NULL;
        net = peer->net;
        peer_log(peer, "ends");
        list_unlink(&peer->dirty_link);
        list_unlink(&peer->link);
        net->n_peers--;
        peer_poll(peer, 0);
        channel_deinit(&peer->channel);
        buffer_deinit(&peer->input);
        fd_discard(&peer->fd, 1);
        free(peer);
        net_resume_listening(net);
        return NULL;
}

/* Tells the client why its bytes are no message. The connection is closed once that is sent. */
static void peer_refuse(Peer *peer, int r, const char *data, size_t n_data) {
        ProtoFault fault = {.code = GPUD_E_INVALID_ARGUMENT};

        scan_error_to_string(r, &scan_request_limits, fault.text, sizeof(fault.text));
        pipeline_refuse(peer->net->rpc, &peer->channel, data, n_data, &fault);
        peer->is_ending = true;
}

/* Decodes the next few whole messages at `data`. Returns how many bytes they are. */
static size_t peer_decode(Peer *peer, const char *data, size_t n_data) {
        size_t done = 0;
        size_t size;
        int r;

        while (done < n_data && !peer->is_ending && peer->channel.n_decoded < DECODED_MAX &&
               !channel_is_full(&peer->channel)) {
                r = scan_walk(&peer->scan, &scan_request_limits, data + done, n_data - done, &size);
                if (r == SCAN_E_MORE)
                        break;
                if (r) {
                        peer_refuse(peer, r, data + done, n_data - done);
                        break;
                }
                r = pipeline_decode(peer->net->rpc, &peer->channel, data + done, size,
                                    /* is_last= */ done + size == n_data);
                done += size;
                net_count(peer->net, size);
                if (r)
                        peer->is_ending = true;
        }
        return done;
}

/* Runs the whole messages at `data`, as far as there is time. Returns how many bytes it is done with. */
static size_t peer_run(Peer *peer, const char *data, size_t n_data) {
        Channel *channel = &peer->channel;
        size_t done = 0;
        bool is_late = false;
        size_t n;

        do {
                n = peer_decode(peer, data + done, n_data - done);
                done += n;
                pipeline_prefetch(channel);
                while (channel_can_run(channel) && !is_late) {
                        pipeline_run(channel);
                        is_late = net_is_late(peer->net, buffer_get_length(&channel->output));
                }
        } while (n > 0 && channel->n_decoded == 0 && !is_late);
        return peer->is_ending ? n_data : done;
}

/* Runs what was kept from before. */
static void peer_run_kept(Peer *peer) {
        size_t n = buffer_get_length(&peer->input);

        if (n == 0 && peer->channel.n_decoded == 0)
                return;
        buffer_consume(&peer->input, peer_run(peer, buffer_get_data(&peer->input), n));
        if (buffer_get_length(&peer->input) == 0)
                buffer_deinit(&peer->input);
}

/* Whether something came that is not run yet. */
static bool peer_has_input(const Peer *peer) {
        return peer->channel.n_decoded > 0 || buffer_get_length(&peer->input) > 0;
}

/* Queues the descriptors that came with the bytes; those over the limit are closed. */
static void peer_take_fds(Peer *peer, struct msghdr *message) {
        for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control;
             control = CMSG_NXTHDR(message, control)) {
                size_t n_data = control->cmsg_len - CMSG_LEN(0);
                int fds[RECV_FDS_MAX];

                if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
                        continue;
                memcpy(fds, CMSG_DATA(control), n_data);
                if (fd_queue_push(&peer->channel.fds, fds, n_data / sizeof(int)))
                        peer->is_ending = true;
        }
        if (peer->is_ending) {
                ProtoFault fault;

                proto_fault(&fault, GPUD_E_RESOURCE_EXHAUSTED,
                            "more than fds_max = %d file descriptors wait for a message that takes them",
                            GPUD_FDS_MAX);
                pipeline_refuse(peer->net->rpc, &peer->channel, NULL, 0, &fault);
        }
}

/* Says what errno means after a call on the socket: 0 to repeat it later, PEER_E_GONE, or -errno. */
static int peer_check_errno(void) {
        if (errno == EAGAIN || errno == EINTR)
                return 0;
        if (errno == ECONNRESET || errno == EPIPE)
                return PEER_E_GONE;
        return error_origin(-errno);
}

/* Whether the client is gone for good, not just done with sending. */
static bool peer_is_hung_up(const Peer *peer) {
        struct pollfd poll_fd = {.fd = peer->fd};

        return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

/* Keeps what is not a whole message, where the rest of its last item fits too, so that none of it moves. */
static int peer_keep(Peer *peer, const char *data, size_t n_data) {
        if (!buffer_reserve(&peer->input, n_data + peer->scan.place.skip))
                return error_origin(-ENOMEM);
        return buffer_append(&peer->input, data, n_data);
}

/* Reads once. The rest is read in the next turn, after the other connections had theirs. */
static int peer_read(Peer *peer) {
        char control[CMSG_SPACE(RECV_FDS_MAX * sizeof(int))];
        struct iovec part = {peer->net->scratch, NET_SCRATCH_SIZE};
        struct msghdr message = {
                .msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(peer->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        size_t n_data;
        size_t done;
        int r;

        if (n < 0)
                return peer_check_errno();
        peer_take_fds(peer, &message);
        if (n == 0) {
                peer->is_eof = true;
                return peer_is_hung_up(peer) ? PEER_E_GONE : 0;
        }
        if (peer->is_ending)
                return 0;
        n_data = (size_t)n;
        if (buffer_get_length(&peer->input) > 0) {
                r = peer_keep(peer, peer->net->scratch, n_data);
                if (r == 0)
                        peer_run_kept(peer);
                return r;
        }
        done = peer_run(peer, peer->net->scratch, n_data);
        return done < n_data ? peer_keep(peer, peer->net->scratch + done, n_data - done) : 0;
}

static int peer_write(Peer *peer) {
        Buffer *output = &peer->channel.output;
        ssize_t n;

        while (buffer_get_length(output) > 0) {
                n = send(peer->fd, buffer_get_data(output), buffer_get_length(output),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0)
                        return peer_check_errno();
                buffer_consume(output, (size_t)n);
        }
        return 0;
}

bool peer_is_busy(const Peer *peer) {
        return channel_is_busy(&peer->channel) || peer->is_cut_short;
}

/* Polls for what would change something: room to write, bytes to read, or that the client goes. */
static int peer_watch(Peer *peer) {
        bool is_reading = !peer->is_eof && !peer->is_ending && !peer->net->is_stopping;
        uint32_t events = 0;

        if (buffer_get_length(&peer->channel.output) > 0)
                events |= EPOLLOUT;
        if (is_reading && !channel_is_full(&peer->channel))
                events |= EPOLLIN;
        else if (is_reading && !peer->is_half_closed)
                events |= EPOLLRDHUP;
        return peer_poll(peer, events);
}

/* Reads, unless there is enough to do with what was read before. The event comes again. */
static int peer_take_events(Peer *peer) {
        uint32_t events = peer->events_due;

        peer->events_due = 0;
        if ((events & EPOLLRDHUP) && peer_is_hung_up(peer))
                return PEER_E_GONE;
        if (events & EPOLLRDHUP)
                peer->is_half_closed = true;
        if (!(events & EPOLLIN) || peer->is_cut_short || peer->net->is_stopping)
                return 0;
        return peer_read(peer);
}

/* Packs replies, runs requests and sends the output, as long as that makes room and there is time. */
static int peer_move(Peer *peer) {
        const Buffer *output = &peer->channel.output;
        bool is_stopping = peer->net->is_stopping;
        size_t n;
        int r;

        do {
                if (is_stopping || !peer->net->is_late)
                        pipeline_pack(&peer->channel);
                if (!is_stopping)
                        peer_run_kept(peer);
                n = buffer_get_length(output);
                r = peer_write(peer);
                if (r || peer->channel.is_broken)
                        return r ? r : -ENOMEM;
        } while (n > 0 && buffer_get_length(output) == 0 && !net_is_late(peer->net, n));
        peer->is_cut_short = peer->net->is_late && !is_stopping && peer_has_input(peer);
        return 0;
}

/* Whether there is more to do that waits for nothing but time. */
static bool peer_can_go_on(const Peer *peer) {
        return buffer_get_length(&peer->channel.output) == 0 &&
               (peer->is_cut_short || !list_is_empty(&peer->channel.ended));
}

void peer_serve(Peer *peer) {
        if (peer_take_events(peer) || peer_move(peer)) {
                peer_free(peer);
                return;
        }
        channel_recycle_output(&peer->channel, peer->net->rpc);
        list_unlink(&peer->dirty_link);
        if ((peer->is_ending || peer->is_eof) && !peer_is_busy(peer)) {
                peer_free(peer);
                return;
        }
        if (peer_can_go_on(peer))
                peer_queue(peer);
        if (peer_watch(peer))
                peer_free(peer);
}

void peer_note(Peer *peer, uint32_t events) {
        peer->events_due |= events & peer->events;
        /* To read or to write, as the peer would, will tell what is wrong. */
        if (events & (EPOLLERR | EPOLLHUP))
                peer->events_due |= peer->events;
        peer_queue(peer);
}
