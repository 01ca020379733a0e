/* Files to and from allocations: read and written straight in the arena, so that no other copy is made. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/bulk.h"
#include "client/client.h"
#include "client/headroom.h"

/* Room on the disk for all that will be written: sought once, by the thread that writes first. */
typedef struct Room {
        pthread_mutex_t lock;
        bool is_sought;
        int error; /* an errno where there is none */
} Room;

typedef struct File {
        Bulk bulk; /* serial where the file has no offsets */
        int fd;
        uint64_t offset;
        Room *room; /* of a file that is written */
} File;

static int refuse_system(ProtoFault *fault, const char *what) {
        char text[128];

        return proto_fault(fault, GPUD_E_SYSTEM_CALL, "%s the file: %s", what,
                           headroom_error_to_string(errno, text, sizeof(text)));
}

static int copy_from_file(const Bulk *bulk, void *data, uint64_t position, size_t size, ProtoFault *fault) {
        const File *file = (const File *)(const void *)bulk;
        off_t offset = (off_t)(file->offset + position);
        size_t n_done = 0;
        ssize_t n;

        while (n_done < size) {
                n = bulk->is_serial
                            ? read(file->fd, (char *)data + n_done, size - n_done)
                            : pread(file->fd, (char *)data + n_done, size - n_done, offset + (off_t)n_done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return refuse_system(fault, "reading");
                if (n == 0)
                        return proto_fault(fault, GPUD_E_OUT_OF_RANGE,
                                           "the file ends %" PRIu64 " bytes after file_offset %" PRIu64
                                           ", %" PRIu64 " were expected",
                                           position + n_done, file->offset, bulk->size);
                n_done += (size_t)n;
        }
        return 0;
}

/*
 * Seeks the room before the first byte is written. Grains are written in any order: a file that grew with
 * each of them would come in fragments, three times slower on ext4. And a full disk shows at once, or where
 * the file system cannot tell beforehand, as the bytes are written. It is not done earlier, so that a copy
 * that gpud refuses leaves the file as it was.
 */
static int find_room(const File *file) {
        Room *room = file->room;
        int error;

        pthread_mutex_lock(&room->lock);
        if (!room->is_sought && fallocate(file->fd, 0, (off_t)file->offset, (off_t)file->bulk.size) < 0 &&
            (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
                room->error = errno;
        room->is_sought = true;
        error = room->error;
        pthread_mutex_unlock(&room->lock);
        return error;
}

static int copy_to_file(const Bulk *bulk, void *data, uint64_t position, size_t size, ProtoFault *fault) {
        const File *file = (const File *)(const void *)bulk;
        off_t offset = (off_t)(file->offset + position);
        size_t n_done = 0;
        ssize_t n;

        errno = bulk->is_serial ? 0 : find_room(file);
        if (errno != 0)
                return refuse_system(fault, "writing");
        while (n_done < size) {
                n = bulk->is_serial ? write(file->fd, (const char *)data + n_done, size - n_done)
                                    : pwrite(file->fd, (const char *)data + n_done, size - n_done,
                                             offset + (off_t)n_done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return refuse_system(fault, "writing");
                n_done += (size_t)n;
        }
        return 0;
}

/* Whether bytes can go to any offset: not in a pipe or socket, nor in a file that is opened to append. */
static bool has_offsets(const File *file) {
        if (lseek(file->fd, 0, SEEK_CUR) < 0 && errno == ESPIPE)
                return false;
        return file->bulk.copy != copy_to_file || !(fcntl(file->fd, F_GETFL) & O_APPEND);
}

/* Past RLIMIT_FSIZE the kernel sends SIGXFSZ, which ends a process that does not expect it. */
static int check_limit(const File *file) {
        uint64_t start = file->offset, size = file->bulk.size;
        struct rlimit limit;
        struct stat status;

        if (file->bulk.copy != copy_to_file || getrlimit(RLIMIT_FSIZE, &limit) < 0 ||
            limit.rlim_cur == RLIM_INFINITY || fstat(file->fd, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        if (fcntl(file->fd, F_GETFL) & O_APPEND)
                start = (uint64_t)status.st_size;
        if (start <= limit.rlim_cur && size <= limit.rlim_cur - start)
                return 0;
        return client_fail(file->bulk.client, GPUD_E_SYSTEM_CALL,
                           "writing the file: it would have %" PRIu64 " bytes, limit RLIMIT_FSIZE = %ju",
                           start + size, (uintmax_t)limit.rlim_cur);
}

static int init_file(File *file) {
        Bulk *bulk = &file->bulk;

        bulk->is_serial = !has_offsets(file);
        if (bulk->is_serial && file->offset != 0)
                return client_fail(bulk->client, GPUD_E_INVALID_ARGUMENT,
                                   "file_offset is %" PRIu64 " in a file without offsets", file->offset);
        if (file->offset > INT64_MAX || bulk->size > INT64_MAX - file->offset)
                return client_fail(bulk->client, GPUD_E_OUT_OF_RANGE,
                                   "file_offset %" PRIu64 " + size %" PRIu64 " exceeds 2^63 - 1",
                                   file->offset, bulk->size);
        return check_limit(file);
}

int gpud_put_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, int fd,
                  uint64_t file_offset, uint64_t size, gpud_progress_fn *progress, void *userdata) {
        File file = {{client, mem, offset, size, copy_from_file, false, progress, userdata},
                     fd,
                     file_offset,
                     NULL};
        int r;

        /* Nothing is copied, but gpud says whether it could be. */
        if (size == 0)
                return gpud_write(client, mem, offset, NULL, 0);
        r = init_file(&file);
        return r < 0 ? r : bulk_write(&file.bulk);
}

int gpud_get_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, int fd,
                  uint64_t file_offset, uint64_t size, gpud_progress_fn *progress, void *userdata) {
        Room room = {.lock = PTHREAD_MUTEX_INITIALIZER};
        File file = {
                {client, mem, offset, size, copy_to_file, false, progress, userdata}, fd, file_offset, &room};
        int r;

        if (size == 0)
                return gpud_read(client, mem, offset, NULL, 0);
        r = init_file(&file);
        return r < 0 ? r : bulk_read(&file.bulk);
}
