/* The mini-host of the Vulkan layer's tests. */

#include "tests/unit/gpu/loop.h"

#include <check.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/gpu/result.h"
#include "daemon/util/clock.h"
#include "daemon/util/macros.h"

#define ICD_PATH "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"
#define SLEEP_MS 20000 /* a wake-up that comes later is lost */

/* What drivers leak is not ours: they are C++, or loaded from these files. Read by the leak checker alone. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
        return "leak:operator new\nleak:libvulkan\nleak:libLLVM\nleak:libVkLayer\n";
}

void loop_wake(Loop *loop) {
        uint64_t one = 1;

        ck_assert_int_eq((int)write(loop->event_fd, &one, sizeof(one)), (int)sizeof(one));
}

static void on_execute(void *userdata, GpuTask *task) {
        Loop *loop = userdata;

        if (loop->is_holding && !loop->held) {
                loop->held = task;
                return;
        }
        pthread_mutex_lock(&loop->lock);
        list_link(&loop->todo, &task->link);
        pthread_cond_signal(&loop->wake);
        pthread_mutex_unlock(&loop->lock);
}

void loop_release(Loop *loop) {
        loop->is_holding = false;
        on_execute(loop, STEAL(loop->held));
}

static void on_notify(void *userdata) {
        uint64_t one = 1;
        Loop *loop = userdata;

        (void)!write(loop->event_fd, &one, sizeof(one));
}

static void *worker_run(void *userdata) {
        Loop *loop = userdata;

        pthread_mutex_lock(&loop->lock);
        for (;;) {
                GpuTask *task;

                while (!loop->is_stopping && list_is_empty(&loop->todo))
                        pthread_cond_wait(&loop->wake, &loop->lock);
                if (loop->is_stopping)
                        break;
                task = container_of(list_pop(&loop->todo), GpuTask, link);
                pthread_mutex_unlock(&loop->lock);
                task->run(task);
                pthread_mutex_lock(&loop->lock);
                list_link(&loop->done, &task->link);
                on_notify(loop);
        }
        pthread_mutex_unlock(&loop->lock);
        return NULL;
}

static int pin(struct dl_phdr_info *info, size_t size, void *userdata) {
        (void)size;
        (void)userdata;
        dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
        return 0;
}

void loop_choose_sizes(GpuOptions *options) {
        Config config;

        ck_assert_int_eq(config_init(&config), 0);
        if (!options->staging_bytes)
                options->staging_bytes = config.gpu.staging_bytes;
        if (!options->memory_max)
                options->memory_max = config.gpu.memory_max;
        if (!options->segment_max)
                options->segment_max = config.gpu.segment_max;
        if (!options->block_max)
                options->block_max = config.gpu.block_max;
        config_deinit(&config);
}

void loop_init(Loop *loop, const GpuOptions *options) {
        GpuHost host = {.execute = on_execute, .notify = on_notify, .userdata = loop};
        const char *copy = getenv("GPU_TEST_COPY");
        GpuOptions validated = *options;

        *loop = (Loop){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        pthread_mutex_init(&loop->lock, NULL);
        pthread_cond_init(&loop->wake, NULL);
        list_init(&loop->todo);
        list_init(&loop->done);
        pthread_create(&loop->worker, NULL, worker_run, loop);
        if (!getenv("VK_DRIVER_FILES"))
                setenv("VK_DRIVER_FILES", ICD_PATH, 1);
        loop_choose_sizes(&validated);
        validated.validation = !getenv("GPU_TEST_NO_VALIDATION");
        if (copy && validated.copy == GPU_COPY_AUTO)
                validated.copy = strcmp(copy, "shader") == 0 ? GPU_COPY_SHADER : GPU_COPY_COMMAND;
        ck_assert_int_eq(gpu_instance_new(&loop->instance, &validated, &host), 0);
        loop->device = gpu_instance_get_device(loop->instance, 0);
        /* Drivers stay loaded, so that the leak checker can tell whose leaks are theirs. */
        dl_iterate_phdr(pin, NULL);
}

static void run_done(Loop *loop) {
        List done, *link;

        list_init(&done);
        pthread_mutex_lock(&loop->lock);
        list_splice(&done, &loop->done);
        pthread_mutex_unlock(&loop->lock);
        while ((link = list_pop(&done))) {
                GpuTask *task = container_of(link, GpuTask, link);

                task->done(task);
        }
}

