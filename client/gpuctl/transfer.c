/* `put` and `get`: files into allocations and back. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/gpuctl/complain.h"
#include "client/gpuctl/gpuctl.h"
#include "client/gpuctl/output.h"
#include "client/gpuctl/progress.h"

/* ---- what the two take, in the schema's terms ---- */

typedef struct PutOptions {
        const char *file;
        const char *device;
        const char *name;
        uint64_t size;
        bool has_size;
        uint64_t mode;
        bool has_mode;
        bool exportable;
        bool has_exportable;
        struct gpud_bin meta;
} PutOptions;

#define PUT_FIELD(name_) .name = #name_, .offset = offsetof(PutOptions, name_)

static const ProtoField put_fields[] = {
        {PUT_FIELD(file), .kind = PROTO_STR, .wire = PROTO_WIRE_STR, .is_required = true,
         .has_offset = PROTO_NO_OFFSET, .doc = "file to read; - is the standard input"},
        {PUT_FIELD(device), .kind = PROTO_STR, .wire = PROTO_WIRE_STR, .has_offset = PROTO_NO_OFFSET,
         .doc = "where: device id, UUID or PCI address; may be left out where there is one device"},
        {PUT_FIELD(name), .kind = PROTO_STR, .wire = PROTO_WIRE_STR, .max = GPUD_NAME_MAX,
         .has_offset = PROTO_NO_OFFSET, .doc = "name of the allocation, unique among yours on the device"},
        {PUT_FIELD(size), .kind = PROTO_U64, .wire = PROTO_WIRE_U64,
         .has_offset = offsetof(PutOptions, has_size), .doc = "bytes to read; the whole file when absent"},
        {PUT_FIELD(mode), .kind = PROTO_U64, .wire = PROTO_WIRE_U64,
         .has_offset = offsetof(PutOptions, has_mode), .doc = "permission bits; 0600 when absent"},
        {PUT_FIELD(exportable), .kind = PROTO_BOOL, .wire = PROTO_WIRE_BOOL,
         .has_offset = offsetof(PutOptions, has_exportable),
         .doc = "give it a device memory object of its own, in one piece"},
        {PUT_FIELD(meta), .kind = PROTO_BIN, .wire = PROTO_WIRE_BIN, .max = GPUD_META_MAX,
         .has_offset = PROTO_NO_OFFSET, .doc = "bytes of your own to keep with it"},
};
const ProtoStruct put_options = {"put", "Arguments of put.", sizeof(PutOptions), put_fields,
                                 sizeof(put_fields) / sizeof(*put_fields)};

typedef struct GetOptions {
        const char *mem;
        const char *file;
        const char *device;
        uint64_t uid;
        bool has_uid;
        uint64_t offset;
        bool has_offset;
        uint64_t size;
        bool has_size;
} GetOptions;

#define GET_FIELD(name_) .name = #name_, .offset = offsetof(GetOptions, name_)

static const ProtoField get_fields[] = {
        {GET_FIELD(mem), .kind = PROTO_STR, .wire = PROTO_WIRE_STR, .is_required = true,
         .has_offset = PROTO_NO_OFFSET, .doc = "handle or name of the allocation"},
        {GET_FIELD(file), .kind = PROTO_STR, .wire = PROTO_WIRE_STR, .is_required = true,
         .has_offset = PROTO_NO_OFFSET, .doc = "file to write; - is the standard output"},
        {GET_FIELD(device), .kind = PROTO_STR, .wire = PROTO_WIRE_STR, .has_offset = PROTO_NO_OFFSET,
         .doc = "device the named allocation lies on"},
        {GET_FIELD(uid), .kind = PROTO_U64, .wire = PROTO_WIRE_U64,
         .has_offset = offsetof(GetOptions, has_uid), .doc = "owner of the named allocation"},
        {GET_FIELD(offset), .kind = PROTO_U64, .wire = PROTO_WIRE_U64,
         .has_offset = offsetof(GetOptions, has_offset), .doc = "first byte to read; 0 when absent"},
        {GET_FIELD(size), .kind = PROTO_U64, .wire = PROTO_WIRE_U64,
         .has_offset = offsetof(GetOptions, has_size), .doc = "bytes to read; to the end when absent"},
};
const ProtoStruct get_options = {"get", "Arguments of get.", sizeof(GetOptions), get_fields,
                                 sizeof(get_fields) / sizeof(*get_fields)};

