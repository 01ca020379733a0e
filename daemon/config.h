#pragma once

/*
 * The configuration: defaults, overridden by an INI file, overridden by the command line. What is default is written
 * here, in proto/socket.h and in daemon/gpu/host.h; gpud.conf and gpud.8 show it, and a test compares them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/gpu/host.h"
#include "daemon/net/credentials.h"

#define CONFIG_SOCKET_MODE     0660
#define CONFIG_CONNECTIONS_MAX 4096

/*
 * How long the loop polls for completions before it sleeps: a wake-up costs a GPU 30-780 us, a poll 12. Who polls for as
 * long as the wake-up would take never pays more than twice; and a gibibyte inside a fast device takes no longer.
 */
#define CONFIG_SPIN_GPU_US UINT64_C(700)
/* A software device needs the very core that would spin. */
#define CONFIG_SPIN_CPU_US UINT64_C(10)

typedef struct Config {
        char *socket;
        mode_t socket_mode;
        gid_t socket_group; /* (gid_t)-1: as it comes */
        AdminList admins;
        uint64_t connections_max;
        uint64_t shm_max; /* bytes of regions that one session may register */
        GpuOptions gpu;
        char **devices; /* owned; GpuOptions.devices */
        bool has_spin;
        uint64_t spin_ns;
} Config;

int config_init(Config *ret_config);
void config_deinit(Config *config);

/* Reads `path`. Returns 0 or -EINVAL (or -errno); the log names file, line, key and what is expected. */
int config_read(Config *config, const char *path);

/* The keys one by one, for whoever is to describe them all; NULL beyond the last. */
const char *config_get_key(size_t index);
