/*
 * The composition root. One loop thread owns all state. Each turn of the loop waits in daemon_wait(), then
 * takes what the devices finished, serves the connections, submits what was recorded, and decides whether to
 * spin or to sleep, in daemon_turn(). Waiter threads and workers only ever wake the loop.
 *
 * The loop sleeps in an epoll of its own, which has the sockets, the eventfd that threads wake it by, a
 * timer for leases, and libuv's epoll for other timers and signals: so a turn takes a bounded number of
 * events, and one that has only requests pays for nothing else.
 */

#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/executor.h"
#include "daemon/gpu/device.h"
#include "daemon/gpu/instance.h"
#include "daemon/gpu/result.h"
#include "daemon/method/table.h"
#include "daemon/net/net.h"
#include "daemon/object/registry.h"
#include "daemon/reload.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"
#include "daemon/util/fd.h"
#include "daemon/util/log.h"
#include "daemon/util/thread.h"
#include "proto/version.h"

/* How long clients get at the end to take the replies they asked for. */
#define DRAIN_NS (5 * NS_PER_S)

/*
 * Threads that a driver may start: one for each processor, but not for very many. And all others, ours too.
 */
#define THREADS_CPU_MAX ((size_t)32)
#define THREADS_OTHER   ((size_t)(EXECUTOR_THREADS + 8))

#define EVENTS_MAX 256 /* taken in one turn; those of the other sockets stay due */

typedef enum DaemonState {
        DAEMON_RUNNING,
        DAEMON_DRAINING,  /* requests in flight get their replies */
        DAEMON_REAPING,   /* the sessions' references are dropped */
        DAEMON_RELEASING, /* memory goes back to the devices */
        DAEMON_CLOSED,
} DaemonState;

struct Daemon {
        Config *config; /* borrowed */
        DaemonState state;
        uv_loop_t loop;
        uv_timer_t drain; /* until the time for draining is over */
        uv_timer_t pause; /* until the devices or the listener have something to do by themselves */
        uv_signal_t signals[4];
        Executor executor;
        Reload reload;
        GpuHost host;
        GpuInstance *gpu;
        Registry registry;
        Rpc rpc;
        Net net;
        uint64_t drain_until_ns;
        uint64_t spin_ns;
        uint64_t spin_until_ns;
        uint64_t n_requests; /* answered when spin_until_ns was set */
        int epoll_fd;        /* has the sockets, wake_fd, and libuv's own */
        int lease_fd;        /* a timerfd: those of libuv stand still while the machine is suspended */
        uint64_t lease_ns;   /* when it goes off, by the boot clock; 0: it does not */
        bool is_lease_due;   /* it went off */
        int wake_fd;         /* an eventfd; other threads write to it */
        bool is_spinning;    /* the loop does not sleep */
        bool has_loop;       /* to be closed */
};

static void daemon_execute(void *userdata, GpuTask *task) {
        Daemon *daemon = userdata;

        executor_submit(&daemon->executor, task);
}

/* Any thread. */
static void daemon_notify(void *userdata) {
        Daemon *daemon = userdata;

        eventfd_write(daemon->wake_fd, 1); /* the turn that this causes does the work */
}

/* Decides whether the loop goes on polling. It does for spin_ns after each request that was answered. */
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

/* A timer only has to wake the loop: the turn looks at everything. */
static void daemon_on_timer(uv_timer_t *handle) {
        (void)handle;
}

/* What is left until `next_ns`, rounded up: a timer must not go off too early. */
static uint64_t get_ms_until(uint64_t next_ns, uint64_t now_ns) {
        return next_ns > now_ns ? (next_ns - now_ns) / NS_PER_MS + 1 : 0;
}

