/*
 * The tables: handles, names, sessions, leases. For handles there is no table: the first four bytes of one are the
 * number of its mem in the slab under a mask made of its last eight, and all else is random. So it is as hard to guess
 * as one with 90 random bits, and is found by looking at nothing but the mem itself.
 */

#include "daemon/object/registry.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "daemon/gpu/device.h"
#include "proto/uuid.h"

/* References dropped in one loop turn, by sessions or by leases: at 0.3 us each it keeps well below a millisecond. */
#define REAP_MAX ((size_t)1000)

void registry_init(Registry *registry, GpuInstance *gpu, const GpuHost *host, uint64_t shm_max) {
        *registry = (Registry){.gpu = gpu, .host = host, .shm_max = shm_max};
        slab_init(&registry->mems, sizeof(Mem));
        list_init(&registry->sessions);
        list_init(&registry->ending);
        lease_table_init(&registry->leases);
}

void registry_close(Registry *registry) {
        assert(list_is_empty(&registry->sessions) && list_is_empty(&registry->ending));
        for (size_t i = 0; i < registry_get_mems_end(registry); i++) {
                Mem *mem = registry_find_mem_number(registry, i);

                if (mem)
                        mem_unpersist(mem);
        }
        assert(registry->n_mems == 0);
}

void registry_deinit(Registry *registry) {
        slab_deinit(&registry->mems);
}

/* Makes the number look as random as what it is made of. No secret: whoever has the handle can take it off. */
static uint32_t mask_of(const struct gpud_uuid *id) {
        uint64_t random;

        memcpy(&random, id->bytes + sizeof(id->bytes) - sizeof(random), sizeof(random));
        return (uint32_t)(random * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static uint32_t number_of(const struct gpud_uuid *id) {
        uint32_t hidden;

        memcpy(&hidden, id->bytes, sizeof(hidden));
        return hidden ^ mask_of(id);
}

Mem *registry_new_mem(Registry *registry) {
        uint32_t number;
        Mem *mem = slab_alloc(&registry->mems, &number);

        if (!mem)
                return NULL;
        *mem = (Mem){.registry = registry};
        uuid_new_random(&mem->id);
        number ^= mask_of(&mem->id);
        memcpy(mem->id.bytes, &number, sizeof(number));
        registry->n_mems++;
        return mem;
}

void registry_unlink_mem(Registry *registry, Mem *mem) {
        mem->is_ready = false;
        registry->n_mems--;
}

void registry_free_mem(Registry *registry, Mem *mem) {
        slab_free(&registry->mems, number_of(&mem->id));
}

Mem *registry_find_mem_number(Registry *registry, size_t number) {
        Mem *mem = number < registry_get_mems_end(registry) ? slab_find(&registry->mems, (uint32_t)number)
                                                            : NULL;

        return mem && mem->is_ready ? mem : NULL;
}

size_t registry_get_mems_end(const Registry *registry) {
        return slab_get_end(&registry->mems);
}

void registry_expect_mem(const Registry *registry, const struct gpud_uuid *id) {
        const char *mem = slab_find(&registry->mems, number_of(id));

        for (size_t i = 0; mem && i < sizeof(Mem); i += MEM_LINE)
                __builtin_prefetch(mem + i, 1);
}

Mem *registry_find_mem(Registry *registry, const struct gpud_uuid *id) {
        Mem *mem = slab_find(&registry->mems, number_of(id));

        return mem && mem->is_ready && memcmp(&mem->id, id, sizeof(*id)) == 0 ? mem : NULL;
}

Mem *registry_find_name(Registry *registry, const GpuDevice *device, uid_t uid, const char *name) {
        Mem *mem = name_find(&registry->names, device, uid, name);

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
                n += 1 +
                     session_reap(container_of(list_first(&registry->ending), Session, link), REAP_MAX - n);
        return !list_is_empty(&registry->ending);
}

void registry_trim(Registry *registry, uid_t uid) {
        list_for_each (link, &registry->sessions)
                if (container_of(link, Session, link)->credentials.uid == uid)
                        return;
        gpu_instance_trim(registry->gpu, uid);
}

bool registry_has_leases(Registry *registry) {
        return lease_table_get_first(&registry->leases) != NULL;
}

uint64_t registry_expire(Registry *registry, uint64_t now_ns) {
        Lease *first = lease_table_get_first(&registry->leases);

        for (size_t n = 0; n < REAP_MAX && first && first->expires_ns <= now_ns; n++) {
                mem_unpersist(first->mem);
                first = lease_table_get_first(&registry->leases);
        }
        return first ? first->expires_ns : 0;
}
