/* Draws at most ten times a second: a terminal is slower than the GPU. */

#include "client/gpuctl/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/gpuctl/output.h"

#define WIDTH       40 /* of the bar */
#define WIDTH_TEXT  40 /* of what stands around it, at most */
#define INTERVAL_MS 100

/* A bar that leaves the line in one piece, since a line that wraps could not be drawn over. */
static int bar_width(void) {
        struct winsize size;

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 ||
            size.ws_col >= WIDTH + WIDTH_TEXT)
                return WIDTH;
        return size.ws_col > WIDTH_TEXT ? size.ws_col - WIDTH_TEXT : 0;
}

void progress_init(Progress *progress, const Gpuctl *ctl, const char *what, uint64_t size) {
        *progress = (Progress){
                .what = what, .size = size, .is_shown = ctl->is_error_terminal, .width = bar_width()};
        clock_gettime(CLOCK_MONOTONIC, &progress->start);
}

static uint64_t elapsed_ms(const Progress *progress) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)((now.tv_sec - progress->start.tv_sec) * 1000 +
                          (now.tv_nsec - progress->start.tv_nsec) / 1000000);
}

void progress_update(uint64_t n_done, void *userdata) {
        static const char full[] = "########################################";
        char done[OUTPUT_TEXT_MAX], rate[OUTPUT_TEXT_MAX];
        Progress *progress = userdata;
        uint64_t now_ms;
        double share;

        if (!progress->is_shown)
                return;
        now_ms = elapsed_ms(progress);
        if (now_ms < progress->shown_ms + INTERVAL_MS && n_done < progress->size)
                return;
        progress->shown_ms = now_ms;
        share = progress->size ? (double)n_done / (double)progress->size : 1;
        fprintf(stderr, "\r%s [%-*.*s] %3d%%  %s  %s/s\033[K", progress->what, progress->width,
                (int)(share * progress->width), full, (int)(share * 100), size_to_text(n_done, done),
                size_to_text((uint64_t)((double)n_done * 1000 / (double)(now_ms ? now_ms : 1)), rate));
}

void progress_deinit(Progress *progress, bool is_done) {
        if (progress->is_shown)
                fputs(is_done ? "\n" : "\r\033[K", stderr);
        progress->is_shown = false;
}
