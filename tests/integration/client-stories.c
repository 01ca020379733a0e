/*
 * libgpud against the real gpud, as a program uses it: linked with the shared library, gpud.h and nothing
 * else. Each story is one run, chosen by its name; test_c_client.py finds the names below. GPUD_SOCKET leads
 * to gpud.
 */

#include "tests/integration/stories.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

struct gpud_client *connect_client(void) {
        struct gpud_client *client = NULL;

        RETURNS(0, gpud_connect(&client, NULL));
        return client;
}

struct gpud_mem_info alloc(struct gpud_client *client, uint64_t size) {
        const struct gpud_mem_alloc_args args = {.device = "vulkan:0", .size = size};
        struct gpud_mem_info info;

        RETURNS(0, gpud_mem_alloc(client, &args, &info));
        return info;
}

void free_mem(struct gpud_client *client, struct gpud_uuid mem) {
        RETURNS(0, gpud_mem_free(client, &(struct gpud_mem_free_args){.mem = mem}));
}

void *map(uint64_t size) {
        void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        MUST(data != MAP_FAILED);
        return data;
}

void fill_pattern(void *data, uint64_t size, uint64_t seed) {
        uint64_t *words = data;

        for (uint64_t i = 0; i < size / 8; i++)
                words[i] = i * 0x9e3779b97f4a7c15 + seed;
        for (uint64_t i = size / 8 * 8; i < size; i++)
                ((char *)data)[i] = (char)(i + seed);
}

void check_pattern(const void *data, uint64_t size, uint64_t seed) {
        const uint64_t *words = data;

        for (uint64_t i = 0; i < size / 8; i++)
                if (words[i] != i * 0x9e3779b97f4a7c15 + seed) {
                        fprintf(stderr, "bytes at %ju of %ju are wrong\n", (uintmax_t)(8 * i),
                                (uintmax_t)size);
                        exit(1);
                }
        for (uint64_t i = size / 8 * 8; i < size; i++)
                MUST(((const char *)data)[i] == (char)(i + seed));
}

/* ---- stories ---- */

static void story_hello(void) {
        struct gpud_client *client = connect_client();
        struct gpud_session_hello_result hello;
        struct gpud_session_list_result sessions;
        bool is_found = false;

        RETURNS(0,
                gpud_session_hello(client, &(struct gpud_session_hello_args){.client = "stories"}, &hello));
        MUST(hello.protocol == GPUD_PROTOCOL);
        MUST(strcmp(hello.server, "gpud " GPUD_VERSION) == 0);
        MUST(strcmp(gpud_version(), GPUD_VERSION) == 0);
        MUST(hello.limits.inline_max == GPUD_INLINE_MAX);
        struct gpud_uuid session = hello.session;
        RETURNS(0, gpud_session_list(client, NULL, &sessions));
        for (size_t i = 0; i < sessions.n_sessions; i++)
                if (memcmp(&sessions.sessions[i].session, &session, sizeof(session)) == 0) {
                        is_found = true;
                        MUST(strcmp(sessions.sessions[i].client, "stories") == 0);
                        MUST(sessions.sessions[i].pid == (uint64_t)getpid());
                        MUST(strcmp(sessions.sessions[i].comm, "client-stories") == 0);
                }
        MUST(is_found);
        gpud_close(client);
}

static void story_sharing(void) {
        const struct gpud_mem_alloc_args args = {
                .device = "vulkan:0", .size = 4096, .name = "shared by stories", .meta = {"note", 4}};
        const struct gpud_mem_open_args by_name = {.device = "vulkan:0", .name = "shared by stories"};
        struct gpud_client *client = connect_client(), *second = connect_client();
        struct gpud_mem_meta_result meta;
        struct gpud_mem_info info;
        char back[5];

        RETURNS(0, gpud_mem_alloc(client, &args, &info));
        MUST(info.refs == 1 && info.lifetime == GPUD_LIFETIME_SESSION && info.meta_size == 4);
        RETURNS(-GPUD_E_ALREADY_EXISTS, gpud_mem_alloc(second, &args, NULL));
        RETURNS(0, gpud_write(client, info.mem, 100, "hello", 5));
        RETURNS(0, gpud_mem_open(second, &by_name, &info));
        MUST(info.refs == 2);
        RETURNS(0, gpud_mem_meta(second, &(struct gpud_mem_meta_args){.mem = info.mem}, &meta));
        MUST(meta.meta.size == 4 && memcmp(meta.meta.data, "note", 4) == 0);
        gpud_close(client);
        client = second;
        RETURNS(0, gpud_read(second, info.mem, 100, back, 5));
        MUST(memcmp(back, "hello", 5) == 0);

        RETURNS(0, gpud_mem_seal(second, &(struct gpud_mem_own_ref){.mem = info.mem}, &info));
        MUST(info.sealed);
        RETURNS(-GPUD_E_SEALED, gpud_write(second, info.mem, 0, "x", 1));
        gpud_close(second);

        client = connect_client();
        RETURNS(-GPUD_E_NOT_FOUND, gpud_mem_open(client, &by_name, NULL));
        gpud_close(client);
}

