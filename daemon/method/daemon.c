/* daemon.*: the daemon about itself. */

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/gpu/instance.h"
#include "daemon/method/args.h"
#include "daemon/object/registry.h"
#include "daemon/rpc/rpc.h"
#include "daemon/util/clock.h"
#include "daemon/util/error.h"
#include "proto/version.h"

int method_daemon_ping(Request *request, const struct none *args, struct gpud_none *ret) {
        return 0;
}

/*
 * Counts the entries of /proc/self/fd, without the one that counting takes. Since Linux 6.2 the directory's
 * size tells; to walk over thousands of them would hold the loop.
 */
static uint64_t count_fds(void) {
        struct stat status;
        DIR *directory;
        uint64_t n = 0;

        if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
                return (uint64_t)status.st_size;
        directory = opendir("/proc/self/fd");
        if (!directory)
                return 0;
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
                if (entry->d_name[0] != '.')
                        n++;
        closedir(directory);
        return n > 0 ? n - 1 : 0;
}

int method_daemon_status(Request *request, const struct none *args, struct gpud_daemon_status_result *ret) {
        const Rpc *rpc = request->rpc;
        const Registry *registry = rpc->registry;
        struct gpud_stall_bucket *stalls = request_alloc_zero(request, STATS_N_STALLS * sizeof(*stalls));

        if (!stalls)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < STATS_N_STALLS; i++)
                stalls[i] = (struct gpud_stall_bucket){
                        .limit_us = stats_stall_limits_ns[i] / NS_PER_US,
                        .has_limit_us = stats_stall_limits_ns[i] != UINT64_MAX,
                        .count = rpc->stats.stalls[i],
                };
        *ret = (struct gpud_daemon_status_result){
                .version = GPUD_VERSION,
                .protocol = GPUD_PROTOCOL,
                .pid = (uint64_t)getpid(),
                .started_ns = clock_to_realtime_ns(rpc->stats.started_ns),
                .uptime_s = (clock_get_boottime_ns() - rpc->stats.started_ns) / NS_PER_S,
                .devices = gpu_instance_get_n_devices(registry->gpu),
                .sessions = registry->n_sessions,
                .mems = registry->n_mems,
                .restored_mems = 0, /* a gpud starts empty: nothing is taken over yet */
                .shms = registry->n_shms,
                .inflight = rpc->n_inflight,
                .requests = rpc->stats.n_requests,
                .errors = rpc->stats.n_errors,
                .fds = count_fds(),
                .stall_max_us = rpc->stats.stall_max_ns / NS_PER_US,
                .stalls = stalls,
                .n_stalls = STATS_N_STALLS,
        };
        return 0;
}

static struct gpud_field_description describe_field(const ProtoField *field) {
        const char *of = proto_object_to_string(field->object);

        if (field->choices)
                of = field->choices->name;
        if (field->sub)
                of = field->sub->name;
        return (struct gpud_field_description){
                .name = field->name,
                .kind = proto_wire_to_string(field->wire),
                .of = of,
                .required = field->is_required,
                .max = field->max,
                .has_max = field->max > 0,
                .doc = field->doc,
                .format = proto_kind_get_format(field->kind),
                .since = field->since ? field->since : 1,
        };
}

static int describe_structs(Request *request, struct gpud_daemon_describe_result *ret) {
        struct gpud_struct_description *structs =
                request_alloc_zero(request, proto_n_structs * sizeof(*structs));

        if (!structs)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < proto_n_structs; i++) {
                const ProtoStruct *type = proto_structs[i];
                struct gpud_field_description *fields =
                        request_alloc_zero(request, type->n_fields * sizeof(*fields));

                if (!fields)
                        return error_origin(-ENOMEM);
                for (size_t j = 0; j < type->n_fields; j++)
                        fields[j] = describe_field(&type->fields[j]);
                structs[i] = (struct gpud_struct_description){
                        .name = type->name, .doc = type->doc, .fields = fields, .n_fields = type->n_fields};
        }
        ret->structs = structs;
        ret->n_structs = proto_n_structs;
        return 0;
}

static int describe_enums(Request *request, struct gpud_daemon_describe_result *ret) {
        struct gpud_enum_description *enums = request_alloc_zero(request, proto_n_enums * sizeof(*enums));

        if (!enums)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < proto_n_enums; i++) {
                const ProtoEnum *type = proto_enums[i];
                struct gpud_value_description *values =
                        request_alloc_zero(request, type->n_values * sizeof(*values));

                if (!values)
                        return error_origin(-ENOMEM);
                for (size_t j = 0; j < type->n_values; j++)
                        values[j] = (struct gpud_value_description){.name = type->values[j].text,
                                                                    .doc = type->values[j].doc};
                enums[i] = (struct gpud_enum_description){
                        .name = type->name, .doc = type->doc, .values = values, .n_values = type->n_values};
        }
        ret->enums = enums;
        ret->n_enums = proto_n_enums;
        return 0;
}

static int describe_methods(Request *request, struct gpud_daemon_describe_result *ret) {
        struct gpud_method_description *methods =
                request_alloc_zero(request, PROTO_N_METHODS * sizeof(*methods));

        if (!methods)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                methods[i] = (struct gpud_method_description){
                        .name = proto_methods[i].name,
                        .doc = proto_methods[i].doc,
                        .args = proto_methods[i].args->name,
                        .result = proto_methods[i].result->name,
                        .admin = proto_methods[i].access == PROTO_ACCESS_ADMIN,
                        .fds = proto_methods[i].n_fds,
                        .since = proto_methods[i].since,
                };
        ret->methods = methods;
        ret->n_methods = PROTO_N_METHODS;
        return 0;
}

static int describe_numbers(Request *request, struct gpud_daemon_describe_result *ret) {
        struct gpud_error_description *errors = request_alloc_zero(request, proto_n_errors * sizeof(*errors));
        struct gpud_limit_description *limits = request_alloc_zero(request, proto_n_limits * sizeof(*limits));

        if (!errors || !limits)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < proto_n_errors; i++)
                errors[i] = (struct gpud_error_description){
                        .name = proto_errors[i].name,
                        .code = (uint64_t)proto_errors[i].code,
                        .doc = proto_errors[i].text,
                        .hint = proto_errors[i].hint,
                };
        for (size_t i = 0; i < proto_n_limits; i++)
                limits[i] = (struct gpud_limit_description){.name = proto_limits[i].name,
                                                            .value = proto_limits[i].value,
                                                            .doc = proto_limits[i].doc};
        ret->errors = errors;
        ret->n_errors = proto_n_errors;
        ret->limits = limits;
        ret->n_limits = proto_n_limits;
        return 0;
}

int method_daemon_describe(Request *request, const struct none *args,
                           struct gpud_daemon_describe_result *ret) {
        int r;

        ret->protocol = GPUD_PROTOCOL;
        r = describe_methods(request, ret);
        if (r == 0)
                r = describe_structs(request, ret);
        if (r == 0)
                r = describe_enums(request, ret);
        if (r == 0)
                r = describe_numbers(request, ret);
        return r;
}
