/* Stories of bytes: what is copied where, through regions, from and to files. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/stories.h"

/* Bytes around every written range stay what they were. */
void story_ranges(void) {
        static const size_t sizes[] = {1, 3, 4095, 65536, 65537, 4194303, 4194304, 4194305, 20000001};
        static const size_t offsets[] = {0, 1, 4096, 65535, 1000003};
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 22 * MIB).mem;
        char *data = map(22 * MIB), *back = map(22 * MIB), *expected = map(22 * MIB);

        RETURNS(0, gpud_read(client, mem, 0, back, 22 * MIB));
        MUST(memcmp(back, expected, 22 * MIB) == 0); /* zeroed */
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
                for (size_t k = 0; k < sizeof(offsets) / sizeof(*offsets); k++) {
                        fill_pattern(data, sizes[i], i * 100 + k);
                        memcpy(expected + offsets[k], data, sizes[i]);
                        RETURNS(0, gpud_write(client, mem, offsets[k], data, sizes[i]));
                        memset(back, 0xee, sizes[i]);
                        RETURNS(0, gpud_read(client, mem, offsets[k], back, sizes[i]));
                        MUST(memcmp(back, data, sizes[i]) == 0);
                }
        RETURNS(0, gpud_read(client, mem, 0, back, 22 * MIB));
        MUST(memcmp(back, expected, 22 * MIB) == 0);
        RETURNS(0, gpud_write(client, mem, 22 * MIB, "", 0));
        free_mem(client, mem);
        gpud_close(client);
}

/* In one call each way. */
void story_gibibyte(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 1024 * MIB).mem;
        char *data = map(1024 * MIB);

        fill_pattern(data, 1024 * MIB, 5);
        RETURNS(0, gpud_write(client, mem, 0, data, 1024 * MIB));
        MUST(madvise(data, 1024 * MIB, MADV_DONTNEED) == 0);
        RETURNS(0, gpud_read(client, mem, 0, data, 1024 * MIB));
        check_pattern(data, 1024 * MIB, 5);
        free_mem(client, mem);
        gpud_close(client);
}

void story_region(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 8 * MIB).mem;
        struct gpud_mem_write_args write = {
                .mem = mem, .has_shm = true, .has_size = true, .has_shm_offset = true};
        struct gpud_mem_read_args read = {.mem = mem, .has_shm = true};
        struct gpud_mem_read_result result;
        struct gpud_region *region;

        RETURNS(0, gpud_region_new(client, 8 * MIB, &region));
        fill_pattern(gpud_region_data(region), 8 * MIB, 9);
        write.shm = gpud_region_id(region);
        write.size = 8 * MIB;
        RETURNS(0, gpud_mem_write(client, &write));
        memset(gpud_region_data(region), 0, 8 * MIB);
        read.shm = gpud_region_id(region);
        read.size = 8 * MIB;
        RETURNS(0, gpud_mem_read(client, &read, &result));
        MUST(!result.data.data);
        check_pattern(gpud_region_data(region), 8 * MIB, 9);

        /* Past the region's end by one byte. */
        write.shm_offset = 1;
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_mem_write(client, &write));
        gpud_region_free(region);
        RETURNS(-GPUD_E_NOT_FOUND, gpud_mem_read(client, &read, NULL));
        free_mem(client, mem);
        gpud_close(client);
}

