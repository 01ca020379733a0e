/* mem.*: handles, their names, rights and lifetime. The methods that move bytes are in mem-bytes.c. */

#include "daemon/object/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/gpu/device.h"
#include "daemon/method/args.h"
#include "daemon/object/registry.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/error.h"

#define MODE_DEFAULT 0600

/* An empty name would read as none in every listing. */
static int check_name(Request *request, const char *name) {
        if (name && !name[0])
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT, "`name` is empty, at least 1 byte");
        return 0;
}

/* What was given up comes back under no name, and for nobody. */
static int check_live(Request *request, const Mem *mem) {
        char text[GPUD_UUID_TEXT + 1];

        uuid_to_string(&mem->id, text);
        if (mem->is_given_up)
                return request_refuse(request, GPUD_E_NOT_FOUND,
                                      "allocation %s was freed by its owner, uid %u; it stays until the "
                                      "sessions that hold it close it",
                                      text, mem->uid);
        return 0;
}

/* A lease is for a persistent allocation. `ttl_s` of 0 would end it before the reply. */
static int check_lease(Request *request, bool has_ttl_s, uint64_t ttl_s, bool is_persistent) {
        if (has_ttl_s && !is_persistent)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "`ttl_s` is given, but only a persistent allocation has a lease");
        if (has_ttl_s && ttl_s == 0)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT, "`ttl_s` is 0, at least 1");
        return 0;
}

static int check_alloc(Request *request, const struct mem_alloc_args *args) {
        bool is_persistent = args->has_lifetime && args->lifetime == GPUD_LIFETIME_PERSISTENT;
        int r = check_lease(request, args->has_ttl_s, args->ttl_s, is_persistent);
        uint64_t total = gpu_device_get_info(args->device.device)->memory_total;

        if (args->size == 0)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT, "`size` is 0, at least 1");
        if (args->size > total)
                return request_refuse(request, GPUD_E_OUT_OF_MEMORY,
                                      "size %" PRIu64 " exceeds the device's %" PRIu64 " bytes", args->size,
                                      total);
        return r ? r : check_name(request, args->name);
}

static int refuse_memory(Request *request, GpuDevice *device, uint64_t size) {
        GpuLedger ledger;

        gpu_device_get_ledger(device, &ledger);
        return request_refuse(request, GPUD_E_OUT_OF_MEMORY,
                              "size %" PRIu64 " does not fit: %s has %" PRIu64 " of %" PRIu64
                              " bytes available",
                              size, gpu_device_get_info(device)->id, ledger.available, ledger.total);
}

static int refuse_name(Request *request, const GpuDevice *device, uid_t uid, const char *name) {
        return request_refuse(request, GPUD_E_ALREADY_EXISTS,
                              "uid %u already has an allocation named \"%s\" on %s", uid, name,
                              gpu_device_get_info(device)->id);
}

static void on_allocated(Mem *mem, int r, void *userdata) {
        Request *request = userdata;

        if (r == 0)
                mem_get_info(mem, request->result);
        if (r == GPUD_E_OUT_OF_MEMORY)
                r = refuse_memory(request, mem->memory.device, mem->size);
        request_complete(request, r);
}

int method_mem_alloc(Request *request, const struct mem_alloc_args *args, struct gpud_mem_info *ret) {
        MemParams params = {
                .device = args->device.device,
                .size = args->size,
                .name = args->name,
                .mode = args->has_mode ? (uint16_t)args->mode : MODE_DEFAULT,
                .is_persistent = args->has_lifetime && args->lifetime == GPUD_LIFETIME_PERSISTENT,
                .is_exportable = args->exportable,
                .ttl_s = args->ttl_s,
                .meta = args->meta,
        };
        Session *session = request_get_session(request);
        Mem *mem;
        int r;

        r = check_alloc(request, args);
        if (r)
                return r;
        r = mem_new(&mem, session, &params, on_allocated, request);
        switch (r) {
        case 0:
                mem_get_info(mem, ret);
                return 0;
        case REQUEST_LATER:
                return REQUEST_LATER;
        case GPUD_E_OUT_OF_MEMORY:
                return refuse_memory(request, params.device, params.size);
        case GPUD_E_ALREADY_EXISTS:
                return refuse_name(request, params.device, session->credentials.uid, params.name);
        default:
                return r;
        }
}

