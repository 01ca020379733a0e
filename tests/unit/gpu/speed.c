/*
 * What gpud's Vulkan layer makes of one device, without a daemon: copies inside it at several alignments,
 * moves with overlap, fills; and how long opening the devices and getting memory take.
 *
 *   speed [auto|shader|command [MiB [DEVICE]]]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/gpu/device.h"
#include "daemon/gpu/instance.h"
#include "daemon/gpu/memory.h"
#include "daemon/gpu/op.h"
#include "daemon/gpu/result.h"
#include "daemon/util/clock.h"
#include "daemon/util/log.h"
#include "daemon/util/macros.h"

#define MIB      (UINT64_C(1) << 20)
#define N_SMALL  2000 /* small writes timed */
#define N_ROUNDS 5

typedef struct Bench {
        GpuInstance *instance;
        GpuDevice *device;
        GpuMemory memories[2];
        uint64_t size;
        List tasks; /* GpuTask.link */
        GpuOp op;
        int r; /* -1: under way */
} Bench;

static Bench bench;

static void on_execute(void *userdata, GpuTask *task) {
        (void)userdata;
        list_link(&bench.tasks, &task->link);
}

static void on_notify(void *userdata) {
        (void)userdata;
}

static void on_ready(GpuMemory *memory, int r) {
        (void)memory;
        bench.r = r;
}

static void on_gone(GpuMemory *memory) {
        (void)memory;
}

static void on_complete(GpuOp *op, int r) {
        (void)op;
        bench.r = r;
}

static void turn(void) {
        List *link;

        while ((link = list_pop(&bench.tasks))) {
                GpuTask *task = container_of(link, GpuTask, link);

                task->run(task);
                task->done(task);
        }
        gpu_instance_poll(bench.instance);
        gpu_instance_flush(bench.instance);
}

static void check(int r, const char *what) {
        if (!r)
                return;
        fprintf(stderr, "%s failed: %d\n", what, r);
        exit(1);
}

static GpuOp *prepare(void) {
        bench.op.complete = on_complete;
        bench.op.flow = 0;
        bench.r = -1;
        return &bench.op;
}

static void wait_op(const char *what) {
        while (bench.r < 0)
                turn();
        check(bench.r, what);
}

static void print_rate(const char *what, uint64_t size, uint64_t ns) {
        printf("%-28s %8.1f GB/s %10.1f us\n", what, (double)size / (double)ns, (double)ns / 1000);
}

static void run_copy(const char *what, int dst, uint64_t src_offset, uint64_t dst_offset) {
        uint64_t best = UINT64_MAX, size = bench.size - MAX(src_offset, dst_offset);

        for (int i = 0; i < N_ROUNDS; i++) {
                uint64_t begin = clock_get_monotonic_ns();

                gpu_op_copy(prepare(), &bench.memories[0], src_offset, &bench.memories[dst], dst_offset,
                            size);
                wait_op(what);
                best = MIN(best, clock_get_monotonic_ns() - begin);
        }
        print_rate(what, size, best);
}

static void run_fill(const char *what, size_t n_pattern) {
        uint64_t best = UINT64_MAX;

        for (int i = 0; i < N_ROUNDS; i++) {
                uint64_t begin = clock_get_monotonic_ns();

                gpu_op_fill(prepare(), &bench.memories[0], 0, bench.size, "0123456789abcdef", n_pattern);
                wait_op(what);
                best = MIN(best, clock_get_monotonic_ns() - begin);
        }
        print_rate(what, bench.size, best);
}

static int compare_times(const void *a, const void *b) {
        uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

        return (left > right) - (left < right);
}

/* What a small write takes when nobody sleeps: submitting it, and until it is done. */
static void run_latency(size_t size) {
        static char data[65536];
        static uint64_t submitted[N_SMALL], done[N_SMALL];

        for (size_t i = 0; i < N_SMALL; i++) {
                uint64_t begin = clock_get_monotonic_ns();

                gpu_op_write(prepare(), &bench.memories[0], 0, data, size);
                turn();
                submitted[i] = clock_get_monotonic_ns() - begin;
                wait_op("writing");
                done[i] = clock_get_monotonic_ns() - begin;
        }
        qsort(submitted, N_SMALL, sizeof(*submitted), compare_times);
        qsort(done, N_SMALL, sizeof(*done), compare_times);
        printf("write of %5zu bytes, median   %8.1f us submitted %8.1f us done, p99 %.1f us\n", size,
               (double)submitted[N_SMALL / 2] / 1000, (double)done[N_SMALL / 2] / 1000,
               (double)done[N_SMALL * 99 / 100] / 1000);
}

static void open_device(const char *copy, const char *name) {
        GpuHost host = {.execute = on_execute, .notify = on_notify};
        uint64_t begin = clock_get_monotonic_ns();
        Config config;

        check(config_init(&config), "the defaults");
        check(config_set(&config, config_find_key("gpu", "copy"), copy), "the way to copy");
        check(config_set(&config, config_find_key("gpu", "devices"), name), "the device's name");
        check(gpu_instance_new(&bench.instance, &config.gpu, &host), "opening the device");
        config_deinit(&config);
        bench.device = gpu_instance_get_device(bench.instance, 0);
        printf("%s, copy = %s; open in %.1f ms\n", gpu_device_get_info(bench.device)->name, copy,
               (double)(clock_get_monotonic_ns() - begin) / 1e6);
}

static void get_memory(void) {
        for (size_t i = 0; i < N_ELEMENTS(bench.memories); i++) {
                uint64_t begin = clock_get_monotonic_ns();

                bench.r = -1;
                if (gpu_memory_init(&bench.memories[i], bench.device, 0, bench.size, true, on_ready) !=
                    REQUEST_LATER)
                        check(GPU_E_NO_MEMORY, "getting memory");
                wait_op("getting memory");
                printf("%-28s %8.1f MiB %11.1f us\n", "zeroed memory", (double)bench.size / (double)MIB,
                       (double)(clock_get_monotonic_ns() - begin) / 1000);
        }
}

int main(int argc, char **argv) {
        uint64_t far;

        bench.size = (argc > 2 ? strtoull(argv[2], NULL, 0) : 1024) * MIB;
        if (bench.size < MIB) {
                fprintf(stderr, "usage: speed [auto|shader|command [MiB [DEVICE]]]\n");
                return 2;
        }
        far = bench.size / 8;
        list_init(&bench.tasks);
        log_set_level(LOG_DEBUG);
        open_device(argc > 1 ? argv[1] : "auto", argc > 3 ? argv[3] : "");
        get_memory();
        run_latency(64);
        run_latency(4096);
        run_latency(65536);
        run_copy("copy", 1, 0, 0);
        run_copy("copy, both off by 3", 1, 3, 3);
        run_copy("copy, 4 bytes apart", 1, 0, 4);
        run_copy("copy, 1 byte apart", 1, 0, 1);
        run_copy("move by 16 bytes", 0, 0, 16);
        run_copy("move by 1/8", 0, 0, far);
        run_copy("move back by 1/8 and 1", 0, far + 1, 0);
        run_fill("fill, 1 byte", 1);
        run_fill("fill, 4 bytes", 4);
        run_fill("fill, 8 bytes", 8);
        run_fill("fill, 16 bytes", 16);
        for (size_t i = 0; i < N_ELEMENTS(bench.memories); i++)
                gpu_memory_deinit(&bench.memories[i], on_gone);
        while (!gpu_instance_is_idle(bench.instance))
                turn();
        gpu_instance_free(bench.instance);
        return 0;
}
