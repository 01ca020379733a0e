/* Regions and the arena: shared memory, what is too much of it, and what little will do. */

#include "tests/unit/client/daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

START_TEST(region_is_shared_memory) {
        Daemon *daemon = daemon_new(8192);
        struct gpud_region *region;
        struct gpud_mem_write_args args = {.mem = some_mem, .has_shm = true, .size = 5000, .has_size = true};

        daemon_start(daemon);
        ck_assert_int_eq(gpud_region_new(daemon->peer.client, 5000, &region), 0);
        ck_assert_uint_eq(gpud_region_size(region), 5000);
        ck_assert(gpud_region_imported(region));
        memset(gpud_region_data(region), 'x', 5000);
        args.shm = gpud_region_id(region);
        ck_assert_int_eq(gpud_mem_write(daemon->peer.client, &args), 0);
        ck_assert_int_eq(daemon->memory[4999], 'x');
        gpud_region_free(region);
        ck_assert_int_eq(gpud_region_new(daemon->peer.client, 0, &region), -GPUD_E_INVALID_ARGUMENT);
        ck_assert_int_eq(gpud_region_new(daemon->peer.client, SIZE_MAX, &region), -GPUD_E_INVALID_ARGUMENT);
        ck_assert_ptr_null(region);
        gpud_region_free(NULL);
        /* One that outlives its client. */
        ck_assert_int_eq(gpud_region_new(daemon->peer.client, 4096, &region), 0);
        gpud_close(daemon->peer.client);
        daemon->peer.client = NULL;
        pthread_join(daemon->thread, NULL);
        ck_assert_uint_eq(daemon->n_released, 1);
        memset(gpud_region_data(region), 1, 4096);
        gpud_region_free(region);
        daemon->thread = pthread_self();
        daemon_free(daemon);
}
END_TEST

/* Descriptors that are open, and mappings of regions. */
static size_t count_held(void) {
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[512];
        size_t n = 0;

        while (fgets(line, sizeof(line), maps))
                n += strstr(line, "memfd:gpud-region") != NULL;
        fclose(maps);
        for (int fd = 0; fd < 64; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

START_TEST(region_that_failed_leaves_nothing) {
        struct gpud_region *region;
        Peer peer = peer_new();
        size_t n_held;

        peer_hang_up(&peer);
        n_held = count_held();
        ck_assert_int_eq(gpud_region_new(peer.client, 8192, &region), -GPUD_E_CONNECTION_LOST);
        ck_assert_ptr_null(region);
        ck_assert_uint_eq(count_held(), n_held);
        peer_free(&peer);
}
END_TEST

/* Its release has no callback, but a reply. */
static void free_region(struct gpud_client *client, struct gpud_region *region) {
        gpud_region_free(region);
        while (gpud_pending(client) > 0)
                ck_assert_int_eq(gpud_wait(client, 10000), 0);
}

/* What gpud would refuse, and what the machine has not, is refused before gpud or the kernel is asked. */
START_TEST(region_beyond_the_limits) {
        Daemon *daemon = daemon_new(16);
        struct gpud_client *client;
        struct gpud_region *first, *second;

        daemon->shm_max = 1 << 20;
        daemon_start(daemon);
        client = daemon->peer.client;
        ck_assert_int_eq(gpud_region_new(client, (size_t)1 << 45, &first), -GPUD_E_RESOURCE_EXHAUSTED);
        ck_assert_str_eq(gpud_error_message(client),
                         "size 35184372088832 and the session's 0 bytes of regions exceed shm_max = 1048576");
        ck_assert_int_eq(gpud_region_new(client, 1 << 19, &first), 0);
        ck_assert_int_eq(gpud_region_new(client, (1 << 19) + 1, &second), -GPUD_E_RESOURCE_EXHAUSTED);
        ck_assert_str_eq(gpud_error_message(client),
                         "size 524289 and the session's 524288 bytes of regions exceed shm_max = 1048576");
        ck_assert_int_eq(gpud_region_new(client, 1 << 19, &second), 0);
        free_region(client, first);
        ck_assert_int_eq(gpud_region_new(client, 1 << 19, &first), 0);
        free_region(client, first);
        free_region(client, second);
        ck_assert_uint_eq(daemon->n_regions, 3);

        /* A gpud that does not tell it. */
        client->limits.shm_max = 0;
        ck_assert_int_eq(gpud_region_new(client, (size_t)1 << 45, &first), -GPUD_E_SYSTEM_CALL);
        ck_assert_ptr_nonnull(
                strstr(gpud_error_message(client), "region of 35184372088832 bytes: of the machine's"));
        client->limits.shms_max = 1;
        ck_assert_int_eq(gpud_region_new(client, 4096, &first), 0);
        ck_assert_int_eq(gpud_region_new(client, 4096, &second), -GPUD_E_RESOURCE_EXHAUSTED);
        ck_assert_str_eq(gpud_error_message(client), "the session has 1 regions, limit shms_max = 1");
        free_region(client, first);
        daemon_free(daemon);
}
END_TEST

/* None is missing when gpud sees it, which would take it: the daemon of the test counts them. */
START_TEST(region_has_its_pages) {
        size_t size = (size_t)65 << 20, n_pages = size / 4096;
        unsigned char *is_there = malloc(n_pages);
        Daemon *daemon = daemon_new(16);
        struct gpud_region *region;

        daemon_start(daemon);
        ck_assert_int_eq(gpud_region_new(daemon->peer.client, size, &region), 0);
        ck_assert_int_eq(mincore(daemon->regions[0], size, is_there), 0);
        for (size_t i = 0; i < n_pages; i++)
                ck_assert(is_there[i] & 1);
        free_region(daemon->peer.client, region);
        free(is_there);
        daemon_free(daemon);
}
END_TEST

static void set_limit(int resource, rlim_t soft) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(resource, &limit), 0);
        limit.rlim_cur = soft;
        ck_assert_int_eq(setrlimit(resource, &limit), 0);
}

