#pragma once

/*
 * The pipeline of bulk copies: a range of an allocation is cut into pieces, each of which passes through a
 * slot of the arena. While gpud moves some, the copier fills or empties others. Source and sink are the
 * caller's.
 */

#include "client/gpud.h"
#include "proto/fault.h"

/* Bytes that one thread copies at a stretch. A piece is one or more such grains, as is the arena. */
#define BULK_GRAIN ((size_t)512 * 1024)

typedef struct Bulk Bulk;

/*
 * Fills (or empties) `data` with the `size` bytes at `position` of the range. Called as CopyFn is, by several
 * threads unless `is_serial`.
 */
typedef int BulkCopy(const Bulk *bulk, void *data, uint64_t position, size_t size, ProtoFault *fault);

struct Bulk {
        struct gpud_client *client;
        struct gpud_uuid mem;
        uint64_t offset; /* of the range in the allocation */
        uint64_t size;
        BulkCopy *copy;
        bool is_serial;
        gpud_progress_fn *progress; /* called on the client's thread; may be NULL */
        void *progress_data;
};

/*
 * Copies the range into the allocation, or out of it. Blocks until nothing of the copy is in flight any more.
 * Returns 0 or a GPUD_E_ code negated.
 */
int bulk_write(const Bulk *bulk);
int bulk_read(const Bulk *bulk);
