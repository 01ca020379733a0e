#pragma once

/* The daemon: owns everything, in construction order, and runs the loop. */

#include "daemon/config.h"

typedef struct Daemon Daemon;

/*
 * Opens the devices and the socket. `config` outlives the daemon, which changes it when it is told to read
 * `source` again. Returns 0 or -errno; the log says what is wrong.
 */
int daemon_new(Daemon **ret_daemon, Config *config, const ConfigSource *source);

/* Runs until a signal ends it and all has been given back. Returns 0 or -errno. */
int daemon_run(Daemon *daemon);

/* NULL is fine. Returns NULL. */
Daemon *daemon_free(Daemon *daemon);