/* Ends what is due, and has the loop woken when the next lease is. */
static void daemon_serve_leases(Daemon *daemon) {
        struct itimerspec when = {0};
        uint64_t next_ns;

        if (daemon->is_lease_due) {
                daemon->is_lease_due = false;
                daemon->lease_ns = 0;
                registry_expire(&daemon->registry, clock_get_boottime_ns());
        }
        next_ns = registry_get_lease_ns(&daemon->registry);
        if (next_ns == daemon->lease_ns)
                return;
        daemon->lease_ns = next_ns;
        when.it_value.tv_sec = (time_t)(next_ns / NS_PER_S);
        when.it_value.tv_nsec = (long)(next_ns % NS_PER_S);
        timerfd_settime(daemon->lease_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void daemon_schedule_pause(Daemon *daemon) {
        uint64_t next_ns = gpu_instance_get_next_ns(daemon->gpu);
        uint64_t of_net_ns = net_get_next_ns(&daemon->net);

        if (of_net_ns && (next_ns == 0 || of_net_ns < next_ns))
                next_ns = of_net_ns;
        if (next_ns && !uv_is_active((uv_handle_t *)&daemon->pause))
                uv_timer_start(&daemon->pause, daemon_on_timer,
                               get_ms_until(next_ns, clock_get_monotonic_ns()), 0);
}

static void daemon_close_handle(uv_handle_t *handle, void *userdata) {
        (void)userdata;
        uv_close(handle, NULL);
}

/* Blocks all signals: one that comes when libuv does not take it any more would kill what has ended well. */
static void daemon_close_loop(Daemon *daemon) {
        sigset_t all;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, NULL);
        uv_walk(&daemon->loop, daemon_close_handle, NULL);
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
        if (daemon->state == DAEMON_RUNNING)
                daemon_serve_leases(daemon);
        if (daemon->state <= DAEMON_DRAINING && registry_reap(&daemon->registry))
                has_more = true;
        daemon_advance(daemon);
        if (daemon->state == DAEMON_CLOSED)
                return; /* nothing may begin any more */
        is_busy = gpu_instance_flush(daemon->gpu);
        daemon_schedule_pause(daemon);
        daemon_schedule_spin(daemon, is_busy);
        if (has_more || daemon->state == DAEMON_REAPING)
                daemon->is_spinning = true;
        stats_end_turn(&daemon->rpc.stats);
}

/* Sleeps unless there is something to do. Calls libuv where it has a part to do: most turns it has none. */
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
                else if (ready[i].data.ptr == &daemon->lease_fd)
                        daemon->is_lease_due = eventfd_read(daemon->lease_fd, &n_wakes) == 0;
                else if (ready[i].data.ptr == &daemon->loop)
                        is_uv_due = true;
                else
                        net_take_event(&daemon->net, &ready[i]);
        }
        if (is_uv_due)
                uv_run(&daemon->loop, UV_RUN_NOWAIT);
}

static void daemon_on_end(uv_signal_t *handle, int number) {
        Daemon *daemon = handle->data;

        if (daemon->state != DAEMON_RUNNING)
                return;
        log_info("%s: finishing %zu requests, then exiting", strsignal(number), daemon->rpc.n_inflight);
        sd_notify(0, "STOPPING=1");
        daemon->state = DAEMON_DRAINING;
        daemon->drain_until_ns = clock_get_monotonic_ns() + DRAIN_NS;
        uv_timer_start(&daemon->drain, daemon_on_timer, DRAIN_NS / NS_PER_MS + 1, 0);
        net_stop(&daemon->net);
}

static void daemon_on_reload(uv_signal_t *handle, int number) {
        Daemon *daemon = handle->data;

        (void)number;
        if (daemon->state == DAEMON_RUNNING)
                reload_start(&daemon->reload);
}

/* An operator asks how gpud is. He gets his answer whatever log_level is. */
static void daemon_on_question(uv_signal_t *handle, int number) {
        const Daemon *daemon = handle->data;
        GpuLedger ledger;

        (void)number;
        log_answer("%zu sessions, %zu allocations, %zu regions, %zu requests in flight; %" PRIu64
                   " requests answered, %" PRIu64 " of them with an error",
                   daemon->registry.n_sessions, daemon->registry.n_mems, daemon->registry.n_shms,
                   daemon->rpc.n_inflight, daemon->rpc.stats.n_requests, daemon->rpc.stats.n_errors);
        for (size_t i = 0; i < gpu_instance_get_n_devices(daemon->gpu); i++) {
                GpuDevice *device = gpu_instance_get_device(daemon->gpu, i);

                gpu_device_get_ledger(device, &ledger);
                log_answer("%s: %" PRIu64 " bytes in %" PRIu64 " allocations, %" PRIu64 " reserved, %" PRIu64
                           " available%s",
                           gpu_device_get_info(device)->id, ledger.used, ledger.count, ledger.reserved,
                           ledger.available, gpu_device_is_lost(device) ? "; lost" : "");
        }
}

/* The socket that systemd passed in; -1: there is none. Returns 0 or -errno. */
static int daemon_find_socket(int *ret_fd) {
        int n_passed = sd_listen_fds(1);

        if (n_passed > 1) {
                log_error("%d sockets are passed in, expected one", n_passed);
                return -EINVAL;
        }
        *ret_fd = n_passed == 1 ? SD_LISTEN_FDS_START : -1;
        return 0;
}

