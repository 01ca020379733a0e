/*
 * Requests through the pipeline when host memory runs out: a story of calls is told again and again, the
 * n-th allocation failing, for n = 1, 2, ... until none fails. Whatever fails, nothing is lost: every handle,
 * byte and descriptor is given back in the end.
 */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/method/table.h"
#include "daemon/rpc/pipeline.h"
#include "daemon/rpc/rpc.h"
#include "proto/message.h"
#include "proto/scan.h"
#include "tests/unit/failing.h"
#include "tests/unit/rpc/fake-gpu.h"

typedef struct World {
        Registry registry;
        Rpc rpc;
        Channel channel;
        size_t n_ok; /* calls that succeeded */
} World;

static void on_wake(Channel *channel) {
        (void)channel;
}

/* Copies the string at `key` of the result, if it has one. */
static void read_text(Cursor result, const char *key, char *ret_text) {
        Item map = cursor_read(&result);
        Item name;
        Item value;

        for (uint64_t i = 0; map.kind == ITEM_MAP && i < map.number; i++) {
                name = cursor_read(&result);
                value = cursor_read(&result);
                cursor_skip(&result, &value);
                if (item_is_str(&name, key, strlen(key)))
                        snprintf(ret_text, GPUD_UUID_TEXT + 1, "%.*s", (int)value.number, value.data);
        }
}

/* Takes the replies off the output; each must be a whole message. Reads the last result's `key`, if given. */
static void take_replies(World *world, const char *key, char *ret_text) {
        static const ScanLimits limits = {
                .size_max = SIZE_MAX, .depth_max = SCAN_DEPTH_MAX, .items_max = UINT64_MAX};
        Buffer *output = &world->channel.output;

        while (buffer_get_length(output) > 0) {
                Scan scan = SCAN_NULL;
                ProtoFault fault;
                Message message;
                size_t size;
                long saved = failing_n_until;

                failing_n_until = 0;
                ck_assert_int_eq(
                        scan_walk(&scan, &limits, buffer_get_data(output), buffer_get_length(output), &size),
                        0);
                ck_assert_int_eq(message_parse(buffer_get_data(output), size, &message, &fault), 0);
                if (message.is_error) {
                        message_read_error(message.error, &fault);
                        ck_assert_msg(fault.code == GPUD_E_RESOURCE_EXHAUSTED ||
                                              fault.code == GPUD_E_OUT_OF_MEMORY ||
                                              fault.code == GPUD_E_NOT_FOUND ||
                                              fault.code == GPUD_E_INVALID_ARGUMENT,
                                      "%s", fault.text);
                } else {
                        world->n_ok++;
                        if (key)
                                read_text(message.result, key, ret_text);
                }
                failing_n_until = saved;
                buffer_consume(output, size);
        }
}

/* Sends one call and returns the string at `key` of its result in `ret_text`, empty if it failed. */
static void call(World *world, ProtoMethodId id, const void *args, const char *key, char *ret_text) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        long saved = failing_n_until;

        if (ret_text)
                ret_text[0] = '\0';
        failing_n_until = 0;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        ck_assert_int_eq(message_pack_request(&packer, 1, &proto_methods[id], args), 0);
        failing_n_until = saved;

        /* -ENOMEM: the connection would be closed; here the story goes on. */
        if (pipeline_decode(&world->rpc, &world->channel, buffer.data, buffer.size, true) == 0) {
                pipeline_prefetch(&world->channel);
                pipeline_run(&world->channel);
                fake_gpu_turn();
        }
        pipeline_pack(&world->channel);
        take_replies(world, key, ret_text);
        saved = failing_n_until;
        failing_n_until = 0;
        msgpack_sbuffer_destroy(&buffer);
        failing_n_until = saved;
}

static void attach_memfd(World *world) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        long saved = failing_n_until;

        failing_n_until = 0; /* check allocates in its assertions */
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, 65536), 0);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
        ck_assert_int_eq(fd_queue_push(&world->channel.fds, &fd, 1), 0);
        failing_n_until = saved;
}

static struct gpud_uuid uuid_of(const char *text) {
        struct gpud_uuid uuid = {0};

        uuid_from_string(text, strlen(text), &uuid);
        return uuid;
}

