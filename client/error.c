/* The words of errors.def. */

#include "client/client.h"
#include "client/connect.h"

static const ProtoError *find_error(int r) {
        return r == INT32_MIN ? NULL : proto_error_find(r < 0 ? -r : r);
}

const char *gpud_strerror(int r) {
        const ProtoError *error = find_error(r);

        return error ? error->text : r == 0 ? "success" : "unknown error";
}

const char *gpud_error_name(int r) {
        const ProtoError *error = find_error(r);

        return error ? error->name : NULL;
}

const char *gpud_error_hint(int r) {
        const ProtoError *error = find_error(r);

        return error ? error->hint : NULL;
}

const char *gpud_error_message(const struct gpud_client *client) {
        return client ? client->fault.text : connect_get_message();
}
