/* Files to and from allocations: read and written straight in the arena, so that no other copy is made. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "client/bulk.h"
#include "client/client.h"

typedef struct File {
        Bulk bulk;
        int fd;
        uint64_t offset;
        bool is_stream; /* a pipe or socket: it has no offsets */
        gpud_progress_fn *progress;
        void *userdata;
} File;

static int fail_system(const File *file, const char *what) {
        return client_fail(file->bulk.client, GPUD_E_SYSTEM_CALL, "%s the file: %s", what, strerror(errno));
}

static void report(const File *file, uint64_t n_done) {
        if (file->progress)
                file->progress(n_done, file->userdata);
}

static int move_from_file(Bulk *bulk, void *data, uint64_t position, size_t size) {
        const File *file = (const File *)(const void *)bulk;
        size_t n_done = 0;
        ssize_t n;

        report(file, position);
        while (n_done < size) {
                n = file->is_stream ? read(file->fd, (char *)data + n_done, size - n_done)
                                    : pread(file->fd, (char *)data + n_done, size - n_done,
                                            (off_t)(file->offset + position + n_done));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fail_system(file, "reading");
                if (n == 0)
                        return client_fail(bulk->client, GPUD_E_OUT_OF_RANGE,
                                           "the file ends after %" PRIu64 " bytes, %" PRIu64 " were expected",
                                           position + n_done, bulk->size);
                n_done += (size_t)n;
        }
        return 0;
}

static int move_to_file(Bulk *bulk, void *data, uint64_t position, size_t size) {
        const File *file = (const File *)(const void *)bulk;
        size_t n_done = 0;
        ssize_t n;

        while (n_done < size) {
                n = file->is_stream ? write(file->fd, (const char *)data + n_done, size - n_done)
                                    : pwrite(file->fd, (const char *)data + n_done, size - n_done,
                                             (off_t)(file->offset + position + n_done));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fail_system(file, "writing");
                n_done += (size_t)n;
        }
        report(file, position + size);
        return 0;
}

static int open_file(File *file, struct gpud_client *client) {
        file->is_stream = lseek(file->fd, 0, SEEK_CUR) < 0 && errno == ESPIPE;
        if (file->is_stream && file->offset != 0)
                return client_fail(client, GPUD_E_INVALID_ARGUMENT,
                                   "file_offset is %" PRIu64 " in a file without offsets", file->offset);
        if (file->offset > INT64_MAX || file->bulk.size > INT64_MAX - file->offset)
                return client_fail(client, GPUD_E_OUT_OF_RANGE,
                                   "file_offset %" PRIu64 " + size %" PRIu64 " exceeds 2^63 - 1",
                                   file->offset, file->bulk.size);
        return 0;
}

int gpud_put_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, int fd,
                  uint64_t file_offset, uint64_t size, gpud_progress_fn *progress, void *userdata) {
        File file = {{client, mem, offset, size, move_from_file}, fd, file_offset, false, progress, userdata};
        int r;

        r = open_file(&file, client);
        if (r < 0)
                return r;
        r = bulk_write(&file.bulk);
        if (r == 0)
                report(&file, size);
        return r;
}

int gpud_get_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, int fd,
                  uint64_t file_offset, uint64_t size, gpud_progress_fn *progress, void *userdata) {
        File file = {{client, mem, offset, size, move_to_file}, fd, file_offset, false, progress, userdata};
        int r;

        r = open_file(&file, client);
        if (r < 0)
                return r;
        return bulk_read(&file.bulk);
}
