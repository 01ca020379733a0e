/*
 * The protocol as C types and calls. Printed from the tables of proto/ by `make`; not for editing.
 * Programs include gpud.h, which says how the calls behave.
 */
/* clang-format off */
#ifndef GPUD_PROTOCOL_H
#define GPUD_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct gpud_client;

/* Version of what this header came with; gpud_version() is that of the library. */
#define GPUD_VERSION "0.1.0"

/* Version of the protocol. */
#define GPUD_PROTOCOL 3

/* A handle. As text it has GPUD_UUID_TEXT characters, without the NUL. */
#define GPUD_UUID_TEXT 36
struct gpud_uuid {
        uint8_t bytes[16];
};

/* Bytes that somebody else owns; absent when `data` is NULL. */
struct gpud_bin {
        const void *data;
        size_t size;
};

/* Limits: what gpud accepts. */
enum {
        GPUD_MESSAGE_MAX = 2097152,  /* bytes of one request, header included */
        GPUD_INLINE_MAX = 65536,     /* bytes of data inside one mem.write or mem.read message; more goes
                                        through a shared-memory region */
        GPUD_INFLIGHT_MAX = 256,     /* requests of one connection in flight; past it gpud stops reading
                                        from that connection */
        GPUD_OUTPUT_MAX = 1048576,   /* bytes of requests in flight and of replies waiting, for one
                                        connection; past it gpud stops reading from that connection */
        GPUD_NAME_MAX = 255,         /* bytes of an allocation's name */
        GPUD_META_MAX = 1048576,     /* bytes of metadata kept with one allocation */
        GPUD_LIST_MAX = 1000,        /* entries in one reply of mem.list or session.list */
        GPUD_SHMS_MAX = 256,         /* shared-memory regions registered by one session */
        GPUD_DEPTH_MAX = 8,          /* nested arrays and maps in one request */
        GPUD_ITEMS_MAX = 256,        /* msgpack items in one request */
        GPUD_FDS_MAX = 16,           /* file descriptors of one connection waiting for the message that
                                        takes them */
        GPUD_CLIENT_MAX = 64,        /* bytes of a client's name */
        GPUD_REFS_MAX = 65536,       /* references of one session to one allocation */
        GPUD_PATTERN_MAX = 16,       /* bytes of a fill pattern */
};

/* Errors: calls return them negated. gpud_strerror() and gpud_error_hint() have the words. */
enum gpud_error {
        GPUD_E_INVALID_ARGUMENT = 1,     /* invalid argument */
        GPUD_E_NOT_FOUND = 2,            /* not found */
        GPUD_E_PERMISSION_DENIED = 3,    /* permission denied */
        GPUD_E_ALREADY_EXISTS = 4,       /* already exists */
        GPUD_E_OUT_OF_RANGE = 5,         /* out of range */
        GPUD_E_OUT_OF_MEMORY = 6,        /* out of device memory */
        GPUD_E_QUOTA_EXCEEDED = 7,       /* quota exceeded */
        GPUD_E_SEALED = 8,               /* allocation is sealed */
        GPUD_E_BUSY = 9,                 /* busy */
        GPUD_E_DEVICE_LOST = 10,         /* device lost */
        GPUD_E_UNSUPPORTED = 11,         /* not supported */
        GPUD_E_RESOURCE_EXHAUSTED = 12,  /* a limit is reached */
        GPUD_E_DEADLINE_EXCEEDED = 13,   /* deadline exceeded */
        GPUD_E_INTERNAL = 14,            /* internal error */
        GPUD_E_CONNECTION_LOST = 15,     /* no connection to gpud */
        GPUD_E_UNKNOWN_METHOD = 16,      /* unknown method */
        GPUD_E_SYSTEM_CALL = 17,         /* a system call of the client failed */
};

/* How long an allocation lives. */
enum gpud_lifetime {
        GPUD_LIFETIME_SESSION,           /* until no session holds it */
        GPUD_LIFETIME_PERSISTENT,        /* until its owner frees it, and no session holds it */
};

/* What kind of device it is, in Vulkan's words. */
enum gpud_device_type {
        GPUD_DEVICE_TYPE_OTHER,          /* none of the others */
        GPUD_DEVICE_TYPE_INTEGRATED,     /* a GPU that shares the host's memory */
        GPUD_DEVICE_TYPE_DISCRETE,       /* a GPU with its own memory */
        GPUD_DEVICE_TYPE_VIRTUAL,        /* a virtual GPU */
        GPUD_DEVICE_TYPE_CPU,            /* a software driver */
};

/* Whether a device can be used. */
enum gpud_health {
        GPUD_HEALTH_OK,                  /* it works */
        GPUD_HEALTH_LOST,                /* the driver gave it up; its allocations are lost */
};

