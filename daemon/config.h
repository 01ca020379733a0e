#pragma once

/* The configuration: defaults, overridden by an INI file, overridden by the command line. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/gpu/host.h"
#include "daemon/net/credentials.h"

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
