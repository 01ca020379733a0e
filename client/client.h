#pragma once

/*
 * The client's inside: a connection, the calls that wait for their reply, and what the last result needs to
 * stay alive. Everything belongs to the one thread that uses the client.
 */

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/conn.h"
#include "client/copier.h"
#include "client/gpud.h"
#include "client/spin.h"
#include "proto/message.h"
#include "proto/table.h"

#define CLIENT_PENDING_MAX 65536
#define CLIENT_OUTPUT_MAX  (16 * 1024 * 1024)

typedef struct Call Call;

/* Hands a reply to the call's own kind of callback. `result` is NULL unless r is 0. */
typedef void CallThunk(struct gpud_client *client, const Call *call, int r, const void *result);

struct Call {
        const ProtoMethod *method; /* NULL: this slot is free */
        CallThunk *thunk;
        void (*done)(void); /* of the type that the thunk knows, or NULL */
        void *userdata;
        uint32_t next_free; /* slot, while free */
};

/* Room for any method's arguments or result. */
typedef union AnyStruct {
#define STRUCT(name_, doc_) struct gpud_##name_ name_;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
        char none;
} AnyStruct;

/* gpud-protocol.h is printed where pointers have 64 bits; elsewhere it would have another layout. */
#define SIZE(name_, size_) _Static_assert(sizeof(struct gpud_##name_) == (size_), "not as in sizes.def");
#include "proto/sizes.def"
#include "proto/view.h"

struct gpud_client {
        Conn conn;
        unsigned fork_depth;     /* of the process that connected; a fork must not speak */
        Call *calls;             /* slots; a msgid is an index of one */
        size_t n_calls;          /* slots there are */
        size_t n_pending;        /* slots in use */
        uint32_t first_free;     /* slot, or CALL_NONE */
        msgpack_zone *zone;      /* of the reply being taken in */
        msgpack_zone *kept_zone; /* of the last blocking call's result */
        AnyStruct result;
        ProtoFault fault;    /* the last failure */
        ProtoFault lost;     /* why the connection is lost; code 0 while it is not */
        uint64_t n_heard;    /* times that something came */
        uint32_t timeout_ms; /* that gpud may be silent while a call waits; 0: for ever */
        Spin spin;           /* before a blocking call sleeps */
        bool is_in_callback;
        struct gpud_region *regions; /* every region made with this client */
        struct gpud_region *arena;   /* of these, the one bytes are copied through; NULL until first used */
        size_t arena_wanted;         /* bytes that it was to have, and may have fewer */
        struct gpud_limits limits;   /* of gpud, once `has_limits` */
        bool has_limits;
        Copier *copier; /* NULL until first used */
};

/* Makes a client on a connected socket. Takes over `fd`, also when it fails. 0 or -GPUD_E_SYSTEM_CALL. */
int client_new(struct gpud_client **ret_client, int fd);

/* 0, or why the connection cannot be used, here and now. */
int client_check(struct gpud_client *client);

/* Takes in what has come, and if `is_blocking` waits for something. 0, or why the connection is lost. */
int client_read(struct gpud_client *client, bool is_blocking);

/* Notes a failure and returns its code negated. */
int client_fail(struct gpud_client *client, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/*
 * Queues a request. The thunk runs once when the reply is there or the connection lost, unless this returns
 * an error. `args` may be NULL: every field absent. `fd` is -1 unless the method takes one; it stays the
 * caller's.
 */
int client_submit(struct gpud_client *client, const ProtoMethod *method, const void *args, int fd,
                  CallThunk *thunk, void (*done)(void), void *userdata);

/* 0, or -GPUD_E_BUSY inside a callback, where nothing may block. */
int client_check_blocking(struct gpud_client *client);

/* Sends what is queued, without blocking. */
void client_flush(struct gpud_client *client);

/* Queues a request and waits for its reply. The arguments are client_submit()'s; `ret_result` may be NULL. */
int client_call(struct gpud_client *client, const ProtoMethod *method, const void *args, int fd,
                void *ret_result);