/* The limits of this daemon. */
struct gpud_limits {
        uint64_t shm_max;      /* bytes of the regions that one session may have registered at once, as
                                  configured; 0: it did not say; 0 from a gpud before protocol 3 */
        uint64_t message_max;  /* bytes of one request, header included */
        uint64_t inline_max;   /* bytes of data inside one mem.write or mem.read message; more goes through
                                  a shared-memory region */
        uint64_t inflight_max; /* requests of one connection in flight; past it gpud stops reading from
                                  that connection */
        uint64_t output_max;   /* bytes of requests in flight and of replies waiting, for one connection;
                                  past it gpud stops reading from that connection */
        uint64_t name_max;     /* bytes of an allocation's name */
        uint64_t meta_max;     /* bytes of metadata kept with one allocation */
        uint64_t list_max;     /* entries in one reply of mem.list or session.list */
        uint64_t shms_max;     /* shared-memory regions registered by one session */
        uint64_t depth_max;    /* nested arrays and maps in one request; 8 from a gpud before protocol 2 */
        uint64_t items_max;    /* msgpack items in one request; 256 from a gpud before protocol 2 */
        uint64_t fds_max;      /* file descriptors of one connection waiting for the message that takes
                                  them; 16 from a gpud before protocol 2 */
        uint64_t client_max;   /* bytes of a client's name; 64 from a gpud before protocol 2 */
        uint64_t refs_max;     /* references of one session to one allocation; 65536 from a gpud before
                                  protocol 3 */
        uint64_t pattern_max;  /* bytes of a fill pattern; 16 from a gpud before protocol 2 */
        unsigned char room[136];
};

/* Arguments of session.hello. */
struct gpud_session_hello_args {
        const char *client; /* optional: what the client calls itself, shown to operators; at most 64 bytes */
        const char *token;  /* optional: reserved: token of an earlier session to resume; no session can be
                               resumed yet; at most 64 bytes */
        unsigned char room[48];
};

/* Result of session.hello. */
struct gpud_session_hello_result {
        struct gpud_uuid session;  /* the session of this connection */
        const char *token;         /* reserved: secret that will resume the session on another connection;
                                      nothing takes it yet */
        const char *server;        /* the daemon's name and version */
        uint64_t protocol;         /* protocol version */
        struct gpud_limits limits; /* the limits of this daemon */
        uint64_t uid;              /* user id of the caller as gpud sees it; 4294967295: it did not say;
                                      4294967295 from a gpud before protocol 3 */
        uint64_t gid;              /* group id of the caller, likewise; 4294967295 from a gpud before
                                      protocol 3 */
        bool is_admin;             /* whether the caller may do everything: root, or named in the
                                      configuration; false from a gpud before protocol 3 */
        unsigned char room[135];
};

/* A session: one connected client. */
struct gpud_session_info {
        struct gpud_uuid session; /* its id */
        uint64_t uid;             /* user id of the process that connected */
        uint64_t gid;             /* group id of that process */
        uint64_t pid;             /* process id */
        const char *comm;         /* optional: command name of the process when it connected */
        const char *client;       /* optional: name the client gave in session.hello */
        uint64_t connected_ns;    /* when it connected */
        uint64_t mems;            /* allocations it holds */
        uint64_t bytes;           /* bytes of the allocations it holds */
        uint64_t inflight;        /* requests in flight */
        unsigned char room[104];
};

/* Arguments of session.list. */
struct gpud_session_list_args {
        uint64_t cursor;      /* optional: where to go on: `next` of the reply before */
        bool has_cursor;
        struct gpud_uuid mem; /* optional: only those that hold this allocation */
        bool has_mem;
        unsigned char room[70];
};

/* Result of session.list. */
struct gpud_session_list_result {
        const struct gpud_session_info *sessions; /* sessions, at most list_max of them; for callers who
                                                     are no administrators only their own user's */
        size_t n_sessions;
        uint64_t next;                            /* optional: cursor of the next part, even if this one is
                                                     empty; nil at the end */
        bool has_next;
        unsigned char room[71];
};

/* Names a device. */
struct gpud_device_ref {
        const char *device; /* device id (`vulkan:0`), device UUID or PCI address */
};

