/*
 * gpud as a C program uses it: libgpud and nothing else. `lib PATH`, then commands (side.h). Sizes are bytes.
 *
 *    ping N                one at a time
 *    pipe DEPTH N          pings, DEPTH at a time
 *    pair DEPTH N SIZE     DEPTH mem.alloc at a time, then DEPTH mem.free: N pairs
 *    region SIZE           a region in place of the one before
 *    mem SLOT DEVICE SIZE  an allocation in place of the slot's, on the device of that number; slots 0 and 1
 *    verify                bytes from the region to slot 0, to slot 1 if it is there, and back: the same?
 *    copy WHAT SIZE N      put: region to slot 0; get: back; move: slot 0 to slot 1; memcpy: to memory;
 *                          write, read: memory to slot 0 and back by gpud_write() and gpud_read()
 *    bulk SIZE N DEPTH     N times region to slot 0, DEPTH of them at a time, to one part of it after another
 *    watch WHAT MS FILE    ping or write (4 KiB to slot 0) over and over for that long; begin and duration of
 *                          each, in microseconds, go to FILE as doubles
 *    hold DEVICE SIZE      allocates, and frees again: when it began, how long each took
 *    spin US               from now on blocking calls poll so long for a reply; "default": as libgpud has it
 *    drop                  frees slots and region
 *    devices               what there is
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/gpud.h"
#include "tests/bench/side.h"

#define DEPTH_MAX  256
#define SMALL_SIZE 4096

typedef struct Lib {
        struct gpud_client *client;
        char device_ids[16][64];
        size_t n_devices;
        struct gpud_region *region;
        struct gpud_mem_info slots[2];
        bool has_slot[2];
        unsigned char *memory; /* as large as the region */
        Samples samples;
        int r; /* of the submitted calls, the first that failed */
        struct gpud_uuid uuids[DEPTH_MAX];
        size_t n_uuids;
} Lib;

static void must(const Lib *lib, const char *what, int r) {
        if (r < 0)
                die("%s: %s: %s", what, gpud_strerror(r), lib->client ? gpud_error_message(lib->client) : "");
}

static void wait_all(Lib *lib, const char *what) {
        while (gpud_pending(lib->client) > 0)
                must(lib, what, gpud_wait(lib->client, -1));
        must(lib, what, lib->r);
}

static void on_none(struct gpud_client *client, int r, void *userdata) {
        Lib *lib = userdata;

        (void)client;
        if (r < 0)
                lib->r = r;
}

static void on_mem(struct gpud_client *client, int r, const struct gpud_mem_info *info, void *userdata) {
        Lib *lib = userdata;

        on_none(client, r, userdata);
        if (r == 0)
                lib->uuids[lib->n_uuids++] = info->mem;
}

static size_t to_depth(const char *text) {
        size_t depth = to_size(text);

        if (depth < 1 || depth > DEPTH_MAX)
                die("the depth can be 1 to %d", DEPTH_MAX);
        return depth;
}

static void print_rate(size_t n, double us) {
        printf("{\"n\": %zu, \"per_s\": %.0f, \"us_each\": %.4f}\n", n, (double)n * 1e6 / us, us / (double)n);
}

static const char *to_device(const Lib *lib, const char *text) {
        size_t i = to_size(text);

        if (i >= lib->n_devices)
                die("gpud has %zu devices", lib->n_devices);
        return lib->device_ids[i];
}

/* ---- small requests ---- */

static void do_ping(void *side, char **args) {
        Lib *lib = side;
        size_t n = to_size(args[0]);

        for (size_t i = 0; i < n + n / 10; i++) {
                double began = now_us();

                must(lib, "daemon.ping", gpud_daemon_ping(lib->client));
                if (i >= n / 10)
                        samples_add(&lib->samples, now_us() - began);
        }
        printf("{");
        samples_print(&lib->samples);
        printf("}\n");
}

static void do_pipe(void *side, char **args) {
        Lib *lib = side;
        size_t depth = to_depth(args[0]);
        size_t n_batches = to_size(args[1]) / depth + 1;
        double began = 0;

        for (size_t i = 0; i < n_batches / 10 + n_batches; i++) {
                if (i == n_batches / 10)
                        began = now_us();
                for (size_t j = 0; j < depth; j++)
                        must(lib, "daemon.ping", gpud_daemon_ping_submit(lib->client, on_none, lib));
                wait_all(lib, "daemon.ping");
        }
        print_rate(n_batches * depth, now_us() - began);
}

