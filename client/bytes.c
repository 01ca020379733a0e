/* Bytes in this process's memory to and from allocations. */

#include <string.h>

#include "client/bulk.h"
#include "client/client.h"

typedef struct Bytes {
        Bulk bulk;
        const char *source;
        char *target;
} Bytes;

static int copy_from_memory(const Bulk *bulk, void *data, uint64_t position, size_t size, ProtoFault *fault) {
        const Bytes *bytes = (const Bytes *)(const void *)bulk;

        (void)fault;
        memcpy(data, bytes->source + position, size);
        return 0;
}

static int copy_to_memory(const Bulk *bulk, void *data, uint64_t position, size_t size, ProtoFault *fault) {
        const Bytes *bytes = (const Bytes *)(const void *)bulk;

        (void)fault;
        gpud_stream_copy(bytes->target + position, data, size);
        return 0;
}

static int write_inline(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, const void *data,
                        size_t size) {
        const struct gpud_mem_write_args args = {
                .mem = mem,
                .offset = offset,
                .has_offset = true,
                .data = {data ? data : "", size},
        };

        return gpud_mem_write(client, &args);
}

static int read_inline(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, void *data,
                       size_t size) {
        const struct gpud_mem_read_args args = {
                .mem = mem, .offset = offset, .has_offset = true, .size = size};
        struct gpud_mem_read_result result;
        int r;

        r = gpud_mem_read(client, &args, &result);
        if (r < 0)
                return r;
        if (!result.data.data || result.data.size != size)
                return client_fail(client, GPUD_E_INTERNAL, "gpud sent %zu bytes where %zu were asked for",
                                   result.data.size, size);
        if (size > 0)
                memcpy(data, result.data.data, size);
        return 0;
}

int gpud_write(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, const void *data,
               size_t size) {
        const Bytes bytes = {.bulk = {client, mem, offset, size, copy_from_memory, false, NULL, NULL},
                             .source = data};

        return size <= GPUD_INLINE_MAX ? write_inline(client, mem, offset, data, size)
                                       : bulk_write(&bytes.bulk);
}

int gpud_read(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, void *data, size_t size) {
        const Bytes bytes = {.bulk = {client, mem, offset, size, copy_to_memory, false, NULL, NULL},
                             .target = data};

        return size <= GPUD_INLINE_MAX ? read_inline(client, mem, offset, data, size)
                                       : bulk_read(&bytes.bulk);
}
