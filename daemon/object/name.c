/* Names in a balanced tree, ordered by device, owner and text: whoever chooses the names, none is far. */

#include "daemon/object/name.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/util/error.h"
#include "daemon/util/macros.h"
#include "proto/types.h"

static int compare(const void *a, const void *b) {
        const MemName *x = a, *y = b;

        if (x->device != y->device)
                return x->device < y->device ? -1 : 1;
        if (x->uid != y->uid)
                return x->uid < y->uid ? -1 : 1;
        return strcmp(x->text, y->text);
}

int name_new(MemName **ret_name, NameTable *table, Mem *mem, const GpuDevice *device, uid_t uid,
             const char *text) {
        size_t n_text = strlen(text) + 1;
        _cleanup_(freep) MemName *name = malloc(sizeof(*name) + n_text);
        MemName **node;

        if (!name)
                return error_origin(-ENOMEM);
        *name = (MemName){.device = device, .uid = uid, .mem = mem, .text = name->own_text};
        memcpy(name->own_text, text, n_text);
        node = tsearch(name, &table->root, compare);
        if (!node)
                return error_origin(-ENOMEM);
        if (*node != name)
                return GPUD_E_ALREADY_EXISTS;
        *ret_name = STEAL(name);
        return 0;
}

MemName *name_free(MemName *name, NameTable *table) {
        if (!name)
                return NULL;
        tdelete(name, &table->root, compare);
        free(name);
        return NULL;
}

Mem *name_find(const NameTable *table, const GpuDevice *device, uid_t uid, const char *text) {
        const MemName key = {.device = device, .uid = uid, .text = text};
        MemName *const *node = tfind(&key, &table->root, compare);

        return node ? (*node)->mem : NULL;
}
