/* Copies of any size through the arena, against a small daemon of the test's own on a thread. */

#include "tests/unit/client/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>

#include "client/region.h"
#include "proto/codec.h"
#include "proto/scan.h"

/* The largest piece of a copy. */
#define SLOT ((size_t)4 << 20)

/* One allocation of one size, regions, and orders to fail. */
typedef struct Daemon {
        Peer peer;
        pthread_t thread;
        char *memory;
        size_t size;
        void *regions[8];
        size_t region_sizes[8];
        size_t n_regions;
        size_t n_released; /* regions */
        int fd;            /* received, not yet taken */
        int fail_at;       /* the n-th copy is refused; 0: none */
        int hang_at;       /* the connection closes at the n-th copy; 0: never */
        int pause_at;      /* nothing is said from the n-th copy on until `go_on` is posted; 0: never */
        sem_t go_on;
        int mute_at; /* the n-th copy has no reply; 0: none */
        int n_copies;
} Daemon;

static bool daemon_check(Daemon *daemon, uint32_t msgid, uint64_t offset, uint64_t size) {
        daemon->n_copies++;
        if (daemon->n_copies == daemon->pause_at)
                sem_wait(&daemon->go_on);
        if (daemon->n_copies == daemon->mute_at)
                return false;
        if (daemon->n_copies == daemon->fail_at) {
                peer_refuse(&daemon->peer, msgid, GPUD_E_DEVICE_LOST, "copy refused by the test");
                return false;
        }
        if (offset > daemon->size || size > daemon->size - offset) {
                peer_refuse(&daemon->peer, msgid, GPUD_E_OUT_OF_RANGE, "out of range in the test");
                return false;
        }
        return true;
}

static char *daemon_find(const Daemon *daemon, const struct gpud_uuid *shm, uint64_t offset, uint64_t size) {
        size_t index = shm->bytes[0];

        ck_assert_uint_lt(index, daemon->n_regions);
        ck_assert_uint_le(offset + size, daemon->region_sizes[index]);
        return (char *)daemon->regions[index] + offset;
}

static void daemon_write(Daemon *daemon, uint32_t msgid, const struct gpud_mem_write_args *args) {
        uint64_t size = args->has_shm ? args->size : args->data.size;

        if (!daemon_check(daemon, msgid, args->offset, size))
                return;
        memcpy(daemon->memory + args->offset,
               args->has_shm ? daemon_find(daemon, &args->shm, args->shm_offset, size) : args->data.data,
               size);
        peer_reply(&daemon->peer, msgid, &proto_struct_none, NULL);
}

static void daemon_read(Daemon *daemon, uint32_t msgid, const struct gpud_mem_read_args *args) {
        struct gpud_mem_read_result result = {0};

        if (!daemon_check(daemon, msgid, args->offset, args->size))
                return;
        if (args->has_shm)
                memcpy(daemon_find(daemon, &args->shm, args->shm_offset, args->size),
                       daemon->memory + args->offset, args->size);
        else
                result.data = (struct gpud_bin){daemon->memory + args->offset, args->size};
        peer_reply(&daemon->peer, msgid, &proto_struct_mem_read_result, &result);
}