static void do_pair(void *side, char **args) {
        Lib *lib = side;
        size_t depth = to_depth(args[0]);
        size_t n_batches = to_size(args[1]) / depth + 1;
        const struct gpud_mem_alloc_args alloc = {.device = lib->device_ids[0], .size = to_size(args[2])};
        double began = 0;

        for (size_t i = 0; i < n_batches / 10 + n_batches; i++) {
                if (i == n_batches / 10)
                        began = now_us();
                lib->n_uuids = 0;
                for (size_t j = 0; j < depth; j++)
                        must(lib, "mem.alloc", gpud_mem_alloc_submit(lib->client, &alloc, on_mem, lib));
                wait_all(lib, "mem.alloc");
                for (size_t j = 0; j < depth; j++) {
                        const struct gpud_mem_free_args ref = {.mem = lib->uuids[j]};

                        must(lib, "mem.free", gpud_mem_free_submit(lib->client, &ref, on_none, lib));
                }
                wait_all(lib, "mem.free");
        }
        print_rate(n_batches * depth, now_us() - began);
}

/* ---- bytes ---- */

static void free_slot(Lib *lib, size_t slot) {
        const struct gpud_mem_free_args ref = {.mem = lib->slots[slot].mem};

        if (lib->has_slot[slot])
                must(lib, "mem.free", gpud_mem_free(lib->client, &ref));
        lib->has_slot[slot] = false;
}

static void free_region(Lib *lib) {
        if (!lib->region)
                return;
        munmap(lib->memory, gpud_region_size(lib->region));
        gpud_region_free(lib->region);
        lib->region = NULL;
}

static void do_drop(void *side, char **args) {
        Lib *lib = side;

        (void)args;
        free_slot(lib, 0);
        free_slot(lib, 1);
        free_region(lib);
        printf("{}\n");
}

static void do_region(void *side, char **args) {
        Lib *lib = side;
        size_t size = to_size(args[0]);
        double began;
        double us;
        uint64_t *words;

        free_region(lib);
        began = now_us();
        must(lib, "shm.register", gpud_region_new(lib->client, size, &lib->region));
        us = now_us() - began;
        words = gpud_region_data(lib->region);
        for (size_t i = 0; i < size / sizeof(words[0]); i++)
                words[i] = i * UINT64_C(0x9e3779b97f4a7c15);
        lib->memory =
                mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (lib->memory == MAP_FAILED)
                die("no memory for %zu bytes", size);
        memcpy(lib->memory, words, size);
        printf("{\"us\": %.1f, \"imported\": %s}\n", us,
               gpud_region_imported(lib->region) ? "true" : "false");
}

static void do_mem(void *side, char **args) {
        Lib *lib = side;
        size_t slot = to_size(args[0]);
        const struct gpud_mem_alloc_args alloc = {.device = to_device(lib, args[1]),
                                                  .size = to_size(args[2])};

        if (slot > 1)
                die("the slots are 0 and 1");
        free_slot(lib, slot);
        must(lib, "mem.alloc", gpud_mem_alloc(lib->client, &alloc, &lib->slots[slot]));
        lib->has_slot[slot] = true;
        printf("{}\n");
}

static void put(Lib *lib, size_t size) {
        const struct gpud_mem_write_args args = {.mem = lib->slots[0].mem,
                                                 .shm = gpud_region_id(lib->region),
                                                 .has_shm = true,
                                                 .size = size,
                                                 .has_size = true};

        must(lib, "mem.write", gpud_mem_write(lib->client, &args));
}

static void get(Lib *lib, size_t slot, size_t size) {
        const struct gpud_mem_read_args args = {.mem = lib->slots[slot].mem,
                                                .size = size,
                                                .shm = gpud_region_id(lib->region),
                                                .has_shm = true};

        must(lib, "mem.read", gpud_mem_read(lib->client, &args, NULL));
}

static void copy_get(Lib *lib, size_t size) {
        get(lib, 0, size);
}

