/* shm.*: registered shared-memory regions. */

#include "daemon/object/shm.h"

#include "daemon/method/args.h"

static void on_registered(Shm *shm, int r, bool imported, void *userdata) {
        Request *request = userdata;
        struct gpud_shm_register_result *ret = request->result;

        ret->shm = shm->id;
        ret->imported = imported;
        request_complete(request, r);
}

int method_shm_register(Request *request, const struct shm_register_args *args,
                        struct gpud_shm_register_result *ret) {
        int r = shm_new(request_get_session(request), request->fd, args->size, on_registered, request,
                        &request->fault);

        return r ? r : REQUEST_LATER;
}

static void on_released(void *userdata) {
        request_complete(userdata, 0);
}

int method_shm_release(Request *request, const struct shm_ref *args, struct gpud_none *ret) {
        shm_release(args->shm.shm, on_released, request);
        return REQUEST_LATER;
}
