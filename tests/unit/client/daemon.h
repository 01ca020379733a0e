#pragma once

/* A daemon of the test's own on a thread: one allocation of one size, and regions. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

#include "proto/codec.h"
#include "proto/scan.h"
#include "tests/unit/client/peer.h"

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
        uint64_t shm_max;  /* that it tells; 0: none */
        int fail_at;       /* the n-th copy is refused; 0: none */
        int hang_at;       /* the connection closes at the n-th copy; 0: never */
        int pause_at;      /* nothing is said from the n-th copy on until `go_on` is posted; 0: never */
        sem_t go_on;
        int mute_at; /* the n-th copy has no reply; 0: none */
        int n_copies;
} Daemon;

static inline bool daemon_check(Daemon *daemon, uint32_t msgid, uint64_t offset, uint64_t size) {
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

static inline char *daemon_find(const Daemon *daemon, const struct gpud_uuid *shm, uint64_t offset,
                                uint64_t size) {
        size_t index = shm->bytes[0];

        ck_assert_uint_lt(index, daemon->n_regions);
        ck_assert_uint_le(offset + size, daemon->region_sizes[index]);
        return (char *)daemon->regions[index] + offset;
}

static inline void daemon_write(Daemon *daemon, uint32_t msgid, const struct gpud_mem_write_args *args) {
        uint64_t size = args->has_shm ? args->size : args->data.size;

        if (!daemon_check(daemon, msgid, args->offset, size))
                return;
        memcpy(daemon->memory + args->offset,
               args->has_shm ? daemon_find(daemon, &args->shm, args->shm_offset, size) : args->data.data,
               size);
        peer_reply(&daemon->peer, msgid, &proto_struct_none, NULL);
}

static inline void daemon_read(Daemon *daemon, uint32_t msgid, const struct gpud_mem_read_args *args) {
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

static inline void daemon_register(Daemon *daemon, uint32_t msgid,
                                   const struct gpud_shm_register_args *args) {
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

static inline void daemon_release(Daemon *daemon, uint32_t msgid) {
        daemon->n_released++;
        peer_reply(&daemon->peer, msgid, &proto_struct_none, NULL);
}

static inline void daemon_info(Daemon *daemon, uint32_t msgid) {
        const struct gpud_mem_info info = {.device = "vulkan:0", .size = daemon->size};

        peer_reply(&daemon->peer, msgid, &proto_struct_mem_info, &info);
}

static inline void daemon_hello(const Daemon *daemon, uint32_t msgid) {
        const struct gpud_session_hello_result result = {
                .token = "",
                .server = "test",
                .limits = {.shms_max = GPUD_SHMS_MAX, .shm_max = daemon->shm_max},
        };

        peer_reply(&daemon->peer, msgid, &proto_struct_session_hello_result, &result);
}

/* Returns whether to go on. */
static inline bool daemon_serve(Daemon *daemon, const void *data, size_t size) {
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
        else if (method == &proto_methods[PROTO_METHOD_session_hello])
                daemon_hello(daemon, message.msgid);
        msgpack_zone_free(zone);
        return daemon->hang_at == 0 || daemon->n_copies < daemon->hang_at;
}

static inline ssize_t daemon_receive(Daemon *daemon, char *data, size_t n_data) {
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

static inline void *daemon_run(void *userdata) {
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

/* Not to be put into its callers, where the compiler would see sizes that none has. */
__attribute__((noinline, unused)) static Daemon *daemon_new(size_t size) {
        Daemon *daemon = calloc(1, sizeof(*daemon));

        daemon->memory = malloc(size + 1);
        daemon->size = size;
        daemon->fd = -1;
        sem_init(&daemon->go_on, 0, 0);
        for (size_t i = 0; i < size; i++)
                daemon->memory[i] = (char)(i * 31 + (i >> 12));
        return daemon;
}

static inline void daemon_start(Daemon *daemon) {
        daemon->peer = peer_new();
        /* With helpers on any machine. */
        ck_assert_int_eq(copier_new(&daemon->peer.client->copier, 4), 0);
        ck_assert_int_eq(pthread_create(&daemon->thread, NULL, daemon_run, daemon), 0);
}

static inline void daemon_free(Daemon *daemon) {
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