#define SLOT ((size_t)4 << 20) /* the largest piece of a copy */

static void copy_there_and_back(Daemon *daemon) {
        char *data = malloc(daemon->size), *back = malloc(daemon->size);

        for (size_t i = 0; i < daemon->size; i++)
                data[i] = (char)(i * 13 + 1 + (i >> 16));
        ck_assert_msg(gpud_write(daemon->peer.client, some_mem, 0, data, daemon->size) == 0, "%s",
                      gpud_error_message(daemon->peer.client));
        ck_assert_mem_eq(daemon->memory, data, daemon->size);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, back, daemon->size), 0);
        ck_assert_mem_eq(back, data, daemon->size);
        free(data);
        free(back);
}

/* Copies are slower through a small arena, of one piece even, and do not fail. */
START_TEST(arena_makes_do_with_less) {
        static const size_t rooms[] = {512 << 10, (512 << 10) + 1, 1 << 20, 3 << 20, 4 << 20, 7 << 20};
        Daemon *daemon = daemon_new(9 * SLOT + 77);

        if (_i % 2 == 0)
                set_limit(RLIMIT_FSIZE, rooms[_i / 2]);
        else
                daemon->shm_max = rooms[_i / 2];
        daemon_start(daemon);
        copy_there_and_back(daemon);
        ck_assert_uint_eq(daemon->n_regions, 1);
        ck_assert_uint_le(daemon->region_sizes[0], rooms[_i / 2]);
        ck_assert_uint_gt(2 * daemon->region_sizes[0], rooms[_i / 2] / 2);
        daemon_free(daemon);
}
END_TEST

START_TEST(no_room_for_any_arena) {
        Daemon *daemon = daemon_new(2 * SLOT);

        daemon_start(daemon);
        set_limit(RLIMIT_FSIZE, 100000);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, daemon->memory, daemon->size),
                         -GPUD_E_SYSTEM_CALL);
        ck_assert_str_eq(
                gpud_error_message(daemon->peer.client),
                "the memfd of a region of 524288 bytes: File too large, limit RLIMIT_FSIZE = 100000");
        set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
        copy_there_and_back(daemon);
        daemon_free(daemon);
}
END_TEST

/* Neither for the memfd nor for the copy of it that goes to gpud. */
START_TEST(no_descriptor_for_an_arena) {
        Daemon *daemon = daemon_new(2 * SLOT);
        int free_fd;

        daemon_start(daemon);
        free_fd = fcntl(0, F_DUPFD, 3);
        close(free_fd);
        set_limit(RLIMIT_NOFILE, (rlim_t)(free_fd + _i));
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, daemon->memory, daemon->size),
                         -GPUD_E_SYSTEM_CALL);
        ck_assert_ptr_nonnull(strstr(gpud_error_message(daemon->peer.client),
                                     "Too many open files, limit RLIMIT_NOFILE = "));
        set_limit(RLIMIT_NOFILE, 64);
        copy_there_and_back(daemon);
        daemon_free(daemon);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/region");
        TCase *tcase = tcase_create("region");

        tcase_add_test(tcase, region_is_shared_memory);
        tcase_add_test(tcase, region_that_failed_leaves_nothing);
        tcase_add_test(tcase, region_beyond_the_limits);
        tcase_add_test(tcase, region_has_its_pages);
        tcase_add_loop_test(tcase, arena_makes_do_with_less, 0, 12);
        tcase_add_test(tcase, no_room_for_any_arena);
        tcase_add_loop_test(tcase, no_descriptor_for_an_arena, 0, 2);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