void story_device_to_device(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid src = alloc(client, 32 * MIB).mem, dst = alloc(client, 32 * MIB + 10).mem;
        struct gpud_mem_copy_args args = {
                .src = src, .dst = dst, .size = 32 * MIB, .dst_offset = 5, .has_dst_offset = true};
        struct gpud_mem_fill_args fill = {.mem = dst, .pattern = {"\xa5\x5a", 2}};
        unsigned char *data = map(32 * MIB + 10);

        fill_pattern(data, 32 * MIB, 1);
        RETURNS(0, gpud_write(client, src, 0, data, 32 * MIB));
        RETURNS(0, gpud_mem_fill(client, &fill));
        RETURNS(0, gpud_mem_copy(client, &args));
        RETURNS(0, gpud_read(client, dst, 0, data, 32 * MIB + 10));
        MUST(memcmp(data, "\xa5\x5a\xa5\x5a\xa5", 5) == 0);
        MUST(memcmp(data + 32 * MIB + 5, "\x5a\xa5\x5a\xa5\x5a", 5) == 0);
        memmove(data, data + 5, 32 * MIB);
        check_pattern(data, 32 * MIB, 1);

        /* Overlapping by all but a byte. */
        args = (struct gpud_mem_copy_args){
                .src = src, .dst = src, .size = 32 * MIB - 1, .dst_offset = 1, .has_dst_offset = true};
        RETURNS(0, gpud_mem_copy(client, &args));
        RETURNS(0, gpud_read(client, src, 1, data, 32 * MIB - 1));
        check_pattern(data, 32 * MIB - 8, 1);
        free_mem(client, src);
        free_mem(client, dst);
        gpud_close(client);
}

void story_files(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 30 * MIB + 1).mem;
        char *data = map(30 * MIB + 1);
        int fd = memfd_create("file", MFD_CLOEXEC);

        fill_pattern(data, 30 * MIB + 1, 8);
        MUST(write(fd, data, 30 * MIB + 1) == (ssize_t)(30 * MIB + 1));
        RETURNS(0, gpud_put_file(client, mem, 0, fd, 0, 30 * MIB + 1, NULL, NULL));
        MUST(ftruncate(fd, 0) == 0);
        RETURNS(0, gpud_get_file(client, mem, 0, fd, 0, 30 * MIB + 1, NULL, NULL));
        memset(data, 0, 30 * MIB + 1);
        MUST(pread(fd, data, 30 * MIB + 1, 0) == (ssize_t)(30 * MIB + 1));
        check_pattern(data, 30 * MIB + 1, 8);
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_put_file(client, mem, 1, fd, 0, 30 * MIB + 1, NULL, NULL));
        close(fd);
        free_mem(client, mem);
        gpud_close(client);
}

/* ---- files that are not what one thinks ---- */

static int open_file(const char *name, int flags) {
        int fd = open(name, flags | O_CLOEXEC, 0600);

        if (fd < 0) {
                fprintf(stderr, "%s: %s\n", name, strerror(errno));
                exit(1);
        }
        return fd;
}

static void check_error(struct gpud_client *client, const char *word) {
        if (!strstr(gpud_error_message(client), word)) {
                fprintf(stderr, "no \"%s\" in: %s\n", word, gpud_error_message(client));
                exit(1);
        }
}

/* A hole is zeros; bytes of the file before and behind the range stay out of it. */
void story_sparse_file(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 20 * MIB).mem;
        const struct gpud_mem_fill_args fill = {.mem = mem, .pattern = {"\xee", 1}};
        int fd = memfd_create("sparse", MFD_CLOEXEC);
        char *data = map(20 * MIB), *expected = map(20 * MIB);

        MUST(ftruncate(fd, 40 * MIB) == 0);
        MUST(pwrite(fd, "before", 6, 10 * MIB - 6) == 6 && pwrite(fd, "behind", 6, 28 * MIB - 1) == 6);
        MUST(pwrite(fd, "island", 6, 15 * MIB) == 6);
        RETURNS(0, gpud_mem_fill(client, &fill));
        RETURNS(0, gpud_put_file(client, mem, 1 * MIB + 1, fd, 10 * MIB, 18 * MIB - 1, NULL, NULL));
        RETURNS(0, gpud_read(client, mem, 0, data, 20 * MIB));
        memset(expected, 0xee, 1 * MIB + 1);
        memset(expected + 19 * MIB, 0xee, 1 * MIB);
        memcpy(expected + 6 * MIB + 1, "island", 6);
        MUST(memcmp(data, expected, 20 * MIB) == 0);
        close(fd);
        free_mem(client, mem);
        gpud_close(client);
}