/* Every kind of thing that allocates host memory, each result used by the next call. */
static void tell_story(World *world) {
        const char *device = "vulkan:0";
        char mem[GPUD_UUID_TEXT + 1];
        char other[GPUD_UUID_TEXT + 1];
        char shm[GPUD_UUID_TEXT + 1];
        struct gpud_session_hello_args hello = {.client = "story"};
        struct gpud_mem_alloc_args alloc = {
                .device = device, .size = 4096, .name = "one", .meta = {"metadata", 8}};
        struct gpud_mem_alloc_args exportable = {
                .device = device, .size = 4096, .exportable = true, .has_exportable = true, .name = "two"};
        struct gpud_mem_list_args list = {0};
        struct gpud_shm_register_args shm_args = {.size = 65536};

        call(world, PROTO_METHOD_session_hello, &hello, NULL, NULL);
        call(world, PROTO_METHOD_mem_alloc, &alloc, "mem", mem);
        call(world, PROTO_METHOD_mem_alloc, &exportable, "mem", other);
        call(world, PROTO_METHOD_mem_rename,
             &(struct gpud_mem_rename_args){.mem = uuid_of(mem), .name = "renamed"}, NULL, NULL);
        call(world, PROTO_METHOD_mem_meta,
             &(struct gpud_mem_meta_args){.mem = uuid_of(mem), .meta = {"other", 5}}, NULL, NULL);
        call(world, PROTO_METHOD_mem_persist, &(struct gpud_mem_own_ref){.mem = uuid_of(mem)}, NULL, NULL);
        attach_memfd(world);
        call(world, PROTO_METHOD_shm_register, &shm_args, "shm", shm);
        call(world, PROTO_METHOD_mem_write,
             &(struct gpud_mem_write_args){.mem = uuid_of(mem), .data = {"bytes", 5}}, NULL, NULL);
        call(world, PROTO_METHOD_mem_read, &(struct gpud_mem_read_args){.mem = uuid_of(mem), .size = 4096},
             NULL, NULL);
        call(world, PROTO_METHOD_mem_copy,
             &(struct gpud_mem_copy_args){.src = uuid_of(mem), .dst = uuid_of(other), .size = 4096}, NULL,
             NULL);
        call(world, PROTO_METHOD_mem_list, &list, NULL, NULL);
        call(world, PROTO_METHOD_session_list, &(struct gpud_session_list_args){0}, NULL, NULL);
        call(world, PROTO_METHOD_device_list, NULL, NULL, NULL);
        call(world, PROTO_METHOD_daemon_status, NULL, NULL, NULL);
        call(world, PROTO_METHOD_daemon_describe, NULL, NULL, NULL);
        call(world, PROTO_METHOD_shm_release, &(struct gpud_shm_ref){.shm = uuid_of(shm)}, NULL, NULL);
        call(world, PROTO_METHOD_mem_open,
             &(struct gpud_mem_open_args){.mem = uuid_of(other), .has_mem = true}, NULL, NULL);
        call(world, PROTO_METHOD_mem_close, &(struct gpud_mem_ref){.mem = uuid_of(other)}, NULL, NULL);
        call(world, PROTO_METHOD_mem_publish,
             &(struct gpud_mem_publish_args){.mem = uuid_of(other),
                                             .name = "renamed",
                                             .replace = true,
                                             .has_replace = true,
                                             .ttl_s = 60,
                                             .has_ttl_s = true},
             NULL, NULL);
        call(world, PROTO_METHOD_mem_free, &(struct gpud_mem_free_args){.mem = uuid_of(other)}, NULL, NULL);
}

static size_t count_fds(void) {
        DIR *directory = opendir("/proc/self/fd");
        size_t n = 0;

        ck_assert_ptr_nonnull(directory);
        while (readdir(directory))
                n++;
        closedir(directory);
        return n;
}

/* Returns whether the story came as far as the allocation that was to fail. */
static bool run(void (*tell)(World *world), long n_failing, size_t *ret_n_ok) {
        bool has_failed;
        World world = {0};
        Credentials credentials = {.uid = 1000, .gid = 1000, .pid = 1};
        size_t fds = count_fds();
        long live = failing_n_live;

        registry_init(&world.registry, NULL, &fake_gpu_host, &(RegistryOptions){.shm_max = 1 << 20});
        rpc_init(&world.rpc, &world.registry, method_rows);
        failing_n_until = n_failing;
        if (channel_init(&world.channel, &world.registry, &credentials, on_wake) == 0)
                tell(&world);
        channel_deinit(&world.channel);
        has_failed = n_failing > 0 && failing_n_until == 0;
        failing_n_until = 0;
        while (registry_reap(&world.registry))
                continue;
        fake_gpu_turn();
        registry_close(&world.registry);
        fake_gpu_turn();
        registry_deinit(&world.registry);
        rpc_deinit(&world.rpc);

        ck_assert_uint_eq(fake_gpu_count(), 0);
        ck_assert_uint_eq(world.registry.n_mems, 0);
        ck_assert_uint_eq(world.registry.n_shms, 0);
        ck_assert_uint_eq(count_fds(), fds);
        ck_assert_msg(failing_n_live == live, "%ld allocations are left, the %ld-th failed",
                      failing_n_live - live, n_failing);
        *ret_n_ok = world.n_ok;
        return has_failed;
}

START_TEST(nothing_fails) {
        size_t n_ok;

        ck_assert(!run(tell_story, 0, &n_ok));
        ck_assert_uint_eq(n_ok, 20);
}
END_TEST