static int daemon_init_loop(Daemon *daemon) {
        static const struct {
                int number;
                uv_signal_cb callback;
        } signals[N_ELEMENTS(daemon->signals)] = {
                {SIGTERM, daemon_on_end},
                {SIGINT, daemon_on_end},
                {SIGHUP, daemon_on_reload},
                {SIGUSR1, daemon_on_question},
        };
        struct epoll_event of_uv = {.events = EPOLLIN, .data.ptr = &daemon->loop};
        struct epoll_event of_wake = {.events = EPOLLIN, .data.ptr = &daemon->wake_fd};
        struct epoll_event of_lease = {.events = EPOLLIN, .data.ptr = &daemon->lease_fd};
        int r = uv_loop_init(&daemon->loop);

        if (r)
                return error_origin(r);
        daemon->has_loop = true;
        uv_timer_init(&daemon->loop, &daemon->drain);
        uv_timer_init(&daemon->loop, &daemon->pause);
        for (size_t i = 0; i < N_ELEMENTS(signals); i++) {
                r = uv_signal_init(&daemon->loop, &daemon->signals[i]);
                if (r)
                        return error_origin(r);
                daemon->signals[i].data = daemon;
                r = uv_signal_start(&daemon->signals[i], signals[i].callback, signals[i].number);
                if (r)
                        return error_origin(r);
        }
        daemon->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        daemon->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        daemon->lease_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (daemon->epoll_fd < 0 || daemon->wake_fd < 0 || daemon->lease_fd < 0 ||
            epoll_ctl(daemon->epoll_fd, EPOLL_CTL_ADD, uv_backend_fd(&daemon->loop), &of_uv) < 0 ||
            epoll_ctl(daemon->epoll_fd, EPOLL_CTL_ADD, daemon->wake_fd, &of_wake) < 0 ||
            epoll_ctl(daemon->epoll_fd, EPOLL_CTL_ADD, daemon->lease_fd, &of_lease) < 0)
                return error_origin(-errno);
        return executor_init(&daemon->executor, daemon->wake_fd);
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

/* The configuration may be another: tells those who keep what they make of it. */
static void daemon_update(void *userdata) {
        Daemon *daemon = userdata;

        log_set_level((int)daemon->config->log.log_level);
        daemon_choose_spin(daemon);
        registry_set_options(&daemon->registry, &daemon->config->registry);
        net_update(&daemon->net);
}

/*
 * Whether we and the drivers can have our threads. Mesa's software device starts some of them, goes on
 * without the others, and then waits for those for ever.
 */
static int check_threads(void) {
        size_t n_wanted = MIN((size_t)sysconf(_SC_NPROCESSORS_ONLN), THREADS_CPU_MAX) + THREADS_OTHER;
        size_t n_room = thread_count_room(n_wanted);

        if (n_room == n_wanted)
                return 0;
        log_error(
                "only %zu more threads are allowed, where gpud and drivers may need %zu: raise the limit of "
                "processes (RLIMIT_NPROC, pids.max)",
                n_room, n_wanted);
        return -EAGAIN;
}

/* Opens the socket before a device is touched: a second gpud ends at once, and not after seconds. */
static int daemon_init(Daemon *daemon, const ConfigSource *source) {
        int fd;
        int r;

        reload_init(&daemon->reload, daemon->config, source, &daemon->executor, daemon_update, daemon);
        rpc_init(&daemon->rpc, &daemon->registry, method_rows);
        r = check_threads();
        if (r)
                return r;
        r = daemon_init_loop(daemon);
        if (r)
                return r;
        r = daemon_find_socket(&fd);
        if (r)
                return r;
        r = net_init(&daemon->net, daemon->epoll_fd, &daemon->rpc, &daemon->config->net, fd);
        if (r)
                return r;
        r = daemon_init_gpu(daemon);
        if (r)
                return r;
        registry_init(&daemon->registry, daemon->gpu, &daemon->host, &daemon->config->registry);
        log_info("gpud %s listens on %s", GPUD_VERSION,
                 daemon->net.listener.path ? daemon->net.listener.path : "the socket passed in");
        return 0;
}

static void daemon_freep(Daemon **daemon) {
        daemon_free(*daemon);
}

int daemon_new(Daemon **ret_daemon, Config *config, const ConfigSource *source) {
        _cleanup_(daemon_freep) Daemon *daemon = NULL;
        int r;

        daemon = calloc(1, sizeof(*daemon));
        if (!daemon)
                return error_origin(-ENOMEM);
        daemon->config = config;
        daemon->net = (Net)NET_NULL;
        daemon->epoll_fd = daemon->wake_fd = daemon->lease_fd = -1;
        r = daemon_init(daemon, source);
        if (r)
                return r;
        *ret_daemon = STEAL(daemon);
        return 0;
}

int daemon_run(Daemon *daemon) {
        log_set_patient(false);
        sd_notify(0, "READY=1");
        uv_run(&daemon->loop, UV_RUN_NOWAIT); /* adds the signals to libuv's epoll */
        while (daemon->state != DAEMON_CLOSED) {
                daemon_wait(daemon);
                daemon_turn(daemon);
        }
        return 0;
}

Daemon *daemon_free(Daemon *daemon) {
        if (!daemon)
                return NULL;
        rpc_deinit(&daemon->rpc);
        net_deinit(&daemon->net);
        daemon->gpu = gpu_instance_free(daemon->gpu);
        registry_deinit(&daemon->registry);
        executor_deinit(&daemon->executor);
        if (daemon->has_loop)
                daemon_close_loop(daemon);
        fd_close(daemon->epoll_fd);
        fd_close(daemon->wake_fd);
        fd_close(daemon->lease_fd);
        free(daemon);
        return NULL;
}