static void daemon_register(Daemon *daemon, uint32_t msgid, const struct gpud_shm_register_args *args) {
        struct gpud_shm_register_result result = {.imported = true};
        int seals = fcntl(daemon->fd, F_GET_SEALS);

        ck_assert_int_eq(seals & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
        daemon->regions[daemon->n_regions] =
                mmap(NULL, args->size, PROT_READ | PROT_WRITE, MAP_SHARED, daemon->fd, 0);
        ck_assert_ptr_ne(daemon->regions[daemon->n_regions], MAP_FAILED);
        daemon->region_sizes[daemon->n_regions] = args->size;
        close(daemon->fd);
        daemon->fd = -1;
        result.shm.bytes[0] = (uint8_t)daemon->n_regions++;
        peer_reply(&daemon->peer, msgid, &proto_struct_shm_register_result, &result);
}

static void daemon_release(Daemon *daemon, uint32_t msgid) {
        daemon->n_released++;
        peer_reply(&daemon->peer, msgid, &proto_struct_none, NULL);
}

static void daemon_info(Daemon *daemon, uint32_t msgid) {
        const struct gpud_mem_info info = {.device = "vulkan:0", .size = daemon->size};

        peer_reply(&daemon->peer, msgid, &proto_struct_mem_info, &info);
}

/* Returns whether to go on. */
static bool daemon_serve(Daemon *daemon, const void *data, size_t size) {
        msgpack_zone *zone = msgpack_zone_new(1024);
        const ProtoMethod *method;
        AnyStruct args;
        ProtoFault fault;
        Message message;

        ck_assert_int_eq(message_parse(data, size, &message, &fault), 0);
        method = proto_method_find(message.method, message.n_method);
        ck_assert_int_eq(codec_decode(method->args, CODEC_ARGUMENTS, message.arguments, zone, &args, &fault),
                         0);
        if (method == &proto_methods[PROTO_METHOD_mem_write])
                daemon_write(daemon, message.msgid, &args.mem_write_args);
        else if (method == &proto_methods[PROTO_METHOD_mem_read])
                daemon_read(daemon, message.msgid, &args.mem_read_args);
        else if (method == &proto_methods[PROTO_METHOD_shm_register])
                daemon_register(daemon, message.msgid, &args.shm_register_args);
        else if (method == &proto_methods[PROTO_METHOD_shm_release])
                daemon_release(daemon, message.msgid);
        else if (method == &proto_methods[PROTO_METHOD_mem_info])
                daemon_info(daemon, message.msgid);
        msgpack_zone_free(zone);
        return daemon->hang_at == 0 || daemon->n_copies < daemon->hang_at;
}

static ssize_t daemon_receive(Daemon *daemon, char *data, size_t n_data) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {data, n_data};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(daemon->peer.fd, &message, MSG_CMSG_CLOEXEC);

        if (n > 0 && CMSG_FIRSTHDR(&message))
                memcpy(&daemon->fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
        return n;
}

static void *daemon_run(void *userdata) {
        static char data[4 * GPUD_MESSAGE_MAX];
        Daemon *daemon = userdata;
        size_t n_data = 0, size;
        ssize_t n;
        Scan scan = SCAN_NULL;
        bool goes_on = true;

        while (goes_on) {
                n = daemon_receive(daemon, data + n_data, sizeof(data) - n_data);
                if (n <= 0)
                        break;
                n_data += (size_t)n;
                while (goes_on && n_data > 0 &&
                       scan_walk(&scan, &scan_request_limits, data, n_data, &size) == 0) {
                        goes_on = daemon_serve(daemon, data, size);
                        memmove(data, data + size, n_data - size);
                        n_data -= size;
                }
        }
        if (!goes_on)
                shutdown(daemon->peer.fd, SHUT_RDWR);
        return NULL;
}

static Daemon *daemon_new(size_t size) {
        Daemon *daemon = calloc(1, sizeof(*daemon));

        daemon->memory = malloc(size + 1);
        daemon->size = size;
        daemon->fd = -1;
        sem_init(&daemon->go_on, 0, 0);
        for (size_t i = 0; i < size; i++)
                daemon->memory[i] = (char)(i * 31 + (i >> 12));
        return daemon;
}

static void daemon_start(Daemon *daemon) {
        daemon->peer = peer_new();
        /* With helpers on any machine. */
        ck_assert_int_eq(copier_new(&daemon->peer.client->copier, 4), 0);
        ck_assert_int_eq(pthread_create(&daemon->thread, NULL, daemon_run, daemon), 0);
}

static void daemon_free(Daemon *daemon) {
        gpud_close(daemon->peer.client);
        if (!pthread_equal(daemon->thread, pthread_self()))
                pthread_join(daemon->thread, NULL);
        close(daemon->peer.fd);
        for (size_t i = 0; i < daemon->n_regions; i++)
                munmap(daemon->regions[i], daemon->region_sizes[i]);
        free(daemon->memory);
        free(daemon);
}

static const struct gpud_uuid some_mem = {{1}};

static const size_t sizes[] = {1,
                               100,
                               GPUD_INLINE_MAX - 1,
                               GPUD_INLINE_MAX,
                               GPUD_INLINE_MAX + 1,
                               SLOT - 1,
                               SLOT,
                               SLOT + 1,
                               3 * SLOT + 5,
                               4 * SLOT,
                               4 * SLOT + 1,
                               5 * SLOT,
                               9 * SLOT + 77};

START_TEST(bytes_go_there_and_back) {
        size_t size = sizes[_i];
        Daemon *daemon = daemon_new(size + 20);
        char *data = malloc(size), *back = malloc(size);

        daemon_start(daemon);
        for (size_t i = 0; i < size; i++)
                data[i] = (char)(i * 13 + 1 + (i >> 16));
        memset(daemon->memory, 0x55, daemon->size);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 10, data, size), 0);
        ck_assert_mem_eq(daemon->memory + 10, data, size);
        for (size_t i = 0; i < 10; i++) {
                ck_assert_int_eq(daemon->memory[i], 0x55);
                ck_assert_int_eq(daemon->memory[size + 10 + i], 0x55);
        }
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 10, back, size), 0);
        ck_assert_mem_eq(back, data, size);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_uint_le(daemon->n_regions, 1);
        free(data);
        free(back);
        daemon_free(daemon);
}
END_TEST

