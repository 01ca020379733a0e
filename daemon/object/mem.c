/* Allocations: made, named, leased, and given up with the last reference. */

#include "daemon/object/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/gpu/device.h"
#include "daemon/object/registry.h"
#include "daemon/object/result.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"
#include "proto/uuid.h"

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

void mem_log(const Mem *mem, const Session *session, const char *event) {
        char id[GPUD_UUID_TEXT + 1], session_id[GPUD_UUID_TEXT + 1], by[128] = "";

        if (!log_has_level(LOG_DEBUG))
                return;
        uuid_to_string(&mem->id, id);
        if (session) {
                uuid_to_string(&session->id, session_id);
                snprintf(by, sizeof(by), " by session %s of uid %u, process %d (%s)", session_id,
                         session->credentials.uid, (int)session->credentials.pid, session->credentials.comm);
        }
        log_debug("allocation %s (%" PRIu64 " bytes of %s, uid %u, name %s): %s%s", id, mem->size,
                  gpu_device_get_info(mem->memory.device)->id, mem->uid, mem->name ? mem->name->text : "none",
                  event, by);
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
        list_unlink(&mem->link);
        if (mem->has_memory)
                mem_log(mem, NULL, "is gone");
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
        mem_log(mem, mem->first_hold.session, "is allocated");
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
        mem->created_ns = clock_get_boottime_ns();
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
        if (mem->is_ready) {
                mem_log(mem, session, "is allocated");
        } else {
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

bool mem_is_visible(Mem *mem, Session *session) {
        return session_owns(session, mem->uid) || (!mem->is_given_up && mem_get_rights(mem, session) > 0) ||
               session_find_hold(session, mem);
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

/* Makes a lease of `mem` that is not its lease yet. Returns 0 or -ENOMEM. */
static int new_lease(Lease **ret_lease, Mem *mem, uint64_t ttl_s) {
        uint64_t now_ns = clock_get_boottime_ns(), ttl_max_s = (UINT64_MAX - now_ns) / NS_PER_S;

        return lease_new(ret_lease, &mem->registry->leases, mem, now_ns + MIN(ttl_s, ttl_max_s) * NS_PER_S);
}

int mem_set_lease(Mem *mem, uint64_t ttl_s) {
        Lease *lease;
        int r;

        r = new_lease(&lease, mem, ttl_s);
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

void mem_give_up(Mem *mem) {
        mem->name = name_free(mem->name, &mem->registry->names);
        mem->is_given_up = true;
        mem_unpersist(mem);
}

void mem_revoke(Mem *mem) {
        Registry *registry = mem->registry;

        if (mem->n_holds > 0) {
                list_link(&registry->revoked, &mem->link);
                mem->is_ready = false;
        }
        mem_give_up(mem);
}

/* Gives `mem` a name that another allocation of its owner's may have, which then loses it. */
static int take_name(Mem *mem, const char *name) {
        Mem *other = name_find(&mem->registry->names, mem->memory.device, mem->uid, name);

        if (!other || other == mem)
                return mem_set_name(mem, name);
        if (!other->is_ready)
                return GPUD_E_BUSY;
        name_free(mem->name, &mem->registry->names);
        mem->name = STEAL(other->name);
        mem->name->mem = mem;
        mem_give_up(other);
        return 0;
}

int mem_publish(Mem *mem, const MemPublication *publication) {
        Lease *lease = NULL;
        int r = 0;

        if (publication->ttl_s > 0)
                r = new_lease(&lease, mem, publication->ttl_s);
        if (r == 0 && publication->name)
                r = publication->replaces ? take_name(mem, publication->name)
                                          : mem_set_name(mem, publication->name);
        if (r) {
                lease_free(lease, &mem->registry->leases);
                return r;
        }
        if (lease) {
                mem_end_lease(mem);
                mem->lease = lease;
        }
        mem->mode = publication->mode;
        mem->is_persistent |= publication->is_persistent;
        mem->is_sealed |= publication->is_sealed;
        return 0;
}

Hold *mem_find_hold(Mem *mem) {
        if (mem->first_hold.session)
                return &mem->first_hold;
        /* The first member of a node of tsearch() is what was put in. */
        return mem->other_holds ? *(Hold **)mem->other_holds : NULL;
}

void mem_get_info(Mem *mem, struct gpud_mem_info *ret_info) {
        const Hold *hold = mem_find_hold(mem);
        const Credentials *credentials = hold ? &hold->session->credentials : NULL;

        *ret_info = (struct gpud_mem_info){
                .mem = mem->id,
                .device = gpu_device_get_info(mem->memory.device)->id,
                .size = mem->size,
                .name = mem->name ? mem->name->text : NULL,
                .uid = mem->uid,
                .gid = mem->gid,
                .mode = mem->mode,
                .lifetime = mem->is_persistent ? GPUD_LIFETIME_PERSISTENT : GPUD_LIFETIME_SESSION,
                .expires_ns = mem->lease ? clock_to_realtime_ns(mem->lease->expires_ns) : 0,
                .has_expires_ns = mem->lease != NULL,
                .sealed = mem->is_sealed,
                .exportable = mem->is_exportable,
                .created_ns = clock_to_realtime_ns(mem->created_ns),
                .refs = mem->n_refs + (mem->is_persistent ? 1 : 0),
                .meta_size = mem->meta.size,
                .given_up = mem->is_given_up,
                .holders = mem->n_holds,
                .pid = credentials ? (uint64_t)credentials->pid : 0,
                .has_pid = credentials && credentials->pid > 0,
                .comm = credentials && credentials->comm[0] ? credentials->comm : NULL,
        };
}