/* A device and what it can do. */
struct gpud_device_info {
        const char *device;             /* id: `vulkan:N`, numbered in PCI order */
        const char *uuid;               /* Vulkan deviceUUID; the same as CUDA's */
        const char *pci;                /* optional: PCI address, domain:bus:device.function */
        const char *name;               /* the driver's name for it */
        const char *vendor;             /* nvidia, amd, intel, apple, qualcomm, or the driver's name */
        enum gpud_device_type type;     /* kind of device */
        const char *api_version;        /* Vulkan version */
        const char *driver_name;        /* driver */
        const char *driver_version;     /* version of the driver */
        uint64_t memory_total;          /* bytes of device memory */
        uint64_t memory_available;      /* bytes that can still be allocated, by gpud's ledger */
        uint64_t compute_units;         /* optional: streaming multiprocessors or compute units */
        bool has_compute_units;
        uint64_t max_threads_per_block; /* invocations in one compute work group */
        uint64_t clock_rate_mhz;        /* optional: highest processor clock */
        bool has_clock_rate_mhz;
        uint64_t memory_clock_mhz;      /* optional: highest memory clock */
        bool has_memory_clock_mhz;
        double bandwidth_gbps;          /* optional: memory bandwidth, 1e9 bytes/s */
        bool has_bandwidth_gbps;
        const char *pcie;               /* optional: link speed and width as the kernel reports them */
        enum gpud_health health;        /* whether it can be used */
        bool host_import;               /* whether it reads and writes shared-memory regions directly; else
                                           gpud stages */
        unsigned char room[115];
};

/* Result of device.list. */
struct gpud_device_list_result {
        const struct gpud_device_info *devices; /* every device, in id order */
        size_t n_devices;
        unsigned char room[48];
};

/* Memory of a device, in bytes. */
struct gpud_device_memory_result {
        uint64_t total;         /* device-local memory */
        uint64_t used;          /* of live allocations, as asked for */
        uint64_t available;     /* left to allocate: total - used */
        uint64_t reserved;      /* taken from the driver: what is used, padding, and the free parts of
                                   blocks */
        uint64_t driver_budget; /* optional: what the driver says this process may use
                                   (VK_EXT_memory_budget) */
        bool has_driver_budget;
        uint64_t driver_used;   /* optional: what the driver says this process uses */
        bool has_driver_used;
        unsigned char room[71];
};

/* Sensors of a device; nil where the hardware does not say. */
struct gpud_device_telemetry_result {
        uint64_t timestamp_ns;      /* when it was read */
        double temperature_c;       /* optional: degrees Celsius */
        bool has_temperature_c;
        double power_w;             /* optional: watts */
        bool has_power_w;
        uint64_t clock_mhz;         /* optional: processor clock */
        bool has_clock_mhz;
        uint64_t memory_clock_mhz;  /* optional: memory clock */
        bool has_memory_clock_mhz;
        double utilization_percent; /* optional: share of time a kernel ran */
        bool has_utilization_percent;
        uint64_t memory_used;       /* bytes taken from the driver by gpud */
        uint64_t memory_total;      /* bytes of device memory */
        unsigned char room[120];
};

/* An allocation. */
struct gpud_mem_info {
        struct gpud_uuid mem;        /* its handle */
        const char *device;          /* id of the device it lies on */
        uint64_t size;               /* bytes */
        const char *name;            /* optional: its name */
        uint64_t uid;                /* owner */
        uint64_t gid;                /* group */
        uint64_t mode;               /* permission bits like a file's: r read, w write and fill, x reserved
                                        for export */
        enum gpud_lifetime lifetime; /* how long it lives */
        uint64_t expires_ns;         /* optional: when its lease ends */
        bool has_expires_ns;
        bool sealed;                 /* read-only for ever */
        bool exportable;             /* reserved for export, which no method does yet: it has a device
                                        memory object of its own, in one piece */
        uint64_t created_ns;         /* when it was allocated */
        uint64_t refs;               /* references that keep it: one for each time a session allocated or
                                        opened it, and one if it is persistent */
        uint64_t meta_size;          /* bytes of metadata kept with it */
        bool given_up;               /* its owner freed it; it stays for the sessions that hold it, and
                                        nobody opens it any more; false from a gpud before protocol 3 */
        uint64_t holders;            /* sessions that hold it; `session.list` with `mem` lists them; 0 from
                                        a gpud before protocol 3 */
        uint64_t pid;                /* optional: process id of one of them: of the session that allocated
                                        it, while that holds it */
        bool has_pid;
        const char *comm;            /* optional: command name of that process when it connected */
        unsigned char room[168];
};

/* Names an allocation. */
struct gpud_mem_ref {
        struct gpud_uuid mem; /* handle of the allocation */
};

/* Names an allocation of the caller's own. */
struct gpud_mem_own_ref {
        struct gpud_uuid mem; /* handle of the allocation */
};

