/* Names of allocations, in hash tables keyed by device, owner and text. */

#include "daemon/object/name.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/util/error.h"
#include "proto/types.h"

typedef struct NameKey {
        const GpuDevice *device;
        uid_t uid;
} NameKey;

/* Writes key and text behind each other; no byte of the key is left undefined. */
static size_t write_key(char *place, const GpuDevice *device, uid_t uid, const char *text) {
        size_t n_text = strlen(text) + 1;
        NameKey key;

        memset(&key, 0, sizeof(key));
        key.device = device;
        key.uid = uid;
        memcpy(place, &key, sizeof(key));
        memcpy(place + sizeof(key), text, n_text);
        return sizeof(key) + n_text;
}

/* The low bits of the hash choose a bucket, the high ones the table. */
static size_t shard_of(unsigned hash) {
        return hash / (UINT_MAX / NAME_SHARDS + 1);
}

int name_new(MemName **ret_name, NameTable *table, Mem *mem, const GpuDevice *device, uid_t uid,
             const char *text) {
        unsigned hash;
        MemName *name;

        if (name_find(table, device, uid, text))
                return GPUD_E_ALREADY_EXISTS;
        name = calloc(1, sizeof(*name) + sizeof(NameKey) + strlen(text) + 1);
        if (!name)
                return error_origin(-ENOMEM);
        name->mem = mem;
        name->n_key = write_key(name->key, device, uid, text);
        HASH_VALUE(name->key, name->n_key, hash);
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, table->shards[shard_of(hash)], name->key, name->n_key, hash, name);
        if (!name->hh.tbl) {
                free(name);
                return error_origin(-ENOMEM);
        }
        *ret_name = name;
        return 0;
}

MemName *name_free(MemName *name, NameTable *table) {
        if (!name)
                return NULL;
        HASH_DEL(table->shards[shard_of(name->hh.hashv)], name);
        free(name);
        return NULL;
}

const char *name_get_text(const MemName *name) {
        return name->key + sizeof(NameKey);
}

Mem *name_find(const NameTable *table, const GpuDevice *device, uid_t uid, const char *text) {
        char key[sizeof(NameKey) + GPUD_NAME_MAX + 1];
        MemName *name = NULL;
        unsigned hash;
        size_t n_key;

        if (strlen(text) > GPUD_NAME_MAX)
                return NULL;
        n_key = write_key(key, device, uid, text);
        HASH_VALUE(key, n_key, hash);
        HASH_FIND_BYHASHVALUE(hh, table->shards[shard_of(hash)], key, n_key, hash, name);
        return name ? name->mem : NULL;
}
