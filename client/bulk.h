#pragma once

/*
 * The pipeline of bulk copies: a range of an allocation is cut into slots of the arena, and while gpud moves
 * one slot the next is filled or emptied here. Source and sink are the caller's.
 */

#include "client/gpud.h"

typedef struct Bulk Bulk;

/*
 * Fills (or empties) `data` with the `size` bytes at `position` of the range; positions come in order. Returns
 * 0 or a negated error, after which the transfer ends.
 */
typedef int BulkMove(Bulk *bulk, void *data, uint64_t position, size_t size);

struct Bulk {
        struct gpud_client *client;
        struct gpud_uuid mem;
        uint64_t offset; /* of the range in the allocation */
        uint64_t size;
        BulkMove *move;
};

/* Each blocks until nothing of the transfer is in flight any more. */
int bulk_write(Bulk *bulk);
int bulk_read(Bulk *bulk);