static void story_persistence(void) {
        const struct gpud_mem_alloc_args args = {.device = "vulkan:0",
                                                 .size = 100,
                                                 .lifetime = GPUD_LIFETIME_PERSISTENT,
                                                 .has_lifetime = true};
        struct gpud_client *client = connect_client();
        struct gpud_mem_info info;
        char back[3];

        RETURNS(0, gpud_mem_alloc(client, &args, &info));
        RETURNS(0, gpud_write(client, info.mem, 97, "end", 3));
        gpud_close(client);
        client = connect_client();
        RETURNS(0, gpud_read(client, info.mem, 97, back, 3));
        MUST(memcmp(back, "end", 3) == 0);
        free_mem(client, info.mem);
        RETURNS(-GPUD_E_NOT_FOUND, gpud_mem_info(client, &(struct gpud_mem_ref){.mem = info.mem}, NULL));
        gpud_close(client);
}

/* What is written down is meant: no has_ member beside a value that is not zero. */
static void story_plain_values(void) {
        const struct gpud_mem_alloc_args args = {
                .device = "vulkan:0", .size = 8, .mode = 0644, .lifetime = GPUD_LIFETIME_PERSISTENT};
        struct gpud_client *client = connect_client();
        struct gpud_mem_info info;

        RETURNS(0, gpud_mem_alloc(client, &args, &info));
        MUST(info.mode == 0644 && info.lifetime == GPUD_LIFETIME_PERSISTENT);
        gpud_close(client);
        client = connect_client();
        RETURNS(0, gpud_mem_open(client, &(struct gpud_mem_open_args){.mem = info.mem}, &info));
        /* A zero that is meant has its member. */
        RETURNS(0, gpud_mem_fill(client, &(struct gpud_mem_fill_args){
                                                 .mem = info.mem, .has_size = true, .pattern = {"x", 1}}));
        char back[8];
        RETURNS(0, gpud_read(client, info.mem, 0, back, 8));
        MUST(memcmp(back, "\0\0\0\0\0\0\0\0", 8) == 0);
        RETURNS(0,
                gpud_mem_fill(client, &(struct gpud_mem_fill_args){
                                              .mem = info.mem, .offset = 6, .size = 1, .pattern = {"x", 1}}));
        RETURNS(0, gpud_read(client, info.mem, 0, back, 8));
        MUST(memcmp(back, "\0\0\0\0\0\0x\0", 8) == 0);
        RETURNS(0, gpud_mem_free(client, &(struct gpud_mem_free_args){.mem = info.mem}));
        gpud_close(client);
}

