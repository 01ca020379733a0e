/*
 * The composition root. One loop thread owns all state; each loop turn ends in daemon_turn(): take what
 * the devices finished, submit what was recorded, send what is to be sent, and decide whether to spin or to
 * sleep. Waiter threads and workers only ever wake it.
 *
 * It sleeps in an epoll of its own, which has the sockets, what threads wake it by, and libuv's epoll for timers and
 * signals: so a turn takes a bounded number of events, and one with nothing but requests costs no more than them.
 */

#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/executor.h"
#include "daemon/gpu/device.h"
#include "daemon/gpu/instance.h"
#include "daemon/gpu/result.h"
#include "daemon/method/table.h"
#include "daemon/net/net.h"
#include "daemon/net/socket.h"
#include "daemon/object/registry.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"
#include "daemon/util/fd.h"
#include "daemon/util/log.h"
#include "daemon/util/version.h"

/* How long clients get at the end to take the replies they asked for. */
#define DRAIN_NS (5 * NS_PER_S)

#define MS_PER_S 1000

#define EVENTS_MAX 256 /* of sockets, looked at in one turn; those of the others stay due */

typedef enum DaemonState {
        DAEMON_RUNNING,
        DAEMON_DRAINING,  /* requests in flight get their replies */
        DAEMON_REAPING,   /* the sessions' references are dropped */
        DAEMON_RELEASING, /* memory goes back to the devices */
        DAEMON_CLOSED,
} DaemonState;

struct Daemon {
        const Config *config;
        DaemonState state;
        uv_loop_t loop;
        uv_timer_t timer; /* the next lease ends, or the time for draining is over */
        uv_timer_t pause; /* the devices have something to do */
        uv_signal_t signals[2];
        Executor executor;
        GpuHost host;
        GpuInstance *gpu;
        Registry registry;
        Rpc rpc;
        Net net;
        uint64_t drain_until_ns;
        uint64_t spin_ns;
        uint64_t spin_until_ns;
        uint64_t n_requests; /* answered when the spinning began */
        int epoll_fd;        /* has the sockets, wake_fd, and libuv's own */
        int wake_fd;         /* from other threads */
        bool is_spinning;    /* the loop does not sleep */
        bool has_handles;
        bool has_net;
};

static void daemon_execute(void *userdata, GpuTask *task) {
        Daemon *daemon = userdata;

        executor_submit(&daemon->executor, task);
}

/* Any thread. */
static void daemon_notify(void *userdata) {
        Daemon *daemon = userdata;

        eventfd_write(daemon->wake_fd, 1); /* the turn that it causes does the work */
}

/* Whether to go on polling: as long as something ended lately. */
static void daemon_schedule_spin(Daemon *daemon, bool is_busy) {
        uint64_t now_ns;

        if (!is_busy) {
                daemon->is_spinning = false;
                daemon->spin_until_ns = 0;
                return;
        }
        now_ns = clock_get_monotonic_ns();
        if (daemon->spin_until_ns == 0 || daemon->n_requests != daemon->rpc.stats.n_requests) {
                daemon->n_requests = daemon->rpc.stats.n_requests;
                daemon->spin_until_ns = now_ns + daemon->spin_ns;
        }
        if (now_ns < daemon->spin_until_ns) {
                daemon->is_spinning = true;
                return;
        }
        daemon->is_spinning = false;
        gpu_instance_arm(daemon->gpu);
}

/* That it went off is enough: the turn looks at everything. */
static void daemon_on_timer(uv_timer_t *handle) {
        (void)handle;
}

/* For a timer: none goes off too early. */
static uint64_t get_ms_until(uint64_t next_ns, uint64_t now_ns) {
        return next_ns > now_ns ? (next_ns - now_ns) / NS_PER_MS + 1 : 0;
}

static void daemon_schedule_lease(Daemon *daemon) {
        uint64_t now_ns;
        uint64_t next_ns;
        uint64_t wait_ms;

        if (!registry_has_leases(&daemon->registry))
                return;
        now_ns = clock_get_realtime_ns();
        next_ns = registry_expire(&daemon->registry, now_ns);
        wait_ms = get_ms_until(next_ns, now_ns);
        /* The clock that leases run by may be set: look again at least once a second. */
        if (next_ns)
                uv_timer_start(&daemon->timer, daemon_on_timer, MIN(wait_ms, (uint64_t)MS_PER_S), 0);
}

static void daemon_schedule_pause(Daemon *daemon) {
        uint64_t next_ns = gpu_instance_get_next_ns(daemon->gpu);

        if (next_ns && !uv_is_active((uv_handle_t *)&daemon->pause))
                uv_timer_start(&daemon->pause, daemon_on_timer,
                               get_ms_until(next_ns, clock_get_monotonic_ns()), 0);
}

/* A signal that comes now, once libuv does not take it any more, is not to kill what has ended well. */
static void daemon_close_loop(Daemon *daemon) {
        sigset_t all;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, NULL);
        uv_close((uv_handle_t *)&daemon->timer, NULL);
        uv_close((uv_handle_t *)&daemon->pause, NULL);
        for (size_t i = 0; i < N_ELEMENTS(daemon->signals); i++)
                uv_close((uv_handle_t *)&daemon->signals[i], NULL);
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        if (uv_loop_close(&daemon->loop) != 0)
                log_error("a handle is still open at the end");
}

