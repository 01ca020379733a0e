/* Which devices there are, copies between them, and one that is lost. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/result.h"
#include "daemon/util/macros.h"
#include "tests/unit/gpu/loop.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static const GpuOptions variants[] = {
        {},
        {.force_staging = true, .staging_bytes = MIB},
        {.segment_max = MIB, .block_max = MIB, .split_queues = true},
};

START_TEST(test_info) {
        const GpuDeviceInfo *info;
        Loop loop;

        loop_add_device();
        loop_init(&loop, &variants[0]);
        for (size_t i = 0; i < 2 && loop_is_software(&loop); i++) {
                char id[16];

                info = gpu_device_get_info(gpu_instance_get_device(loop.instance, i));
                snprintf(id, sizeof(id), "vulkan:%u", (unsigned)i);
                ck_assert_str_eq(info->id, id);
                ck_assert_uint_eq(strlen(info->uuid), 36);
                ck_assert_str_eq(info->pci, "");
                ck_assert(strstr(info->name, "llvmpipe"));
                ck_assert_str_eq(info->vendor, "llvmpipe");
                ck_assert_str_eq(info->driver_name, "llvmpipe");
                ck_assert_int_eq(info->type, GPU_DEVICE_CPU);
                ck_assert_int_eq(strncmp(info->api_version, "1.", 2), 0);
                ck_assert_uint_gt(info->max_threads, 0);
                ck_assert(info->host_import && info->exportable);
        }
        loop_deinit(&loop);
}
END_TEST

static void ignore_task(void *userdata, GpuTask *task) {
        (void)userdata;
        (void)task;
}

static void ignore_notify(void *userdata) {
        (void)userdata;
}

static int open_devices(const char *name, size_t *ret_n, char *ret_id) {
        GpuHost host = {.execute = ignore_task, .notify = ignore_notify};
        char copy[64];
        char *names[] = {copy};
        GpuOptions options = {.devices = {.names = names, .n_names = 1}};
        GpuInstance *instance;
        int r;

        snprintf(copy, sizeof(copy), "%s", name);
        loop_choose_sizes(&options);
        r = gpu_instance_new(&instance, &options, &host);
        if (r)
                return r;
        *ret_n = gpu_instance_get_n_devices(instance);
        strcpy(ret_id, gpu_device_get_info(gpu_instance_get_device(instance, 0))->id);
        gpu_instance_free(instance);
        return 0;
}

START_TEST(test_choice) {
        char id[24], uuid[37];
        bool is_software;
        size_t n;
        Loop loop;

        loop_add_device();
        loop_init(&loop, &variants[0]);
        strcpy(uuid, gpu_device_get_info(loop.device)->uuid);
        is_software = loop_is_software(&loop);
        loop_deinit(&loop);
        if (!is_software)
                return;

        ck_assert_int_eq(open_devices("vulkan:1", &n, id), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_str_eq(id, "vulkan:1");
        /* Two software GPUs have one UUID. */
        ck_assert_int_eq(open_devices(uuid, &n, id), 0);
        ck_assert_uint_eq(n, 2);
        ck_assert_int_eq(open_devices("vulkan:2", &n, id), GPU_E_NO_DEVICE);
        ck_assert_int_eq(open_devices("0000:01:00.0", &n, id), GPU_E_NO_DEVICE);
        ck_assert_int_eq(open_devices("", &n, id), GPU_E_NO_DEVICE);
}
END_TEST

START_TEST(test_no_driver) {
        char id[24];
        size_t n;

        setenv("VK_DRIVER_FILES", "/nonexistent.json", 1);
        ck_assert_int_eq(open_devices("vulkan:0", &n, id), GPU_E_NO_DEVICE);
}
END_TEST

/*
 * The way of copying is as told; else what was faster at start. A software GPU's shaders are slower by far,
 * NVIDIA's faster by far.
 */
START_TEST(test_way_of_copying) {
        static const GpuOptions ways[] = {
                {.copy = GPU_COPY_AUTO}, {.copy = GPU_COPY_SHADER}, {.copy = GPU_COPY_COMMAND}};
        bool is_shader = ways[_i].copy == GPU_COPY_SHADER;
        Loop loop;

        unsetenv("GPU_TEST_COPY");
        loop_init(&loop, &ways[_i]);
        if (ways[_i].copy == GPU_COPY_AUTO && strcmp(gpu_device_get_info(loop.device)->vendor, "nvidia") == 0)
                is_shader = true;
        ck_assert(loop.device->shader.is_used == is_shader);
        loop_deinit(&loop);
}
END_TEST

/* So many submits are over on each queue that a driver has tidied up by now: NVIDIA's by the 630th. */
START_TEST(test_queues_are_settled) {
        Loop loop;

        loop_init(&loop, &(GpuOptions){.split_queues = _i});
        for (uint32_t i = 0; i < loop.device->n_queues; i++) {
                ck_assert_uint_gt(loop.device->queues[i].completed, 630);
                ck_assert_uint_eq(loop.device->queues[i].completed, loop.device->queues[i].submitted);
        }
        loop_deinit(&loop);
}
END_TEST