START_TEST(nothing_is_copied) {
        Daemon *daemon = daemon_new(16);

        daemon_start(daemon);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 16, NULL, 0), 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 16, NULL, 0), 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 17, NULL, 0), -GPUD_E_OUT_OF_RANGE);
        daemon_free(daemon);
}
END_TEST

/* The n-th piece fails: one error, its message, and a client that still works. */
START_TEST(failure_in_the_middle) {
        size_t size = 8 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = calloc(1, size);

        daemon->fail_at = _i;
        daemon_start(daemon);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEVICE_LOST);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client), "copy refused by the test");
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        daemon->fail_at = daemon->n_copies + _i;
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEVICE_LOST);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client), "copy refused by the test");
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), 0);
        free(data);
        daemon_free(daemon);
}
END_TEST

START_TEST(daemon_dies_in_the_middle) {
        size_t size = 9 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = calloc(1, size);

        daemon->hang_at = _i;
        daemon_start(daemon);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_CONNECTION_LOST);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_CONNECTION_LOST);
        free(data);
        daemon_free(daemon);
}
END_TEST

/*
 * The copy ends, and the arena stays until gpud has answered: the next copy does not share it with the
 * last.
 */
START_TEST(silence_in_the_middle) {
        size_t size = 9 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size);

        memset(data, 'd', size);
        daemon->pause_at = _i;
        daemon_start(daemon);
        gpud_set_timeout(daemon->peer.client, 100);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client), "gpud said nothing for 100 ms");
        ck_assert_uint_gt(gpud_pending(daemon->peer.client), 0);
        ck_assert_uint_eq(daemon->n_released, 0);

        gpud_set_timeout(daemon->peer.client, 0);
        sem_post(&daemon->go_on);
        memset(data, 'e', size);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), 0);
        ck_assert_mem_eq(daemon->memory, data, size);
        while (gpud_pending(daemon->peer.client) > 0)
                ck_assert_int_eq(gpud_wait(daemon->peer.client, 10000), 0);
        ck_assert_uint_eq(daemon->n_regions, 2);
        ck_assert_uint_eq(daemon->n_released, 1);
        free(data);
        daemon_free(daemon);
}
END_TEST

/* Nor does a program that ends meanwhile meet the run again. */
START_TEST(silence_and_then_the_end) {
        size_t size = 9 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size);

        daemon->mute_at = _i;
        daemon_start(daemon);
        gpud_set_timeout(daemon->peer.client, 100);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 0, data, size), -GPUD_E_DEADLINE_EXCEEDED);
        ck_assert_uint_gt(gpud_pending(daemon->peer.client), 0);
        free(data);
        daemon_free(daemon);
}
END_TEST

START_TEST(range_may_not_wrap) {
        Daemon *daemon = daemon_new(16);
        static char data[GPUD_INLINE_MAX + 1];

        daemon_start(daemon);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, UINT64_MAX - 5, data, sizeof(data)),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, UINT64_MAX - 5, data, sizeof(data)),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_uint_eq(daemon->n_regions, 0);
        daemon_free(daemon);
}
END_TEST

/* Also where the first pieces alone would fit: nothing is copied, and the whole range is named. */
START_TEST(range_past_the_end_is_refused_whole) {
        size_t size = 5 * SLOT;
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size);

        daemon_start(daemon);
        memset(data, 'n', size);
        memset(daemon->memory, 'o', size);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 1, data, size), -GPUD_E_OUT_OF_RANGE);
        ck_assert_str_eq(gpud_error_message(daemon->peer.client),
                         "offset 1 + size 20971520 exceeds allocation size 20971520");
        ck_assert_int_eq(daemon->n_copies, 0);
        ck_assert_int_eq(gpud_read(daemon->peer.client, some_mem, 1, data, size), -GPUD_E_OUT_OF_RANGE);
        for (size_t i = 0; i < size; i++)
                if (data[i] != 'n' || daemon->memory[i] != 'o')
                        ck_abort_msg("byte %zu has changed", i);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        ck_assert_int_eq(gpud_write(daemon->peer.client, some_mem, 0, data, size), 0);
        ck_assert_mem_eq(daemon->memory, data, size);
        free(data);
        daemon_free(daemon);
}
END_TEST

/* ---- regions ---- */

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

/* ---- files ---- */