/* Longer than the copy: what is around the range stays, on both ways. */
void story_part_of_a_file(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 9 * MIB).mem;
        const struct gpud_mem_fill_args fill = {.mem = mem, .pattern = {"new!", 4}};
        int fd = memfd_create("part", MFD_CLOEXEC);
        char *data = map(11 * MIB), *expected = map(11 * MIB);

        fill_pattern(expected, 11 * MIB, 4);
        MUST(write(fd, expected, 11 * MIB) == (ssize_t)(11 * MIB));
        RETURNS(0, gpud_mem_fill(client, &fill));
        RETURNS(0, gpud_get_file(client, mem, 0, fd, 77, 9 * MIB - 4, NULL, NULL));
        for (size_t i = 0; i < 9 * MIB - 4; i += 4)
                memcpy(expected + 77 + i, "new!", 4);
        MUST(pread(fd, data, 11 * MIB, 0) == (ssize_t)(11 * MIB));
        MUST(memcmp(data, expected, 11 * MIB) == 0);
        MUST(lseek(fd, 0, SEEK_END) == (off_t)(11 * MIB));
        /* gpud refuses it: the file is as it was. */
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_get_file(client, mem, 1, fd, 0, 9 * MIB, NULL, NULL));
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_get_file(client, mem, 0, fd, 5 * MIB, 2048 * MIB, NULL, NULL));
        MUST(pread(fd, data, 11 * MIB, 0) == (ssize_t)(11 * MIB));
        MUST(memcmp(data, expected, 11 * MIB) == 0 && lseek(fd, 0, SEEK_END) == (off_t)(11 * MIB));
        close(fd);
        free_mem(client, mem);
        gpud_close(client);
}

/* One error that says what it is, and a client that works on. STORY_DIRECTORY is where files may be made. */
void story_wrong_files(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 10 * MIB).mem;
        char data[10];
        int fd;

        MUST(chdir(getenv("STORY_DIRECTORY")) == 0);
        /* Shorter by a byte than the copy, at its end and at its start. */
        fd = open_file("short", O_RDWR | O_CREAT);
        MUST(ftruncate(fd, 10 * MIB - 1) == 0);
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_put_file(client, mem, 0, fd, 0, 10 * MIB, NULL, NULL));
        check_error(client, "the file ends 10485759 bytes after file_offset 0, 10485760 were expected");
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_put_file(client, mem, 0, fd, 10 * MIB - 2, 5, NULL, NULL));
        check_error(client, "the file ends 1 bytes after file_offset 10485758, 5 were expected");
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_put_file(client, mem, 0, fd, 10 * MIB - 1, 1, NULL, NULL));
        RETURNS(0, gpud_put_file(client, mem, 0, fd, 10 * MIB - 1, 0, NULL, NULL));
        RETURNS(0, gpud_put_file(client, mem, 1, fd, 0, 10 * MIB - 1, NULL, NULL));
        close(fd);
        /* No bytes are none, but of an allocation that is there. */
        fd = open_file("short", O_RDWR);
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_put_file(client, mem, 10 * MIB + 1, fd, 0, 0, NULL, NULL));
        RETURNS(-GPUD_E_NOT_FOUND, gpud_get_file(client, (struct gpud_uuid){{1}}, 0, fd, 0, 0, NULL, NULL));
        close(fd);
        /* Open the wrong way. */
        fd = open_file("short", O_WRONLY);
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_put_file(client, mem, 0, fd, 0, 10, NULL, NULL));
        check_error(client, "reading the file: Bad file descriptor");
        close(fd);
        fd = open_file("short", O_RDONLY);
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_get_file(client, mem, 0, fd, 0, 10, NULL, NULL));
        check_error(client, "writing the file: Bad file descriptor");
        close(fd);
        fd = open_file(".", O_RDONLY | O_DIRECTORY);
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_put_file(client, mem, 0, fd, 0, 10, NULL, NULL));
        check_error(client, "Is a directory");
        close(fd);
        fd = open_file("/dev/full", O_WRONLY);
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_get_file(client, mem, 0, fd, 0, 10, NULL, NULL));
        check_error(client, "No space left on device");
        close(fd);
        /* A FIFO has no offsets, and ends where its writer leaves. */
        MUST(mkfifo("fifo", 0600) == 0);
        fd = open_file("fifo", O_RDWR);
        MUST(write(fd, "0123456789", 10) == 10);
        RETURNS(-GPUD_E_INVALID_ARGUMENT, gpud_put_file(client, mem, 0, fd, 1, 9, NULL, NULL));
        RETURNS(0, gpud_put_file(client, mem, 0, fd, 0, 10, NULL, NULL));
        RETURNS(0, gpud_get_file(client, mem, 3, fd, 0, 7, NULL, NULL));
        MUST(read(fd, data, 10) == 7 && memcmp(data, "3456789", 7) == 0);
        close(fd);
        free_mem(client, mem);
        gpud_close(client);
}