/* Arguments of mem.alloc. */
struct gpud_mem_alloc_args {
        const char *device;          /* where: device id, UUID or PCI address */
        uint64_t size;               /* bytes, at least 1 */
        const char *name;            /* optional: unique among the owner's allocations on the device; at
                                        most 255 bytes */
        uint64_t mode;               /* optional: permission bits; 0600 when absent */
        bool has_mode;
        enum gpud_lifetime lifetime; /* optional: session when absent */
        bool has_lifetime;
        uint64_t ttl_s;              /* optional: seconds until a persistent allocation's lease ends,
                                        unless renewed */
        bool has_ttl_s;
        bool exportable;             /* optional: reserved for export, which no method does yet: give it a
                                        device memory object of its own, in one piece */
        bool has_exportable;
        struct gpud_bin meta;        /* optional: bytes of the client's own to keep with it; at most
                                        1048576 bytes */
        unsigned char room[112];
};

/* Arguments of mem.open: a handle, or a device and a name. */
struct gpud_mem_open_args {
        struct gpud_uuid mem; /* optional: handle of the allocation */
        bool has_mem;
        const char *device;   /* optional: device the named allocation lies on */
        const char *name;     /* optional: name of the allocation; at most 255 bytes */
        uint64_t uid;         /* optional: owner of the named allocation; the caller when absent */
        bool has_uid;
        unsigned char room[79];
};

/* Arguments of mem.free. */
struct gpud_mem_free_args {
        struct gpud_uuid mem; /* handle of the allocation */
        bool force;           /* optional: also take the references of all sessions: what they do with it
                                 next is refused */
        bool has_force;
        unsigned char room[78];
};

/* Arguments of mem.list: which allocations to list. */
struct gpud_mem_list_args {
        const char *device;       /* optional: only on this device */
        uint64_t uid;             /* optional: only of this owner */
        bool has_uid;
        struct gpud_uuid session; /* optional: only those held by this session */
        bool has_session;
        const char *name_prefix;  /* optional: only those whose name begins so; at most 255 bytes */
        uint64_t cursor;          /* optional: where to go on: `next` of the reply before */
        bool has_cursor;
        unsigned char room[71];
};

/* Result of mem.list. */
struct gpud_mem_list_result {
        const struct gpud_mem_info *mems; /* the allocations the caller may see, at most list_max of them */
        size_t n_mems;
        uint64_t next;                    /* optional: cursor of the next part, even if this one is empty;
                                             nil at the end */
        bool has_next;
        unsigned char room[71];
};

/* Arguments of mem.write: data, or shm and size. */
struct gpud_mem_write_args {
        struct gpud_uuid mem; /* allocation to write */
        uint64_t offset;      /* optional: first byte to write; 0 when absent */
        bool has_offset;
        struct gpud_bin data; /* optional: the bytes; at most 65536 bytes */
        struct gpud_uuid shm; /* optional: registered region that holds the bytes */
        bool has_shm;
        uint64_t shm_offset;  /* optional: where in the region they begin; 0 when absent */
        bool has_shm_offset;
        uint64_t size;        /* optional: how many bytes of the region */
        bool has_size;
        unsigned char room[63];
};

/* Arguments of mem.read. */
struct gpud_mem_read_args {
        struct gpud_uuid mem; /* allocation to read */
        uint64_t offset;      /* optional: first byte to read; 0 when absent */
        bool has_offset;
        uint64_t size;        /* how many bytes; at most inline_max without shm */
        struct gpud_uuid shm; /* optional: registered region that takes the bytes */
        bool has_shm;
        uint64_t shm_offset;  /* optional: where in the region they go; 0 when absent */
        bool has_shm_offset;
        unsigned char room[55];
};

/* Result of mem.read. */
struct gpud_mem_read_result {
        struct gpud_bin data; /* optional: the bytes, or nil when they went to the region */
        unsigned char room[48];
};

/* Arguments of mem.copy. */
struct gpud_mem_copy_args {
        struct gpud_uuid src; /* allocation to copy from */
        struct gpud_uuid dst; /* allocation to copy to, on any device */
        uint64_t size;        /* how many bytes */
        uint64_t src_offset;  /* optional: first byte read; 0 when absent */
        bool has_src_offset;
        uint64_t dst_offset;  /* optional: first byte written; 0 when absent */
        bool has_dst_offset;
        unsigned char room[63];
};

/* Arguments of mem.fill. */
struct gpud_mem_fill_args {
        struct gpud_uuid mem;    /* allocation to fill */
        uint64_t offset;         /* optional: first byte, where the pattern starts; 0 when absent */
        bool has_offset;
        uint64_t size;           /* optional: how many bytes; to the end when absent */
        bool has_size;
        struct gpud_bin pattern; /* 1, 2, 4, 8 or 16 bytes; the last repetition may be cut; at most 16
                                    bytes */
        unsigned char room[64];
};

