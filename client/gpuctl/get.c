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

/* What is looked for, and what was found. */
typedef struct Search {
        const char *name;
        struct gpud_uuid mem; /* the first of that name */
        size_t n_found;
} Search;

static void look_at(const void *item, void *userdata) {
        const struct gpud_mem_info *mem = item;
        Search *search = userdata;

        if (mem->name && strcmp(mem->name, search->name) == 0 && search->n_found++ == 0)
                search->mem = mem->mem;
}

/* The one allocation of that name which the caller may see. */
static int find_named(Gpuctl *ctl, const struct gpud_get_args *args, struct gpud_uuid *ret_mem) {
        struct gpud_mem_list_args list = {
                .device = args->device,
                .uid = args->uid,
                .has_uid = args->has_uid,
                .name_prefix = args->mem,
        };
        Search search = {.name = args->mem};
        int r;

        r = verb_each(ctl, &proto_methods[PROTO_METHOD_mem_list], &list, look_at, &search);
        if (r < 0)
                return complain_call(ctl, "get", r);
        if (search.n_found == 0)
                return complain(EXIT_FAILED, "get: nothing is called \"%s\"; `gpuctl ls` shows what there is",
                                args->mem);
        if (search.n_found > 1)
                return complain(
                        EXIT_USAGE,
                        "get: %zu allocations are called \"%s\"; give --device or --uid, or the handle",
                        search.n_found, args->mem);
        *ret_mem = search.mem;
        return EXIT_SUCCESS;
}

/* Holds the allocation, so that nobody frees it meanwhile, and checks the range against its size. */
static int open_mem(Gpuctl *ctl, const struct gpud_get_args *args, struct gpud_mem_info *ret_info,
                    uint64_t *ret_size) {
        struct gpud_mem_open_args open = {.has_mem = true};
        int r;

        if (!gpud_uuid_from_string(args->mem, &open.mem)) {
                r = find_named(ctl, args, &open.mem);
                if (r)
                        return r;
        }
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