START_TEST(test_across) {
        uint64_t size = 50 * MIB + 9;
        unsigned char *bytes = malloc(size), *back = malloc(size);
        TestMemory there, here;
        Loop loop;

        loop_add_device();
        loop_init(&loop, &variants[_i]);
        memory_init(&loop, &here, gpu_instance_get_device(loop.instance, 0), size, false);
        memory_init(&loop, &there, loop_get_second(&loop), size, false);
        bytes_init(bytes, size, 4);
        write_wait(&loop, &here, 0, bytes, size);
        /* Twice: the first time, the way between is not imported yet. */
        for (uint64_t shift = 1; shift <= 5; shift += 4) {
                copy_wait(&loop, &here, 3, &there, shift, size - 8);
                read_wait(&loop, &there, 0, back, size);
                ck_assert(!memcmp(bytes + 3, back + shift, size - 8));
                ck_assert_uint_eq(back[0], 0);
        }
        copy_wait(&loop, &there, 0, &here, 0, size);
        read_wait(&loop, &here, 0, bytes, size);
        ck_assert(!memcmp(bytes, back, size));
        memory_deinit(&loop, &here);
        memory_deinit(&loop, &there);
        loop_deinit(&loop);
        free(bytes);
        free(back);
}
END_TEST

/* All that is on the lost device ends with an error, whatever it waited for; the other one goes on. */
START_TEST(test_lost) {
        static unsigned char data[64 * 1024];
        TestMemory small, large, other, late = {.r = -1};
        TestRegion region;
        TestOp ops[40];
        size_t n_lost = 0;
        Loop loop;
        int r;

        loop_add_device();
        loop_init(&loop, &variants[_i]);
        if (loop_get_second(&loop) == loop.device) {
                loop_deinit(&loop);
                return;
        }
        region_init(&loop, &region, 40 * MIB);
        memory_init(&loop, &small, loop.device, 100 * KIB, false);
        memory_init(&loop, &large, loop.device, 40 * MIB, false);
        memory_init(&loop, &other, loop_get_second(&loop), 40 * MIB, false);
        for (size_t i = 0; i < N_ELEMENTS(ops); i++) {
                GpuOp *op = op_prepare(&ops[i]);

                if (i % 8 == 0)
                        gpu_op_write_region(op, &large.memory, 0, &region.region, 0, 40 * MIB);
                else if (i % 8 == 1)
                        gpu_op_copy(op, &large.memory, 0, &other.memory, 0, 40 * MIB);
                else if (i % 8 == 2)
                        gpu_op_copy(op, &other.memory, 0, &large.memory, 0, 40 * MIB);
                else if (i % 8 == 3)
                        gpu_op_copy(op, &large.memory, 0, &large.memory, 1, 39 * MIB);
                else if (i % 8 == 4)
                        gpu_op_fill(op, &large.memory, 1, 30 * MIB, "12345678", 8);
                else if (i % 8 == 5)
                        gpu_op_write(op, &small.memory, i, data, sizeof(data));
                else if (i % 8 == 6)
                        gpu_op_read(op, &small.memory, i, data, sizeof(data) - i);
                else
                        gpu_op_sync(op, loop.device);
                if (i == 20) {
                        loop_wake(&loop);
                        loop_turn(&loop);
                }
        }
        /* Too large for a block on any device, so it asks the driver. */
        r = gpu_memory_init(&late.memory, loop.device, 0, 100 * MIB, false, memory_on_ready);
        ck_assert_int_eq(r, REQUEST_LATER);
        loop_wake(&loop);
        loop_turn(&loop);
        /* The device is not lost in truth: what it is doing must end before its memory goes. */
        vkDeviceWaitIdle(loop.device->vk);
        device_set_lost(loop.device);
        for (size_t i = 0; i < N_ELEMENTS(ops); i++) {
                loop_wake(&loop);
                while (ops[i].r < 0)
                        loop_turn(&loop);
                ck_assert(ops[i].r == 0 || ops[i].r == GPU_E_LOST);
                n_lost += ops[i].r == GPU_E_LOST;
        }
        ck_assert_uint_gt(n_lost, 10);
        while (late.r < 0)
                loop_turn(&loop);
        ck_assert(gpu_device_is_lost(loop.device));
        ck_assert(!gpu_device_is_lost(loop_get_second(&loop)));
        ck_assert_int_eq(late.r, GPU_E_LOST);

        gpu_op_write(op_prepare(&ops[0]), &small.memory, 0, data, 1);
        op_wait(&loop, &ops[0]);
        ck_assert_int_eq(ops[0].r, GPU_E_LOST);
        ck_assert_int_eq(gpu_memory_init(&late.memory, loop.device, 0, 1, false, memory_on_ready),
                         GPU_E_LOST);
        fill_wait(&loop, &other, 0, 1, "x", 1);
        read_wait(&loop, &other, 0, data, 1);
        ck_assert_uint_eq(data[0], 'x');

        memory_deinit(&loop, &small);
        memory_deinit(&loop, &large);
        memory_deinit(&loop, &other);
        region_deinit(&loop, &region);
        loop_deinit(&loop);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("device");
        TCase *tcase = tcase_create("device");
        SRunner *runner;
        int n_failed;

        tcase_set_timeout(tcase, 240);
        tcase_add_test(tcase, test_info);
        tcase_add_test(tcase, test_choice);
        tcase_add_test(tcase, test_no_driver);
        tcase_add_loop_test(tcase, test_way_of_copying, 0, 3);
        tcase_add_loop_test(tcase, test_queues_are_settled, 0, 2);
        tcase_add_loop_test(tcase, test_across, 0, (int)N_ELEMENTS(variants));
        tcase_add_loop_test(tcase, test_lost, 0, (int)N_ELEMENTS(variants));
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed > 0;
}
