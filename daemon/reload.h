#pragma once

/*
 * Reading the configuration again while gpud runs. A worker reads it, since files and the names of users
 * may come from slow places; the loop then takes over what may change.
 */

#include <stdbool.h>

#include "daemon/config.h"
#include "daemon/executor.h"

typedef struct Reload {
        GpuTask task;
        Executor *executor;         /* borrowed */
        Config *config;             /* borrowed; what gpud runs by */
        const ConfigSource *source; /* borrowed */
        void (*ready)(void *userdata);
        void *userdata;
        Config next;
        int r;
        bool is_running;
        bool is_due; /* asked for while it ran */
} Reload;

/* `ready` is called on the loop thread when `config` may have changed. */
void reload_init(Reload *reload, Config *config, const ConfigSource *source, Executor *executor,
                 void (*ready)(void *userdata), void *userdata);

/* Reads it now, or once more when the present reading has ended. */
void reload_start(Reload *reload);
