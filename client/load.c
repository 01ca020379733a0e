/* A file into an allocation that nobody sees before it is whole: written first, published last. */

#include "client/client.h"

/* What only the published allocation is to have. */
static int check_alloc(struct gpud_client *client, const struct gpud_mem_alloc_args *alloc) {
        const char *name = alloc->name                              ? "name"
                           : alloc->mode || alloc->has_mode         ? "mode"
                           : alloc->lifetime || alloc->has_lifetime ? "lifetime"
                           : alloc->ttl_s || alloc->has_ttl_s       ? "ttl_s"
                                                                    : NULL;

        if (!name)
                return 0;
        return client_fail(client, GPUD_E_INVALID_ARGUMENT,
                           "`%s` is for mem.publish, and comes with its arguments", name);
}

/* mem.publish has the last word, but what will be refused then is better refused before the bytes move. */
static int check_name(struct gpud_client *client, const struct gpud_mem_alloc_args *alloc,
                      const struct gpud_mem_publish_args *publish) {
        const struct gpud_mem_open_args open = {.device = alloc->device, .name = publish->name};
        struct gpud_mem_info info;

        if (!publish->name || publish->replace || gpud_mem_open(client, &open, &info) < 0)
                return 0;
        gpud_mem_close(client, &(struct gpud_mem_ref){.mem = info.mem});
        return client_fail(client, GPUD_E_ALREADY_EXISTS,
                           "the name \"%s\" is taken on %s; `replace` takes it over", publish->name,
                           alloc->device);
}

/* What comes to nothing leaves nothing. The client keeps the message of the failure `r`. */
static void give_back(struct gpud_client *client, struct gpud_uuid mem, int r) {
        const struct gpud_mem_ref args = {.mem = mem};
        const ProtoFault fault = client->fault;

        /* A silent gpud is not waited for twice. */
        if (r != -GPUD_E_DEADLINE_EXCEEDED)
                gpud_mem_close(client, &args);
        else if (gpud_mem_close_submit(client, &args, NULL, NULL) == 0)
                client_flush(client);
        client->fault = fault;
}

int gpud_load_file(struct gpud_client *client, const struct gpud_mem_alloc_args *alloc,
                   const struct gpud_mem_publish_args *publish, int fd, uint64_t file_offset,
                   gpud_progress_fn *progress, void *userdata, struct gpud_mem_info *ret_info) {
        struct gpud_mem_publish_args last = *publish;
        struct gpud_mem_info info;
        int r;

        r = check_alloc(client, alloc);
        if (r == 0)
                r = check_name(client, alloc, publish);
        if (r == 0)
                r = gpud_mem_alloc(client, alloc, &info);
        if (r < 0)
                return r;
        last.mem = info.mem;
        r = gpud_put_file(client, last.mem, 0, fd, file_offset, alloc->size, progress, userdata);
        if (r == 0)
                r = gpud_mem_publish(client, &last, ret_info);
        if (r < 0)
                give_back(client, last.mem, r);
        return r;
}