/* Returns false if nothing happened for too long. */
static bool sleep_on(const Loop *loop) {
        struct pollfd fd = {.fd = loop->event_fd, .events = POLLIN};
        uint64_t next_ns = gpu_instance_get_next_ns(loop->instance), now_ns = clock_get_monotonic_ns(), count;
        int ms = SLEEP_MS;

        if (next_ns)
                ms = next_ns > now_ns ? (int)((next_ns - now_ns) / NS_PER_MS + 1) : 0;
        if (poll(&fd, 1, ms) <= 0)
                return next_ns > 0;
        (void)!read(loop->event_fd, &count, sizeof(count));
        return true;
}

/* Sleeps first, so that the caller sees what the turn did before the next one. */
void loop_turn(Loop *loop) {
        if (!loop->is_spinning || !loop->is_busy) {
                gpu_instance_arm(loop->instance);
                ck_assert_msg(sleep_on(loop), "a wake-up was lost");
        }
        run_done(loop);
        gpu_instance_poll(loop->instance);
        loop->is_busy = gpu_instance_flush(loop->instance);
}

void loop_deinit(Loop *loop) {
        for (size_t i = 0; i < gpu_instance_get_n_devices(loop->instance); i++) {
                GpuDevice *device = gpu_instance_get_device(loop->instance, i);
                GpuLedger ledger;

                gpu_instance_trim(loop->instance, 0);
                loop_wake(loop);
                loop_turn(loop);
                while (!gpu_instance_is_idle(loop->instance))
                        loop_turn(loop);
                gpu_device_get_ledger(device, &ledger);
                ck_assert_uint_eq(ledger.used, 0);
                ck_assert_uint_eq(ledger.count, 0);
                ck_assert_uint_eq(ledger.reserved, 0);
                ck_assert_uint_eq(ledger.available, ledger.total);
        }
        ck_assert_uint_eq(gpu_instance_get_n_validation(loop->instance), 0);
        gpu_instance_free(loop->instance);
        pthread_mutex_lock(&loop->lock);
        loop->is_stopping = true;
        pthread_cond_signal(&loop->wake);
        pthread_mutex_unlock(&loop->lock);
        pthread_join(loop->worker, NULL);
        pthread_mutex_destroy(&loop->lock);
        pthread_cond_destroy(&loop->wake);
        close(loop->event_fd);
}

static void copy_file(const char *from, const char *to) {
        int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
        char bytes[65536];
        ssize_t n;

        ck_assert(in >= 0 && out >= 0);
        while ((n = read(in, bytes, sizeof(bytes))) > 0)
                ck_assert_int_eq((int)write(out, bytes, (size_t)n), (int)n);
        close(in);
        close(out);
}

/* The second software GPU: a driver of another name. Removed when the test's process ends. */
static char second_dir[] = "/tmp/gpud-test-XXXXXX";
static char second_driver[64];
static char second_icd[64];

static void remove_second(void) {
        unlink(second_driver);
        unlink(second_icd);
        rmdir(second_dir);
}