static void copy_move(Lib *lib, size_t size) {
        const struct gpud_mem_copy_args args = {
                .src = lib->slots[0].mem, .dst = lib->slots[1].mem, .size = size};

        must(lib, "mem.copy", gpud_mem_copy(lib->client, &args));
}

static void copy_memcpy(Lib *lib, size_t size) {
        memcpy(lib->memory, gpud_region_data(lib->region), size);
}

static void copy_write(Lib *lib, size_t size) {
        must(lib, "gpud_write", gpud_write(lib->client, lib->slots[0].mem, 0, lib->memory, size));
}

static void copy_read(Lib *lib, size_t size) {
        must(lib, "gpud_read", gpud_read(lib->client, lib->slots[0].mem, 0, lib->memory, size));
}

static const struct {
        const char *name;
        void (*copy)(Lib *lib, size_t size);
        bool is_on_device;
} copies[] = {
        {"put", put, false},          {"get", copy_get, false},
        {"move", copy_move, true},    {"memcpy", copy_memcpy, false},
        {"write", copy_write, false}, {"read", copy_read, false},
};

static void do_copy(void *side, char **args) {
        Lib *lib = side;
        size_t size = to_size(args[1]);
        size_t n = to_size(args[2]);
        size_t kind = 0;

        while (kind < sizeof(copies) / sizeof(copies[0]) && strcmp(copies[kind].name, args[0]) != 0)
                kind++;
        if (kind == sizeof(copies) / sizeof(copies[0]))
                die("no copy is called \"%s\"", args[0]);
        if (!copies[kind].is_on_device && (!lib->region || size > gpud_region_size(lib->region)))
                die("the region is smaller than %zu bytes", size);
        if (!lib->has_slot[0] || (copies[kind].is_on_device && !lib->has_slot[1]))
                die("%s wants an allocation", args[0]);
        /* One more, for pages and pools that come into being. */
        for (size_t i = 0; i < n + 1; i++) {
                double began = now_us();

                copies[kind].copy(lib, size);
                if (i > 0)
                        samples_add(&lib->samples, now_us() - began);
        }
        printf("{\"size\": %zu, ", size);
        samples_print(&lib->samples);
        printf("}\n");
}

static void do_verify(void *side, char **args) {
        Lib *lib = side;
        size_t size;

        (void)args;
        if (!lib->region || !lib->has_slot[0])
                die("verify wants a region and slot 0");
        size = lib->slots[0].size;
        if (gpud_region_size(lib->region) < size)
                size = gpud_region_size(lib->region);
        if (lib->has_slot[1] && lib->slots[1].size < size)
                size = lib->slots[1].size;
        memcpy(lib->memory, gpud_region_data(lib->region), size);
        put(lib, size);
        if (lib->has_slot[1])
                copy_move(lib, size);
        memset(gpud_region_data(lib->region), 0, size);
        get(lib, lib->has_slot[1] ? 1 : 0, size);
        if (memcmp(lib->memory, gpud_region_data(lib->region), size) != 0)
                die("what was read is not what was written");
        printf("{}\n");
}

static void do_bulk(void *side, char **args) {
        Lib *lib = side;
        size_t size = to_size(args[0]);
        size_t n = to_size(args[1]);
        size_t depth = to_depth(args[2]);
        struct gpud_mem_write_args write = {.mem = lib->slots[0].mem,
                                            .has_offset = true,
                                            .shm = gpud_region_id(lib->region),
                                            .has_shm = true,
                                            .size = size,
                                            .has_size = true};
        size_t n_parts = lib->slots[0].size / size;
        double began = now_us();
        double ended;

        if (n_parts == 0)
                die("slot 0 is smaller than %zu bytes", size);
        for (size_t i = 0; i < n; i++) {
                write.offset = i % n_parts * size;
                must(lib, "mem.write", gpud_mem_write_submit(lib->client, &write, on_none, lib));
                while (gpud_pending(lib->client) >= depth)
                        must(lib, "mem.write", gpud_wait(lib->client, -1));
        }
        wait_all(lib, "mem.write");
        ended = now_us();
        printf("{\"began_us\": %.1f, \"ended_us\": %.1f, \"gb_per_s\": %.3f}\n", began, ended,
               (double)size * (double)n / (ended - began) / 1e3);
}