/* Arguments of mem.meta. */
struct gpud_mem_meta_args {
        struct gpud_uuid mem; /* handle of the allocation */
        struct gpud_bin meta; /* optional: new metadata; replacing it takes the w right; at most 1048576
                                 bytes */
        unsigned char room[64];
};

/* Result of mem.meta. */
struct gpud_mem_meta_result {
        struct gpud_bin meta; /* the metadata, empty if there is none */
        unsigned char room[48];
};

/* Arguments of mem.rename. */
struct gpud_mem_rename_args {
        struct gpud_uuid mem; /* handle of the allocation */
        const char *name;     /* optional: new name; none when absent; at most 255 bytes */
        unsigned char room[72];
};

/* Arguments of mem.publish. */
struct gpud_mem_publish_args {
        struct gpud_uuid mem;        /* handle of the allocation */
        const char *name;            /* optional: new name; as it is when absent; at most 255 bytes */
        uint64_t mode;               /* optional: new permission bits; as they are when absent */
        bool has_mode;
        enum gpud_lifetime lifetime; /* optional: persistent when absent; session leaves the lifetime as it
                                        is */
        bool has_lifetime;
        uint64_t ttl_s;              /* optional: seconds until the lease of a persistent allocation ends,
                                        unless renewed; as it is when absent */
        bool has_ttl_s;
        bool seal;                   /* optional: make it read-only for ever */
        bool has_seal;
        bool replace;                /* optional: take the name over from the owner's allocation that has
                                        it, which is given up and stays for its sessions */
        bool has_replace;
        unsigned char room[67];
};

/* Arguments of mem.chmod. */
struct gpud_mem_chmod_args {
        struct gpud_uuid mem; /* handle of the allocation */
        uint64_t mode;        /* new permission bits */
};

/* Arguments of mem.renew. */
struct gpud_mem_renew_args {
        struct gpud_uuid mem; /* handle of the allocation */
        uint64_t ttl_s;       /* seconds from now until the lease ends */
};

/* Arguments of shm.register; one memfd, sealed against shrinking and growing, travels with it. */
struct gpud_shm_register_args {
        uint64_t size; /* bytes of the memfd to map */
};

/* Result of shm.register. */
struct gpud_shm_register_result {
        struct gpud_uuid shm; /* handle of the region, for this session only */
        bool imported;        /* every device reads and writes it directly; else gpud stages */
        unsigned char room[79];
};

/* Names a registered region. */
struct gpud_shm_ref {
        struct gpud_uuid shm; /* handle of the region */
};

/* Loop turns that were busy for at most so long, and longer than the bucket before says. */
struct gpud_stall_bucket {
        uint64_t limit_us; /* optional: longest of them in microseconds; nil: no limit */
        bool has_limit_us;
        uint64_t count;    /* how many turns */
        unsigned char room[72];
};

/* How the daemon is doing. */
struct gpud_daemon_status_result {
        const char *version;                    /* version of gpud */
        uint64_t protocol;                      /* protocol version */
        uint64_t pid;                           /* its process id */
        uint64_t started_ns;                    /* when it started */
        uint64_t uptime_s;                      /* seconds since then */
        uint64_t devices;                       /* devices */
        uint64_t sessions;                      /* connected sessions */
        uint64_t mems;                          /* live allocations */
        uint64_t restored_mems;                 /* reserved: allocations taken over from the gpud before;
                                                   always 0 */
        uint64_t shms;                          /* registered regions */
        uint64_t inflight;                      /* requests in flight */
        uint64_t requests;                      /* requests answered since the start */
        uint64_t errors;                        /* of these, with an error */
        uint64_t fds;                           /* open file descriptors of the daemon */
        uint64_t stall_max_us;                  /* longest time in microseconds that a loop turn kept all
                                                   clients waiting */
        const struct gpud_stall_bucket *stalls; /* histogram of these times since the start */
        size_t n_stalls;
        unsigned char room[120];
};

/* One field of a structure. */
struct gpud_field_description {
        const char *name;   /* key on the wire */
        const char *kind;   /* bool, u64, f64, str, bin, uuid, enum, struct or list */
        const char *of;     /* optional: the enumeration or structure, or the kind of object the value
                               names */
        bool required;      /* false: may be absent in arguments, may be nil in results */
        uint64_t max;       /* optional: most bytes of a str or bin */
        bool has_max;
        const char *doc;    /* what it is */
        const char *format; /* optional: what a number is: bytes, mode, time_ns, duration_s, duration_us,
                               uid, gid or cursor; nil: a number */
        uint64_t since;     /* protocol version that brought it; 1 from a gpud before protocol 2 */
        unsigned char room[120];
};

