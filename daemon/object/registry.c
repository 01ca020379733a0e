/* The tables: handles, slots, sessions, leases. Handles are random, so their first bytes are their hash. */

#include "daemon/object/registry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/gpu/device.h"
#include "daemon/util/error.h"

#define SLOTS_MIN ((size_t)256)

/* References dropped in one loop turn: at 0.3 us each this keeps well below a millisecond. */
#define REAP_MAX ((size_t)1000)

void registry_init(Registry *registry, GpuInstance *gpu, const GpuHost *host, uint64_t shm_max) {
        *registry = (Registry){.gpu = gpu, .host = host, .shm_max = shm_max};
        list_init(&registry->sessions);
        list_init(&registry->ending);
        list_init(&registry->leases);
}

void registry_deinit(Registry *registry) {
        assert(list_is_empty(&registry->sessions) && list_is_empty(&registry->ending));
        for (size_t i = 0; i < registry->n_slots; i++)
                if (registry->slots[i])
                        mem_unpersist(registry->slots[i]);
        assert(registry->n_mems == 0);
        free(registry->slots);
        free(registry->free_slots);
}

static int grow_slots(Registry *registry) {
        size_t n = registry->n_slots_allocated ? 2 * registry->n_slots_allocated : SLOTS_MIN;
        Mem **slots = reallocarray(registry->slots, n, sizeof(*slots));
        uint32_t *free_slots;

        if (!slots)
                return error_origin(-ENOMEM);
        registry->slots = slots;
        free_slots = reallocarray(registry->free_slots, n, sizeof(*free_slots));
        if (!free_slots)
                return error_origin(-ENOMEM);
        registry->free_slots = free_slots;
        registry->n_slots_allocated = n;
        return 0;
}

static unsigned hash_of(const struct gpud_uuid *id) {
        unsigned hash;

        memcpy(&hash, id->bytes, sizeof(hash));
        return hash;
}

static Mem **shard_of(Registry *registry, const struct gpud_uuid *id) {
        return &registry->mems[id->bytes[sizeof(id->bytes) - 1]];
}

int registry_link_mem(Registry *registry, Mem *mem) {
        Mem **shard = shard_of(registry, &mem->id);
        int r;

        if (registry->n_free_slots == 0 && registry->n_slots == registry->n_slots_allocated) {
                r = grow_slots(registry);
                if (r)
                        return r;
        }
        HASH_ADD_BYHASHVALUE(hh, *shard, id, sizeof(mem->id), hash_of(&mem->id), mem);
        if (!mem->hh.tbl)
                return error_origin(-ENOMEM);
        mem->slot = registry->n_free_slots > 0 ? registry->free_slots[--registry->n_free_slots]
                                               : (uint32_t)registry->n_slots++;
        registry->slots[mem->slot] = mem;
        registry->n_mems++;
        return 0;
}

void registry_unlink_mem(Registry *registry, Mem *mem) {
        Mem **shard = shard_of(registry, &mem->id);

        HASH_DEL(*shard, mem);
        registry->slots[mem->slot] = NULL;
        registry->free_slots[registry->n_free_slots++] = mem->slot;
        registry->n_mems--;
}

Mem *registry_find_mem(Registry *registry, const struct gpud_uuid *id) {
        Mem *mem = NULL;

        HASH_FIND_BYHASHVALUE(hh, *shard_of(registry, id), id, sizeof(*id), hash_of(id), mem);
        return mem && mem->is_ready ? mem : NULL;
}

Mem *registry_find_name(Registry *registry, const GpuDevice *device, uid_t uid, const char *name) {
        Mem *mem = name_find(registry->names, device, uid, name);

        return mem && mem->is_ready ? mem : NULL;
}

Session *registry_find_session(Registry *registry, const struct gpud_uuid *id) {
        list_for_each (link, &registry->sessions) {
                Session *session = container_of(link, Session, link);

                if (memcmp(&session->id, id, sizeof(*id)) == 0)
                        return session;
        }
        return NULL;
}

GpuDevice *registry_find_device(Registry *registry, const char *text) {
        for (size_t i = 0; i < gpu_instance_get_n_devices(registry->gpu); i++) {
                GpuDevice *device = gpu_instance_get_device(registry->gpu, i);
                const GpuDeviceInfo *info = gpu_device_get_info(device);

                if (strcmp(info->id, text) == 0 || strcasecmp(info->uuid, text) == 0 ||
                    (info->pci[0] && strcasecmp(info->pci, text) == 0))
                        return device;
        }
        return NULL;
}

bool registry_reap(Registry *registry) {
        size_t n = 0;

        while (n < REAP_MAX && !list_is_empty(&registry->ending))
                n += session_reap(container_of(list_first(&registry->ending), Session, link), REAP_MAX - n);
        return !list_is_empty(&registry->ending);
}

void registry_trim(Registry *registry, uid_t uid) {
        list_for_each (link, &registry->sessions)
                if (container_of(link, Session, link)->credentials.uid == uid)
                        return;
        gpu_instance_trim(registry->gpu, uid);
}

bool registry_has_leases(const Registry *registry) {
        return !list_is_empty(&registry->leases);
}

uint64_t registry_expire(Registry *registry, uint64_t now_ns) {
        while (!list_is_empty(&registry->leases)) {
                Mem *mem = container_of(list_first(&registry->leases), Mem, lease_link);

                if (mem->expires_ns > now_ns)
                        return mem->expires_ns;
                mem_unpersist(mem);
        }
        return 0;
}
