/* `ls`: the allocations, in the columns that people look for. */

#include <inttypes.h>
#include <stdio.h>

#include "client/cleanup.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"

static void add_mem_columns(Table *table) {
        table_add_column(table, "HANDLE", false);
        table_add_column(table, "DEVICE", false);
        table_add_column(table, "SIZE", true);
        table_add_column(table, "UID", true);
        table_add_column(table, "MODE", false);
        table_add_column(table, "LIFETIME", false);
        table_add_column(table, "REFS", true);
        table_add_column(table, "NAME", false);
}

typedef struct Listing {
        const Gpuctl *ctl;
        Table *table;
        uint64_t bytes; /* of all of them */
} Listing;

static void add_mem(const void *item, void *userdata) {
        const struct gpud_mem_info *mem = item;
        Listing *listing = userdata;
        char text[OUTPUT_TEXT_MAX];

        gpud_uuid_to_string(&mem->mem, text);
        table_add_cell(listing->table, text);
        table_add_cell(listing->table, mem->device);
        output_add_size(listing->ctl, listing->table, mem->size);
        snprintf(text, sizeof(text), "%" PRIu64, mem->uid);
        table_add_cell(listing->table, text);
        snprintf(text, sizeof(text), "%04" PRIo64 "%s", mem->mode, mem->sealed ? " sealed" : "");
        table_add_cell(listing->table, text);
        table_add_cell(listing->table, choice_to_text(&proto_enum_lifetime, (unsigned)mem->lifetime));
        snprintf(text, sizeof(text), "%" PRIu64, mem->refs);
        table_add_cell(listing->table, text);
        table_add_cell(listing->table, mem->name ? mem->name : listing->ctl->is_terminal ? "-" : "");
        listing->bytes += mem->size;
}

int command_ls(Gpuctl *ctl, const struct gpud_mem_list_args *args) {
        _cleanup_(table_freep) Table *table = table_new();
        Listing listing = {.ctl = ctl, .table = table};
        struct gpud_mem_list_args list = *args;
        char text[OUTPUT_TEXT_MAX];
        int r;

        /* JSON has no columns to choose. */
        if (ctl->is_json)
                return verb_run(ctl, &proto_methods[PROTO_METHOD_mem_list], &list);
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        add_mem_columns(table);
        r = verb_each(ctl, &proto_methods[PROTO_METHOD_mem_list], &list, add_mem, &listing);
        if (r < 0)
                return complain_call(ctl, "ls", r);
        output_print_columns(ctl, table);
        if (ctl->is_terminal)
                printf("allocations %zu, %s\n", table_get_n_rows(table), size_to_text(listing.bytes, text));
        return EXIT_SUCCESS;
}