/* One structure. */
struct gpud_struct_description {
        const char *name;                            /* its name */
        const char *doc;                             /* what it is */
        const struct gpud_field_description *fields; /* its fields */
        size_t n_fields;
        unsigned char room[64];
};

/* One value of an enumeration. */
struct gpud_value_description {
        const char *name; /* the string on the wire */
        const char *doc;  /* what it means */
        unsigned char room[48];
};

/* One enumeration. */
struct gpud_enum_description {
        const char *name;                            /* its name */
        const char *doc;                             /* what it is */
        const struct gpud_value_description *values; /* its values */
        size_t n_values;
        unsigned char room[64];
};

/* One method. */
struct gpud_method_description {
        const char *name;   /* noun.verb */
        const char *doc;    /* what it does */
        const char *args;   /* structure of its arguments */
        const char *result; /* structure of its result */
        bool admin;         /* for administrators only */
        uint64_t fds;       /* file descriptors that travel with the request */
        uint64_t since;     /* protocol version that brought it */
        unsigned char room[72];
};

/* One error. */
struct gpud_error_description {
        const char *name; /* its name */
        uint64_t code;    /* its number on the wire */
        const char *doc;  /* what it means */
        const char *hint; /* what can be done about it */
        unsigned char room[64];
};

/* One limit. */
struct gpud_limit_description {
        const char *name; /* its name */
        uint64_t value;   /* its value */
        const char *doc;  /* what it bounds */
        unsigned char room[72];
};

/* The schema. */
struct gpud_daemon_describe_result {
        uint64_t protocol;                             /* protocol version */
        const struct gpud_method_description *methods; /* every method */
        size_t n_methods;
        const struct gpud_struct_description *structs; /* every structure */
        size_t n_structs;
        const struct gpud_enum_description *enums;     /* every enumeration */
        size_t n_enums;
        const struct gpud_error_description *errors;   /* every error */
        size_t n_errors;
        const struct gpud_limit_description *limits;   /* every limit */
        size_t n_limits;
        unsigned char room[72];
};

/*
 * Callbacks of the _submit calls, one type for each kind of result. `r` is 0 or a negated error; `result`
 * is NULL unless r is 0, and what it points at ends with the callback.
 */
typedef void gpud_none_fn(struct gpud_client *client, int r, void *userdata);
typedef void gpud_session_hello_result_fn(struct gpud_client *client, int r,
                                          const struct gpud_session_hello_result *result, void *userdata);
typedef void gpud_session_list_result_fn(struct gpud_client *client, int r,
                                         const struct gpud_session_list_result *result, void *userdata);
typedef void gpud_device_info_fn(struct gpud_client *client, int r, const struct gpud_device_info *result,
                                 void *userdata);
typedef void gpud_device_list_result_fn(struct gpud_client *client, int r,
                                        const struct gpud_device_list_result *result, void *userdata);
typedef void gpud_device_memory_result_fn(struct gpud_client *client, int r,
                                          const struct gpud_device_memory_result *result, void *userdata);
typedef void gpud_device_telemetry_result_fn(struct gpud_client *client, int r,
                                             const struct gpud_device_telemetry_result *result,
                                             void *userdata);
typedef void gpud_mem_info_fn(struct gpud_client *client, int r, const struct gpud_mem_info *result,
                              void *userdata);
typedef void gpud_mem_list_result_fn(struct gpud_client *client, int r,
                                     const struct gpud_mem_list_result *result, void *userdata);
typedef void gpud_mem_read_result_fn(struct gpud_client *client, int r,
                                     const struct gpud_mem_read_result *result, void *userdata);
typedef void gpud_mem_meta_result_fn(struct gpud_client *client, int r,
                                     const struct gpud_mem_meta_result *result, void *userdata);
typedef void gpud_shm_register_result_fn(struct gpud_client *client, int r,
                                         const struct gpud_shm_register_result *result, void *userdata);
typedef void gpud_daemon_status_result_fn(struct gpud_client *client, int r,
                                          const struct gpud_daemon_status_result *result, void *userdata);
typedef void gpud_daemon_describe_result_fn(struct gpud_client *client, int r,
                                            const struct gpud_daemon_describe_result *result, void *userdata);

/* session.hello: Name the client and learn the limits. Optional: a connection that skips it has a session
 * all the same. */
int gpud_session_hello(struct gpud_client *client, const struct gpud_session_hello_args *args,
                       struct gpud_session_hello_result *ret_result);
int gpud_session_hello_submit(struct gpud_client *client, const struct gpud_session_hello_args *args,
                              gpud_session_hello_result_fn *done, void *userdata);

/* session.list: List the sessions. */
int gpud_session_list(struct gpud_client *client, const struct gpud_session_list_args *args,
                      struct gpud_session_list_result *ret_result);
