/* `rm`: gives an allocation up. */

#include <stdlib.h>

#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"

int command_rm(Gpuctl *ctl, const struct gpud_mem_free_args *args) {
        int r;

        r = gpuctl_connect(ctl);
        if (r)
                return r;
        r = gpud_mem_free(ctl->client, args);
        return r < 0 ? complain_call(ctl, "rm", r) : EXIT_SUCCESS;
}