/* Goes on to the next state when the present one has nothing left to do. */
static void daemon_advance(Daemon *daemon) {
        if (daemon->state == DAEMON_DRAINING &&
            (net_is_drained(&daemon->net) || clock_get_monotonic_ns() >= daemon->drain_until_ns)) {
                net_close(&daemon->net);
                daemon->state = DAEMON_REAPING;
        }
        if (daemon->state == DAEMON_REAPING && !registry_reap(&daemon->registry)) {
                registry_close(&daemon->registry);
                daemon->state = DAEMON_RELEASING;
        }
        if (daemon->state == DAEMON_RELEASING && gpu_instance_is_idle(daemon->gpu) &&
            executor_is_idle(&daemon->executor))
                daemon->state = DAEMON_CLOSED;
}

static void daemon_turn(Daemon *daemon) {
        bool has_more = false;
        bool is_busy;

        executor_poll(&daemon->executor);
        gpu_instance_poll(daemon->gpu);
        if (daemon->state <= DAEMON_DRAINING)
                has_more = net_serve(&daemon->net);
        if (daemon->state == DAEMON_RUNNING && !uv_is_active((uv_handle_t *)&daemon->timer))
                daemon_schedule_lease(daemon);
        if (daemon->state <= DAEMON_DRAINING && registry_reap(&daemon->registry))
                has_more = true;
        daemon_advance(daemon);
        if (daemon->state == DAEMON_CLOSED)
                return; /* nothing is to begin any more */
        is_busy = gpu_instance_flush(daemon->gpu);
        daemon_schedule_pause(daemon);
        daemon_schedule_spin(daemon, is_busy);
        if (has_more || daemon->state == DAEMON_REAPING)
                daemon->is_spinning = true;
        stats_end_turn(&daemon->rpc.stats);
}

/* Sleeps, unless there is something to do, and lets libuv do its part where it has one: most turns it has none. */
static void daemon_wait(Daemon *daemon) {
        struct epoll_event ready[EVENTS_MAX];
        eventfd_t n_wakes;
        bool is_uv_due;
        int timeout_ms;
        int n;

        uv_update_time(&daemon->loop);
        timeout_ms = uv_backend_timeout(&daemon->loop);
        n = epoll_wait(daemon->epoll_fd, ready, N_ELEMENTS(ready), daemon->is_spinning ? 0 : timeout_ms);
        stats_begin_turn(&daemon->rpc.stats);
        is_uv_due = timeout_ms == 0 || (n <= 0 && !daemon->is_spinning);
        for (int i = 0; i < n; i++) {
                if (ready[i].data.ptr == &daemon->wake_fd)
                        eventfd_read(daemon->wake_fd, &n_wakes);
                else if (ready[i].data.ptr == &daemon->loop)
                        is_uv_due = true;
                else
                        net_take_event(&daemon->net, &ready[i]);
        }
        if (is_uv_due)
                uv_run(&daemon->loop, UV_RUN_NOWAIT);
}

static void daemon_on_signal(uv_signal_t *handle, int number) {
        Daemon *daemon = handle->data;

        if (daemon->state != DAEMON_RUNNING)
                return;
        log_info("%s: finishing %zu requests, then exiting", strsignal(number), daemon->rpc.n_inflight);
        sd_notify(0, "STOPPING=1");
        daemon->state = DAEMON_DRAINING;
        daemon->drain_until_ns = clock_get_monotonic_ns() + DRAIN_NS;
        uv_timer_start(&daemon->timer, daemon_on_timer, DRAIN_NS / NS_PER_MS + 1, 0);
        net_stop(&daemon->net);
}

/* The socket that systemd passed, or one of our own. `ret_path` is what to unlink at the end. */
static int daemon_listen(Daemon *daemon, int *ret_fd, char **ret_path) {
        const Config *config = daemon->config;
        int n_passed = sd_listen_fds(1);
        int r;

        if (n_passed > 1) {
                log_error("%d sockets are passed in, expected one", n_passed);
                return -EINVAL;
        }
        if (n_passed == 1) {
                r = socket_adopt(SD_LISTEN_FDS_START);
                if (r)
                        return r;
                *ret_fd = SD_LISTEN_FDS_START;
                *ret_path = NULL;
                return 0;
        }
        *ret_path = strdup(config->net.socket);
        if (!*ret_path)
                return error_origin(-ENOMEM);
        r = socket_listen(ret_fd, &config->net);
        if (r) {
                free(*ret_path);
                return r;
        }
        return 0;
}