int gpud_session_list_submit(struct gpud_client *client, const struct gpud_session_list_args *args,
                             gpud_session_list_result_fn *done, void *userdata);

/* device.list: List the devices. */
int gpud_device_list(struct gpud_client *client, struct gpud_device_list_result *ret_result);
int gpud_device_list_submit(struct gpud_client *client, gpud_device_list_result_fn *done, void *userdata);

/* device.info: Describe one device. */
int gpud_device_info(struct gpud_client *client, const struct gpud_device_ref *args,
                     struct gpud_device_info *ret_result);
int gpud_device_info_submit(struct gpud_client *client, const struct gpud_device_ref *args,
                            gpud_device_info_fn *done, void *userdata);

/* device.memory: Show how much of a device's memory is used. */
int gpud_device_memory(struct gpud_client *client, const struct gpud_device_ref *args,
                       struct gpud_device_memory_result *ret_result);
int gpud_device_memory_submit(struct gpud_client *client, const struct gpud_device_ref *args,
                              gpud_device_memory_result_fn *done, void *userdata);

/* device.telemetry: Read a device's sensors. */
int gpud_device_telemetry(struct gpud_client *client, const struct gpud_device_ref *args,
                          struct gpud_device_telemetry_result *ret_result);
int gpud_device_telemetry_submit(struct gpud_client *client, const struct gpud_device_ref *args,
                                 gpud_device_telemetry_result_fn *done, void *userdata);

/* device.sync: Reply once all work submitted to the device before, by anyone, has completed. */
int gpud_device_sync(struct gpud_client *client, const struct gpud_device_ref *args);
int gpud_device_sync_submit(struct gpud_client *client, const struct gpud_device_ref *args,
                            gpud_none_fn *done, void *userdata);

/* mem.alloc: Allocate device memory. It reads as zero. */
int gpud_mem_alloc(struct gpud_client *client, const struct gpud_mem_alloc_args *args,
                   struct gpud_mem_info *ret_result);
int gpud_mem_alloc_submit(struct gpud_client *client, const struct gpud_mem_alloc_args *args,
                          gpud_mem_info_fn *done, void *userdata);

/* mem.open: Take a reference to an allocation, by handle or by device and name: one more with each call. */
int gpud_mem_open(struct gpud_client *client, const struct gpud_mem_open_args *args,
                  struct gpud_mem_info *ret_result);
int gpud_mem_open_submit(struct gpud_client *client, const struct gpud_mem_open_args *args,
                         gpud_mem_info_fn *done, void *userdata);

/* mem.close: Give one reference of this session back. The allocation goes with the last reference to it. */
int gpud_mem_close(struct gpud_client *client, const struct gpud_mem_ref *args);
int gpud_mem_close_submit(struct gpud_client *client, const struct gpud_mem_ref *args, gpud_none_fn *done,
                          void *userdata);

/* mem.free: Give an allocation up: its name and its persistent reference go at once, and those of this
 * session. Other sessions keep it until they close it, and nobody opens it any more. */
int gpud_mem_free(struct gpud_client *client, const struct gpud_mem_free_args *args);
int gpud_mem_free_submit(struct gpud_client *client, const struct gpud_mem_free_args *args,
                         gpud_none_fn *done, void *userdata);

/* mem.publish: Name an allocation, let it outlive its sessions, set its mode and seal it, all in one step. */
int gpud_mem_publish(struct gpud_client *client, const struct gpud_mem_publish_args *args,
                     struct gpud_mem_info *ret_result);
int gpud_mem_publish_submit(struct gpud_client *client, const struct gpud_mem_publish_args *args,
                            gpud_mem_info_fn *done, void *userdata);

/* mem.info: Describe an allocation. */
int gpud_mem_info(struct gpud_client *client, const struct gpud_mem_ref *args,
                  struct gpud_mem_info *ret_result);
int gpud_mem_info_submit(struct gpud_client *client, const struct gpud_mem_ref *args, gpud_mem_info_fn *done,
                         void *userdata);

/* mem.list: List the allocations the caller may see. */
int gpud_mem_list(struct gpud_client *client, const struct gpud_mem_list_args *args,
                  struct gpud_mem_list_result *ret_result);
int gpud_mem_list_submit(struct gpud_client *client, const struct gpud_mem_list_args *args,
                         gpud_mem_list_result_fn *done, void *userdata);

/* mem.write: Write bytes; the reply comes when they are on the device. */
int gpud_mem_write(struct gpud_client *client, const struct gpud_mem_write_args *args);
int gpud_mem_write_submit(struct gpud_client *client, const struct gpud_mem_write_args *args,
                          gpud_none_fn *done, void *userdata);

