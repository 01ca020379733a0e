/* `get`: an allocation into a file. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/progress.h"

/* Holds the allocation, so that nobody frees it meanwhile, and checks the range against its size. */
static int open_mem(Gpuctl *ctl, const struct gpud_get_args *args, struct gpud_mem_info *ret_info,
                    uint64_t *ret_size) {
        const struct gpud_mem_open_args open = {.mem = args->mem, .has_mem = true};
        int r;

        r = gpud_mem_open(ctl->client, &open, ret_info);
        if (r < 0)
                return complain_call(ctl, "get", r);
        if (args->offset > ret_info->size)
                return complain(EXIT_USAGE, "get: offset %" PRIu64 " exceeds allocation size %" PRIu64,
                                args->offset, ret_info->size);
        if (args->has_size && args->size > ret_info->size - args->offset)
                return complain(EXIT_USAGE,
                                "get: offset %" PRIu64 " + size %" PRIu64 " exceeds allocation size %" PRIu64,
                                args->offset, args->size, ret_info->size);
        *ret_size = args->has_size ? args->size : ret_info->size - args->offset;
        return EXIT_SUCCESS;
}

/* Closes the target. A file that failed half-way goes, lest it pass for whole; pipes and devices stay. */
static void close_target(const char *path, int fd, bool is_good) {
        struct stat status;

        if (!is_good && strcmp(path, "-") != 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
                unlink(path);
        close(fd);
}

/* The standard output may be a file that others write before and after this command: its position counts. */
static int open_target(const struct gpud_get_args *args, int *ret_fd, uint64_t *ret_position) {
        bool is_stdout = strcmp(args->file, "-") == 0;
        off_t position;

        *ret_position = 0;
        *ret_fd = is_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                            : open(args->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (*ret_fd < 0)
                return complain(EXIT_FAILED, "get: %s: %s", args->file, strerror(errno));
        position = lseek(*ret_fd, 0, SEEK_CUR);
        if (position > 0 && !(fcntl(*ret_fd, F_GETFL) & O_APPEND))
                *ret_position = (uint64_t)position;
        return EXIT_SUCCESS;
}

int command_get(Gpuctl *ctl, const struct gpud_get_args *args) {
        uint64_t size = 0, position = 0;
        struct gpud_mem_info info;
        Progress progress;
        int fd = -1, r;

        r = gpuctl_connect(ctl);
        if (r == EXIT_SUCCESS)
                r = open_mem(ctl, args, &info, &size);
        if (r == EXIT_SUCCESS)
                r = open_target(args, &fd, &position);
        if (r)
                return r;
        progress_init(&progress, ctl, "get", size);
        r = gpud_get_file(ctl->client, info.mem, args->offset, fd, position, size, progress_update,
                          &progress);
        progress_deinit(&progress, r == 0);
        /* The copy leaves the file's position as it was. Where there is one, it goes behind the bytes. */
        if (r == 0)
                lseek(fd, (off_t)(position + size), SEEK_SET);
        close_target(args->file, fd, r == 0);
        return r < 0 ? complain_call(ctl, "get", r) : EXIT_SUCCESS;
}
