/*
 * Asks gpud for what words leave open: which allocation a name is, and which device where there is one. A
 * name is taken whole. The first digits of a handle, as `ls` shows them, are enough to look at an allocation,
 * never to change or free it.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/argument.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"

/* So many digits of a handle are no accident. */
#define PREFIX_MIN 8
/* So many of several allocations are listed in the complaint. */
#define SHOWN_MAX  3

/* What is looked for, and what was found. */
typedef struct Search {
        const char *text;
        bool is_prefix; /* of a handle; else a name */
        struct gpud_uuid mem;
        size_t n_found;
        char list[SHOWN_MAX * (GPUD_UUID_TEXT + 64)];
} Search;

static bool matches(const Search *search, const struct gpud_mem_info *mem) {
        char handle[GPUD_UUID_TEXT + 1];

        if (!search->is_prefix)
                return mem->name && !mem->given_up && strcmp(mem->name, search->text) == 0;
        gpud_uuid_to_string(&mem->mem, handle);
        return strncasecmp(handle, search->text, strlen(search->text)) == 0;
}

static void look_at(const void *item, void *userdata) {
        const struct gpud_mem_info *mem = item;
        Search *search = userdata;
        char handle[GPUD_UUID_TEXT + 1], owner[OUTPUT_TEXT_MAX];
        size_t n_list = strlen(search->list);

        if (!matches(search, mem))
                return;
        search->mem = mem->mem;
        if (search->n_found++ >= SHOWN_MAX)
                return;
        gpud_uuid_to_string(&mem->mem, handle);
        snprintf(search->list + n_list, sizeof(search->list) - n_list, "%s%s (%s, of %s)", n_list ? ", " : "",
                 handle, mem->device, user_to_text(mem->uid, owner));
}

static int find(Gpuctl *ctl, const Arguments *arguments, Search *search) {
        const struct gpud_name_options *options = &arguments->name_options;
        struct gpud_mem_list_args list = {
                .device = options->device,
                .uid = options->uid,
                .has_uid = options->has_uid,
                .name_prefix = search->is_prefix ? NULL : search->text,
        };

        return verb_each(ctl, &proto_methods[PROTO_METHOD_mem_list], &list, look_at, search);
}

static bool is_handle_prefix(const char *text) {
        return strlen(text) >= PREFIX_MIN && strspn(text, "0123456789abcdefABCDEF-") == strlen(text);
}

static int complain_unknown(const char *what, const char *text) {
        if (is_handle_prefix(text))
                return complain(
                        EXIT_FAILED,
                        "%s: nothing is called \"%s\"; a handle is given whole, as `gpuctl ls --no-trunc` "
                        "shows it",
                        what, text);
        return complain(EXIT_FAILED, "%s: nothing is called \"%s\"; `gpuctl ls` shows what there is", what,
                        text);
}

static int resolve_name(Arguments *arguments, Gpuctl *ctl, const char *what, const ArgumentName *name) {
        bool is_only_looked_at = name->field->kind == PROTO_MEM || name->field->kind == PROTO_MEM_R;
        Search search = {.text = name->text};
        int r;

        r = find(ctl, arguments, &search);
        if (r == 0 && search.n_found == 0 && is_only_looked_at && is_handle_prefix(name->text)) {
                search.is_prefix = true;
                r = find(ctl, arguments, &search);
        }
        if (r < 0)
                return complain_call(ctl, what, r);
        if (search.n_found == 0)
                return complain_unknown(what, name->text);
        if (search.n_found > 1)
                return complain(EXIT_USAGE, "%s: %zu allocations are called \"%s\": %s%s; give %sthe handle",
                                what, search.n_found, name->text, search.list,
                                search.n_found > SHOWN_MAX ? " ..." : "",
                                search.is_prefix ? "" : "--device, --uid or ");
        memcpy((char *)arguments->values + name->field->offset, &search.mem, sizeof(search.mem));
        return EXIT_SUCCESS;
}

int resolve_device(Gpuctl *ctl, const char *what, char **ret_device) {
        struct gpud_device_list_result list;
        int r;

        r = gpud_device_list(ctl->client, &list);
        if (r < 0)
                return complain_call(ctl, what, r);
        if (list.n_devices != 1)
                return complain(
                        EXIT_USAGE,
                        "%s: there are %zu devices; say which with --device, `gpuctl device list` has them",
                        what, list.n_devices);
        *ret_device = strdup(list.devices[0].device);
        if (!*ret_device)
                abort();
        return EXIT_SUCCESS;
}

int arguments_resolve(Arguments *arguments, Gpuctl *ctl, const char *what) {
        char *device = NULL;
        int r = EXIT_SUCCESS;

        if (arguments->n_names > 0 || arguments->device)
                r = gpuctl_connect(ctl);
        if (r == EXIT_SUCCESS && arguments->device) {
                r = resolve_device(ctl, what, &device);
        }
        if (device) {
                *(const char **)(void *)((char *)arguments->values + arguments->device->offset) = device;
                arguments->owned[arguments->n_owned++] = device;
                arguments->device = NULL;
        }
        for (size_t i = 0; r == EXIT_SUCCESS && i < arguments->n_names; i++)
                r = resolve_name(arguments, ctl, what, &arguments->names[i]);
        return r;
}