/* STORY_DIRECTORY is on a file system of less than 10 MiB. */
void story_full_disk(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 10 * MIB).mem;
        int fd;

        MUST(chdir(getenv("STORY_DIRECTORY")) == 0);
        fd = open_file("file", O_RDWR | O_CREAT);
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_get_file(client, mem, 0, fd, 0, 10 * MIB, NULL, NULL));
        check_error(client, "writing the file: No space left on device");
        RETURNS(0, gpud_get_file(client, mem, 0, fd, 0, MIB, NULL, NULL));
        close(fd);
        free_mem(client, mem);
        gpud_close(client);
}

static uint64_t count_mems(struct gpud_client *client) {
        struct gpud_daemon_status_result status;

        RETURNS(0, gpud_daemon_status(client, &status));
        return status.mems;
}

/* A file is an allocation at once and whole, or not at all. STORY_DIRECTORY is where files may be made. */
void story_load(void) {
        const struct gpud_mem_alloc_args alloc_args = {.device = "vulkan:0", .size = 5 * MIB};
        const struct gpud_mem_alloc_args named = {.device = "vulkan:0", .size = 5 * MIB, .name = "loaded"};
        struct gpud_mem_publish_args publish = {.name = "loaded", .mode = 0640, .seal = true};
        const struct gpud_mem_open_args open_args = {.device = "vulkan:0", .name = "loaded"};
        struct gpud_client *client = connect_client(), *reader = connect_client();
        char *data = map(5 * MIB);
        struct gpud_mem_info first, second, read;
        int fd;

        MUST(chdir(getenv("STORY_DIRECTORY")) == 0);
        fd = open_file("source", O_RDWR | O_CREAT);
        fill_pattern(data, 5 * MIB, 1);
        MUST(pwrite(fd, data, 5 * MIB, 7) == (ssize_t)(5 * MIB));
        RETURNS(-GPUD_E_INVALID_ARGUMENT,
                gpud_load_file(client, &named, &publish, fd, 7, NULL, NULL, &first));
        check_error(client, "`name`");
        RETURNS(-GPUD_E_OUT_OF_RANGE,
                gpud_load_file(client, &alloc_args, &publish, fd, 8, NULL, NULL, &first));
        check_error(client, "the file ends");
        MUST(count_mems(client) == 0);
        RETURNS(0, gpud_load_file(client, &alloc_args, &publish, fd, 7, NULL, NULL, &first));
        MUST(strcmp(first.name, "loaded") == 0 && first.mode == 0640 && first.sealed);
        MUST(first.lifetime == GPUD_LIFETIME_PERSISTENT && first.refs == 2);

        /* Taken: said before the bytes move, which here would fail. */
        RETURNS(-GPUD_E_ALREADY_EXISTS,
                gpud_load_file(client, &alloc_args, &publish, -1, 0, NULL, NULL, NULL));
        check_error(client, "\"loaded\" is taken on vulkan:0; `replace` takes it over");
        MUST(count_mems(client) == 1);
        RETURNS(0, gpud_mem_open(reader, &open_args, NULL));
        fill_pattern(data, 5 * MIB, 2);
        MUST(pwrite(fd, data, 5 * MIB, 0) == (ssize_t)(5 * MIB));
        publish.replace = true;
        RETURNS(0, gpud_load_file(client, &alloc_args, &publish, fd, 0, NULL, NULL, &second));
        RETURNS(0, gpud_read(reader, first.mem, 0, data, 5 * MIB));
        check_pattern(data, 5 * MIB, 1);
        RETURNS(0, gpud_mem_open(reader, &open_args, &read));
        RETURNS(0, gpud_read(reader, read.mem, 0, data, 5 * MIB));
        check_pattern(data, 5 * MIB, 2);
        free_mem(client, second.mem);
        close(fd);
        gpud_close(client);
        gpud_close(reader);
}