/* mem.read: Read bytes. */
int gpud_mem_read(struct gpud_client *client, const struct gpud_mem_read_args *args,
                  struct gpud_mem_read_result *ret_result);
int gpud_mem_read_submit(struct gpud_client *client, const struct gpud_mem_read_args *args,
                         gpud_mem_read_result_fn *done, void *userdata);

/* mem.copy: Copy between allocations; overlap behaves like memmove. */
int gpud_mem_copy(struct gpud_client *client, const struct gpud_mem_copy_args *args);
int gpud_mem_copy_submit(struct gpud_client *client, const struct gpud_mem_copy_args *args,
                         gpud_none_fn *done, void *userdata);

/* mem.fill: Fill a range with a repeated pattern. */
int gpud_mem_fill(struct gpud_client *client, const struct gpud_mem_fill_args *args);
int gpud_mem_fill_submit(struct gpud_client *client, const struct gpud_mem_fill_args *args,
                         gpud_none_fn *done, void *userdata);

/* mem.meta: Get the client's metadata, or replace it. */
int gpud_mem_meta(struct gpud_client *client, const struct gpud_mem_meta_args *args,
                  struct gpud_mem_meta_result *ret_result);
int gpud_mem_meta_submit(struct gpud_client *client, const struct gpud_mem_meta_args *args,
                         gpud_mem_meta_result_fn *done, void *userdata);

/* mem.rename: Give an allocation another name, or none. */
int gpud_mem_rename(struct gpud_client *client, const struct gpud_mem_rename_args *args,
                    struct gpud_mem_info *ret_result);
int gpud_mem_rename_submit(struct gpud_client *client, const struct gpud_mem_rename_args *args,
                           gpud_mem_info_fn *done, void *userdata);

/* mem.persist: Let an allocation outlive the sessions that hold it. */
int gpud_mem_persist(struct gpud_client *client, const struct gpud_mem_own_ref *args,
                     struct gpud_mem_info *ret_result);
int gpud_mem_persist_submit(struct gpud_client *client, const struct gpud_mem_own_ref *args,
                            gpud_mem_info_fn *done, void *userdata);

/* mem.seal: Make an allocation read-only for ever. */
int gpud_mem_seal(struct gpud_client *client, const struct gpud_mem_own_ref *args,
                  struct gpud_mem_info *ret_result);
int gpud_mem_seal_submit(struct gpud_client *client, const struct gpud_mem_own_ref *args,
                         gpud_mem_info_fn *done, void *userdata);

/* mem.chmod: Change an allocation's permission bits. */
int gpud_mem_chmod(struct gpud_client *client, const struct gpud_mem_chmod_args *args,
                   struct gpud_mem_info *ret_result);
int gpud_mem_chmod_submit(struct gpud_client *client, const struct gpud_mem_chmod_args *args,
                          gpud_mem_info_fn *done, void *userdata);

/* mem.renew: Extend the lease of a persistent allocation. */
int gpud_mem_renew(struct gpud_client *client, const struct gpud_mem_renew_args *args,
                   struct gpud_mem_info *ret_result);
int gpud_mem_renew_submit(struct gpud_client *client, const struct gpud_mem_renew_args *args,
                          gpud_mem_info_fn *done, void *userdata);

/* shm.register: Register a memfd that bulk bytes move through. */
int gpud_shm_register(struct gpud_client *client, const struct gpud_shm_register_args *args, int fd,
                      struct gpud_shm_register_result *ret_result);
int gpud_shm_register_submit(struct gpud_client *client, const struct gpud_shm_register_args *args, int fd,
                             gpud_shm_register_result_fn *done, void *userdata);

/* shm.release: Release a region; copies in flight through it end first. */
int gpud_shm_release(struct gpud_client *client, const struct gpud_shm_ref *args);
int gpud_shm_release_submit(struct gpud_client *client, const struct gpud_shm_ref *args, gpud_none_fn *done,
                            void *userdata);

/* daemon.ping: Do nothing and reply. */
int gpud_daemon_ping(struct gpud_client *client);
int gpud_daemon_ping_submit(struct gpud_client *client, gpud_none_fn *done, void *userdata);

/* daemon.status: Show how the daemon is doing. */
int gpud_daemon_status(struct gpud_client *client, struct gpud_daemon_status_result *ret_result);
int gpud_daemon_status_submit(struct gpud_client *client, gpud_daemon_status_result_fn *done, void *userdata);

/* daemon.describe: Send this schema. */
int gpud_daemon_describe(struct gpud_client *client, struct gpud_daemon_describe_result *ret_result);
int gpud_daemon_describe_submit(struct gpud_client *client, gpud_daemon_describe_result_fn *done,
                                void *userdata);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