/* ---- put ---- */

static int check_source(const PutOptions *options, const struct stat *status, uint64_t size) {
        if (S_ISDIR(status->st_mode))
                return complain(EXIT_USAGE, "put: %s is a directory", options->file);
        if (!S_ISREG(status->st_mode) && !options->has_size)
                return complain(EXIT_USAGE, "put: %s is no file whose size is known; give --size",
                                options->file);
        if (size == 0)
                return complain(EXIT_USAGE, "put: %s is empty, and an allocation has at least 1 byte",
                                options->has_size ? "--size=0" : options->file);
        if (S_ISREG(status->st_mode) && size > (uint64_t)status->st_size)
                return complain(EXIT_USAGE, "put: %s ends after %ju bytes, --size is %" PRIu64, options->file,
                                (uintmax_t)status->st_size, size);
        return EXIT_SUCCESS;
}

/* Opens what is to be read and says how long it is. */
static int open_source(const PutOptions *options, int *ret_fd, uint64_t *ret_size) {
        bool is_stdin = strcmp(options->file, "-") == 0;
        struct stat status;
        int fd, r;

        fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(options->file, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) < 0) {
                complain(EXIT_FAILED, "put: %s: %s", options->file, strerror(errno));
                if (fd >= 0)
                        close(fd);
                return EXIT_FAILED;
        }
        *ret_size = options->has_size ? options->size : (uint64_t)status.st_size;
        *ret_fd = fd;
        r = check_source(options, &status, *ret_size);
        if (r)
                close(fd);
        return r;
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
static int put(Gpuctl *ctl, const PutOptions *options, const char *device, int fd, uint64_t size) {
        const struct gpud_mem_alloc_args args = {
                .device = device,
                .size = size,
                .name = options->name,
                .mode = options->mode,
                .has_mode = options->has_mode,
                .exportable = options->exportable,
                .has_exportable = options->has_exportable,
                .meta = options->meta,
        };
        char text[GPUD_UUID_TEXT + 1];
        struct gpud_mem_own_ref ref;
        struct gpud_mem_info info;
        Progress progress;
        int r;

        r = gpud_mem_alloc(ctl->client, &args, &info);
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
                output_json(output_to_json(&proto_struct_mem_info, &info));
        } else {
                gpud_uuid_to_string(&info.mem, text);
                puts(text);
        }
        return EXIT_SUCCESS;
}

int command_put(Gpuctl *ctl, const void *args) {
        const PutOptions *options = args;
        char device[256];
        uint64_t size = 0;
        int fd = -1, r;

        r = open_source(options, &fd, &size);
        if (r)
                return r;
        r = gpuctl_connect(ctl);
        if (r == EXIT_SUCCESS)
                r = choose_device(ctl, options->device, device, sizeof(device));
        if (r == EXIT_SUCCESS)
                r = put(ctl, options, device, fd, size);
        close(fd);
        return r;
}

/* ---- get ---- */