/* Cannot fail but for memory, as libuv has it; that is fatal at the start. */
static int daemon_init_loop(Daemon *daemon) {
        static const int numbers[] = {SIGTERM, SIGINT};
        struct epoll_event of_uv = {.events = EPOLLIN, .data.ptr = &daemon->loop};
        struct epoll_event of_wake = {.events = EPOLLIN, .data.ptr = &daemon->wake_fd};
        int r = uv_loop_init(&daemon->loop);

        if (r)
                return error_origin(r);
        uv_timer_init(&daemon->loop, &daemon->timer);
        uv_timer_init(&daemon->loop, &daemon->pause);
        for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
                uv_signal_init(&daemon->loop, &daemon->signals[i]);
                daemon->signals[i].data = daemon;
                r = uv_signal_start(&daemon->signals[i], daemon_on_signal, numbers[i]);
                if (r)
                        return error_origin(r);
        }
        daemon->has_handles = true;
        daemon->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        daemon->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (daemon->epoll_fd < 0 || daemon->wake_fd < 0 ||
            epoll_ctl(daemon->epoll_fd, EPOLL_CTL_ADD, uv_backend_fd(&daemon->loop), &of_uv) < 0 ||
            epoll_ctl(daemon->epoll_fd, EPOLL_CTL_ADD, daemon->wake_fd, &of_wake) < 0)
                return error_origin(-errno);
        r = executor_init(&daemon->executor, daemon->wake_fd);
        return r;
}

static void daemon_log_devices(const Daemon *daemon) {
        for (size_t i = 0; i < gpu_instance_get_n_devices(daemon->gpu); i++) {
                const GpuDeviceInfo *info = gpu_device_get_info(gpu_instance_get_device(daemon->gpu, i));

                log_info("%s: %s, %.1f GiB, %s%s", info->id, info->name,
                         (double)info->memory_total / (1 << 30), info->driver_name,
                         info->host_import ? "" : ", staged copies");
        }
}

/* How long the loop polls for completions before it sleeps. */
static void daemon_choose_spin(Daemon *daemon) {
        uint64_t spin_us = daemon->config->loop.spin_us;
        bool has_gpu = false;

        for (size_t i = 0; i < gpu_instance_get_n_devices(daemon->gpu); i++)
                if (gpu_device_get_info(gpu_instance_get_device(daemon->gpu, i))->type != GPU_DEVICE_CPU)
                        has_gpu = true;
        if (spin_us == OPTION_UNSET)
                spin_us = has_gpu ? OPTION_SPIN_GPU_US : OPTION_SPIN_CPU_US;
        daemon->spin_ns = spin_us * NS_PER_US;
}

static int daemon_init_gpu(Daemon *daemon) {
        int r;

        daemon->host = (GpuHost){.execute = daemon_execute, .notify = daemon_notify, .userdata = daemon};
        r = gpu_instance_new(&daemon->gpu, &daemon->config->gpu, &daemon->host);

        if (r)
                return r == GPU_E_NO_DEVICE ? -ENODEV : error_fold(r);
        daemon_choose_spin(daemon);
        daemon_log_devices(daemon);
        return 0;
}

/* Opens the socket first: whoever runs already is told so before a device is touched. */
static int daemon_init(Daemon *daemon) {
        char *path = NULL;
        int fd = -1;
        int r;

        r = daemon_init_loop(daemon);
        if (r)
                return r;
        r = daemon_listen(daemon, &fd, &path);
        if (r)
                return r;
        r = daemon_init_gpu(daemon);
        if (r) {
                if (path)
                        unlink(path);
                free(path);
                fd_close(fd);
                return r;
        }
        registry_init(&daemon->registry, daemon->gpu, &daemon->host, &daemon->config->registry);
        rpc_init(&daemon->rpc, &daemon->registry, method_rows);
        r = net_init(&daemon->net, daemon->epoll_fd, &daemon->rpc, &daemon->config->net, fd, path);
        if (r)
                return r;
        daemon->has_net = true;
        log_info("gpud %s listens on %s", GPUD_VERSION, path ? path : "the socket passed in");
        return 0;
}

int daemon_new(Daemon **ret_daemon, const Config *config) {
        Daemon *daemon = calloc(1, sizeof(*daemon));
        int r;

        if (!daemon)
                return error_origin(-ENOMEM);
        daemon->config = config;
        daemon->epoll_fd = daemon->wake_fd = -1;
        r = daemon_init(daemon);
        if (r) {
                daemon_free(daemon);
                return r;
        }
        *ret_daemon = daemon;
        return 0;
}

int daemon_run(Daemon *daemon) {
        sd_notify(0, "READY=1");
        uv_run(&daemon->loop, UV_RUN_NOWAIT); /* has it poll for what is its own */
        while (daemon->state != DAEMON_CLOSED) {
                daemon_wait(daemon);
                daemon_turn(daemon);
        }
        return 0;
}

Daemon *daemon_free(Daemon *daemon) {
        if (!daemon)
                return NULL;
        if (daemon->has_net) {
                rpc_deinit(&daemon->rpc);
                net_deinit(&daemon->net);
        }
        daemon->gpu = gpu_instance_free(daemon->gpu);
        registry_deinit(&daemon->registry);
        executor_deinit(&daemon->executor);
        if (daemon->has_handles)
                daemon_close_loop(daemon);
        fd_close(daemon->epoll_fd);
        fd_close(daemon->wake_fd);
        free(daemon);
        return NULL;
}
