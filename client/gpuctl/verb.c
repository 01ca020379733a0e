/* Any method of the schema as a command. Only mem.alloc is known by name: a command line changes its default. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/complain.h"
#include "client/gpuctl/gpuctl.h"
#include "client/gpuctl/output.h"

static const ProtoField *find_field(const ProtoStruct *type, const char *name) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (strcmp(type->fields[i].name, name) == 0)
                        return &type->fields[i];
        return NULL;
}

/* A result in parts: it has `next`, which the arguments take as `cursor`. */
static bool is_paged(const ProtoMethod *method) {
        return find_field(method->args, "cursor") && find_field(method->result, "next");
}

static const ProtoField *find_kind(const ProtoStruct *type, ProtoKind kind) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].kind == kind)
                        return &type->fields[i];
        return NULL;
}

/* Takes the cursor over from a result. False at the end. */
static bool next_page(const ProtoMethod *method, void *args, const void *result) {
        const ProtoField *cursor = find_field(method->args, "cursor");
        const ProtoField *next = find_field(method->result, "next");

        if (!*((const bool *)result + next->has_offset))
                return false;
        *(uint64_t *)(void *)((char *)args + cursor->offset) =
                *(const uint64_t *)(const void *)((const char *)result + next->offset);
        *((bool *)args + cursor->has_offset) = true;
        return true;
}

static void take_page(const Gpuctl *ctl, const ProtoField *list, const void *result, Table *table,
                      json_t *array) {
        const char *items = *(const char *const *)(const void *)((const char *)result + list->offset);
        size_t n = *(const size_t *)(const void *)((const char *)result + list->count_offset);

        for (size_t i = 0; i < n; i++) {
                if (ctl->is_json)
                        json_array_append_new(array, output_to_json(list->sub, items + i * list->sub->size));
                else
                        output_add_row(ctl, table, list->sub, items + i * list->sub->size);
        }
}

/* All parts as one list. */
static int run_paged(Gpuctl *ctl, const ProtoMethod *method, void *args, void *result) {
        const ProtoField *list = find_kind(method->result, PROTO_LIST);
        json_t *array = json_array();
        Table *table = table_new();
        int r;

        output_add_columns(table, list->sub);
        do {
                r = gpud_call(ctl->client, method->name, args, -1, result);
                if (r == 0)
                        take_page(ctl, list, result, table, array);
        } while (r == 0 && next_page(method, args, result));
        if (r == 0 && ctl->is_json)
                output_json(json_pack("{s:O}", list->name, array));
        else if (r == 0)
                output_table(ctl, table);
        json_decref(array);
        table_free(table);
        return r;
}

static int run_once(Gpuctl *ctl, const ProtoMethod *method, const void *args, void *result) {
        const ProtoField *bytes = find_kind(method->result, PROTO_BIN);
        int r;

        r = gpud_call(ctl->client, method->name, args, -1, result);
        if (r < 0)
                return r;
        if (ctl->is_json)
                output_json(output_to_json(method->result, result));
        else if (bytes)
                output_bytes(ctl,
                             (const struct gpud_bin *)(const void *)((const char *)result + bytes->offset));
        else
                output_struct(ctl, method->result, result);
        return 0;
}

/* This command's session ends with it, and would take the allocation along. */
static void keep_allocation(const ProtoMethod *method, void *args) {
        struct gpud_mem_alloc_args *alloc = args;

        if (method == &proto_methods[PROTO_METHOD_mem_alloc] && !alloc->has_lifetime) {
                alloc->lifetime = GPUD_LIFETIME_PERSISTENT;
                alloc->has_lifetime = true;
        }
}

int verb_run(Gpuctl *ctl, const ProtoMethod *method, void *args) {
        char what[64];
        void *result;
        int r;

        if (method->n_fds > 0)
                return complain(
                        EXIT_USAGE,
                        "%s takes a file descriptor, which a command line cannot give; use a client library",
                        method->name);
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        result = calloc(1, method->result->size);
        if (!result)
                abort();
        keep_allocation(method, args);
        r = is_paged(method) ? run_paged(ctl, method, args, result) : run_once(ctl, method, args, result);
        free(result);
        snprintf(what, sizeof(what), "%s %s", method->noun, method->verb);
        return r < 0 ? complain_call(ctl, what, r) : EXIT_SUCCESS;
}
