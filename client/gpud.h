#ifndef GPUD_H
#define GPUD_H

/*
 * libgpud: the C client of gpud, the process that owns a node's GPUs and their memory. C11 and C++.
 *
 *      struct gpud_client *client;
 *      struct gpud_mem_info info;
 *      int r;
 *
 *      r = gpud_connect(&client, NULL);
 *      if (r < 0) {
 *              fprintf(stderr, "%s: %s\n", gpud_strerror(r), gpud_error_message(NULL));
 *              return r;
 *      }
 *      struct gpud_mem_alloc_args args = {.device = "vulkan:0", .size = sizeof(weights), .name = "weights"};
 *      r = gpud_mem_alloc(client, &args, &info);
 *      if (r == 0)
 *              r = gpud_write(client, info.mem, 0, weights, sizeof(weights));
 *      if (r < 0)
 *              fprintf(stderr, "%s: %s\n", gpud_strerror(r), gpud_error_message(client));
 *      gpud_close(client);
 *
 * Every method of the protocol is two functions, declared in gpud-protocol.h: `gpud_NOUN_VERB()` sends the
 * request and waits for the reply; `gpud_NOUN_VERB_submit()` only queues it, and a callback gets the reply.
 *
 * Results. Functions that return int return 0, or an error code of `enum gpud_error` negated. gpud_strerror()
 * says what the code means, gpud_error_message() what was wrong this time. No call sets errno but
 * gpud_connect().
 *
 * Versions. A program runs with the library it was built with and with every later one of that soname:
 * functions stay, enumerations grow at their end, and structures keep their size. A field that a version
 * adds takes the place of bytes of `room`, which are zero in arguments, and in what an older library
 * returns. An older library refuses what it does not know of with -GPUD_E_INVALID_ARGUMENT, rather than
 * leave a wish out. Where a structure has no room left, the new field comes with a new method, or with a
 * new soname. So name the fields that you initialise, which zeroes the others.
 *
 * Arguments. A structure zeroed but for the fields you want is right. An optional field that is zero
 * (false, NULL, the first constant of an enumeration) is absent, one that is not is there: `{.mode =
 * 0644}` says all. A zero that is meant (a mode of 0, the uid of root, a size of 0 where absent means all)
 * needs its `has_` member true beside it. In a result the `has_` member alone says whether a field
 * applies. Arguments need to live only until the call returns. Sizes and offsets are bytes; times ending
 * in `_ns` are nanoseconds since the epoch. `ret_` parameters may be NULL when nobody wants the result.
 *
 * Lifetime of results. Strings, bytes and lists in the result of a blocking call live until the next blocking
 * call on that client, or gpud_close(). Those handed to a callback end with the callback. An enumeration may
 * hold a value that is none of its constants when gpud is newer than this library.
 *
 * Threads and processes. A client, its regions too, is used by one thread at a time. Different clients are
 * independent, and what takes no client (gpud_strerror() and its like, the handles as text) may be called
 * from anywhere. The first copy of more than 4 MiB starts up to seven threads that copy along, fewer on a
 * small machine; they sleep between copies, block every signal, and end with gpud_close(). After fork() the
 * child may only gpud_close() the client: everything else returns -GPUD_E_CONNECTION_LOST there.
 *
 * Sessions and references. A connection is a session. References to an allocation are counted as
 * descriptors of a file are: gpud_mem_alloc() and gpud_mem_open() give the session one each,
 * gpud_mem_close() gives one back, and gpud_close(), or the end of the process, whatever ends it, all that
 * are left. An allocation with the lifetime `session` (the default) goes with the last of them; one that
 * is `persistent` has one more, and stays. gpud_mem_free() is another thing: its owner's word that it is
 * given up. Nobody opens it any more, its name is free at once, and this session's references are gone,
 * all of them; other sessions read on until they close it.
 *
 * Names. Whoever opens an allocation by its name is to find it whole: allocate without a name, write, and
 * let gpud_mem_publish() name it, persist it, set its mode and seal it in one step. With `replace` it
 * takes the name over from an older version, which its readers keep. gpud_load_file() does all of this.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpud-protocol.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The version of the library that is linked; GPUD_VERSION is that of the header. */
const char *gpud_version(void);

/* ---- connection ---- */

/*
 * Connects to gpud. `path` NULL: the environment's GPUD_SOCKET, else /run/gpud/gpud.sock. Returns
 * -GPUD_E_CONNECTION_LOST, or -GPUD_E_PERMISSION_DENIED where the socket is closed to this user;
 * *ret_client is then NULL, gpud_error_message(NULL) names the path and what is wrong, and errno says the
 * same to a program.
 *
 * gpud may refuse a connection that the kernel made: where it has connections_max already, say. The first
 * call then returns gpud's error (-GPUD_E_RESOURCE_EXHAUSTED) with its message, and so does every later
 * one.
 */