int method_mem_open(Request *request, const struct mem_open_args *args, struct gpud_mem_info *ret) {
        Session *session = request_get_session(request);
        Mem *mem = args->mem.mem;
        uid_t uid = args->has_uid ? (uid_t)args->uid : session->credentials.uid;
        int r;

        if (mem && (args->device.device || args->name || args->has_uid))
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "`mem` is given, and also `device`, `name` or `uid`: one or the other");
        if (!mem) {
                if (!args->device.device || !args->name)
                        return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                              "`%s` is missing: give `mem`, or `device` and `name`",
                                              args->name            ? "device"
                                              : args->device.device ? "name"
                                                                    : "mem");
                mem = registry_find_name(request->rpc->registry, args->device.device, uid, args->name);
                if (!mem || !mem_is_visible(mem, session))
                        return request_refuse(request, GPUD_E_NOT_FOUND,
                                              "uid %u has no allocation named \"%s\" on %s", uid, args->name,
                                              gpu_device_get_info(args->device.device)->id);
        }
        r = check_live(request, mem);
        if (r)
                return r;
        r = session_hold(session, mem);
        if (r == GPUD_E_RESOURCE_EXHAUSTED)
                return request_refuse(request, r,
                                      "the session has %d references to the allocation, limit refs_max = %d",
                                      GPUD_REFS_MAX, GPUD_REFS_MAX);
        if (r)
                return r;
        mem_get_info(mem, ret);
        return 0;
}

int method_mem_close(Request *request, const struct mem_ref *args, struct gpud_none *ret) {
        Hold *hold = session_find_hold(request_get_session(request), args->mem.mem);
        char text[GPUD_UUID_TEXT + 1];

        uuid_to_string(&args->mem.mem->id, text);
        if (!hold)
                return request_refuse(request, GPUD_E_NOT_FOUND,
                                      "this session holds no reference to allocation %s", text);
        session_close(hold);
        return 0;
}

int method_mem_free(Request *request, const struct mem_free_args *args, struct gpud_none *ret) {
        Mem *mem = args->mem.mem;
        Session *session = request_get_session(request);
        Hold *hold = session_find_hold(session, mem);

        mem_log(mem, session, args->force ? "is freed by force" : "is freed");
        if (args->force) {
                mem_revoke(mem);
                return 0;
        }
        if (mem->is_given_up && !hold)
                return check_live(request, mem);
        mem_give_up(mem); /* and it may be gone, unless there is a hold */
        if (hold)
                session_drop(hold);
        return 0;
}

int method_mem_info(Request *request, const struct mem_ref *args, struct gpud_mem_info *ret) {
        mem_get_info(args->mem.mem, ret);
        return 0;
}

static bool list_passes(const struct mem_list_args *args, Session *caller, Session *holder, Mem *mem) {
        if (!mem->is_ready || !mem_is_visible(mem, caller))
                return false;
        if (args->device.device && mem->memory.device != args->device.device)
                return false;
        if (args->has_uid && mem->uid != args->uid)
                return false;
        if (args->name_prefix &&
            (!mem->name || strncmp(mem->name->text, args->name_prefix, strlen(args->name_prefix)) != 0))
                return false;
        return !holder || session_find_hold(holder, mem);
}

int method_mem_list(Request *request, const struct mem_list_args *args, struct gpud_mem_list_result *ret) {
        Registry *registry = request->rpc->registry;
        Session *caller = request_get_session(request);
        Session *holder = NULL;
        uint32_t number = slab_next(&registry->mems, args->cursor);
        uint32_t end = slab_get_end(&registry->mems);
        size_t n_max = MIN((size_t)GPUD_LIST_MAX, registry->n_mems);
        struct gpud_mem_info *mems = request_alloc_zero(request, (n_max + 1) * sizeof(*mems));
        char text[GPUD_UUID_TEXT + 1];
        size_t n = 0;

        if (!mems)
                return error_origin(-ENOMEM);
        if (args->has_session) {
                holder = registry_find_session(registry, &args->session);
                uuid_to_string(&args->session, text);
                if (!holder || !session_owns(caller, holder->credentials.uid))
                        return request_refuse(request, GPUD_E_NOT_FOUND, "no session %s", text);
        }
        for (size_t i = 0; i < SCAN_MAX && number < end && n < n_max; i++) {
                Mem *mem = registry_find_mem_number(registry, number);

                if (mem && list_passes(args, caller, holder, mem))
                        mem_get_info(mem, &mems[n++]);
                number = slab_next(&registry->mems, number + 1);
        }
        ret->mems = mems;
        ret->n_mems = n;
        ret->next = number;
        ret->has_next = number < end;
        return 0;
}

