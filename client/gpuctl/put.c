/* `put`: a file into a new allocation. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cleanup.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"
#include "client/gpuctl/progress.h"

static int check_source(const struct gpud_put_args *args, const struct stat *status, uint64_t size) {
        if (S_ISDIR(status->st_mode))
                return complain(EXIT_USAGE, "put: %s is a directory", args->file);
        if (!S_ISREG(status->st_mode) && !args->has_size)
                return complain(EXIT_USAGE, "put: %s is no file whose size is known; give --size",
                                args->file);
        if (size == 0)
                return complain(EXIT_USAGE, "put: %s is empty, and an allocation has at least 1 byte",
                                args->has_size ? "--size=0" : args->file);
        if (S_ISREG(status->st_mode) && size > (uint64_t)status->st_size)
                return complain(EXIT_USAGE, "put: %s ends after %ju bytes, --size is %" PRIu64, args->file,
                                (uintmax_t)status->st_size, size);
        return EXIT_SUCCESS;
}

/* Opens what is to be read and says how long it is. */
static int open_source(const struct gpud_put_args *args, int *ret_fd, uint64_t *ret_size) {
        bool is_stdin = strcmp(args->file, "-") == 0;
        _cleanup_(fd_closep) int fd = -1;
        struct stat status;
        int r;

        fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(args->file, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) < 0)
                return complain(EXIT_FAILED, "put: %s: %s", args->file, strerror(errno));
        *ret_size = args->has_size ? args->size : (uint64_t)status.st_size;
        r = check_source(args, &status, *ret_size);
        if (r)
                return r;
        *ret_fd = fd;
        fd = -1;
        return EXIT_SUCCESS;
}

/* The one device, where there is one. */
static int choose_device(Gpuctl *ctl, const char *wanted, char *ret_device, size_t n_device) {
        struct gpud_device_list_result list;
        int r;

        if (wanted) {
                snprintf(ret_device, n_device, "%s", wanted);
                return EXIT_SUCCESS;
        }
        r = gpud_device_list(ctl->client, &list);
        if (r < 0)
                return complain_call(ctl, "put", r);
        if (list.n_devices != 1)
                return complain(
                        EXIT_USAGE,
                        "put: there are %zu devices; say which with --device, `gpuctl device list` has them",
                        list.n_devices);
        snprintf(ret_device, n_device, "%s", list.devices[0].device);
        return EXIT_SUCCESS;
}

/*
 * The allocation belongs to this session until every byte is there, and only then outlives it: whatever ends
 * the command early leaves nothing behind.
 */
static int put(Gpuctl *ctl, const struct gpud_put_args *args, const char *device, int fd, uint64_t size) {
        const struct gpud_mem_alloc_args alloc = {
                .device = device,
                .size = size,
                .name = args->name,
                .mode = args->mode,
                .has_mode = args->has_mode,
                .exportable = args->exportable,
                .has_exportable = args->has_exportable,
                .meta = args->meta,
        };
        char text[GPUD_UUID_TEXT + 1];
        struct gpud_mem_own_ref ref;
        struct gpud_mem_info info;
        Progress progress;
        int r;

        r = gpud_mem_alloc(ctl->client, &alloc, &info);
        if (r < 0)
                return complain_call(ctl, "put", r);
        ref.mem = info.mem;
        progress_init(&progress, ctl, "put", size);
        r = gpud_put_file(ctl->client, info.mem, 0, fd, 0, size, progress_update, &progress);
        progress_deinit(&progress, r == 0);
        if (r == 0)
                r = gpud_mem_persist(ctl->client, &ref, &info);
        if (r < 0)
                return complain_call(ctl, "put", r);
        if (ctl->is_json) {
                output_print_json(output_to_json(&proto_struct_mem_info, &info));
        } else {
                gpud_uuid_to_string(&info.mem, text);
                puts(text);
        }
        return EXIT_SUCCESS;
}

int command_put(Gpuctl *ctl, const struct gpud_put_args *args) {
        _cleanup_(fd_closep) int fd = -1;
        char device[256];
        uint64_t size = 0;
        int r;

        r = open_source(args, &fd, &size);
        if (r)
                return r;
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        r = choose_device(ctl, args->device, device, sizeof(device));
        if (r)
                return r;
        return put(ctl, args, device, fd, size);
}
