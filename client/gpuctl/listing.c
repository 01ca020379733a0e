/* The two commands that show what is there: `status` and `ls`. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/complain.h"
#include "client/gpuctl/gpuctl.h"
#include "client/gpuctl/output.h"

/* Columns chosen by hand stay columns: a line that is too long wraps. */
static void print_table(const Gpuctl *ctl, const Table *table) {
        if (ctl->is_terminal)
                table_print_aligned(table, stdout, ctl->is_colour);
        else
                table_print_tabs(table, stdout);
}

/* ---- status ---- */

/* What is shown of a device comes from three methods. Copied, since a result lives until the next call. */
typedef struct DeviceStatus {
        char device[64];
        char name[128];
        char type[32];
        char health[32];
        struct gpud_device_memory_result memory;
        struct gpud_device_telemetry_result telemetry;
} DeviceStatus;

static const char *choice(const ProtoEnum *type, unsigned value) {
        return value < type->n_values ? type->values[value].text : "?";
}

static int read_device(Gpuctl *ctl, DeviceStatus *status) {
        const struct gpud_device_ref ref = {.device = status->device};
        int r;

        r = gpud_device_memory(ctl->client, &ref, &status->memory);
        if (r < 0)
                return r;
        r = gpud_device_telemetry(ctl->client, &ref, &status->telemetry);
        /* A gpud without sensors has the rest to show. */
        return r == -GPUD_E_UNSUPPORTED ? 0 : r;
}

static int read_devices(Gpuctl *ctl, DeviceStatus **ret_devices, size_t *ret_n_devices) {
        struct gpud_device_list_result list;
        const struct gpud_device_info *info;
        DeviceStatus *devices;
        size_t n;
        int r;

        r = gpud_device_list(ctl->client, &list);
        if (r < 0)
                return r;
        n = list.n_devices;
        devices = calloc(n + 1, sizeof(*devices));
        if (!devices)
                abort();
        for (size_t i = 0; i < n; i++) {
                info = &list.devices[i];
                snprintf(devices[i].device, sizeof(devices[i].device), "%s", info->device);
                snprintf(devices[i].name, sizeof(devices[i].name), "%s", info->name);
                snprintf(devices[i].type, sizeof(devices[i].type), "%s",
                         choice(&proto_enum_device_type, (unsigned)info->type));
                snprintf(devices[i].health, sizeof(devices[i].health), "%s",
                         choice(&proto_enum_health, (unsigned)info->health));
        }
        for (size_t i = 0; r == 0 && i < n; i++)
                r = read_device(ctl, &devices[i]);
        if (r < 0) {
                free(devices);
                return r;
        }
        *ret_devices = devices;
        *ret_n_devices = n;
        return 0;
}

static void add_size(const Gpuctl *ctl, Table *table, uint64_t size) {
        char text[OUTPUT_TEXT_MAX];

        if (ctl->is_terminal)
                output_size(size, text);
        else
                snprintf(text, sizeof(text), "%" PRIu64, size);
        table_add_cell(table, text);
}

static void add_sensor(const Gpuctl *ctl, Table *table, bool is_known, double value, const char *unit) {
        char text[OUTPUT_TEXT_MAX];

        if (!is_known)
                snprintf(text, sizeof(text), "%s", ctl->is_terminal ? "-" : "");
        else if (ctl->is_terminal)
                snprintf(text, sizeof(text), "%.0f %s", value, unit);
        else
                snprintf(text, sizeof(text), "%.17g", value);
        table_add_cell(table, text);
}

static void print_devices(const Gpuctl *ctl, const DeviceStatus *devices, size_t n_devices) {
        Table *table = table_new();

        table_add_column(table, "DEVICE", false);
        table_add_column(table, "NAME", false);
        table_add_column(table, "TYPE", false);
        table_add_column(table, "HEALTH", false);
        table_add_column(table, "USED", true);
        table_add_column(table, "AVAILABLE", true);
        table_add_column(table, "TOTAL", true);
        table_add_column(table, "TEMP", true);
        table_add_column(table, "POWER", true);
        table_add_column(table, "LOAD", true);
        for (const DeviceStatus *device = devices; device < devices + n_devices; device++) {
                table_add_cell(table, device->device);
                table_add_cell(table, device->name);
                table_add_cell(table, device->type);
                table_add_cell(table, device->health);
                add_size(ctl, table, device->memory.used);
                add_size(ctl, table, device->memory.available);
                add_size(ctl, table, device->memory.total);
                add_sensor(ctl, table, device->telemetry.has_temperature_c, device->telemetry.temperature_c,
                           "C");
                add_sensor(ctl, table, device->telemetry.has_power_w, device->telemetry.power_w, "W");
                add_sensor(ctl, table, device->telemetry.has_utilization_percent,
                           device->telemetry.utilization_percent, "%");
        }
        print_table(ctl, table);
        table_free(table);
}

