/* `ls`: the allocations, in the columns that people look for. */

#include <inttypes.h>
#include <stdio.h>

#include "client/gpuctl/complain.h"
#include "client/gpuctl/gpuctl.h"
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

static void add_mem(const Gpuctl *ctl, Table *table, const struct gpud_mem_info *mem) {
        char text[OUTPUT_TEXT_MAX];

        gpud_uuid_to_string(&mem->mem, text);
        table_add_cell(table, text);
        table_add_cell(table, mem->device);
        output_add_size(ctl, table, mem->size);
        snprintf(text, sizeof(text), "%" PRIu64, mem->uid);
        table_add_cell(table, text);
        snprintf(text, sizeof(text), "%04" PRIo64 "%s", mem->mode, mem->sealed ? " sealed" : "");
        table_add_cell(table, text);
        table_add_cell(table, output_choice(&proto_enum_lifetime, (unsigned)mem->lifetime));
        snprintf(text, sizeof(text), "%" PRIu64, mem->refs);
        table_add_cell(table, text);
        table_add_cell(table, mem->name ? mem->name : ctl->is_terminal ? "-" : "");
}

static int read_mems(Gpuctl *ctl, struct gpud_mem_list_args *args, Table *table, uint64_t *ret_bytes) {
        struct gpud_mem_list_result result;
        int r;

        *ret_bytes = 0;
        do {
                r = gpud_mem_list(ctl->client, args, &result);
                for (size_t i = 0; r == 0 && i < result.n_mems; i++) {
                        add_mem(ctl, table, &result.mems[i]);
                        *ret_bytes += result.mems[i].size;
                }
                args->cursor = result.next;
                args->has_cursor = true;
        } while (r == 0 && result.has_next);
        return r;
}

int command_ls(Gpuctl *ctl, const void *args) {
        struct gpud_mem_list_args list = *(const struct gpud_mem_list_args *)args;
        char text[OUTPUT_TEXT_MAX];
        uint64_t bytes;
        Table *table;
        int r;

        /* JSON has no columns to choose. */
        if (ctl->is_json)
                return verb_run(ctl, &proto_methods[PROTO_METHOD_mem_list], &list);
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        table = table_new();
        add_mem_columns(table);
        r = read_mems(ctl, &list, table, &bytes);
        if (r == 0) {
                output_columns(ctl, table);
                if (ctl->is_terminal)
                        printf("allocations %zu, %s\n", table_get_n_rows(table), output_size(bytes, text));
        }
        table_free(table);
        return r < 0 ? complain_call(ctl, "ls", r) : EXIT_SUCCESS;
}
