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
 *
 * A run that gpud is silent in for too long is abandoned: the arena is gpud's until it has answered every
 * piece, so the run keeps both until then, and the next copy gets an arena of its own.
 */

#include "client/bulk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cleanup.h"
#include "client/client.h"
#include "client/copier.h"
#include "client/region.h"
#include "client/wait.h"

#define SLOTS_MAX 16

#define PIECE_MAX ((size_t)4 * 1024 * 1024)

/* Bytes under way at first, and bytes that gpud is to have in hand while there is nothing to copy. */
#define AHEAD_MIN  (8 * 1024 * 1024)
#define MOVING_MIN (12 * 1024 * 1024)

/* Fewer bytes are copied before other threads have woken, so the owner copies them alone. */
#define SHARED_MIN (4 * 1024 * 1024)

typedef struct BulkRun BulkRun;

typedef struct Slot {
        BulkRun *run;
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

struct BulkRun {
        const Bulk *bulk;           /* gone when the run is abandoned */
        bool is_abandoned;          /* nobody waits for it any more: the last reply frees it */
        struct gpud_region *region; /* its own once it is abandoned */
        Copier *copier;
        size_t piece_size;
        size_t n_slots;
        uint64_t n_pieces;
        size_t n_ahead; /* pieces that may be under way at once */
        Question question;
        Slot slots[SLOTS_MAX];
        size_t slot_of[SLOTS_MAX]; /* of piece k at k % SLOTS_MAX */
};

/* `start` begins the stage for a piece; `check` says whether it is over, 1 or 0, or what went wrong. */
typedef struct Stage {
        int (*start)(BulkRun *run, uint64_t piece);
        int (*check)(BulkRun *run, uint64_t piece);
} Stage;

static uint64_t piece_start(const BulkRun *run, uint64_t piece) {
        return piece * run->piece_size;
}

static uint64_t piece_end(const BulkRun *run, uint64_t piece) {
        return piece + 1 == run->n_pieces ? run->bulk->size : (piece + 1) * run->piece_size;
}

/* ---- what gpud has yet to say ---- */

/* Whether gpud has yet to reply to something. */
static bool is_waiting(const BulkRun *run) {
        if (run->question.is_asked)
                return true;
        for (size_t i = 0; i < run->n_slots; i++)
                if (run->slots[i].is_busy)
                        return true;
        return false;
}

static void run_freep(BulkRun **run) {
        if (*run && (*run)->is_abandoned)
                gpud_region_free((*run)->region);
        free(*run);
}

/* After each reply. */
static void free_abandoned(BulkRun *run) {
        if (run->is_abandoned && !is_waiting(run))
                run_freep(&run);
}

/* ---- slots ---- */

static Slot *get_slot(BulkRun *run, uint64_t piece) {
        return &run->slots[run->slot_of[piece % SLOTS_MAX]];
}

/* Requires: a slot is free. */
static void take_slot(BulkRun *run, uint64_t piece) {
        size_t i = 0;

        while (run->slots[i].is_taken)
                i++;
        run->slots[i].is_taken = true;
        run->slot_of[piece % SLOTS_MAX] = i;
}

/* ---- asked first ---- */

static void answer(struct gpud_client *client, int r, const struct gpud_mem_info *info, void *userdata) {
        BulkRun *run = userdata;
        const Bulk *bulk = run->bulk;
        Question *question = &run->question;

        question->is_asked = false;
        question->r = r;
        if (run->is_abandoned)
                free_abandoned(run);
        else if (r < 0)
                question->fault = client->fault;
        else if (bulk->offset > info->size || bulk->size > info->size - bulk->offset)
                question->r =
                        -proto_fault(&question->fault, GPUD_E_OUT_OF_RANGE,
                                     "offset %" PRIu64 " + size %" PRIu64 " exceeds allocation size %" PRIu64,
                                     bulk->offset, bulk->size, info->size);
}

static int ask(BulkRun *run) {
        const struct gpud_mem_ref args = {.mem = run->bulk->mem};
        int r;

        /* A single piece needs no question: gpud refuses it whole. */
        if (run->n_pieces == 1)
                return 0;
        r = gpud_mem_info_submit(run->bulk->client, &args, answer, run);
        run->question.is_asked = r == 0;
        return r;
}

/* Whether pieces may enter the second stage: 1, or 0 while gpud has not answered, or its refusal. */
static int check_answer(const BulkRun *run) {
        const Question *question = &run->question;

        if (question->r < 0)
                run->bulk->client->fault = question->fault;
        return question->is_asked ? 0 : question->r < 0 ? question->r : 1;
}

/* ---- copied here ---- */

static size_t arena_offset(const BulkRun *run, uint64_t position) {
        uint64_t piece = position / run->piece_size;

        return run->slot_of[piece % SLOTS_MAX] * run->piece_size + (size_t)(position % run->piece_size);
}

static int copy_grain(void *userdata, uint64_t position, size_t size, ProtoFault *fault) {
        const BulkRun *run = userdata;
        char *data = gpud_region_data(run->region);

        return run->bulk->copy(run->bulk, data + arena_offset(run, position), position, size, fault);
}

static int start_copy(BulkRun *run, uint64_t piece) {
        copier_open(run->copier, piece_end(run, piece));
        return 0;
}

static int check_copy(BulkRun *run, uint64_t piece) {
        int r = copier_check(run->copier, piece_end(run, piece));

        return r < 0 ? copier_end(run->copier, &run->bulk->client->fault) : r;
}

/* ---- moved by gpud ---- */

static void complete_write(struct gpud_client *client, int r, void *userdata) {
        Slot *slot = userdata;

        slot->is_busy = false;
        slot->r = r;
        if (r < 0)
                slot->fault = client->fault;
        free_abandoned(slot->run);
}

static void complete_read(struct gpud_client *client, int r, const struct gpud_mem_read_result *result,
                          void *userdata) {
        (void)result;
        complete_write(client, r, userdata);
}

static int submit_write(BulkRun *run, uint64_t piece) {
        const Bulk *bulk = run->bulk;
        uint64_t start = piece_start(run, piece);
        const struct gpud_mem_write_args args = {
                .mem = bulk->mem,
                .offset = bulk->offset + start,
                .has_offset = true,
                .shm = gpud_region_id(run->region),
                .has_shm = true,
                .shm_offset = arena_offset(run, start),
                .has_shm_offset = true,
                .size = piece_end(run, piece) - start,
                .has_size = true,
        };

        return gpud_mem_write_submit(bulk->client, &args, complete_write, get_slot(run, piece));
}

static int submit_read(BulkRun *run, uint64_t piece) {
        const Bulk *bulk = run->bulk;
        uint64_t start = piece_start(run, piece);
        const struct gpud_mem_read_args args = {
                .mem = bulk->mem,
                .offset = bulk->offset + start,
                .has_offset = true,
                .size = piece_end(run, piece) - start,
                .shm = gpud_region_id(run->region),
                .has_shm = true,
                .shm_offset = arena_offset(run, start),
                .has_shm_offset = true,
        };

        return gpud_mem_read_submit(bulk->client, &args, complete_read, get_slot(run, piece));
}

static int start_move(BulkRun *run, uint64_t piece, int (*submit)(BulkRun *, uint64_t)) {
        Slot *slot = get_slot(run, piece);
        int r;

        slot->is_busy = true;
        slot->r = 0;
        r = submit(run, piece);
        if (r < 0)
                slot->is_busy = false;
        return r;
}

static int start_write(BulkRun *run, uint64_t piece) {
        return start_move(run, piece, submit_write);
}

static int start_read(BulkRun *run, uint64_t piece) {
        return start_move(run, piece, submit_read);
}

static int check_move(BulkRun *run, uint64_t piece) {
        const Slot *slot = get_slot(run, piece);

        if (slot->r < 0)
                run->bulk->client->fault = slot->fault;
        return slot->is_busy ? 0 : slot->r < 0 ? slot->r : 1;
}

/* ---- the whole ---- */

/*
 * A piece is a request: small ones get bytes to the GPU sooner, large ones cost less. A copy has some 8. Two
 * of them find room in any arena that has more than one grain.
 */
static size_t choose_piece_size(uint64_t size, size_t arena_size) {
        size_t max = arena_size < 2 * PIECE_MAX ? arena_size / 2 / BULK_GRAIN * BULK_GRAIN : PIECE_MAX;
        uint64_t wanted = (size / 8 + BULK_GRAIN) / BULK_GRAIN * BULK_GRAIN;

        if (max == 0)
                return BULK_GRAIN;
        return wanted < max ? (size_t)wanted : max;
}

static int init_pipeline(BulkRun *run, const Bulk *bulk) {
        struct gpud_client *client = bulk->client;
        int r;

        run->bulk = bulk;
        for (size_t i = 0; i < SLOTS_MAX; i++)
                run->slots[i].run = run;
        r = client_check_blocking(client);
        if (r < 0)
                return r;
        if (bulk->offset + bulk->size < bulk->offset)
                return client_fail(client, GPUD_E_OUT_OF_RANGE, "offset %ju + size %ju exceeds 2^64 - 1",
                                   (uintmax_t)bulk->offset, (uintmax_t)bulk->size);
        if (!client->copier && copier_new(&client->copier, copier_count_threads()) < 0)
                return client_fail(client, GPUD_E_SYSTEM_CALL, "out of memory in this process");
        r = region_arena_get(client, bulk->size, &run->region);
        if (r < 0)
                return r;
        run->copier = client->copier;
        run->piece_size = choose_piece_size(bulk->size, gpud_region_size(run->region));
        run->n_pieces = bulk->size / run->piece_size + (bulk->size % run->piece_size ? 1 : 0);
        run->n_slots = gpud_region_size(run->region) / run->piece_size;
        if (run->n_slots > SLOTS_MAX)
                run->n_slots = SLOTS_MAX;
        run->n_ahead = AHEAD_MIN / run->piece_size;
        if (run->n_ahead > run->n_slots)
                run->n_ahead = run->n_slots;
        return 0;
}

/* How far each stage is: pieces that have begun the first, have ended it, and have ended the second. */
typedef struct Marks {
        uint64_t begun;
        uint64_t half;
        uint64_t done;
} Marks;

/* Takes the replies that are there and advances every piece that can: 1 if one could, 0, or a failure. */
static int advance(BulkRun *run, const Stage stages[2], Marks *marks) {
        const Marks before = *marks;
        int r;

        if (is_waiting(run))
                gpud_dispatch(run->bulk->client);
        while ((r = check_answer(run)) > 0 &&
               (r = marks->half < marks->begun ? stages[0].check(run, marks->half) : 0) > 0) {
                r = stages[1].start(run, marks->half++);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        while ((r = marks->done < marks->half ? stages[1].check(run, marks->done) : 0) > 0)
                get_slot(run, marks->done++)->is_taken = false;
        while (r == 0 && marks->begun < run->n_pieces && marks->begun - marks->done < run->n_ahead) {
                take_slot(run, marks->begun);
                r = stages[0].start(run, marks->begun++);
        }
        /* The GPU is to start now, not when this thread next waits. */
        client_flush(run->bulk->client);
        return r < 0 ? r : memcmp(marks, &before, sizeof(before)) != 0;
}

static size_t count_moving_bytes(const BulkRun *run) {
        size_t n = 0;

        for (size_t i = 0; i < run->n_slots; i++)
                n += run->slots[i].is_busy ? run->piece_size : 0;
        return n;
}

/* Copies what may be copied, or waits for a helper's copy, or lets another piece begin, or waits for gpud. */
static int make_progress(BulkRun *run) {
        if (copier_step(run->copier) || copier_wait(run->copier))
                return 0;
        if (run->n_ahead >= run->n_slots || count_moving_bytes(run) >= MOVING_MIN)
                return wait_for_gpud(run->bulk->client);
        run->n_ahead++;
        return 0;
}

/* Takes every piece through both stages, the first of which is stages[0]. */
static int run_stages(BulkRun *run, const Stage stages[2]) {
        const Bulk *bulk = run->bulk;
        Marks marks = {0};
        uint64_t reported = 0;
        int r;

        while (marks.done < run->n_pieces) {
                r = advance(run, stages, &marks);
                if (r < 0)
                        return r;
                if (bulk->progress && marks.done > reported)
                        bulk->progress(piece_end(run, marks.done - 1), bulk->progress_data);
                reported = marks.done;
                /* A lost connection ends the pieces, which tell. */
                if (r == 0 && make_progress(run) == -GPUD_E_DEADLINE_EXCEEDED)
                        return -GPUD_E_DEADLINE_EXCEEDED;
        }
        return 0;
}

/* Leaves the arena to what gpud still does with it. */
static void abandon(BulkRun *run) {
        run->bulk->client->arena = NULL;
        run->is_abandoned = true;
}

/* Waits for whatever is in flight. The client keeps the message of the failure `r` that ended the copy. */
static void drain(BulkRun *run, int r) {
        struct gpud_client *client = run->bulk->client;
        ProtoFault fault = client->fault, unused;

        copier_end(run->copier, &unused);
        while (is_waiting(run) && r != -GPUD_E_DEADLINE_EXCEEDED)
                r = wait_for_gpud(client);
        if (is_waiting(run))
                abandon(run);
        client->fault = fault;
}

static int run_bulk(BulkRun *run, const Stage stages[2]) {
        const CopyJob job = {
                .copy = copy_grain,
                .userdata = run,
                .grain = BULK_GRAIN,
                .is_serial = run->bulk->is_serial || run->bulk->size < SHARED_MIN,
        };
        int r;

        r = ask(run);
        if (r < 0)
                return r;
        copier_begin(run->copier, &job);
        r = run_stages(run, stages);
        drain(run, r);
        return r;
}

static int move_bulk(const Bulk *bulk, const Stage stages[2]) {
        _cleanup_(run_freep) BulkRun *run = NULL;
        int r;

        run = calloc(1, sizeof(*run));
        if (!run)
                return client_fail(bulk->client, GPUD_E_SYSTEM_CALL, "out of memory in this process");
        r = init_pipeline(run, bulk);
        if (r == 0)
                r = run_bulk(run, stages);
        /* The last reply frees it. */
        if (run->is_abandoned)
                run = NULL;
        return r;
}

int bulk_write(const Bulk *bulk) {
        static const Stage stages[] = {{start_copy, check_copy}, {start_write, check_move}};

        return move_bulk(bulk, stages);
}

int bulk_read(const Bulk *bulk) {
        static const Stage stages[] = {{start_read, check_move}, {start_copy, check_copy}};

        return move_bulk(bulk, stages);
}
