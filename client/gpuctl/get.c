/* `get`: an allocation into a file. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cleanup.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/interrupt.h"
#include "client/gpuctl/progress.h"

/* Which bytes are wanted. */
typedef struct Part {
        struct gpud_uuid mem;
        uint64_t offset;
        uint64_t size;
} Part;

/* Holds the allocation, so that nobody frees it meanwhile, and checks the range against its size. */
static int open_part(Gpuctl *ctl, const struct gpud_get_args *args, Part *ret_part) {
        const struct gpud_mem_open_args open = {.mem = args->mem, .has_mem = true};
        struct gpud_mem_info info;
        int r;

        r = gpud_mem_open(ctl->client, &open, &info);
        if (r < 0)
                return complain_call(ctl, "get", r);
        if (args->offset > info.size)
                return complain(EXIT_USAGE, "get: offset %" PRIu64 " exceeds allocation size %" PRIu64,
                                args->offset, info.size);
        if (args->has_size && args->size > info.size - args->offset)
                return complain(EXIT_USAGE,
                                "get: offset %" PRIu64 " + size %" PRIu64 " exceeds allocation size %" PRIu64,
                                args->offset, args->size, info.size);
        *ret_part = (Part){info.mem, args->offset, args->has_size ? args->size : info.size - args->offset};
        return EXIT_SUCCESS;
}

/* Bytes of an allocation make a terminal do anything. */
static bool is_terminal(const char *path) {
        _cleanup_(fd_closep) int fd = -1;
        struct stat status;

        if (strcmp(path, "-") == 0)
                return isatty(STDOUT_FILENO);
        if (stat(path, &status) < 0 || !S_ISCHR(status.st_mode))
                return false;
        fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        return fd >= 0 && isatty(fd);
}

/* The standard output may be a file that others write before and after this command: its position counts. */
static int get_to_output(Gpuctl *ctl, const Part *part, Progress *progress) {
        _cleanup_(fd_closep) int fd = -1;
        off_t position;
        int last, r;

        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
                return complain(EXIT_FAILED, "get: -: %s", strerror(errno));
        position = lseek(fd, 0, SEEK_CUR);
        if (position < 0 || fcntl(fd, F_GETFL) & O_APPEND)
                position = 0;
        r = gpud_get_file(ctl->client, part->mem, part->offset, fd, (uint64_t)position, part->size,
                          progress_update, progress);
        progress_deinit(progress, r == 0);
        if (r < 0)
                return complain_call(ctl, "get", r);
        /* The copy leaves the file's position as it was. Where there is one, it goes behind the bytes. */
        lseek(fd, position + (off_t)part->size, SEEK_SET);
        last = fd;
        fd = -1;
        return close(last) < 0 ? complain(EXIT_FAILED, "get: closing -: %s", strerror(errno)) : EXIT_SUCCESS;
}

static int get_to_file(Gpuctl *ctl, const Part *part, const char *path, Progress *progress) {
        int r;

        interrupt_begin(ctl, path);
        r = gpud_save_file(ctl->client, part->mem, part->offset, part->size, path, progress_update, progress);
        progress_deinit(progress, r == 0);
        interrupt_end();
        return r < 0 ? complain_call(ctl, "get", r) : EXIT_SUCCESS;
}

int command_get(Gpuctl *ctl, const struct gpud_get_args *args) {
        Progress progress;
        Part part = {0};
        int r;

        if (is_terminal(args->file))
                return complain(EXIT_USAGE,
                                "get: %s is a terminal, and the bytes are no text; name a file, or > FILE",
                                args->file);
        r = gpuctl_connect(ctl);
        if (r == EXIT_SUCCESS)
                r = open_part(ctl, args, &part);
        if (r)
                return r;
        progress_init(&progress, ctl, "get", part.size);
        return strcmp(args->file, "-") == 0 ? get_to_output(ctl, &part, &progress)
                                            : get_to_file(ctl, &part, args->file, &progress);
}