/* ---- one session beside another ---- */

static void do_watch(void *side, char **args) {
        Lib *lib = side;
        bool is_ping = strcmp(args[0], "ping") == 0;
        double end = now_us() + (double)to_size(args[1]) * 1e3;
        FILE *file = fopen(args[2], "we");
        unsigned char data[SMALL_SIZE] = {0};
        double times[2];

        if (!file)
                die("cannot write %s", args[2]);
        do {
                times[0] = now_us();
                if (is_ping)
                        must(lib, "daemon.ping", gpud_daemon_ping(lib->client));
                else
                        must(lib, "gpud_write",
                             gpud_write(lib->client, lib->slots[0].mem, 0, data, sizeof(data)));
                times[1] = now_us() - times[0];
                samples_add(&lib->samples, times[1]);
                if (fwrite(times, sizeof(times), 1, file) != 1)
                        die("cannot write %s", args[2]);
        } while (times[0] < end);
        if (fclose(file) != 0)
                die("cannot write %s", args[2]);
        printf("{");
        samples_print(&lib->samples);
        printf("}\n");
}

static void do_hold(void *side, char **args) {
        Lib *lib = side;
        const struct gpud_mem_alloc_args alloc = {.device = to_device(lib, args[0]),
                                                  .size = to_size(args[1])};
        struct gpud_mem_info info;
        struct gpud_mem_free_args ref = {0};
        double began = now_us();
        double had;
        double ended;

        must(lib, "mem.alloc", gpud_mem_alloc(lib->client, &alloc, &info));
        had = now_us();
        ref.mem = info.mem;
        must(lib, "mem.free", gpud_mem_free(lib->client, &ref));
        ended = now_us();
        printf("{\"began_us\": %.1f, \"alloc_us\": %.1f, \"free_us\": %.1f}\n", began, had - began,
               ended - had);
}

static void do_spin(void *side, char **args) {
        Lib *lib = side;

        gpud_set_spin(lib->client,
                      strcmp(args[0], "default") == 0 ? GPUD_SPIN_US : (uint32_t)to_size(args[0]));
        printf("{}\n");
}

static void do_devices(void *side, char **args) {
        Lib *lib = side;
        struct gpud_device_list_result list;

        (void)args;
        must(lib, "device.list", gpud_device_list(lib->client, &list));
        printf("{\"devices\": [");
        for (size_t i = 0; i < list.n_devices; i++) {
                const struct gpud_device_info *device = &list.devices[i];

                printf("%s{\"name\": \"%s\", \"driver\": \"%s %s\", \"is_cpu\": %s, \"memory_total\": "
                       "%" PRIu64 ", \"memory_available\": %" PRIu64 "}",
                       i > 0 ? ", " : "", device->name, device->driver_name, device->driver_version,
                       device->type == GPUD_DEVICE_TYPE_CPU ? "true" : "false", device->memory_total,
                       device->memory_available);
        }
        printf("]}\n");
}

static const Command commands[] = {
        {"devices", 0, do_devices}, {"ping", 1, do_ping}, {"pipe", 2, do_pipe},   {"pair", 3, do_pair},
        {"region", 1, do_region},   {"mem", 3, do_mem},   {"copy", 3, do_copy},   {"verify", 0, do_verify},
        {"bulk", 3, do_bulk},       {"hold", 2, do_hold}, {"watch", 3, do_watch}, {"spin", 1, do_spin},
        {"drop", 0, do_drop},       {NULL, 0, NULL},
};

int main(int argc, char **argv) {
        static Lib lib;
        struct gpud_device_list_result devices;

        if (argc != 2)
                die("usage: lib PATH");
        must(&lib, argv[1], gpud_connect(&lib.client, argv[1]));
        must(&lib, "device.list", gpud_device_list(lib.client, &devices));
        for (; lib.n_devices < devices.n_devices && lib.n_devices < 16; lib.n_devices++)
                snprintf(lib.device_ids[lib.n_devices], sizeof(lib.device_ids[0]), "%s",
                         devices.devices[lib.n_devices].device);
        commands_run(commands, &lib);
        gpud_close(lib.client);
        return 0;
}
