/* One reading at a time; systemd is told when it begins and when it has ended, however it did. */

#include "daemon/reload.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "daemon/util/clock.h"
#include "daemon/util/log.h"

void reload_init(Reload *reload, Config *config, const ConfigSource *source, Executor *executor,
                 void (*ready)(void *userdata), void *userdata) {
        *reload = (Reload){
                .config = config,
                .source = source,
                .executor = executor,
                .ready = ready,
                .userdata = userdata,
        };
}

static void reload_run(GpuTask *task) {
        Reload *reload = container_of(task, Reload, task);

        reload->r = config_init(&reload->next);
        if (reload->r == 0)
                reload->r = config_read(&reload->next, reload->source);
}

static void reload_finish(GpuTask *task) {
        Reload *reload = container_of(task, Reload, task);
        const char *path = reload->source->path;

        if (reload->r) {
                log_error("%s is refused: gpud goes on as it is configured", path);
        } else {
                config_update(reload->config, &reload->next);
                log_info("%s is read again", path);
                reload->ready(reload->userdata);
        }
        config_deinit(&reload->next);
        reload->is_running = false;
        if (reload->is_due)
                reload_start(reload);
        else
                sd_notify(0, "READY=1");
}

void reload_start(Reload *reload) {
        reload->is_due = reload->is_running;
        if (reload->is_running)
                return;
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_get_monotonic_ns() / NS_PER_US);
        if (!reload->source->path) {
                log_warning("there is no configuration to be read again: gpud was started without --config");
                sd_notify(0, "READY=1");
                return;
        }
        reload->is_running = true;
        reload->task = (GpuTask){.run = reload_run, .done = reload_finish};
        executor_submit(reload->executor, &reload->task);
}
