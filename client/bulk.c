/*
 * Slots take turns: slot k is used for the pieces k, k + n, k + 2n ... so pieces are moved here in order,
 * whatever order gpud ends them in.
 */

#include "client/bulk.h"

#include <string.h>

#include "client/client.h"
#include "client/region.h"

typedef struct Slot {
        bool is_busy; /* gpud moves it */
        int r;        /* of the last move */
        size_t size;  /* bytes of the piece */
} Slot;

typedef struct Pipeline {
        Bulk *bulk;
        struct gpud_region *region;
        size_t piece_size;
        Slot slots[ARENA_SLOTS];
} Pipeline;

static void complete_write(struct gpud_client *client, int r, void *userdata) {
        Slot *slot = userdata;

        (void)client;
        slot->is_busy = false;
        slot->r = r;
}

static void complete_read(struct gpud_client *client, int r, const struct gpud_mem_read_result *result,
                          void *userdata) {
        (void)result;
        complete_write(client, r, userdata);
}

static char *slot_data(const Pipeline *pipeline, size_t index) {
        return (char *)gpud_region_data(pipeline->region) + index * ARENA_SLOT_SIZE;
}

static int submit_write(Pipeline *pipeline, size_t index, uint64_t position) {
        const Bulk *bulk = pipeline->bulk;
        Slot *slot = &pipeline->slots[index];
        const struct gpud_mem_write_args args = {
                .mem = bulk->mem,
                .offset = bulk->offset + position,
                .has_offset = true,
                .shm = gpud_region_id(pipeline->region),
                .has_shm = true,
                .shm_offset = index * ARENA_SLOT_SIZE,
                .has_shm_offset = true,
                .size = slot->size,
                .has_size = true,
        };

        return gpud_mem_write_submit(bulk->client, &args, complete_write, slot);
}

static int submit_read(Pipeline *pipeline, size_t index, uint64_t position) {
        const Bulk *bulk = pipeline->bulk;
        Slot *slot = &pipeline->slots[index];
        const struct gpud_mem_read_args args = {
                .mem = bulk->mem,
                .offset = bulk->offset + position,
                .has_offset = true,
                .size = slot->size,
                .shm = gpud_region_id(pipeline->region),
                .has_shm = true,
                .shm_offset = index * ARENA_SLOT_SIZE,
                .has_shm_offset = true,
        };

        return gpud_mem_read_submit(bulk->client, &args, complete_read, slot);
}

/* Puts the slot to work on the piece at `position`. */
static int start_slot(Pipeline *pipeline, size_t index, uint64_t position,
                      int (*submit)(Pipeline *, size_t, uint64_t)) {
        Slot *slot = &pipeline->slots[index];
        int r;

        r = submit(pipeline, index, position);
        if (r < 0)
                return r;
        slot->is_busy = true;
        /* The GPU is to start now, not when this thread next waits. */
        client_flush(pipeline->bulk->client);
        return 0;
}

static int wait_slot(Pipeline *pipeline, size_t index) {
        Slot *slot = &pipeline->slots[index];
        int r = slot->r;

        while (slot->is_busy)
                gpud_wait(pipeline->bulk->client, -1);
        r = slot->r;
        slot->r = 0;
        return r;
}

/* Waits for whatever is in flight; the first failure decides, with its message. */
static int drain(Pipeline *pipeline, int r) {
        ProtoFault fault = pipeline->bulk->client->fault;
        int other;

        for (size_t i = 0; i < ARENA_SLOTS; i++) {
                other = wait_slot(pipeline, i);
                if (r == 0 && other < 0) {
                        r = other;
                        fault = pipeline->bulk->client->fault;
                }
        }
        if (r < 0)
                pipeline->bulk->client->fault = fault;
        return r;
}