/* Refusals name the value and the limit, and change nothing. */
static void story_refusals(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 8192).mem;
        struct gpud_mem_alloc_args args = {.device = "vulkan:0"};
        static char data[GPUD_INLINE_MAX + 1];

        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_write(client, mem, 4096, data, 8192));
        MUST(strstr(gpud_error_message(client), "4096") && strstr(gpud_error_message(client), "8192"));
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_read(client, mem, 8193, data, 0));
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_read(client, mem, UINT64_MAX, data, 1));
        RETURNS(-GPUD_E_OUT_OF_RANGE, gpud_write(client, mem, 0, data, sizeof(data)));
        RETURNS(-GPUD_E_INVALID_ARGUMENT, gpud_mem_alloc(client, &args, NULL));
        args.size = UINT64_C(1) << 60;
        RETURNS(-GPUD_E_OUT_OF_MEMORY, gpud_mem_alloc(client, &args, NULL));
        args.size = 1;
        args.device = "vulkan:77";
        RETURNS(-GPUD_E_NOT_FOUND, gpud_mem_alloc(client, &args, NULL));
        RETURNS(-GPUD_E_INVALID_ARGUMENT,
                gpud_mem_fill(client, &(struct gpud_mem_fill_args){.mem = mem, .pattern = {"abc", 3}}));
        RETURNS(-GPUD_E_NOT_FOUND, gpud_mem_free(client, &(struct gpud_mem_free_args){.mem = {{1, 2, 3}}}));

        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        RETURNS(-GPUD_E_INVALID_ARGUMENT,
                gpud_shm_register(client, &(struct gpud_shm_register_args){.size = 4096}, fd, NULL));
        close(fd);
        fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        MUST(ftruncate(fd, 4096) == 0);
        RETURNS(-GPUD_E_INVALID_ARGUMENT,
                gpud_shm_register(client, &(struct gpud_shm_register_args){.size = 4096}, fd, NULL));
        close(fd);

        RETURNS(0, gpud_read(client, mem, 0, data, 8192));
        for (size_t i = 0; i < 8192; i++)
                MUST(data[i] == 0);
        free_mem(client, mem);
        gpud_close(client);
}

/* ---- submitted calls under an event loop ---- */

enum { N_CALLS = 3000 };

typedef struct Loop {
        struct gpud_uuid mems[N_CALLS];
        int n_allocated;
        int n_freed;
        int n_failed;
} Loop;

static void freed(struct gpud_client *client, int r, void *userdata) {
        Loop *loop = userdata;

        (void)client;
        loop->n_freed++;
        loop->n_failed += r < 0;
}

static void allocated(struct gpud_client *client, int r, const struct gpud_mem_info *info, void *userdata) {
        Loop *loop = userdata;
        struct gpud_mem_free_args ref = {0};

        if (r < 0) {
                loop->n_failed++;
                return;
        }
        loop->mems[loop->n_allocated++] = ref.mem = info->mem;
        RETURNS(0, gpud_mem_free_submit(client, &ref, freed, userdata));
}

static void story_pipelining(void) {
        const struct gpud_mem_alloc_args args = {.device = "vulkan:0", .size = 64 << 10};
        struct gpud_client *client = connect_client();
        struct pollfd poll_fd = {.fd = gpud_fd(client)};
        Loop *loop = calloc(1, sizeof(*loop));

        for (int i = 0; i < N_CALLS; i++)
                RETURNS(0, gpud_mem_alloc_submit(client, &args, allocated, loop));
        while (gpud_pending(client) > 0) {
                poll_fd.events = gpud_events(client);
                MUST(poll(&poll_fd, 1, 60000) == 1);
                RETURNS(0, gpud_dispatch(client));
        }
        MUST(loop->n_allocated == N_CALLS && loop->n_freed == N_CALLS && loop->n_failed == 0);
        free(loop);
        gpud_close(client);
}

static long get_n_sleeps(void) {
        struct rusage usage;

        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_nvcsw;
}

/*
 * Who waits for a device at work sleeps. The reply to a ping may be there before anybody waits for it: on one
 * core gpud takes the turn that its request gives it.
 */
static void story_spinning(void) {
        struct gpud_client *client = connect_client();
        const struct gpud_mem_fill_args fill = {
                .mem = alloc(client, 64 << 20).mem,
                .pattern = {"x", 1},
        };
        long n_sleeps;

        gpud_set_spin(client, UINT32_MAX);
        n_sleeps = get_n_sleeps();
        for (int i = 0; i < 200; i++)
                RETURNS(0, gpud_daemon_ping(client));
        MUST(get_n_sleeps() == n_sleeps);
        gpud_set_spin(client, 0);
        n_sleeps = get_n_sleeps();
        for (int i = 0; i < 20; i++)
                RETURNS(0, gpud_mem_fill(client, &fill));
        MUST(get_n_sleeps() > n_sleeps);
        gpud_close(client);
}

