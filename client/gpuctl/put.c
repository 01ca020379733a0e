/* `put`: a file into a new allocation. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cleanup.h"
#include "client/gpuctl/argument.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"
#include "client/gpuctl/progress.h"

/* What is read: from where on, and how many bytes. */
typedef struct Source {
        int fd; /* owned */
        uint64_t offset;
        uint64_t size;
} Source;

static int check_source(const struct gpud_put_args *args, const struct stat *status, const Source *source) {
        if (S_ISDIR(status->st_mode))
                return complain(EXIT_USAGE, "put: %s is a directory", args->file);
        if (!S_ISREG(status->st_mode) && !args->has_size)
                return complain(EXIT_USAGE, "put: %s is no file whose size is known; give --size",
                                args->file);
        if (source->size == 0)
                return complain(EXIT_USAGE, "put: %s is empty, and an allocation has at least 1 byte",
                                args->has_size ? "--size=0" : args->file);
        if (S_ISREG(status->st_mode) && source->size > (uint64_t)status->st_size - source->offset)
                return complain(EXIT_USAGE, "put: %s ends after %ju bytes, --size is %" PRIu64, args->file,
                                (uintmax_t)((uint64_t)status->st_size - source->offset), source->size);
        return EXIT_SUCCESS;
}

/* The standard input may be a file that others read before and after this command: its position counts. */
static uint64_t find_start(int fd, const struct stat *status) {
        off_t position = lseek(fd, 0, SEEK_CUR);

        if (position < 0 || !S_ISREG(status->st_mode))
                return 0;
        return (uint64_t)(position < status->st_size ? position : status->st_size);
}

/* Opens what is to be read and says how long it is. */
static int open_source(const struct gpud_put_args *args, Source *source) {
        bool is_stdin = strcmp(args->file, "-") == 0;
        struct stat status;

        source->fd =
                is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(args->file, O_RDONLY | O_CLOEXEC);
        if (source->fd < 0 || fstat(source->fd, &status) < 0)
                return complain(EXIT_FAILED, "put: %s: %s", args->file, strerror(errno));
        source->offset = find_start(source->fd, &status);
        source->size = args->has_size ? args->size : (uint64_t)status.st_size - source->offset;
        return check_source(args, &status, source);
}

static int print_put(const Gpuctl *ctl, const struct gpud_mem_info *info) {
        char text[GPUD_UUID_TEXT + 1];

        if (ctl->is_json) {
                output_print_json(output_to_json(&proto_struct_mem_info, info));
        } else {
                gpud_uuid_to_string(&info->mem, text);
                puts(text);
        }
        return EXIT_SUCCESS;
}

static int put(Gpuctl *ctl, const struct gpud_put_args *args, const char *device, const Source *source) {
        const struct gpud_mem_alloc_args alloc = {
                .device = device,
                .size = source->size,
                .exportable = args->exportable,
                .meta = args->meta,
        };
        const struct gpud_mem_publish_args publish = {
                .name = args->name,
                .mode = args->mode,
                .has_mode = args->has_mode,
                .ttl_s = args->ttl_s,
                .has_ttl_s = args->has_ttl_s,
                .seal = args->seal,
                .replace = args->replace,
        };
        struct gpud_mem_info info;
        Progress progress;
        int r;

        progress_init(&progress, ctl, "put", source->size);
        r = gpud_load_file(ctl->client, &alloc, &publish, source->fd, source->offset, progress_update,
                           &progress, &info);
        progress_deinit(&progress, r == 0);
        if (r < 0)
                return complain_call(ctl, "put", r);
        /* Whoever reads the same input next goes on behind these bytes. */
        lseek(source->fd, (off_t)(source->offset + source->size), SEEK_SET);
        return print_put(ctl, &info);
}

int command_put(Gpuctl *ctl, const struct gpud_put_args *args) {
        _cleanup_(freep) char *device = NULL;
        Source source = {.fd = -1};
        int r;

        r = open_source(args, &source);
        if (r == EXIT_SUCCESS)
                r = gpuctl_connect(ctl);
        if (r == EXIT_SUCCESS && !args->device)
                r = resolve_device(ctl, "put", &device);
        if (r == EXIT_SUCCESS)
                r = put(ctl, args, args->device ? args->device : device, &source);
        fd_closep(&source.fd);
        return r;
}
