/*
 * Each piece goes through two stages: a write is copied into the arena and then moved by gpud, a read the
 * other way round. Pieces enter a stage in order and leave it in order. Three counters say how far each stage
 * is, and the client's thread advances them, copies in between, and sleeps only when there is nothing to
 * copy.
 *
 * To touch a page of the arena for the first time takes ten times as long as to copy it, and the more slots
 * take turns, the less of them is left in the caches. So a piece takes the first free slot, and no more
 * pieces are under way than keep gpud at work.
 *
 * No piece enters its second stage before gpud has said how large the allocation is: a range that does not
 * fit is refused whole, in gpud's words, and no byte of allocation or sink has changed. The question goes out
 * while the first piece is copied.
 */

#include "client/bulk.h"

#include <inttypes.h>
#include <string.h>

#include "client/client.h"
#include "client/copier.h"
#include "client/region.h"

#define SLOTS_MAX 16

/* Bytes that one thread copies at a stretch. A piece is one or more such grains. */
#define GRAIN     (512 * 1024)
#define PIECE_MAX (4 * 1024 * 1024)

/* Bytes under way at first, and bytes that gpud is to have in hand while there is nothing to copy. */
#define AHEAD_MIN  (8 * 1024 * 1024)
#define MOVING_MIN (12 * 1024 * 1024)

/* Fewer bytes are copied before other threads have woken, so the owner copies them alone. */
#define SHARED_MIN (4 * 1024 * 1024)

typedef struct Slot {
        bool is_taken;    /* by a piece */
        bool is_busy;     /* gpud moves it */
        int r;            /* of the last move */
        ProtoFault fault; /* where r < 0 */
} Slot;

/* How large the allocation is: asked of gpud, and what it answered. */
typedef struct Question {
        bool is_asked; /* and not answered yet */
        int r;
        ProtoFault fault;
} Question;

typedef struct Pipeline {
        const Bulk *bulk;
        struct gpud_region *region;
        Copier *copier;
        size_t piece_size;
        size_t n_slots;
        uint64_t n_pieces;
        size_t n_ahead; /* pieces that may be under way at once */
        Question question;
        Slot slots[SLOTS_MAX];
        size_t slot_of[SLOTS_MAX]; /* of piece k at k % SLOTS_MAX */
} Pipeline;

/* `start` begins the stage for a piece; `check` says whether it is over, 1 or 0, or what went wrong. */
typedef struct Stage {
        int (*start)(Pipeline *pipeline, uint64_t piece);
        int (*check)(Pipeline *pipeline, uint64_t piece);
} Stage;

static uint64_t piece_start(const Pipeline *pipeline, uint64_t piece) {
        return piece * pipeline->piece_size;
}

static uint64_t piece_end(const Pipeline *pipeline, uint64_t piece) {
        return piece + 1 == pipeline->n_pieces ? pipeline->bulk->size : (piece + 1) * pipeline->piece_size;
}

/* ---- slots ---- */

static Slot *get_slot(Pipeline *pipeline, uint64_t piece) {
        return &pipeline->slots[pipeline->slot_of[piece % SLOTS_MAX]];
}

/* Requires: a slot is free. */
static void take_slot(Pipeline *pipeline, uint64_t piece) {
        size_t i = 0;

        while (pipeline->slots[i].is_taken)
                i++;
        pipeline->slots[i].is_taken = true;
        pipeline->slot_of[piece % SLOTS_MAX] = i;
}

/* ---- asked first ---- */

static void answer(struct gpud_client *client, int r, const struct gpud_mem_info *info, void *userdata) {
        Pipeline *pipeline = userdata;
        const Bulk *bulk = pipeline->bulk;
        Question *question = &pipeline->question;

        question->is_asked = false;
        question->r = r;
        if (r < 0)
                question->fault = client->fault;
        else if (bulk->offset > info->size || bulk->size > info->size - bulk->offset)
                question->r =
                        -proto_fault(&question->fault, GPUD_E_OUT_OF_RANGE,
                                     "offset %" PRIu64 " + size %" PRIu64 " exceeds allocation size %" PRIu64,
                                     bulk->offset, bulk->size, info->size);
}

static int ask(Pipeline *pipeline) {
        const struct gpud_mem_ref args = {.mem = pipeline->bulk->mem};
        int r;

        /* A single piece needs no question: gpud refuses it whole. */
        if (pipeline->n_pieces == 1)
                return 0;
        r = gpud_mem_info_submit(pipeline->bulk->client, &args, answer, pipeline);
        pipeline->question.is_asked = r == 0;
        return r;
}

/* Whether pieces may enter the second stage: 1, or 0 while gpud has not answered, or its refusal. */
static int check_answer(const Pipeline *pipeline) {
        const Question *question = &pipeline->question;

        if (question->r < 0)
                pipeline->bulk->client->fault = question->fault;
        return question->is_asked ? 0 : question->r < 0 ? question->r : 1;
}

/* ---- copied here ---- */