static void count_progress(uint64_t n_done, void *userdata) {
        uint64_t *last = userdata;

        ck_assert_uint_ge(n_done, *last);
        *last = n_done;
}

static int temporary_file(const char *data, size_t size) {
        FILE *file = tmpfile();
        int fd;

        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(data, 1, size, file), size);
        fflush(file);
        fd = dup(fileno(file));
        fclose(file);
        return fd;
}

START_TEST(files_go_there_and_back) {
        size_t size = sizes[_i];
        Daemon *daemon = daemon_new(size);
        char *data = malloc(size + 7), *back = malloc(size);
        uint64_t last = 0;
        int fd;

        daemon_start(daemon);
        for (size_t i = 0; i < size + 7; i++)
                data[i] = (char)(i * 17 + (i >> 16));
        fd = temporary_file(data, size + 7);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, 7, size, count_progress, &last),
                         0);
        ck_assert_uint_eq(last, size);
        ck_assert_mem_eq(daemon->memory, data + 7, size);
        ck_assert_int_eq(ftruncate(fd, 0), 0);
        last = 0;
        ck_assert_int_eq(gpud_get_file(daemon->peer.client, some_mem, 0, fd, 3, size, count_progress, &last),
                         0);
        ck_assert_uint_eq(last, size);
        ck_assert_int_eq(pread(fd, back, size, 3), (ssize_t)size);
        ck_assert_mem_eq(back, data + 7, size);
        close(fd);
        free(data);
        free(back);
        daemon_free(daemon);
}
END_TEST

START_TEST(short_file_is_out_of_range) {
        Daemon *daemon = daemon_new(100000);
        static char data[70000];
        int fd = temporary_file(data, sizeof(data));

        daemon_start(daemon);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, 0, 70001, NULL, NULL),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, 9999, 0, 70000, NULL, NULL),
                         -GPUD_E_SYSTEM_CALL);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, UINT64_MAX, 1, NULL, NULL),
                         -GPUD_E_OUT_OF_RANGE);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fd, 0, 70000, NULL, NULL), 0);
        close(fd);
        fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        ck_assert_int_eq(gpud_get_file(daemon->peer.client, some_mem, 0, fd, 0, 70000, NULL, NULL),
                         -GPUD_E_SYSTEM_CALL);
        close(fd);
        ck_assert_uint_eq(gpud_pending(daemon->peer.client), 0);
        daemon_free(daemon);
}
END_TEST

static void *feed_pipe(void *userdata) {
        static char data[1 << 16];
        const int *fd = userdata;

        memset(data, 'p', sizeof(data));
        for (size_t i = 0; i < 100; i++)
                if (write(*fd, data, sizeof(data)) < 0)
                        break;
        close(*fd);
        return NULL;
}

START_TEST(pipe_will_do) {
        size_t size = 100 << 16;
        Daemon *daemon = daemon_new(size);
        pthread_t thread;
        int fds[2];

        daemon_start(daemon);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, feed_pipe, &fds[1]), 0);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fds[0], 1, size, NULL, NULL),
                         -GPUD_E_INVALID_ARGUMENT);
        ck_assert_int_eq(gpud_put_file(daemon->peer.client, some_mem, 0, fds[0], 0, size, NULL, NULL), 0);
        pthread_join(thread, NULL);
        close(fds[0]);
        for (size_t i = 0; i < size; i++)
                if (daemon->memory[i] != 'p')
                        ck_abort_msg("byte %zu is wrong", i);
        daemon_free(daemon);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/bulk");
        TCase *tcase = tcase_create("bulk");
        const int n_sizes = sizeof(sizes) / sizeof(*sizes);

        tcase_add_loop_test(tcase, bytes_go_there_and_back, 0, n_sizes);
        tcase_add_test(tcase, nothing_is_copied);
        tcase_add_loop_test(tcase, failure_in_the_middle, 1, 9);
        tcase_add_loop_test(tcase, daemon_dies_in_the_middle, 1, 9);
        tcase_add_loop_test(tcase, silence_in_the_middle, 1, 9);
        tcase_add_loop_test(tcase, silence_and_then_the_end, 1, 3);
        tcase_add_test(tcase, range_may_not_wrap);
        tcase_add_test(tcase, range_past_the_end_is_refused_whole);
        tcase_add_test(tcase, region_is_shared_memory);
        tcase_add_test(tcase, region_that_failed_leaves_nothing);
        tcase_add_loop_test(tcase, files_go_there_and_back, 0, n_sizes);
        tcase_add_test(tcase, short_file_is_out_of_range);
        tcase_add_test(tcase, pipe_will_do);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