static void check_file(const char *name, const char *content) {
        char back[64] = {0};
        int fd = open_file(name, O_RDONLY);

        MUST(read(fd, back, sizeof(back) - 1) == (ssize_t)strlen(content) && strcmp(back, content) == 0);
        close(fd);
}

/* The old file or the new one, never half of it; links lead where they lead. */
void story_save(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 3 * MIB).mem;
        struct stat status;
        int fd;

        MUST(chdir(getenv("STORY_DIRECTORY")) == 0);
        umask(027);
        RETURNS(0, gpud_write(client, mem, 0, "new bytes", 9));
        RETURNS(0, gpud_save_file(client, mem, 4, 5, "fresh", NULL, NULL));
        check_file("fresh", "bytes");
        MUST(stat("fresh", &status) == 0 && (status.st_mode & 07777) == 0640);

        MUST(chmod("fresh", 0604) == 0 && mkdir("away", 0700) == 0);
        MUST(symlink("../fresh", "away/link") == 0 && symlink("away/link", "link") == 0);
        RETURNS(0, gpud_save_file(client, mem, 0, 9, "link", NULL, NULL));
        check_file("fresh", "new bytes");
        MUST(stat("fresh", &status) == 0 && (status.st_mode & 07777) == 0604);
        MUST(lstat("link", &status) == 0 && S_ISLNK(status.st_mode));
        MUST(symlink("away/later", "dangling") == 0);
        RETURNS(0, gpud_save_file(client, mem, 0, 3, "dangling", NULL, NULL));
        check_file("away/later", "new");
        MUST(symlink("loop", "loop") == 0);
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_save_file(client, mem, 0, 3, "loop", NULL, NULL));
        check_error(client, "loop: Too many levels of symbolic links");

        /* What gpud refuses touches nothing. */
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_save_file(client, mem, 2, 3 * MIB, "fresh", NULL, NULL));
        RETURNS(-GPUD_E_NOT_FOUND, gpud_save_file(client, (struct gpud_uuid){{9}}, 0, 1, "none", NULL, NULL));
        MUST(access("none", F_OK) < 0);
        check_file("fresh", "new bytes");
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_save_file(client, mem, 0, 1, "away", NULL, NULL));
        check_error(client, "away: Is a directory");
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_save_file(client, mem, 0, 1, "away/", NULL, NULL));
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_save_file(client, mem, 0, 1, "no/such", NULL, NULL));
        check_error(client, "no/such: No such file or directory");

        /* No regular file: as it is. What a process has open is that, and not its name. */
        RETURNS(0, gpud_save_file(client, mem, 0, 3 * MIB, "/dev/null", NULL, NULL));
        RETURNS(-GPUD_E_SYSTEM_CALL, gpud_save_file(client, mem, 0, 1, "/dev/full", NULL, NULL));
        fd = open_file("opened", O_RDWR | O_CREAT);
        char link[64];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        RETURNS(0, gpud_save_file(client, mem, 0, 9, link, NULL, NULL));
        MUST(fstat(fd, &status) == 0 && status.st_nlink == 1 && status.st_size == 9);
        close(fd);

        /* A name of the greatest length has room for no more. */
        char name[256] = {0};
        memset(name, 'n', 255);
        RETURNS(0, gpud_save_file(client, mem, 0, 9, name, NULL, NULL));
        RETURNS(0, gpud_save_file(client, mem, 0, 9, name, NULL, NULL));
        check_file(name, "new bytes");
        free_mem(client, mem);
        gpud_close(client);
}
