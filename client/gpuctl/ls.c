/* `ls`: the allocations, in the columns that people look for. */

#include <inttypes.h>
#include <stdio.h>

#include "client/cleanup.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"

/* What people look for: who holds what. Where that is too wide, the mode goes first, then the age. */
static void add_columns_for_people(Table *table) {
        table_add(table, (TableColumn){.title = "HANDLE", .is_cut = true, .width_min = 8});
        table_add(table, (TableColumn){.title = "DEVICE", .rank = 1});
        table_add(table, (TableColumn){.title = "SIZE", .is_number = true});
        table_add(table, (TableColumn){.title = "OWNER", .width_min = 6});
        table_add(table, (TableColumn){.title = "MODE", .rank = 3});
        table_add(table, (TableColumn){.title = "PID", .is_number = true});
        table_add(table, (TableColumn){.title = "COMMAND", .width_min = 8});
        table_add(table, (TableColumn){.title = "AGE", .is_number = true, .rank = 2});
        table_add(table, (TableColumn){.title = "ENDS"});
        table_add(table, (TableColumn){.title = "NAME", .width_min = 12});
}

typedef struct Listing {
        const Gpuctl *ctl;
        Table *table;
        uint64_t now_ns;
        uint64_t bytes; /* of all of them */
} Listing;

static void add_handle(Listing *listing, const struct gpud_mem_info *mem) {
        char text[GPUD_UUID_TEXT + 1];

        gpud_uuid_to_string(&mem->mem, text);
        table_add_cell(listing->table, text);
}

static void add_number(Listing *listing, bool is_there, uint64_t value) {
        char text[OUTPUT_TEXT_MAX];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        table_add_cell(listing->table, is_there ? text : listing->ctl->is_terminal ? "-" : "");
}

static void add_mode(Listing *listing, const struct gpud_mem_info *mem) {
        char text[OUTPUT_TEXT_MAX];

        snprintf(text, sizeof(text), "%04" PRIo64 "%s", mem->mode, mem->sealed ? " sealed" : "");
        table_add_cell(listing->table, text);
}

/* "python3", "python3 +2" where two more sessions hold it. */
static void add_holder(Listing *listing, const struct gpud_mem_info *mem) {
        char text[OUTPUT_TEXT_MAX];

        if (mem->holders > 1)
                snprintf(text, sizeof(text), "%.32s +%" PRIu64, mem->comm ? mem->comm : "?",
                         mem->holders - 1);
        else
                snprintf(text, sizeof(text), "%.32s", mem->comm ? mem->comm : "-");
        table_add_cell(listing->table, text);
}

static void add_age(Listing *listing, const struct gpud_mem_info *mem) {
        uint64_t age_ns = listing->now_ns > mem->created_ns ? listing->now_ns - mem->created_ns : 0;
        char text[OUTPUT_TEXT_MAX];

        table_add_cell(listing->table, age_to_text(age_ns / 1000000000, text));
}

/* What ends it: its last session, nobody, its lease; or it is freed already, and kept by who holds it. */
static void add_end(Listing *listing, const struct gpud_mem_info *mem) {
        char text[OUTPUT_TEXT_MAX];
        uint64_t left_ns;

        if (mem->given_up) {
                table_add_cell(listing->table, "freed");
        } else if (mem->has_expires_ns) {
                left_ns = mem->expires_ns > listing->now_ns ? mem->expires_ns - listing->now_ns : 0;
                table_add_cell(listing->table, age_to_text(left_ns / 1000000000, text));
        } else {
                table_add_cell(listing->table, mem->lifetime == GPUD_LIFETIME_SESSION ? "session" : "never");
        }
}

static void add_mem_for_people(const void *item, void *userdata) {
        const struct gpud_mem_info *mem = item;
        Listing *listing = userdata;
        char text[OUTPUT_TEXT_MAX];

        add_handle(listing, mem);
        table_add_cell(listing->table, mem->device);
        output_add_size(listing->ctl, listing->table, mem->size);
        table_add_cell(listing->table, user_to_text(mem->uid, text));
        add_mode(listing, mem);
        add_number(listing, mem->has_pid, mem->pid);
        add_holder(listing, mem);
        add_age(listing, mem);
        add_end(listing, mem);
        table_add_cell(listing->table, mem->name ? mem->name : "-");
        listing->bytes += mem->size;
}

/* gpuctl(1) lists these; further ones are appended. */
static void add_mem_for_programs(const void *item, void *userdata) {
        const struct gpud_mem_info *mem = item;
        Listing *listing = userdata;

        add_handle(listing, mem);
        table_add_cell(listing->table, mem->device);
        add_number(listing, true, mem->size);
        add_number(listing, true, mem->uid);
        add_mode(listing, mem);
        table_add_cell(listing->table, choice_to_text(&proto_enum_lifetime, (unsigned)mem->lifetime));
        add_number(listing, true, mem->refs);
        table_add_cell(listing->table, mem->name ? mem->name : "");
        add_number(listing, true, mem->created_ns);
        add_number(listing, mem->has_expires_ns, mem->expires_ns);
        add_number(listing, mem->has_pid, mem->pid);
        table_add_cell(listing->table, mem->comm ? mem->comm : "");
        add_number(listing, true, mem->holders);
        table_add_cell(listing->table, mem->given_up ? "yes" : "no");
}

#define N_COLUMNS_FOR_PROGRAMS 14

static void add_columns(const Gpuctl *ctl, Table *table) {
        if (ctl->is_terminal)
                add_columns_for_people(table);
        for (size_t i = 0; !ctl->is_terminal && i < N_COLUMNS_FOR_PROGRAMS; i++)
                table_add_column(table, "", false);
}

static void print_sum(const Listing *listing) {
        char text[OUTPUT_TEXT_MAX];

        printf("allocations %zu, %s%s\n", table_get_n_rows(listing->table),
               size_to_text(listing->bytes, text),
               table_is_fitted(listing->table) ? "; --no-trunc shows all of each" : "");
}

int command_ls(Gpuctl *ctl, const struct gpud_mem_list_args *args) {
        _cleanup_(table_freep) Table *table = table_new();
        Listing listing = {.ctl = ctl, .table = table, .now_ns = output_get_now_ns()};
        struct gpud_mem_list_args list = *args;
        int r;

        /* JSON has no columns to choose. */
        if (ctl->is_json)
                return verb_run(ctl, &proto_methods[PROTO_METHOD_mem_list], &list);
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        add_columns(ctl, table);
        r = verb_each(ctl, &proto_methods[PROTO_METHOD_mem_list], &list,
                      ctl->is_terminal ? add_mem_for_people : add_mem_for_programs, &listing);
        if (r < 0)
                return complain_call(ctl, "ls", r);
        output_print_columns(ctl, table);
        if (ctl->is_terminal)
                print_sum(&listing);
        return EXIT_SUCCESS;
}
