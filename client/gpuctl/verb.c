/* Any method of the schema as a command. Few are known by name: a command has other habits than a program. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cleanup.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/gpuctl.h"
#include "client/gpuctl/output.h"

/* Whether the result comes in parts: its cursor says where the next one begins, which the arguments take. */
static bool is_paged(const ProtoMethod *method) {
        return proto_struct_find_kind(method->args, PROTO_CURSOR);
}

/* Takes the cursor over from a result. False at the end. */
static bool next_page(const ProtoMethod *method, void *args, const void *result) {
        const ProtoField *cursor = proto_struct_find_kind(method->args, PROTO_CURSOR);
        const ProtoField *next = proto_struct_find_kind(method->result, PROTO_CURSOR);

        if (!cursor || !next || !*((const bool *)result + next->has_offset))
                return false;
        *(uint64_t *)(void *)((char *)args + cursor->offset) =
                *(const uint64_t *)(const void *)((const char *)result + next->offset);
        *((bool *)args + cursor->has_offset) = true;
        return true;
}

/* Room for the method's result; the caller frees it. */
static void *new_result(const ProtoMethod *method) {
        void *result = calloc(1, method->result->size);

        if (!result)
                abort();
        return result;
}

int verb_each(Gpuctl *ctl, const ProtoMethod *method, void *args, VerbItemFn *take, void *userdata) {
        const ProtoField *list = proto_struct_find_kind(method->result, PROTO_LIST);
        _cleanup_(freep) char *result = new_result(method);
        const char *items;
        size_t n;
        int r;

        do {
                r = gpud_call(ctl->client, method->name, args, -1, result);
                if (r < 0)
                        return r;
                items = *(const char *const *)(const void *)(result + list->offset);
                n = *(const size_t *)(const void *)(result + list->count_offset);
                for (size_t i = 0; i < n; i++)
                        take(items + i * list->sub->size, userdata);
        } while (next_page(method, args, result));
        return 0;
}

/* What becomes of the items: a table for people and pipes, or an array for JSON. */
typedef struct Listing {
        const Gpuctl *ctl;
        const ProtoField *list;
        Table *table;
        json_t *array;
} Listing;

static void add_item(const void *item, void *userdata) {
        const Listing *listing = userdata;

        if (listing->ctl->is_json)
                json_array_append_new(listing->array, output_to_json(listing->list->sub, item));
        else
                output_add_row(listing->ctl, listing->table, listing->list->sub, item);
}

static int run_paged(Gpuctl *ctl, const ProtoMethod *method, void *args) {
        _cleanup_(table_freep) Table *table = table_new();
        json_auto_t *array = json_array();
        Listing listing = {
                .ctl = ctl,
                .list = proto_struct_find_kind(method->result, PROTO_LIST),
                .table = table,
                .array = array,
        };
        int r;

        output_add_columns(ctl, table, listing.list->sub);
        r = verb_each(ctl, method, args, add_item, &listing);
        if (r == 0 && ctl->is_json)
                output_print_json(json_pack("{s:O}", listing.list->name, array));
        else if (r == 0)
                output_print_table(ctl, table);
        return r;
}

static void print_result(const Gpuctl *ctl, const ProtoMethod *method, const char *result) {
        const ProtoField *bytes = proto_struct_find_kind(method->result, PROTO_BIN);

        if (ctl->is_json)
                output_print_json(output_to_json(method->result, result));
        else if (bytes)
                output_print_bytes(ctl, (const struct gpud_bin *)(const void *)(result + bytes->offset));
        else if (method == &proto_methods[PROTO_METHOD_mem_alloc] && !ctl->is_terminal)
                output_print_handle(&((const struct gpud_mem_info *)(const void *)result)->mem);
        else if (method == &proto_methods[PROTO_METHOD_daemon_ping] && ctl->is_terminal)
                puts("pong");
        else
                output_print_struct(ctl, method->result, result);
}

static int run_once(Gpuctl *ctl, const ProtoMethod *method, const void *args) {
        _cleanup_(freep) char *result = new_result(method);
        int r;

        r = gpud_call(ctl->client, method->name, args, -1, result);
        if (r == 0)
                print_result(ctl, method, result);
        return r;
}

/* The session ends with the command, and would take an allocation along whose lifetime is the default. */
static void keep_allocation(const ProtoMethod *method, void *args) {
        struct gpud_mem_alloc_args *alloc = args;

        if (method == &proto_methods[PROTO_METHOD_mem_alloc] && !alloc->has_lifetime) {
                alloc->lifetime = GPUD_LIFETIME_PERSISTENT;
                alloc->has_lifetime = true;
        }
}

/* What only a program can do, since a command has no region and its session holds nothing. */
static int check_habits(const ProtoMethod *method, const void *args) {
        const struct gpud_mem_read_args *read = args;

        if (method->n_fds > 0)
                return complain(
                        EXIT_USAGE,
                        "%s takes a file descriptor, which a command line cannot give; use a client library",
                        method->name);
        if (method == &proto_methods[PROTO_METHOD_mem_close])
                return complain(EXIT_USAGE, "mem close gives back what a session holds, and this command's "
                                            "session has just begun; "
                                            "`gpuctl rm` frees an allocation, `gpuctl session list "
                                            "--mem=NAME` shows who holds it");
        if (method != &proto_methods[PROTO_METHOD_mem_read] || read->size <= GPUD_INLINE_MAX)
                return EXIT_SUCCESS;
        return complain(EXIT_USAGE,
                        "mem read: size %" PRIu64
                        " exceeds %d, which one message holds; `gpuctl get NAME FILE "
                        "--offset=%" PRIu64 " --size=%" PRIu64 "` reads as many as you like",
                        read->size, GPUD_INLINE_MAX, read->offset, read->size);
}

int verb_run(Gpuctl *ctl, const ProtoMethod *method, void *args) {
        char what[64];
        int r;

        r = check_habits(method, args);
        if (r == EXIT_SUCCESS)
                r = gpuctl_connect(ctl);
        if (r)
                return r;
        keep_allocation(method, args);
        r = is_paged(method) ? run_paged(ctl, method, args) : run_once(ctl, method, args);
        snprintf(what, sizeof(what), "%s %s", method->noun, method->verb);
        return r < 0 ? complain_call(ctl, what, r) : EXIT_SUCCESS;
}