static size_t arena_offset(const Pipeline *pipeline, uint64_t position) {
        uint64_t piece = position / pipeline->piece_size;

        return pipeline->slot_of[piece % SLOTS_MAX] * pipeline->piece_size +
               (size_t)(position % pipeline->piece_size);
}

static int copy_grain(void *userdata, uint64_t position, size_t size, ProtoFault *fault) {
        const Pipeline *pipeline = userdata;
        char *data = gpud_region_data(pipeline->region);

        return pipeline->bulk->copy(pipeline->bulk, data + arena_offset(pipeline, position), position, size,
                                    fault);
}

static int start_copy(Pipeline *pipeline, uint64_t piece) {
        copier_open(pipeline->copier, piece_end(pipeline, piece));
        return 0;
}

static int check_copy(Pipeline *pipeline, uint64_t piece) {
        int r = copier_check(pipeline->copier, piece_end(pipeline, piece));

        return r < 0 ? copier_end(pipeline->copier, &pipeline->bulk->client->fault) : r;
}

/* ---- moved by gpud ---- */

static void complete_write(struct gpud_client *client, int r, void *userdata) {
        Slot *slot = userdata;

        slot->is_busy = false;
        slot->r = r;
        if (r < 0)
                slot->fault = client->fault;
}

static void complete_read(struct gpud_client *client, int r, const struct gpud_mem_read_result *result,
                          void *userdata) {
        (void)result;
        complete_write(client, r, userdata);
}

static int submit_write(Pipeline *pipeline, uint64_t piece) {
        const Bulk *bulk = pipeline->bulk;
        uint64_t start = piece_start(pipeline, piece);
        const struct gpud_mem_write_args args = {
                .mem = bulk->mem,
                .offset = bulk->offset + start,
                .has_offset = true,
                .shm = gpud_region_id(pipeline->region),
                .has_shm = true,
                .shm_offset = arena_offset(pipeline, start),
                .has_shm_offset = true,
                .size = piece_end(pipeline, piece) - start,
                .has_size = true,
        };

        return gpud_mem_write_submit(bulk->client, &args, complete_write, get_slot(pipeline, piece));
}

static int submit_read(Pipeline *pipeline, uint64_t piece) {
        const Bulk *bulk = pipeline->bulk;
        uint64_t start = piece_start(pipeline, piece);
        const struct gpud_mem_read_args args = {
                .mem = bulk->mem,
                .offset = bulk->offset + start,
                .has_offset = true,
                .size = piece_end(pipeline, piece) - start,
                .shm = gpud_region_id(pipeline->region),
                .has_shm = true,
                .shm_offset = arena_offset(pipeline, start),
                .has_shm_offset = true,
        };

        return gpud_mem_read_submit(bulk->client, &args, complete_read, get_slot(pipeline, piece));
}

static int start_move(Pipeline *pipeline, uint64_t piece, int (*submit)(Pipeline *, uint64_t)) {
        Slot *slot = get_slot(pipeline, piece);
        int r;

        slot->is_busy = true;
        slot->r = 0;
        r = submit(pipeline, piece);
        if (r < 0)
                slot->is_busy = false;
        return r;
}

static int start_write(Pipeline *pipeline, uint64_t piece) {
        return start_move(pipeline, piece, submit_write);
}

static int start_read(Pipeline *pipeline, uint64_t piece) {
        return start_move(pipeline, piece, submit_read);
}

static int check_move(Pipeline *pipeline, uint64_t piece) {
        const Slot *slot = get_slot(pipeline, piece);

        if (slot->r < 0)
                pipeline->bulk->client->fault = slot->fault;
        return slot->is_busy ? 0 : slot->r < 0 ? slot->r : 1;
}

/* Whether gpud has yet to reply to something. */
static bool is_waiting(const Pipeline *pipeline) {
        if (pipeline->question.is_asked)
                return true;
        for (size_t i = 0; i < pipeline->n_slots; i++)
                if (pipeline->slots[i].is_busy)
                        return true;
        return false;
}

/* ---- the whole ---- */

/* A piece is a request: small ones get bytes to the GPU sooner, large ones cost less. A copy has some 8. */
static size_t choose_piece_size(const Bulk *bulk) {
        uint64_t size = (bulk->size / 8 + GRAIN) / GRAIN * GRAIN;

        return size < PIECE_MAX ? (size_t)size : PIECE_MAX;
}

