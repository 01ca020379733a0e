/*
 * The tables: handles, names, sessions, users, leases. For handles there is no table: the first four bytes of
 * a handle are the number of its mem in the slab, under a mask made of its last eight, and all else is
 * random. So a handle is as hard to guess as one with 90 random bits, and is found by looking at nothing but
 * the mem itself. The ids of sessions are made the same way.
 */

#include "daemon/object/registry.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/gpu/device.h"
#include "daemon/util/error.h"
#include "proto/uuid.h"

/* What one loop turn releases for sessions or for leases: at 0.3 us each, well below a millisecond. */
#define RELEASED_MAX 1000

void registry_set_options(Registry *registry, const RegistryOptions *options) {
        registry->options = *options;
        if (options->shm_max == OPTION_UNSET)
                registry->options.shm_max = (uint64_t)sysconf(_SC_PHYS_PAGES) *
                                            (uint64_t)sysconf(_SC_PAGESIZE) / OPTION_SHM_SHARE;
}

void registry_init(Registry *registry, GpuInstance *gpu, const GpuHost *host,
                   const RegistryOptions *options) {
        *registry = (Registry){.gpu = gpu, .host = host};
        registry_set_options(registry, options);
        slab_init(&registry->mems, sizeof(Mem));
        slab_init(&registry->sessions, sizeof(Session));
        list_init(&registry->ending);
        list_init(&registry->revoked);
        lease_table_init(&registry->leases);
}

void registry_close(Registry *registry) {
        assert(registry->n_sessions == 0 && list_is_empty(&registry->ending));
        for (uint32_t i = 0; i < slab_get_end(&registry->mems); i++) {
                Mem *mem = registry_find_mem_number(registry, i);

                if (mem)
                        mem_unpersist(mem);
        }
        assert(registry->n_mems == 0);
}

void registry_deinit(Registry *registry) {
        slab_deinit(&registry->mems);
        slab_deinit(&registry->sessions);
}

/* The mask makes numbers look random. It is no secret: whoever has the handle can take it off. */
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

static void id_new(struct gpud_uuid *ret_id, uint32_t number) {
        uint32_t hidden;

        uuid_new_random(ret_id);
        hidden = number ^ mask_of(ret_id);
        memcpy(ret_id->bytes, &hidden, sizeof(hidden));
}

int registry_new_mem(Mem **ret_mem, Registry *registry) {
        uint32_t number;
        Mem *mem = slab_alloc(&registry->mems, &number);

        if (!mem)
                return error_origin(-ENOMEM);
        *mem = (Mem){.registry = registry};
        list_init(&mem->link);
        id_new(&mem->id, number);
        registry->n_mems++;
        *ret_mem = mem;
        return 0;
}

void registry_unlink_mem(Registry *registry, Mem *mem) {
        mem->is_ready = false;
        registry->n_mems--;
}

void registry_free_mem(Registry *registry, Mem *mem) {
        slab_free(&registry->mems, number_of(&mem->id));
}

Mem *registry_find_mem_number(Registry *registry, uint32_t number) {
        Mem *mem = slab_find(&registry->mems, number);

        return mem && mem->is_ready ? mem : NULL;
}

void registry_prefetch_mem(const Registry *registry, const struct gpud_uuid *id) {
        const char *mem = slab_find(&registry->mems, number_of(id));

        for (size_t i = 0; mem && i < sizeof(Mem); i += MEM_LINE)
                __builtin_prefetch(mem + i, 1);
}

Mem *registry_find_mem(Registry *registry, const struct gpud_uuid *id) {
        Mem *mem = registry_find_mem_number(registry, number_of(id));

        return mem && memcmp(&mem->id, id, sizeof(*id)) == 0 ? mem : NULL;
}

Mem *registry_find_name(Registry *registry, const GpuDevice *device, uid_t uid, const char *name) {
        Mem *mem = name_find(&registry->names, device, uid, name);

        return mem && mem->is_ready ? mem : NULL;
}

int registry_new_session(Session **ret_session, Registry *registry) {
        uint32_t number;
        Session *session = slab_alloc(&registry->sessions, &number);

        if (!session)
                return error_origin(-ENOMEM);
        *session = (Session){.registry = registry};
        id_new(&session->id, number);
        *ret_session = session;
        return 0;
}

void registry_free_session(Registry *registry, Session *session) {
        slab_free(&registry->sessions, number_of(&session->id));
}

Session *registry_find_session_number(Registry *registry, uint32_t number) {
        Session *session = slab_find(&registry->sessions, number);

        return session && session->user ? session : NULL;
}

Session *registry_find_session(Registry *registry, const struct gpud_uuid *id) {
        Session *session = registry_find_session_number(registry, number_of(id));

        return session && memcmp(&session->id, id, sizeof(*id)) == 0 ? session : NULL;
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
        uint64_t end = registry->n_released + RELEASED_MAX;

        while (registry->n_released < end && !list_is_empty(&registry->ending))
                session_reap(container_of(list_first(&registry->ending), Session, link), end);
        while (registry->n_released < end && !list_is_empty(&registry->revoked))
                session_drop(mem_find_hold(container_of(list_first(&registry->revoked), Mem, link)));
        return !list_is_empty(&registry->ending) || !list_is_empty(&registry->revoked);
}

void registry_trim(Registry *registry, uid_t uid) {
        if (!user_find(&registry->users, uid))
                gpu_instance_trim(registry->gpu, uid);
}

uint64_t registry_get_lease_ns(Registry *registry) {
        Lease *first = lease_table_get_first(&registry->leases);

        return first ? first->expires_ns : 0;
}

void registry_expire(Registry *registry, uint64_t now_ns) {
        Lease *first = lease_table_get_first(&registry->leases);
        uint64_t end = registry->n_released + RELEASED_MAX;

        while (registry->n_released < end && first && first->expires_ns <= now_ns) {
                mem_log(first->mem, NULL, "has no lease any more");
                mem_unpersist(first->mem);
                first = lease_table_get_first(&registry->leases);
        }
}