static json_t *devices_to_json(const DeviceStatus *devices, size_t n_devices) {
        json_t *array = json_array();

        for (const DeviceStatus *device = devices; device < devices + n_devices; device++)
                json_array_append_new(
                        array,
                        json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "device", device->device, "name",
                                  device->name, "type", device->type, "health", device->health, "memory",
                                  output_to_json(&proto_struct_device_memory_result, &device->memory),
                                  "telemetry",
                                  output_to_json(&proto_struct_device_telemetry_result, &device->telemetry)));
        return array;
}

/* The daemon in two lines; programs get every field by its name, before the devices. */
static void print_daemon(const Gpuctl *ctl, const struct gpud_daemon_status_result *daemon) {
        char uptime[OUTPUT_TEXT_MAX];

        if (!ctl->is_terminal) {
                output_struct(ctl, &proto_struct_daemon_status_result, daemon);
                return;
        }
        printf("gpud %s, protocol %" PRIu64 ", pid %" PRIu64 ", up %s, at %s\n", daemon->version,
               daemon->protocol, daemon->pid, output_duration(daemon->uptime_s, uptime),
               gpud_socket_path(ctl->socket));
        printf("sessions %" PRIu64 ", allocations %" PRIu64 " (restored %" PRIu64 "), regions %" PRIu64
               "; requests %" PRIu64 " (errors %" PRIu64 "), in flight %" PRIu64 "\n\n",
               daemon->sessions, daemon->mems, daemon->restored_mems, daemon->shms, daemon->requests,
               daemon->errors, daemon->inflight);
}

int command_status(Gpuctl *ctl, const void *args) {
        struct gpud_daemon_status_result daemon;
        DeviceStatus *devices = NULL;
        char version[64];
        size_t n_devices = 0;
        int r;

        (void)args;
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        r = gpud_daemon_status(ctl->client, &daemon);
        if (r == 0) {
                snprintf(version, sizeof(version), "%s", daemon.version);
                daemon.version = version;
                r = read_devices(ctl, &devices, &n_devices);
        }
        if (r < 0)
                return complain_call(ctl, "status", r);
        if (ctl->is_json) {
                output_json(json_pack("{s:o, s:o}", "daemon",
                                      output_to_json(&proto_struct_daemon_status_result, &daemon), "devices",
                                      devices_to_json(devices, n_devices)));
        } else {
                print_daemon(ctl, &daemon);
                print_devices(ctl, devices, n_devices);
        }
        free(devices);
        return EXIT_SUCCESS;
}

/* ---- ls ---- */

static void add_mem_columns(Table *table) {
        table_add_column(table, "HANDLE", false);
        table_add_column(table, "DEVICE", false);
        table_add_column(table, "SIZE", true);
        table_add_column(table, "UID", true);
        table_add_column(table, "MODE", false);
        table_add_column(table, "LIFETIME", false);
        table_add_column(table, "REFS", true);
        table_add_column(table, "NAME", false);
}

static void add_mem(const Gpuctl *ctl, Table *table, const struct gpud_mem_info *mem) {
        char text[OUTPUT_TEXT_MAX];

        gpud_uuid_to_string(&mem->mem, text);
        table_add_cell(table, text);
        table_add_cell(table, mem->device);
        add_size(ctl, table, mem->size);
        snprintf(text, sizeof(text), "%" PRIu64, mem->uid);
        table_add_cell(table, text);
        snprintf(text, sizeof(text), "%04" PRIo64 "%s", mem->mode, mem->sealed ? " sealed" : "");
        table_add_cell(table, text);
        table_add_cell(table, choice(&proto_enum_lifetime, (unsigned)mem->lifetime));
        snprintf(text, sizeof(text), "%" PRIu64, mem->refs);
        table_add_cell(table, text);
        table_add_cell(table, mem->name ? mem->name : ctl->is_terminal ? "-" : "");
}

static int read_mems(Gpuctl *ctl, struct gpud_mem_list_args *args, Table *table, uint64_t *ret_bytes) {
        struct gpud_mem_list_result result;
        int r;

        *ret_bytes = 0;
        do {
                r = gpud_mem_list(ctl->client, args, &result);
                for (size_t i = 0; r == 0 && i < result.n_mems; i++) {
                        add_mem(ctl, table, &result.mems[i]);
                        *ret_bytes += result.mems[i].size;
                }
                args->cursor = result.next;
                args->has_cursor = true;
        } while (r == 0 && result.has_next);
        return r;
}

int command_ls(Gpuctl *ctl, const void *args) {
        struct gpud_mem_list_args list = *(const struct gpud_mem_list_args *)args;
        char text[OUTPUT_TEXT_MAX];
        uint64_t bytes;
        Table *table;
        int r;

        /* JSON has no columns to choose. */
        if (ctl->is_json)
                return verb_run(ctl, &proto_methods[PROTO_METHOD_mem_list], &list);
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        table = table_new();
        add_mem_columns(table);
        r = read_mems(ctl, &list, table, &bytes);
        if (r == 0) {
                print_table(ctl, table);
                if (ctl->is_terminal)
                        printf("allocations %zu, %s\n", table_get_n_rows(table), output_size(bytes, text));
        }
        table_free(table);
        return r < 0 ? complain_call(ctl, "ls", r) : EXIT_SUCCESS;
}