/* Where the driver lies that a manifest names, perhaps without a path. */
static void find_driver(const char *manifest, char *ret_path, size_t n) {
        char text[4096], *name, *end;
        FILE *file = fopen(manifest, "re");
        struct link_map *map;
        void *library;

        ck_assert(file);
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
        name = strstr(text, "\"library_path\"");
        ck_assert(name);
        name = strchr(strchr(name, ':'), '"') + 1;
        end = strchr(name, '"');
        ck_assert(end);
        *end = '\0';
        library = dlopen(name, RTLD_NOW);
        ck_assert_msg(library, "%s cannot be loaded", name);
        ck_assert_int_eq(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
        snprintf(ret_path, n, "%s", map->l_name);
}

void loop_add_device(void) {
        char files[512], driver[256];
        const char *first = getenv("VK_DRIVER_FILES") ?: ICD_PATH;
        FILE *file;

        if (!strstr(first, "lvp"))
                return;
        ck_assert(mkdtemp(second_dir));
        atexit(remove_second);
        snprintf(second_driver, sizeof(second_driver), "%s/libvulkan_lvp_second.so", second_dir);
        snprintf(second_icd, sizeof(second_icd), "%s/second.json", second_dir);
        snprintf(files, sizeof(files), "%s:%s", first, second_icd);
        find_driver(first, driver, sizeof(driver));
        copy_file(driver, second_driver);
        file = fopen(second_icd, "we");
        ck_assert(file);
        fprintf(file,
                "{\"file_format_version\": \"1.0.0\","
                " \"ICD\": {\"api_version\": \"1.3.230\", \"library_path\": \"%s\"}}\n",
                second_driver);
        fclose(file);
        setenv("VK_DRIVER_FILES", files, 1);
}

GpuDevice *loop_get_second(const Loop *loop) {
        return gpu_instance_get_device(loop->instance, gpu_instance_get_n_devices(loop->instance) - 1);
}

bool loop_is_software(const Loop *loop) {
        return gpu_device_get_info(loop->device)->type == GPU_DEVICE_CPU;
}

void memory_on_ready(GpuMemory *memory, int r) {
        TestMemory *test = container_of(memory, TestMemory, memory);

        ck_assert_int_eq(test->r, -1);
        test->r = r;
}

void memory_on_gone(GpuMemory *memory) {
        TestMemory *test = container_of(memory, TestMemory, memory);

        ck_assert(!test->is_gone);
        test->is_gone = true;
}

void memory_init(Loop *loop, TestMemory *memory, GpuDevice *device, uint64_t size, bool exportable) {
        int r;

        *memory = (TestMemory){.r = -1};
        r = gpu_memory_init(&memory->memory, device, 0, size, exportable, memory_on_ready);
        if (r != REQUEST_LATER)
                memory->r = r;
        while (memory->r < 0) {
                loop_wake(loop);
                loop_turn(loop);
        }
}

void memory_deinit(Loop *loop, TestMemory *memory) {
        gpu_memory_deinit(&memory->memory, memory_on_gone);
        while (!memory->is_gone) {
                loop_wake(loop);
                loop_turn(loop);
        }
}

void region_on_ready(GpuRegion *region, bool imported) {
        TestRegion *test = container_of(region, TestRegion, region);

        ck_assert(!test->is_ready);
        test->is_ready = true;
        test->is_imported = imported;
}

void region_on_gone(GpuRegion *region) {
        TestRegion *test = container_of(region, TestRegion, region);

        ck_assert(!test->is_gone);
        test->is_gone = true;
        munmap(test->map, region->size);
}

void region_init_pending(Loop *loop, TestRegion *region, uint64_t size) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
        *region = (TestRegion){};
        region->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        ck_assert(region->map != MAP_FAILED);
        ck_assert_int_eq(gpu_region_init(&region->region, loop->instance, region->map, size, region_on_ready),
                         0);
        ck_assert(!region->is_ready);
}

void region_init(Loop *loop, TestRegion *region, uint64_t size) {
        region_init_pending(loop, region, size);
        loop_wake(loop);
        while (!region->is_ready)
                loop_turn(loop);
}

void region_deinit(Loop *loop, TestRegion *region) {
        gpu_region_deinit(&region->region, region_on_gone);
        loop_wake(loop);
        while (!region->is_gone)
                loop_turn(loop);
}

static void on_complete(GpuOp *op, int r) {
        TestOp *test = container_of(op, TestOp, op);

        ck_assert_int_eq(test->r, -1);
        test->r = r;
}

GpuOp *op_prepare(TestOp *op) {
        op->op.complete = on_complete;
        op->op.flow = 0;
        op->r = -1;
        return &op->op;
}

void op_wait(Loop *loop, TestOp *op) {
        /* The turn that submitted it ends with a flush and must not sleep before one. */
        loop_wake(loop);
        while (op->r < 0)
                loop_turn(loop);
}

static void op_wait_ok(Loop *loop, TestOp *op) {
        op_wait(loop, op);
        ck_assert_int_eq(op->r, 0);
}

void write_wait(Loop *loop, TestMemory *memory, uint64_t offset, const void *data, uint64_t size) {
        TestOp op;

        gpu_op_write(op_prepare(&op), &memory->memory, offset, data, size);
        op_wait_ok(loop, &op);
}

void read_wait(Loop *loop, TestMemory *memory, uint64_t offset, void *data, uint64_t size) {
        TestOp op;

        gpu_op_read(op_prepare(&op), &memory->memory, offset, data, size);
        op_wait_ok(loop, &op);
}

void fill_wait(Loop *loop, TestMemory *memory, uint64_t offset, uint64_t size, const void *pattern,
               size_t n) {
        TestOp op;

        gpu_op_fill(op_prepare(&op), &memory->memory, offset, size, pattern, n);
        op_wait_ok(loop, &op);
}

void copy_wait(Loop *loop, TestMemory *src, uint64_t src_offset, TestMemory *dst, uint64_t dst_offset,
               uint64_t size) {
        TestOp op;

        gpu_op_copy(op_prepare(&op), &src->memory, src_offset, &dst->memory, dst_offset, size);
        op_wait_ok(loop, &op);
}

void bytes_init(unsigned char *bytes, uint64_t size, uint32_t seed) {
        uint32_t state = seed * 2654435761u + 12345;

        for (uint64_t i = 0; i < size; i++) {
                state = state * 1664525u + 1013904223u;
                bytes[i] = (unsigned char)(state >> 24);
        }
}
