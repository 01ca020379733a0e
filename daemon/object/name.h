#pragma once

/* Names of allocations: unique per device and owner. */

#include <stddef.h>
#include <sys/types.h>

#include "daemon/util/hash.h"

typedef struct GpuDevice GpuDevice;
typedef struct Mem Mem;
typedef struct MemName MemName;

/* A hash table that grows moves all of it at once: with a million names in one the loop would stand still. */
#define NAME_SHARDS 256

typedef struct NameTable {
        MemName *shards[NAME_SHARDS];
} NameTable;

struct MemName {
        UT_hash_handle hh; /* NameTable.shards */
        Mem *mem;
        size_t n_key;
        char key[]; /* device and owner, then the name and a NUL */
};

/* Returns 0, GPUD_E_ALREADY_EXISTS or -ENOMEM. */
int name_new(MemName **ret_name, NameTable *table, Mem *mem, const GpuDevice *device, uid_t uid,
             const char *text);

/* Takes the name off the table. NULL is fine. Returns NULL. */
MemName *name_free(MemName *name, NameTable *table);

const char *name_get_text(const MemName *name);

/* The mem that has it; NULL if none. */
Mem *name_find(const NameTable *table, const GpuDevice *device, uid_t uid, const char *text);