static int init_pipeline(Pipeline *pipeline, const Bulk *bulk) {
        struct gpud_client *client = bulk->client;
        int r;

        *pipeline = (Pipeline){.bulk = bulk};
        r = client_check_blocking(client);
        if (r < 0)
                return r;
        if (bulk->offset + bulk->size < bulk->offset)
                return client_fail(client, GPUD_E_OUT_OF_RANGE, "offset %ju + size %ju exceeds 2^64 - 1",
                                   (uintmax_t)bulk->offset, (uintmax_t)bulk->size);
        if (!client->copier && copier_new(&client->copier, copier_count_threads()) < 0)
                return client_fail(client, GPUD_E_SYSTEM_CALL, "out of memory in this process");
        r = region_arena_get(client, bulk->size, &pipeline->region);
        if (r < 0)
                return r;
        pipeline->copier = client->copier;
        pipeline->piece_size = choose_piece_size(bulk);
        pipeline->n_pieces = bulk->size / pipeline->piece_size + (bulk->size % pipeline->piece_size ? 1 : 0);
        pipeline->n_slots = gpud_region_size(pipeline->region) / pipeline->piece_size;
        if (pipeline->n_slots > SLOTS_MAX)
                pipeline->n_slots = SLOTS_MAX;
        pipeline->n_ahead = AHEAD_MIN / pipeline->piece_size;
        if (pipeline->n_ahead > pipeline->n_slots)
                pipeline->n_ahead = pipeline->n_slots;
        return 0;
}

/* How far each stage is: pieces that have begun the first, have ended it, and have ended the second. */
typedef struct Marks {
        uint64_t begun;
        uint64_t half;
        uint64_t done;
} Marks;

/* Takes the replies that are there and advances every piece that can: 1 if one could, 0, or a failure. */
static int advance(Pipeline *pipeline, const Stage stages[2], Marks *marks) {
        const Marks before = *marks;
        int r;

        if (is_waiting(pipeline))
                gpud_dispatch(pipeline->bulk->client);
        while ((r = check_answer(pipeline)) > 0 &&
               (r = marks->half < marks->begun ? stages[0].check(pipeline, marks->half) : 0) > 0) {
                r = stages[1].start(pipeline, marks->half++);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        while ((r = marks->done < marks->half ? stages[1].check(pipeline, marks->done) : 0) > 0)
                get_slot(pipeline, marks->done++)->is_taken = false;
        while (r == 0 && marks->begun < pipeline->n_pieces &&
               marks->begun - marks->done < pipeline->n_ahead) {
                take_slot(pipeline, marks->begun);
                r = stages[0].start(pipeline, marks->begun++);
        }
        /* The GPU is to start now, not when this thread next waits. */
        client_flush(pipeline->bulk->client);
        return r < 0 ? r : memcmp(marks, &before, sizeof(before)) != 0;
}

static size_t count_moving_bytes(const Pipeline *pipeline) {
        size_t n = 0;

        for (size_t i = 0; i < pipeline->n_slots; i++)
                n += pipeline->slots[i].is_busy ? pipeline->piece_size : 0;
        return n;
}

/* Copies what may be copied, or waits for a helper's copy, or lets another piece begin, or waits for gpud. */
static void make_progress(Pipeline *pipeline) {
        if (copier_step(pipeline->copier) || copier_wait(pipeline->copier))
                return;
        if (pipeline->n_ahead < pipeline->n_slots && count_moving_bytes(pipeline) < MOVING_MIN)
                pipeline->n_ahead++;
        else
                gpud_wait(pipeline->bulk->client, -1);
}

/* Takes every piece through both stages, the first of which is stages[0]. */
static int run_stages(Pipeline *pipeline, const Stage stages[2]) {
        const Bulk *bulk = pipeline->bulk;
        Marks marks = {0};
        uint64_t reported = 0;
        int r;

        while (marks.done < pipeline->n_pieces) {
                r = advance(pipeline, stages, &marks);
                if (r < 0)
                        return r;
                if (bulk->progress && marks.done > reported)
                        bulk->progress(piece_end(pipeline, marks.done - 1), bulk->progress_data);
                reported = marks.done;
                if (r == 0)
                        make_progress(pipeline);
        }
        return 0;
}

/* Waits for whatever is in flight. The client keeps the message of the failure that ended the copy. */
static void drain(Pipeline *pipeline) {
        struct gpud_client *client = pipeline->bulk->client;
        ProtoFault fault = client->fault, unused;

        copier_end(pipeline->copier, &unused);
        while (is_waiting(pipeline))
                gpud_wait(client, -1);
        client->fault = fault;
}

static int run(const Bulk *bulk, const Stage stages[2]) {
        Pipeline pipeline;
        const CopyJob job = {
                .copy = copy_grain,
                .userdata = &pipeline,
                .grain = GRAIN,
                .is_serial = bulk->is_serial || bulk->size < SHARED_MIN,
        };
        int r;

        r = init_pipeline(&pipeline, bulk);
        if (r < 0)
                return r;
        r = ask(&pipeline);
        if (r < 0)
                return r;
        copier_begin(pipeline.copier, &job);
        r = run_stages(&pipeline, stages);
        drain(&pipeline);
        return r;
}

int bulk_write(const Bulk *bulk) {
        static const Stage stages[] = {{start_copy, check_copy}, {start_write, check_move}};

        return run(bulk, stages);
}

int bulk_read(const Bulk *bulk) {
        static const Stage stages[] = {{start_read, check_move}, {start_copy, check_copy}};

        return run(bulk, stages);
}
