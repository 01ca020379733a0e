/*
 * Names to objects. An object that the caller may not see is refused as if it did not exist; one that it may
 * see, but not use in this way, is refused by name.
 */

#include "daemon/rpc/resolve.h"

#include <string.h>

#include "daemon/object/registry.h"
#include "daemon/rpc/rpc.h"

static int refuse_unknown(Request *request, const char *what, const struct gpud_uuid *id, const char *hint) {
        char text[GPUD_UUID_TEXT + 1];

        uuid_to_string(id, text);
        return request_refuse(request, GPUD_E_NOT_FOUND, "no %s %s%s", what, text, hint);
}

/* Says why the caller, who may see the allocation, may not use it in this way. */
static int refuse_use(Request *request, ProtoKind kind, const Mem *mem) {
        uid_t uid = request_get_session(request)->credentials.uid;
        char text[GPUD_UUID_TEXT + 1];

        uuid_to_string(&mem->id, text);
        if (kind == PROTO_MEM_OWN)
                return request_refuse(request, GPUD_E_PERMISSION_DENIED,
                                      "allocation %s belongs to uid %u, not to uid %u", text, mem->uid, uid);
        return request_refuse(request, GPUD_E_PERMISSION_DENIED,
                              "mode %04o of allocation %s does not let uid %u %s it", mem->mode, text, uid,
                              kind == PROTO_MEM_R ? "read" : "write");
}

static int refuse_sealed(Request *request, const Mem *mem) {
        char text[GPUD_UUID_TEXT + 1];

        uuid_to_string(&mem->id, text);
        return request_refuse(request, GPUD_E_SEALED, "allocation %s is sealed", text);
}

static int resolve_mem(Request *request, ProtoKind kind, MemRef *ref) {
        Session *session = request_get_session(request);
        Mem *mem = registry_find_mem(request->rpc->registry, &ref->id);
        bool is_use = kind == PROTO_MEM_R || kind == PROTO_MEM_W;
        unsigned rights;

        /* The bytes of one that was given up are for who holds it; its owner may still ask after it. */
        if (!mem || !mem_is_visible(mem, session) ||
            (is_use && mem->is_given_up && !session_find_hold(session, mem)))
                return refuse_unknown(request, "allocation", &ref->id,
                                      shm_find(session, &ref->id) ? ": it is a shared-memory region" : "");
        rights = mem_get_rights(mem, session);
        if ((kind == PROTO_MEM_OWN && !session_owns(session, mem->uid)) ||
            (kind == PROTO_MEM_R && !(rights & MEM_RIGHT_R)) ||
            (kind == PROTO_MEM_W && !(rights & MEM_RIGHT_W)))
                return refuse_use(request, kind, mem);
        if (kind == PROTO_MEM_W && mem->is_sealed)
                return refuse_sealed(request, mem);
        ref->mem = mem;
        return 0;
}

static int resolve_shm(Request *request, ShmRef *ref) {
        Session *session = request_get_session(request);

        ref->shm = shm_find(session, &ref->id);
        if (!ref->shm)
                return refuse_unknown(request, "shared-memory region", &ref->id,
                                      registry_find_mem(request->rpc->registry, &ref->id) ? " of this session"
                                                                                          : "");
        return 0;
}

static int resolve_device(Request *request, DeviceRef *ref) {
        Registry *registry = request->rpc->registry;
        size_t n_devices = gpu_instance_get_n_devices(registry->gpu);

        ref->device = registry_find_device(registry, ref->id);
        if (ref->device)
                return 0;
        if (n_devices < 2)
                return request_refuse(request, GPUD_E_NOT_FOUND, "no device `%.64s`: there is %s", ref->id,
                                      n_devices ? "vulkan:0 alone" : "none");
        return request_refuse(request, GPUD_E_NOT_FOUND,
                              "no device `%.64s`: there are vulkan:0 to vulkan:%zu", ref->id, n_devices - 1);
}

/* Whether the field is of a kind that names an object, and the argument is there. */
static bool is_given(const Request *request, const ProtoField *field) {
        return field->object != PROTO_OBJECT_NONE &&
               (field->has_offset == PROTO_NO_OFFSET || *((bool *)request->args + field->has_offset));
}

void request_prefetch(Request *request) {
        const ProtoStruct *type = request->row->args;

        for (size_t i = 0; i < type->n_fields; i++) {
                const ProtoField *field = &type->fields[i];
                const MemRef *ref = (void *)((char *)request->args + field->offset);

                if (field->object == PROTO_OBJECT_MEM && is_given(request, field))
                        registry_prefetch_mem(request->rpc->registry, &ref->id);
        }
}

static int resolve_field(Request *request, const ProtoField *field) {
        void *value = (char *)request->args + field->offset;

        if (!is_given(request, field))
                return 0;
        switch (field->object) {
        case PROTO_OBJECT_DEVICE:
                return ((DeviceRef *)value)->id ? resolve_device(request, value) : 0;
        case PROTO_OBJECT_SHM:
                return resolve_shm(request, value);
        default:
                return resolve_mem(request, field->kind, value);
        }
}

int request_resolve(Request *request) {
        const ProtoStruct *type = request->row->args;
        int r;

        for (size_t i = 0; i < type->n_fields; i++) {
                r = resolve_field(request, &type->fields[i]);
                if (r)
                        return r;
        }
        return 0;
}
