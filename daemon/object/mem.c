/* Allocations: made, named, leased, and given up with the last reference. */

#include "daemon/object/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/gpu/device.h"
#include "daemon/object/registry.h"
#include "daemon/object/result.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"

#define META_PAGE   ((size_t)4096)      /* to free it takes as long as to drop a reference */
#define META_MAPPED ((size_t)128 << 10) /* so much has pages of its own: the heap would keep them */

/* The memory has been given back. */
static void mem_gone(GpuMemory *memory) {
        Mem *mem = container_of(memory, Mem, memory);

        registry_free_mem(mem->registry, mem);
}

static int meta_copy(struct gpud_bin *ret_meta, const struct gpud_bin *meta) {
        void *copy = NULL;

        if (meta->size >= META_MAPPED)
                copy = mmap(NULL, meta->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        else if (meta->size > 0)
                copy = malloc(meta->size);
        if (copy == MAP_FAILED || (!copy && meta->size > 0))
                return error_origin(-ENOMEM);
        if (copy)
                memcpy(copy, meta->data, meta->size);
        *ret_meta = (struct gpud_bin){copy, meta->size};
        return 0;
}

static void mem_free_meta(Mem *mem) {
        void *data = (void *)(uintptr_t)mem->meta.data;

        mem->registry->n_released += mem->meta.size / META_PAGE;
        if (mem->meta.size >= META_MAPPED)
                munmap(data, mem->meta.size);
        else
                free(data);
        mem->meta = (struct gpud_bin){0};
}

/*
 * Takes the mem, which may be half made, out of every table, and lets its memory go once no work is in flight
 * on it. NULL is fine. Returns NULL.
 */
static Mem *mem_free(Mem *mem) {
        Registry *registry;

        if (!mem)
                return NULL;
        registry = mem->registry;
        mem_free_meta(mem);
        mem_end_lease(mem);
        mem->name = name_free(mem->name, &registry->names);
        registry_unlink_mem(registry, mem);
        if (mem->has_memory)
                gpu_memory_deinit(&mem->memory, mem_gone);
        else
                mem_gone(&mem->memory);
        return NULL;
}

static void mem_freep(Mem **mem) {
        mem_free(*mem);
}

void mem_release_unused(Mem *mem) {
        if (mem->n_holds > 0 || (mem->is_ready && mem->is_persistent))
                return;
        if (mem->ready)
                mem->ready(mem, GPUD_E_CONNECTION_LOST, mem->userdata);
        mem_free(mem);
}

static void mem_on_ready(GpuMemory *memory, int r) {
        Mem *mem = container_of(memory, Mem, memory);
        void (*ready)(Mem *, int, void *) = mem->ready;

        mem->ready = NULL;
        if (r) {
                mem->has_memory = false;
                /* Nobody else can have found it: the session that allocates is the only one to hold it. */
                ready(mem, result_from_gpu(r), mem->userdata);
                session_drop(&mem->first_hold);
                return;
        }
        mem->is_ready = true;
        ready(mem, 0, mem->userdata);
}

/* Fills in everything but the memory itself. */
static int mem_prepare(Mem *mem, Session *session, const MemParams *params) {
        int r;

        if (params->meta.size > 0) {
                r = mem_set_meta(mem, &params->meta);
                if (r)
                        return r;
        }
        if (params->name) {
                r = name_new(&mem->name, &mem->registry->names, mem, params->device, mem->uid, params->name);
                if (r)
                        return r;
        }
        if (params->ttl_s > 0) {
                r = mem_set_lease(mem, params->ttl_s);
                if (r)
                        return r;
        }
        return session_hold(session, mem);
}

int mem_new(Mem **ret_mem, Session *session, const MemParams *params,
            void (*ready)(Mem *mem, int r, void *userdata), void *userdata) {
        _cleanup_(mem_freep) Mem *mem = NULL;
        int r;

        r = registry_new_mem(&mem, session->registry);
        if (r)
                return r;
        mem->size = params->size;
        mem->created_ns = clock_get_realtime_ns();
        mem->uid = session->credentials.uid;
        mem->gid = session->credentials.gid;
        mem->mode = params->mode;
        mem->is_persistent = params->is_persistent;
        mem->is_exportable = params->is_exportable;

        r = gpu_memory_init(&mem->memory, params->device, mem->uid, params->size, params->is_exportable,
                            mem_on_ready);
        if (r && r != REQUEST_LATER)
                return result_from_gpu(r);
        mem->has_memory = true;
        mem->is_ready = r == 0;
        r = mem_prepare(mem, session, params);
        if (r)
                return r;
        if (!mem->is_ready) {
                mem->ready = ready;
                mem->userdata = userdata;
        }
        *ret_mem = STEAL(mem);
        return (*ret_mem)->is_ready ? 0 : REQUEST_LATER;
}

unsigned mem_get_rights(const Mem *mem, const Session *session) {
        const Credentials *credentials = &session->credentials;

        if (credentials->is_admin)
                return MEM_RIGHT_R | MEM_RIGHT_W | MEM_RIGHT_X;
        if (credentials->uid == mem->uid)
                return mem->mode >> 6 & 7U;
        if (credentials->gid == mem->gid)
                return mem->mode >> 3 & 7U;
        for (size_t i = 0; i < credentials->n_groups; i++)
                if (credentials->groups[i] == mem->gid)
                        return mem->mode >> 3 & 7U;
        return mem->mode & 7U;
}

int mem_set_name(Mem *mem, const char *name) {
        NameTable *table = &mem->registry->names;
        MemName *new_name = NULL;
        int r;

        if (name && mem->name && strcmp(mem->name->text, name) == 0)
                return 0;
        if (name) {
                r = name_new(&new_name, table, mem, mem->memory.device, mem->uid, name);
                if (r)
                        return r;
        }
        name_free(mem->name, table);
        mem->name = new_name;
        return 0;
}

int mem_set_meta(Mem *mem, const struct gpud_bin *meta) {
        struct gpud_bin copy;
        int r = meta_copy(&copy, meta);

        if (r)
                return r;
        mem_free_meta(mem);
        mem->meta = copy;
        return 0;
}

int mem_set_lease(Mem *mem, uint64_t ttl_s) {
        uint64_t now_ns = clock_get_realtime_ns(), ttl_max_s = (UINT64_MAX - now_ns) / NS_PER_S;
        Lease *lease;
        int r;

        r = lease_new(&lease, &mem->registry->leases, mem, now_ns + MIN(ttl_s, ttl_max_s) * NS_PER_S);
        if (r)
                return r;
        mem_end_lease(mem);
        mem->lease = lease;
        return 0;
}

void mem_end_lease(Mem *mem) {
        mem->lease = lease_free(mem->lease, &mem->registry->leases);
}

void mem_unpersist(Mem *mem) {
        Registry *registry = mem->registry;
        uid_t uid = mem->uid;

        registry->n_released++;
        mem->is_persistent = false;
        mem_end_lease(mem);
        mem_release_unused(mem);
        registry_trim(registry, uid);
}

void mem_get_info(const Mem *mem, struct gpud_mem_info *ret_info) {
        *ret_info = (struct gpud_mem_info){
                .mem = mem->id,
                .device = gpu_device_get_info(mem->memory.device)->id,
                .size = mem->size,
                .name = mem->name ? mem->name->text : NULL,
                .uid = mem->uid,
                .gid = mem->gid,
                .mode = mem->mode,
                .lifetime = mem->is_persistent ? GPUD_LIFETIME_PERSISTENT : GPUD_LIFETIME_SESSION,
                .expires_ns = mem->lease ? mem->lease->expires_ns : 0,
                .has_expires_ns = mem->lease != NULL,
                .sealed = mem->is_sealed,
                .exportable = mem->is_exportable,
                .created_ns = mem->created_ns,
                .refs = mem->n_holds + (mem->is_persistent ? 1 : 0),
                .meta_size = mem->meta.size,
        };
}