int gpud_connect(struct gpud_client **ret_client, const char *path);

/*
 * The same for a program that will not wait for ever: a gpud that takes no connection for so long (0: without
 * end) is -GPUD_E_DEADLINE_EXCEEDED, and gpud_set_timeout() is done.
 */
int gpud_connect_timeout(struct gpud_client **ret_client, const char *path, uint32_t timeout_ms);

/* The socket that gpud_connect() takes for `path`. */
const char *gpud_socket_path(const char *path);

/*
 * Disconnects and frees the client. Callbacks still due get -GPUD_E_CONNECTION_LOST. Not from a callback.
 * NULL is fine.
 */
void gpud_close(struct gpud_client *client);

/* ---- waiting ---- */

/*
 * For programs with an event loop: poll the descriptor for the events, asked anew before each poll, and call
 * gpud_dispatch() when one is there. The descriptor stays the same until gpud_close().
 */
int gpud_fd(const struct gpud_client *client);
short gpud_events(const struct gpud_client *client);

/*
 * Sends what is queued, takes in what has come and runs its callbacks. Never blocks. Returns 0, or
 * -GPUD_E_CONNECTION_LOST for good once the connection is lost; every callback still due has then had that
 * error.
 */
int gpud_dispatch(struct gpud_client *client);

/*
 * Waits until something came, then dispatches once. `timeout_ms` -1 waits for ever; when it passes, returns
 * -GPUD_E_DEADLINE_EXCEEDED. To wait for all callbacks: while (gpud_pending(client) > 0 && r == 0)
 * r = gpud_wait(...).
 */
int gpud_wait(struct gpud_client *client, int timeout_ms);

/*
 * Sets how long a blocking call polls for its reply before it sleeps, in microseconds: GPUD_SPIN_US until
 * this is called, 0 to sleep at once. A processor that sleeps is woken late, most in a virtual machine: by 5
 * to 30 us as a rule, by 200 us at times if it had slept for half a millisecond. Polling takes all of a
 * processor. Where the reply takes longer nevertheless, the next calls sleep at once, and polling is tried
 * again ever more rarely. gpud_wait() always sleeps; to poll instead, call gpud_dispatch() over and over.
 */
#define GPUD_SPIN_US 100
void gpud_set_spin(struct gpud_client *client, uint32_t spin_us);

/*
 * Sets how long gpud may say nothing at all while a blocking call waits for it, in milliseconds; 0, as in
 * the beginning, is for ever. Then the call returns -GPUD_E_DEADLINE_EXCEEDED. What it asked for may still
 * be done, but its reply is dropped when it comes, and a reference or region that it brings is given back;
 * the client works on. A copy of many pieces goes on for as long as pieces get done. After a mem.write or
 * mem.read through a region of yours that came to nothing so, the region is in gpud's hands until
 * gpud_pending() is 0 or it is freed. Submitted calls, gpud_wait() and gpud_dispatch() do not look at
 * this.
 */
void gpud_set_timeout(struct gpud_client *client, uint32_t timeout_ms);

/* How many calls have no reply yet: those submitted, and those that a time-out ended. */
size_t gpud_pending(const struct gpud_client *client);

/*
 * Submitted calls. A _submit function returns 0 when the request is queued: the callback then runs exactly
 * once, from gpud_dispatch(), gpud_wait(), a blocking call on the same client, or gpud_close(). If it returns
 * an error the callback never runs. `done` may be NULL. Replies come in any order. Requests leave with
 * the next dispatch, wait or blocking call, many in one packet. Past 65536 pending calls, or 16 MiB of
 * requests that gpud does not take, the answer is -GPUD_E_RESOURCE_EXHAUSTED. A callback may submit; a
 * blocking call, a dispatch or a wait inside one is -GPUD_E_BUSY.
 */

/* ---- errors; `r` may be negated or not ---- */

/* "out of range", or "unknown error". Never NULL. */
const char *gpud_strerror(int r);
/* "OUT_OF_RANGE", or NULL. */
const char *gpud_error_name(int r);
/* What can be done about it, or NULL. */
const char *gpud_error_hint(int r);
/*
 * What was wrong with the last call that failed on this client, with the offending value and the limit; with
 * NULL, with this thread's last gpud_connect() that failed. In a callback it is about that callback's call.
 * Lives until the next failure. Never NULL.
 */
const char *gpud_error_message(const struct gpud_client *client);

/* ---- any method by name ---- */

/*
 * Calls `method` ("mem.alloc") and waits. `args` and `ret_result` point at the structures that the typed call
 * takes; either is NULL where there is none. `fd` is -1 unless the method takes one. For programs that walk
 * the schema; others get types from gpud_NOUN_VERB().
 */
int gpud_call(struct gpud_client *client, const char *method, const void *args, int fd, void *ret_result);