/* Reads `n_calls` times 64 KiB and leaves the replies unpacked. */
static void read_much(World *world, const char *mem, size_t n_calls) {
        struct gpud_mem_read_args args = {.mem = uuid_of(mem), .size = GPUD_INLINE_MAX};
        msgpack_sbuffer buffer;
        msgpack_packer packer;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        ck_assert_int_eq(message_pack_request(&packer, 1, &proto_methods[PROTO_METHOD_mem_read], &args), 0);
        for (size_t i = 0; i < n_calls; i++)
                ck_assert_int_eq(
                        pipeline_decode(&world->rpc, &world->channel, buffer.data, buffer.size, true), 0);
        pipeline_prefetch(&world->channel);
        while (world->channel.n_decoded > 0)
                pipeline_run(&world->channel);
        msgpack_sbuffer_destroy(&buffer);
        fake_gpu_turn();
}

/* Large replies are packed bit by bit, and go with a client that does not wait for them. */
static void tell_much(World *world) {
        struct gpud_mem_alloc_args alloc = {.device = "vulkan:0", .size = GPUD_INLINE_MAX};
        char mem[GPUD_UUID_TEXT + 1];
        size_t n_ok;

        call(world, PROTO_METHOD_mem_alloc, &alloc, "mem", mem);
        n_ok = world->n_ok;
        read_much(world, mem, 16);
        ck_assert_uint_eq(buffer_get_length(&world->channel.output), 0);
        ck_assert_uint_eq(world->channel.session->n_inflight, 16);
        while (channel_is_busy(&world->channel)) {
                pipeline_pack(&world->channel);
                ck_assert_uint_lt(buffer_get_length(&world->channel.output), 4 * GPUD_INLINE_MAX);
                take_replies(world, NULL, NULL);
        }
        ck_assert_uint_eq(world->n_ok, n_ok + 16);
        ck_assert_uint_eq(world->channel.session->n_inflight, 0);
        read_much(world, mem, 16);
}

/* One message, made of a method and no arguments. */
static void decode_call(World *world, uint8_t msgid, const char *method) {
        char data[32];
        int n = snprintf(data, sizeof(data), "\x94%c%c%c%s\x90", 0, msgid, (int)(0xa0 + strlen(method)),
                         method);

        ck_assert_int_eq(pipeline_decode(&world->rpc, &world->channel, data, (size_t)n, true), 0);
}

/* What was decoded together is answered in order, refusals too; what was not run goes with the client. */
static void tell_together(World *world) {
        static const bool is_error[] = {false, true, false, true};
        Buffer *output = &world->channel.output;
        Message message;
        ProtoFault fault;
        size_t size;

        decode_call(world, 0, "daemon.ping");
        decode_call(world, 1, "nothing");
        decode_call(world, 2, "daemon.ping");
        decode_call(world, 3, "mem.info");
        ck_assert_uint_eq(world->channel.n_decoded, 4);
        ck_assert_uint_eq(buffer_get_length(output), 0);
        pipeline_prefetch(&world->channel);
        while (world->channel.n_decoded > 0)
                pipeline_run(&world->channel);
        for (uint32_t i = 0; i < 4; i++) {
                Scan scan = SCAN_NULL;

                ck_assert_int_eq(scan_walk(&scan, &scan_request_limits, buffer_get_data(output),
                                           buffer_get_length(output), &size),
                                 0);
                ck_assert_int_eq(message_parse(buffer_get_data(output), size, &message, &fault), 0);
                ck_assert_uint_eq(message.msgid, i);
                ck_assert_int_eq(message.is_error, is_error[i]);
                buffer_consume(output, size);
        }
        decode_call(world, 4, "daemon.ping");
        attach_memfd(world);
        decode_call(world, 5, "shm.register");
        ck_assert_uint_eq(world->channel.session->n_inflight, 2);
        ck_assert(!channel_is_busy(&world->channel));
}

START_TEST(several_are_decoded_together) {
        size_t n_ok;

        ck_assert(!run(tell_together, 0, &n_ok));
}
END_TEST

START_TEST(large_replies_wait) {
        size_t n_ok;

        ck_assert(!run(tell_much, 0, &n_ok));
}
END_TEST

START_TEST(any_allocation_may_fail) {
        size_t n_ok;
        long n = 1;

        /* The first story warms up what the C library allocates once. */
        run(tell_story, 0, &n_ok);
        while (FAILING_CAN && run(tell_story, n, &n_ok))
                n++;
        ck_assert(!FAILING_CAN || n > 20);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pipeline");
        TCase *tests = tcase_create("pipeline");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, nothing_fails);
        tcase_add_test(tests, several_are_decoded_together);
        tcase_add_test(tests, large_replies_wait);
        tcase_add_test(tests, any_allocation_may_fail);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