/* The one allocation of that name which the caller may see. */
static int find_named(Gpuctl *ctl, const GetOptions *options, struct gpud_uuid *ret_mem) {
        struct gpud_mem_list_args args = {
                .device = options->device,
                .uid = options->uid,
                .has_uid = options->has_uid,
                .name_prefix = options->mem,
        };
        struct gpud_mem_list_result result;
        size_t n_found = 0;
        int r;

        do {
                r = gpud_mem_list(ctl->client, &args, &result);
                if (r < 0)
                        return complain_call(ctl, "get", r);
                for (size_t i = 0; i < result.n_mems; i++)
                        if (result.mems[i].name && strcmp(result.mems[i].name, options->mem) == 0 &&
                            n_found++ == 0)
                                *ret_mem = result.mems[i].mem;
                args.cursor = result.next;
                args.has_cursor = true;
        } while (result.has_next);
        if (n_found == 1)
                return EXIT_SUCCESS;
        if (n_found == 0)
                return complain(EXIT_FAILED, "get: nothing is called \"%s\"; `gpuctl ls` shows what there is",
                                options->mem);
        return complain(EXIT_USAGE,
                        "get: %zu allocations are called \"%s\"; give --device or --uid, or the handle",
                        n_found, options->mem);
}

/* Holds the allocation, so that nobody frees it meanwhile, and checks the range against its size. */
static int open_mem(Gpuctl *ctl, const GetOptions *options, struct gpud_mem_info *ret_info,
                    uint64_t *ret_size) {
        struct gpud_mem_open_args args = {.has_mem = true};
        int r;

        if (!gpud_uuid_from_string(options->mem, &args.mem)) {
                r = find_named(ctl, options, &args.mem);
                if (r)
                        return r;
        }
        r = gpud_mem_open(ctl->client, &args, ret_info);
        if (r < 0)
                return complain_call(ctl, "get", r);
        if (options->offset > ret_info->size)
                return complain(EXIT_USAGE, "get: offset %" PRIu64 " exceeds allocation size %" PRIu64,
                                options->offset, ret_info->size);
        if (options->has_size && options->size > ret_info->size - options->offset)
                return complain(EXIT_USAGE,
                                "get: offset %" PRIu64 " + size %" PRIu64 " exceeds allocation size %" PRIu64,
                                options->offset, options->size, ret_info->size);
        *ret_size = options->has_size ? options->size : ret_info->size - options->offset;
        return EXIT_SUCCESS;
}

/* A file that failed half-way is not left to be taken for a whole one; pipes and devices are. */
static void close_target(const char *path, int fd, bool is_good) {
        struct stat status;

        if (!is_good && strcmp(path, "-") != 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
                unlink(path);
        close(fd);
}

/* The standard output may be a file that others write before and after this command: its position counts. */
static int open_target(const GetOptions *options, int *ret_fd, uint64_t *ret_position) {
        bool is_stdout = strcmp(options->file, "-") == 0;
        off_t position;

        *ret_position = 0;
        *ret_fd = is_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                            : open(options->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (*ret_fd < 0)
                return complain(EXIT_FAILED, "get: %s: %s", options->file, strerror(errno));
        position = lseek(*ret_fd, 0, SEEK_CUR);
        if (position > 0 && !(fcntl(*ret_fd, F_GETFL) & O_APPEND))
                *ret_position = (uint64_t)position;
        return EXIT_SUCCESS;
}

int command_get(Gpuctl *ctl, const void *args) {
        const GetOptions *options = args;
        uint64_t size = 0, position = 0;
        struct gpud_mem_info info;
        Progress progress;
        int fd = -1, r;

        r = gpuctl_connect(ctl);
        if (r == EXIT_SUCCESS)
                r = open_mem(ctl, options, &info, &size);
        if (r == EXIT_SUCCESS)
                r = open_target(options, &fd, &position);
        if (r)
                return r;
        progress_init(&progress, ctl, "get", size);
        r = gpud_get_file(ctl->client, info.mem, options->offset, fd, position, size, progress_update,
                          &progress);
        progress_deinit(&progress, r == 0);
        /* Where there is a position it did not move by itself. */
        if (r == 0)
                lseek(fd, (off_t)(position + size), SEEK_SET);
        close_target(options->file, fd, r == 0);
        return r < 0 ? complain_call(ctl, "get", r) : EXIT_SUCCESS;
}