/* Submitted copies to one range take effect in the order they were made. */
static void story_order(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 4096).mem;
        char data[64], back[64];

        for (int i = 0; i < 500; i++) {
                struct gpud_mem_write_args args = {.mem = mem, .data = {data, sizeof(data)}};

                memset(data, i, sizeof(data));
                RETURNS(0, gpud_mem_write_submit(client, &args, NULL, NULL));
                if (i % 50 == 49) {
                        RETURNS(0, gpud_read(client, mem, 0, back, sizeof(back)));
                        MUST(memcmp(back, data, sizeof(back)) == 0);
                }
        }
        RETURNS(0, gpud_device_sync(client, &(struct gpud_device_ref){.device = "vulkan:0"}));
        free_mem(client, mem);
        gpud_close(client);
}

static void story_listing(void) {
        struct gpud_client *client = connect_client();
        struct gpud_mem_list_args args = {.name_prefix = "listed/"};
        struct gpud_mem_list_result result;
        char name[32], *seen = calloc(2500, 1);
        size_t n_pages = 0, n = 0;

        for (int i = 0; i < 2500; i++) {
                struct gpud_mem_alloc_args alloc_args = {.device = "vulkan:0", .size = 1, .name = name};

                snprintf(name, sizeof(name), "listed/%d", i);
                RETURNS(0, gpud_mem_alloc(client, &alloc_args, NULL));
        }
        do {
                RETURNS(0, gpud_mem_list(client, &args, &result));
                MUST(result.n_mems <= GPUD_LIST_MAX);
                for (size_t i = 0; i < result.n_mems; i++) {
                        int index = atoi(result.mems[i].name + strlen("listed/"));

                        MUST(!seen[index]);
                        seen[index] = 1;
                        n++;
                }
                args.cursor = result.next;
                args.has_cursor = true;
                n_pages++;
        } while (result.has_next);
        MUST(n == 2500 && n_pages >= 3);
        free(seen);
        gpud_close(client);
}

static void story_meta(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 1).mem;
        char *bytes = map(GPUD_META_MAX + 1);
        struct gpud_mem_meta_args args = {.mem = mem, .meta = {bytes, GPUD_META_MAX}};
        struct gpud_mem_meta_result result;

        fill_pattern(bytes, GPUD_META_MAX, 3);
        RETURNS(0, gpud_mem_meta(client, &args, &result));
        args.meta.data = NULL;
        RETURNS(0, gpud_mem_meta(client, &args, &result));
        MUST(result.meta.size == GPUD_META_MAX);
        MUST(memcmp(result.meta.data, bytes, GPUD_META_MAX) == 0);
        args.meta = (struct gpud_bin){bytes, GPUD_META_MAX + 1};
        RETURNS(-GPUD_E_INVALID_ARGUMENT, gpud_mem_meta(client, &args, NULL));
        args.meta = (struct gpud_bin){"", 0};
        RETURNS(0, gpud_mem_meta(client, &args, &result));
        MUST(result.meta.size == 0);
        free_mem(client, mem);
        gpud_close(client);
}

/* ---- gpud dies ---- */

static void kill_gpud(uint64_t n_done, void *userdata) {
        pid_t *pid = userdata;

        if (n_done >= 32 * MIB && *pid > 0) {
                MUST(kill(*pid, SIGKILL) == 0);
                *pid = 0;
        }
}

static void count_lost(struct gpud_client *client, int r, void *userdata) {
        int *n_lost = userdata;

        (void)client;
        *n_lost += r == -GPUD_E_CONNECTION_LOST;
}

/* GPUD_PID says whom to kill. */
static void story_death(void) {
        struct gpud_client *client = connect_client();
        struct gpud_uuid mem = alloc(client, 256 * MIB).mem;
        pid_t pid = (pid_t)atoi(getenv("GPUD_PID"));
        int fd = memfd_create("file", MFD_CLOEXEC);
        int n_lost = 0;
        int r;

        MUST(pid > 0 && ftruncate(fd, 256 * MIB) == 0);
        RETURNS(-GPUD_E_CONNECTION_LOST, gpud_put_file(client, mem, 0, fd, 0, 256 * MIB, kill_gpud, &pid));
        MUST(pid == 0);
        RETURNS(-GPUD_E_CONNECTION_LOST, gpud_daemon_ping_submit(client, count_lost, &n_lost));
        RETURNS(-GPUD_E_CONNECTION_LOST, gpud_daemon_ping(client));
        MUST(gpud_pending(client) == 0 && n_lost == 0);
        gpud_close(client);
        /* Its listening socket may be the last thing that the kernel takes from it. */
        for (int i = 0; (r = gpud_connect(&client, NULL)) == 0 && i < 5000; i++) {
                gpud_close(client);
                usleep(1000);
        }
        MUST(r == -GPUD_E_CONNECTION_LOST);
}

