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