int method_mem_meta(Request *request, const struct mem_meta_args *args, struct gpud_mem_meta_result *ret) {
        Mem *mem = args->mem.mem;
        Session *session = request_get_session(request);
        unsigned wanted = args->meta.data ? MEM_RIGHT_W : MEM_RIGHT_R;
        int r;

        if (!(mem_get_rights(mem, session) & wanted))
                return request_refuse(request, GPUD_E_PERMISSION_DENIED,
                                      "mode %04o does not let uid %u %s the metadata", mem->mode,
                                      session->credentials.uid, args->meta.data ? "replace" : "read");
        if (args->meta.data && mem->is_sealed)
                return request_refuse(request, GPUD_E_SEALED, "the allocation is sealed, its metadata too");
        if (!args->meta.data) {
                ret->meta = mem->meta.data ? mem->meta : (struct gpud_bin){"", 0};
                return 0;
        }
        r = mem_set_meta(mem, &args->meta);
        ret->meta = args->meta;
        request->owns_result = true;
        return r;
}

int method_mem_rename(Request *request, const struct mem_rename_args *args, struct gpud_mem_info *ret) {
        Mem *mem = args->mem.mem;
        int r;

        r = check_live(request, mem);
        if (r == 0)
                r = check_name(request, args->name);
        if (r)
                return r;
        r = mem_set_name(mem, args->name);
        if (r == GPUD_E_ALREADY_EXISTS)
                return refuse_name(request, mem->memory.device, mem->uid, args->name);
        if (r)
                return r;
        mem_get_info(mem, ret);
        return 0;
}

static int check_publish(Request *request, const struct mem_publish_args *args, bool is_persistent) {
        int r = check_live(request, args->mem.mem);

        if (r == 0)
                r = check_name(request, args->name);
        if (r == 0 && args->replace && !args->name)
                r = request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                   "`replace` is given, but no `name` to take over");
        return r ? r : check_lease(request, args->has_ttl_s, args->ttl_s, is_persistent);
}

int method_mem_publish(Request *request, const struct mem_publish_args *args, struct gpud_mem_info *ret) {
        Mem *mem = args->mem.mem;
        MemPublication publication = {
                .name = args->name,
                .mode = args->has_mode ? (uint16_t)args->mode : mem->mode,
                .is_persistent = !args->has_lifetime || args->lifetime == GPUD_LIFETIME_PERSISTENT,
                .is_sealed = args->seal,
                .replaces = args->replace,
                .ttl_s = args->ttl_s,
        };
        int r;

        r = check_publish(request, args, publication.is_persistent || mem->is_persistent);
        if (r)
                return r;
        r = mem_publish(mem, &publication);
        if (r == GPUD_E_ALREADY_EXISTS)
                return refuse_name(request, mem->memory.device, mem->uid, args->name);
        if (r == GPUD_E_BUSY)
                return request_refuse(request, r, "the allocation named \"%s\" is still being made",
                                      args->name);
        if (r)
                return r;
        mem_get_info(mem, ret);
        return 0;
}

int method_mem_persist(Request *request, const struct mem_own_ref *args, struct gpud_mem_info *ret) {
        int r = check_live(request, args->mem.mem);

        if (r)
                return r;
        args->mem.mem->is_persistent = true;
        mem_get_info(args->mem.mem, ret);
        return 0;
}

int method_mem_seal(Request *request, const struct mem_own_ref *args, struct gpud_mem_info *ret) {
        args->mem.mem->is_sealed = true;
        mem_get_info(args->mem.mem, ret);
        return 0;
}

int method_mem_chmod(Request *request, const struct mem_chmod_args *args, struct gpud_mem_info *ret) {
        args->mem.mem->mode = (uint16_t)args->mode;
        mem_get_info(args->mem.mem, ret);
        return 0;
}

int method_mem_renew(Request *request, const struct mem_renew_args *args, struct gpud_mem_info *ret) {
        Mem *mem = args->mem.mem;
        int r;

        if (!mem->is_persistent)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT,
                                      "the allocation is not persistent: it has no lease to renew");
        if (args->ttl_s == 0)
                return request_refuse(request, GPUD_E_INVALID_ARGUMENT, "`ttl_s` is 0, at least 1");
        r = mem_set_lease(mem, args->ttl_s);
        if (r)
                return r;
        mem_get_info(mem, ret);
        return 0;
}