/* A gpud that is stopped holds nobody who set a time-out; going on, it takes back what nobody waited for. */
static void story_silence(void) {
        const struct gpud_mem_alloc_args args = {.device = "vulkan:0", .size = 4096};
        struct gpud_client *client = connect_client();
        struct gpud_uuid kept = alloc(client, 64 * MIB).mem;
        struct gpud_daemon_status_result status;
        pid_t pid = (pid_t)atoi(getenv("GPUD_PID"));
        char *data = map(64 * MIB);
        struct gpud_region *region;

        gpud_set_timeout(client, 100);
        RETURNS(0, gpud_write(client, kept, 0, data, 64 * MIB));
        MUST(kill(pid, SIGSTOP) == 0);
        RETURNS(-GPUD_E_DEADLINE_EXCEEDED, gpud_daemon_ping(client));
        MUST(strcmp(gpud_error_message(client), "gpud said nothing for 100 ms") == 0);
        RETURNS(-GPUD_E_DEADLINE_EXCEEDED, gpud_mem_alloc(client, &args, NULL));
        RETURNS(-GPUD_E_DEADLINE_EXCEEDED,
                gpud_mem_open(client, &(struct gpud_mem_open_args){.mem = kept}, NULL));
        RETURNS(-GPUD_E_DEADLINE_EXCEEDED, gpud_region_new(client, 4096, &region));
        RETURNS(-GPUD_E_DEADLINE_EXCEEDED, gpud_write(client, kept, 0, data, 64 * MIB));
        RETURNS(-GPUD_E_DEADLINE_EXCEEDED, gpud_read(client, kept, 0, data, 64 * MIB));
        MUST(kill(pid, SIGCONT) == 0);

        gpud_set_timeout(client, 60000);
        fill_pattern(data, 64 * MIB, 6);
        RETURNS(0, gpud_write(client, kept, 0, data, 64 * MIB));
        memset(data, 0, 64 * MIB);
        RETURNS(0, gpud_read(client, kept, 0, data, 64 * MIB));
        check_pattern(data, 64 * MIB, 6);
        while (gpud_pending(client) > 0)
                RETURNS(0, gpud_wait(client, 60000));
        RETURNS(0, gpud_daemon_status(client, &status));
        MUST(status.mems == 1 && status.shms == 1);
        struct gpud_mem_info info;
        RETURNS(0, gpud_mem_info(client, &(struct gpud_mem_ref){.mem = kept}, &info));
        MUST(info.refs == 1);
        free_mem(client, kept);
        gpud_close(client);
}

/* gpud has as many connections as it may. */
static void story_one_too_many(void) {
        struct gpud_client *client = connect_client();

        for (int i = 0; i < 2; i++) {
                RETURNS(-GPUD_E_RESOURCE_EXHAUSTED, gpud_daemon_ping(client));
                MUST(strstr(gpud_error_message(client), "connections_max = 2"));
        }
        gpud_close(client);
}

static const struct {
        const char *name;
        void (*run)(void);
} stories[] = {
#define STORY(name_)                                                                                         \
        { #name_, story_##name_ }
        STORY(hello),     STORY(ranges),       STORY(gibibyte),       STORY(region),
        STORY(sharing),   STORY(persistence),  STORY(refusals),       STORY(pipelining),
        STORY(order),     STORY(listing),      STORY(meta),           STORY(device_to_device),
        STORY(files),     STORY(sparse_file),  STORY(part_of_a_file), STORY(wrong_files),
        STORY(full_disk), STORY(death),        STORY(spinning),       STORY(load),
        STORY(save),      STORY(plain_values), STORY(silence),        STORY(one_too_many),
};

int main(int argc, char **argv) {
        for (size_t i = 0; argc == 2 && i < sizeof(stories) / sizeof(*stories); i++)
                if (strcmp(argv[1], stories[i].name) == 0) {
                        stories[i].run();
                        return 0;
                }
        fputs("usage: client-stories STORY\n", stderr);
        return 2;
}
