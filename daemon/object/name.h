#pragma once

/* Names of allocations: unique per device and owner. */

#include <sys/types.h>

typedef struct GpuDevice GpuDevice;
typedef struct Mem Mem;
typedef struct MemName MemName;

typedef struct NameTable {
        void *root; /* of tsearch(3) */
} NameTable;

struct MemName {
        const GpuDevice *device;
        uid_t uid;
        Mem *mem;
        const char *text;
        char own_text[];
};

/* Gives `mem` the name `text`. Returns 0, GPUD_E_ALREADY_EXISTS or -ENOMEM. */
int name_new(MemName **ret_name, NameTable *table, Mem *mem, const GpuDevice *device, uid_t uid,
             const char *text);

/* Takes the name off the table. NULL is fine. Returns NULL. */
MemName *name_free(MemName *name, NameTable *table);

/* Returns the mem that has the name; NULL if none has. */
Mem *name_find(const NameTable *table, const GpuDevice *device, uid_t uid, const char *text);