/* ---- handles as text ---- */

void gpud_uuid_to_string(const struct gpud_uuid *uuid, char ret_text[GPUD_UUID_TEXT + 1]);
/* False if `text` is not a UUID of 36 characters. */
bool gpud_uuid_from_string(const char *text, struct gpud_uuid *ret_uuid);

/* ---- shared-memory regions ---- */

/*
 * Memory that this process and the GPU both reach: fill it, then gpud_mem_write() or gpud_mem_write_submit()
 * with its id as `shm` moves the bytes without another copy. Blocks.
 *
 * Its pages are taken at once. What gpud allows no session (`shm_max` of session.hello) is
 * -GPUD_E_RESOURCE_EXHAUSTED; what the machine, a control group or a limit of this process leaves no room
 * for is -GPUD_E_SYSTEM_CALL, and gpud_error_message() names it.
 */
struct gpud_region;

int gpud_region_new(struct gpud_client *client, size_t size, struct gpud_region **ret_region);
/* Unmaps and releases the region; copies in flight end first. NULL is fine. Also after gpud_close(). */
void gpud_region_free(struct gpud_region *region);
void *gpud_region_data(const struct gpud_region *region);
size_t gpud_region_size(const struct gpud_region *region);
struct gpud_uuid gpud_region_id(const struct gpud_region *region);
/* Whether devices read the region directly; else gpud stages copies from it. */
bool gpud_region_imported(const struct gpud_region *region);
/*
 * memcpy() past the caches, where the machine can: for bytes read out of a region that nobody looks at soon.
 * Where memory is the limit it is up to 1.5 times as fast. gpud_read() copies so by itself.
 */
void gpud_stream_copy(void *target, const void *source, size_t size);

/* ---- bytes of any size ---- */

/*
 * Copy between this process's memory and an allocation, and return when the copy is done. Up to
 * GPUD_INLINE_MAX bytes travel in the message; more are pipelined through a region that the client keeps for
 * it, by several threads. -GPUD_E_OUT_OF_RANGE, and nothing is copied, if the allocation has no such bytes;
 * after another failure any part of them may have been.
 */
int gpud_write(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, const void *data,
               size_t size);
int gpud_read(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, void *data, size_t size);

/*
 * Is told how many bytes are done, after each piece. Called from within the two calls below, on their thread;
 * must not use the client.
 */
typedef void gpud_progress_fn(uint64_t n_done, void *userdata);

/*
 * Copy between a file and an allocation as the two above do from memory: `size` bytes, from or to `fd` at
 * `file_offset`. A file is read or written in any order by several threads, and its own position stays; a
 * pipe or socket, or a file opened to append, will do too, in order, and `file_offset` must be 0. A file that
 * ends too early is -GPUD_E_OUT_OF_RANGE as well, one that cannot be read or written -GPUD_E_SYSTEM_CALL.
 * After a failure any part may have been copied, and the file that was being written may have its full size,
 * with zeros. `progress` may be NULL.
 */
int gpud_put_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, int fd,
                  uint64_t file_offset, uint64_t size, gpud_progress_fn *progress, void *userdata);
int gpud_get_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, int fd,
                  uint64_t file_offset, uint64_t size, gpud_progress_fn *progress, void *userdata);

/* ---- whole files: nothing that is half made is seen, whatever ends the call ---- */

/*
 * Copies `alloc->size` bytes of `fd`, from `file_offset` on, into a new allocation, which is published
 * with the last of them. Until then it has no name and is this session's alone; name, mode, lifetime and
 * lease are those of `publish`, whose `mem` does not matter. On success this session holds a reference, as
 * after mem.alloc; on failure nothing is left. Only where the connection is lost, or gpud silent, while it
 * publishes does nobody know whether it did, and then the allocation is whole. A name that is taken is
 * refused first, unless `replace` takes it over.
 */
int gpud_load_file(struct gpud_client *client, const struct gpud_mem_alloc_args *alloc,
                   const struct gpud_mem_publish_args *publish, int fd, uint64_t file_offset,
                   gpud_progress_fn *progress, void *userdata, struct gpud_mem_info *ret_info);

/*
 * Copies `size` bytes of an allocation into the file at `path`. They are written to another one beside it,
 * ".NAME.gpud-" and 8 digits, synced, and renamed: until then the file that was there is what it was, and
 * afterwards the new one has its mode, and its owner as far as this user may give it away. A symbolic link
 * is followed. A process that is killed leaves at most that other file; one that wants to end in good
 * order can shutdown() gpud_fd(), from a signal's handler too, and the call returns. A pipe, a device, or
 * what a link in /proc says that a process has open (/dev/stdout) is written as it is.
 */
int gpud_save_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, uint64_t size,
                   const char *path, gpud_progress_fn *progress, void *userdata);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
