#pragma once

/* A bar on stderr while bytes move, if stderr is a terminal. */

#include <time.h>

#include "client/gpuctl/gpuctl.h"

typedef struct Progress {
        const char *what;
        uint64_t size;
        int width;         /* of the bar */
        uint64_t shown_ms; /* when it was last drawn, since the start */
        struct timespec start;
        bool is_shown;
} Progress;

void progress_init(Progress *progress, const Gpuctl *ctl, const char *what, uint64_t size);
/* A gpud_progress_fn; `userdata` is the Progress. */
void progress_update(uint64_t n_done, void *userdata);
/* Leaves the bar as it is when all is done, else takes it away. */
void progress_deinit(Progress *progress, bool is_done);