static int init_pipeline(Pipeline *pipeline, Bulk *bulk) {
        int r;

        *pipeline = (Pipeline){.bulk = bulk};
        r = client_check_blocking(bulk->client);
        if (r < 0)
                return r;
        if (bulk->offset + bulk->size < bulk->offset)
                return client_fail(bulk->client, GPUD_E_OUT_OF_RANGE,
                                   "offset %ju + size %ju exceeds 2^64 - 1", (uintmax_t)bulk->offset,
                                   (uintmax_t)bulk->size);
        return region_arena_get(bulk->client, &pipeline->region);
}

static size_t piece_at(const Bulk *bulk, uint64_t position) {
        return bulk->size - position < ARENA_SLOT_SIZE ? (size_t)(bulk->size - position) : ARENA_SLOT_SIZE;
}

int bulk_write(Bulk *bulk) {
        Pipeline pipeline;
        size_t index = 0;
        int r;

        r = init_pipeline(&pipeline, bulk);
        for (uint64_t position = 0; r == 0 && position < bulk->size; position += pipeline.slots[index].size) {
                index = (size_t)(position / ARENA_SLOT_SIZE) % ARENA_SLOTS;
                r = wait_slot(&pipeline, index);
                if (r < 0)
                        break;
                pipeline.slots[index].size = piece_at(bulk, position);
                r = bulk->move(bulk, slot_data(&pipeline, index), position, pipeline.slots[index].size);
                if (r == 0)
                        r = start_slot(&pipeline, index, position, submit_write);
        }
        return drain(&pipeline, r);
}

int bulk_read(Bulk *bulk) {
        uint64_t asked = 0, position = 0;
        Pipeline pipeline;
        size_t index;
        int r;

        r = init_pipeline(&pipeline, bulk);
        while (r == 0 && position < bulk->size) {
                /* Slots run ahead of the piece that is due, all of them. */
                while (r == 0 && asked < bulk->size &&
                       asked - position < (uint64_t)ARENA_SLOTS * ARENA_SLOT_SIZE) {
                        index = (size_t)(asked / ARENA_SLOT_SIZE) % ARENA_SLOTS;
                        pipeline.slots[index].size = piece_at(bulk, asked);
                        r = start_slot(&pipeline, index, asked, submit_read);
                        asked += pipeline.slots[index].size;
                }
                index = (size_t)(position / ARENA_SLOT_SIZE) % ARENA_SLOTS;
                if (r == 0)
                        r = wait_slot(&pipeline, index);
                if (r == 0)
                        r = bulk->move(bulk, slot_data(&pipeline, index), position,
                                       pipeline.slots[index].size);
                position += pipeline.slots[index].size;
        }
        return drain(&pipeline, r);
}

/* ---- bytes in memory ---- */

typedef struct Memory {
        Bulk bulk;
        const char *source;
        char *target;
} Memory;

static int move_from_memory(Bulk *bulk, void *data, uint64_t position, size_t size) {
        const Memory *memory = (const Memory *)(const void *)bulk;

        memcpy(data, memory->source + position, size);
        return 0;
}

static int move_to_memory(Bulk *bulk, void *data, uint64_t position, size_t size) {
        const Memory *memory = (const Memory *)(const void *)bulk;

        memcpy(memory->target + position, data, size);
        return 0;
}

int gpud_write(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, const void *data,
               size_t size) {
        Memory memory = {.bulk = {client, mem, offset, size, move_from_memory}, .source = data};
        const struct gpud_mem_write_args args = {
                .mem = mem,
                .offset = offset,
                .has_offset = true,
                .data = {data ? data : "", size},
        };

        if (size <= GPUD_INLINE_MAX)
                return gpud_mem_write(client, &args);
        return bulk_write(&memory.bulk);
}

int gpud_read(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, void *data, size_t size) {
        Memory memory = {.bulk = {client, mem, offset, size, move_to_memory}, .target = data};
        const struct gpud_mem_read_args args = {
                .mem = mem, .offset = offset, .has_offset = true, .size = size};
        struct gpud_mem_read_result result;
        int r;

        if (size > GPUD_INLINE_MAX)
                return bulk_read(&memory.bulk);
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
