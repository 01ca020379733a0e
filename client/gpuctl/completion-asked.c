/*
 * What a script asks of gpud while somebody types: a word, a tab, and what the word is. A name that has
 * control characters is left out, for no line of a shell holds it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/completion.h"
#include "client/gpuctl/output.h"
#include "proto/text.h"

static bool begins(const char *text, const char *word) {
        return strncmp(text, word, strlen(word)) == 0;
}

static bool is_plain(const char *text) {
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        return false;
        return true;
}

/* The name, where there is one; the handle of what has none, or that is being typed. */
static void print_mem(const void *item, void *userdata) {
        const struct gpud_mem_info *mem = item;
        char handle[GPUD_UUID_TEXT + 1], size[OUTPUT_TEXT_MAX];
        const char *name = mem->name && is_plain(mem->name) ? mem->name : NULL;
        const char *word = *(const char **)userdata;

        gpud_uuid_to_string(&mem->mem, handle);
        size_to_text(mem->size, size);
        if (name && begins(name, word))
                printf("%s\t%s on %s\n", name, size, mem->device);
        if ((!name || *word) && begins(handle, word))
                printf("%s\t%s on %s%s%s\n", handle, size, mem->device, name ? ", " : "", name ? name : "");
}

static int print_devices(Gpuctl *ctl, const char *word) {
        struct gpud_device_list_result list;
        int r;

        r = gpud_device_list(ctl->client, &list);
        for (size_t i = 0; r == 0 && i < list.n_devices; i++)
                if (begins(list.devices[i].device, word))
                        printf("%s\t%s\n", list.devices[i].device, list.devices[i].name);
        return r;
}

int completion_print_asked(Gpuctl *ctl, enum gpud_completion_values values, const char *word) {
        struct gpud_mem_list_args all = {0};
        int r;

        r = gpuctl_connect(ctl);
        if (r)
                return r;
        switch (values) {
        case GPUD_COMPLETION_MEM:
                r = verb_each(ctl, &proto_methods[PROTO_METHOD_mem_list], &all, print_mem, &word);
                break;
        case GPUD_COMPLETION_DEVICE:
                r = print_devices(ctl, word);
                break;
        }
        return r < 0 ? complain_call(ctl, "completion", r) : EXIT_SUCCESS;
}
