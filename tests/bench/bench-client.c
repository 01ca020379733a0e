/*
 * What gpud costs, as ratios to what it is made of: a request against the bare echo of as many bytes over a socket,
 * and bulk bytes in and out against a memcpy of as many. Both sides run here and now, so the ratios hold on a
 * noisy machine where the times do not. Wants a gpud at GPUD_SOCKET.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/gpud.h"

#define N_PINGS   5000
#define N_COPIES  9
#define BULK      (UINT64_C(64) << 20)
#define PING_SIZE 32 /* about what a ping and its reply take on the wire */

static double now_us(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare_double(const void *a, const void *b) {
        double x = *(const double *)a;
        double y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(double *times, size_t n) {
        qsort(times, n, sizeof(times[0]), compare_double);
        return times[n / 2];
}

static void die(const char *what, const struct gpud_client *client, int r) {
        fprintf(stderr, "bench: %s: %s: %s\n", what, gpud_strerror(r),
                client ? gpud_error_message(client) : "");
        exit(1);
}

/* Sends back whatever comes, until nothing does. */
static void echo(int fd) {
        char buffer[PING_SIZE];
        ssize_t n;

        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                if (write(fd, buffer, (size_t)n) != n)
                        break;
}

static double time_echo(void) {
        static double times[N_PINGS];
        char buffer[PING_SIZE] = {0};
        double began;
        int fds[2];
        pid_t child;

        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) {
                perror("bench: socketpair");
                exit(1);
        }
        child = fork();
        if (child == 0) {
                close(fds[0]);
                echo(fds[1]);
                _exit(0);
        }
        close(fds[1]);
        for (size_t i = 0; i < N_PINGS; i++) {
                began = now_us();
                if (write(fds[0], buffer, sizeof(buffer)) != sizeof(buffer) ||
                    recv(fds[0], buffer, sizeof(buffer), MSG_WAITALL) != sizeof(buffer)) {
                        perror("bench: echo");
                        exit(1);
                }
                times[i] = now_us() - began;
        }
        close(fds[0]);
        waitpid(child, NULL, 0);
        return median(times, N_PINGS);
}

static double time_ping(struct gpud_client *client) {
        static double times[N_PINGS];
        double began;
        int r;

        for (size_t i = 0; i < N_PINGS; i++) {
                began = now_us();
                r = gpud_daemon_ping(client);
                times[i] = now_us() - began;
                if (r < 0)
                        die("daemon.ping", client, r);
        }
        return median(times, N_PINGS);
}

typedef struct Bulk {
        struct gpud_client *client;
        struct gpud_uuid mem;
        unsigned char *data;
        unsigned char *copy;
} Bulk;

static int do_memcpy(Bulk *bulk) {
        memcpy(bulk->copy, bulk->data, BULK);
        return 0;
}

static int do_write(Bulk *bulk) {
        return gpud_write(bulk->client, bulk->mem, 0, bulk->data, BULK);
}

static int do_read(Bulk *bulk) {
        return gpud_read(bulk->client, bulk->mem, 0, bulk->copy, BULK);
}

static double time_bulk(Bulk *bulk, const char *name, int (*copy)(Bulk *bulk)) {
        double times[N_COPIES];
        double began;
        int r;

        /* The first is for pages and pools that come into being. */
        for (int i = -1; i < N_COPIES; i++) {
                began = now_us();
                r = copy(bulk);
                if (r < 0)
                        die(name, bulk->client, r);
                if (i >= 0)
                        times[i] = now_us() - began;
        }
        return median(times, N_COPIES);
}

static void print_bulk(const char *name, double us, double memcpy_us) {
        printf("%-22s %9.1f ms %7.2f GB/s   %5.2f x memcpy\n", name, us / 1e3, (double)BULK / us / 1e3,
               us / memcpy_us);
}

int main(void) {
        Bulk bulk = {.data = malloc(BULK), .copy = malloc(BULK)};
        struct gpud_device_list_result devices;
        struct gpud_mem_alloc_args args = {.size = BULK};
        struct gpud_mem_info info;
        double echo_us;
        double ping_us;
        double memcpy_us;
        double write_us;
        int r;

        if (!bulk.data || !bulk.copy)
                return 1;
        for (size_t i = 0; i < BULK; i++)
                bulk.data[i] = (unsigned char)(i * 2654435761U >> 24);

        echo_us = time_echo();
        r = gpud_connect(&bulk.client, NULL);
        if (r < 0)
                die("connect", NULL, r);
        r = gpud_device_list(bulk.client, &devices);
        if (r < 0)
                die("device.list", bulk.client, r);
        printf("device: %s\n", devices.devices[0].name);
        args.device = devices.devices[0].device;
        r = gpud_mem_alloc(bulk.client, &args, &info);
        if (r < 0)
                die("mem.alloc", bulk.client, r);
        bulk.mem = info.mem;

        ping_us = time_ping(bulk.client);
        printf("%-22s %9.1f us\n", "bare echo", echo_us);
        printf("%-22s %9.1f us                %5.2f x echo\n", "daemon.ping", ping_us, ping_us / echo_us);

        memcpy_us = time_bulk(&bulk, "memcpy", do_memcpy);
        write_us = time_bulk(&bulk, "write", do_write);
        print_bulk("memcpy of 64 MiB", memcpy_us, memcpy_us);
        print_bulk("gpud_write of 64 MiB", write_us, memcpy_us);
        print_bulk("gpud_read of 64 MiB", time_bulk(&bulk, "read", do_read), memcpy_us);

        r = memcmp(bulk.data, bulk.copy, BULK) != 0;
        if (r)
                fprintf(stderr, "bench: what was read is not what was written\n");
        gpud_close(bulk.client);
        free(bulk.data);
        free(bulk.copy);
        return r;
}
