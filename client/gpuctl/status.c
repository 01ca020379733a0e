/* `status`: the daemon and its devices at a glance. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cleanup.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"

/* What is shown of a device, from three methods. It is copied, since a result lives until the next call. */
typedef struct DeviceStatus {
        char device[64];
        char name[128];
        char type[32];
        char health[32];
        struct gpud_device_memory_result memory;
        struct gpud_device_telemetry_result telemetry;
} DeviceStatus;

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
        _cleanup_(freep) DeviceStatus *devices = NULL;
        const struct gpud_device_info *info;
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
                         choice_to_text(&proto_enum_device_type, (unsigned)info->type));
                snprintf(devices[i].health, sizeof(devices[i].health), "%s",
                         choice_to_text(&proto_enum_health, (unsigned)info->health));
        }
        for (size_t i = 0; r == 0 && i < n; i++)
                r = read_device(ctl, &devices[i]);
        if (r < 0)
                return r;
        *ret_devices = STEAL(devices);
        *ret_n_devices = n;
        return 0;
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

/* The columns of sensors that no device has are left out for people. */
static bool has_sensors(const Gpuctl *ctl, const DeviceStatus *devices, size_t n_devices) {
        const struct gpud_device_telemetry_result *telemetry;

        for (size_t i = 0; i < n_devices; i++) {
                telemetry = &devices[i].telemetry;
                if (telemetry->has_temperature_c || telemetry->has_power_w ||
                    telemetry->has_utilization_percent)
                        return true;
        }
        return !ctl->is_terminal;
}

static void add_device_columns(const Gpuctl *ctl, Table *table, bool is_sensed) {
        if (!ctl->is_terminal)
                table_add_column(table, "", false);
        table_add_column(table, "DEVICE", false);
        table_add_column(table, "NAME", false);
        table_add_column(table, "TYPE", false);
        table_add_column(table, "HEALTH", false);
        table_add_column(table, "USED", true);
        table_add_column(table, "AVAILABLE", true);
        table_add_column(table, "TOTAL", true);
        if (!is_sensed)
                return;
        table_add_column(table, "TEMP", true);
        table_add_column(table, "POWER", true);
        table_add_column(table, "LOAD", true);
}

static void add_device(const Gpuctl *ctl, Table *table, const DeviceStatus *device, bool is_sensed) {
        const struct gpud_device_telemetry_result *telemetry = &device->telemetry;

        /* Rows of a list among other fields begin with its name. */
        if (!ctl->is_terminal)
                table_add_cell(table, "devices");
        table_add_cell(table, device->device);
        table_add_cell(table, device->name);
        table_add_cell(table, device->type);
        table_add_cell(table, device->health);
        output_add_size(ctl, table, device->memory.used);
        output_add_size(ctl, table, device->memory.available);
        output_add_size(ctl, table, device->memory.total);
        if (!is_sensed)
                return;
        add_sensor(ctl, table, telemetry->has_temperature_c, telemetry->temperature_c, "C");
        add_sensor(ctl, table, telemetry->has_power_w, telemetry->power_w, "W");
        add_sensor(ctl, table, telemetry->has_utilization_percent, telemetry->utilization_percent, "%");
}

static void print_devices(const Gpuctl *ctl, const DeviceStatus *devices, size_t n_devices) {
        bool is_sensed = has_sensors(ctl, devices, n_devices);
        _cleanup_(table_freep) Table *table = table_new();

        add_device_columns(ctl, table, is_sensed);
        for (size_t i = 0; i < n_devices; i++)
                add_device(ctl, table, &devices[i], is_sensed);
        output_print_columns(ctl, table);
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

/* "worst stall 1.2 ms; 99.98% of 51234 loop turns within 100 us" */
static void print_stalls(const struct gpud_daemon_status_result *daemon) {
        char worst[OUTPUT_TEXT_MAX], limit[OUTPUT_TEXT_MAX];
        const struct gpud_stall_bucket *bucket;
        uint64_t n_turns = 0, n_within = 0;

        printf("worst stall %s", microseconds_to_text(daemon->stall_max_us, worst));
        for (size_t i = 0; i < daemon->n_stalls; i++)
                n_turns += daemon->stalls[i].count;
        for (bucket = daemon->stalls; bucket < daemon->stalls + daemon->n_stalls; bucket++) {
                n_within += bucket->count;
                /* The first bucket that holds 99 of 100. */
                if (!bucket->has_limit_us || n_within * 100 < n_turns * 99)
                        continue;
                if (n_turns > 0)
                        printf("; %.*f%% of %" PRIu64 " loop turns within %s", n_within < n_turns ? 2 : 0,
                               100 * (double)n_within / (double)n_turns, n_turns,
                               microseconds_to_text(bucket->limit_us, limit));
                break;
        }
        putchar('\n');
}

/* The daemon in three lines; programs get every field by its name, before the devices. */
static void print_daemon(const Gpuctl *ctl, const struct gpud_daemon_status_result *daemon) {
        const char *bold = ctl->is_colour ? "\033[1m" : "", *plain = ctl->is_colour ? "\033[0m" : "";
        char uptime[OUTPUT_TEXT_MAX];

        if (!ctl->is_terminal) {
                output_print_struct(ctl, &proto_struct_daemon_status_result, daemon);
                return;
        }
        printf("%sgpud %s%s, pid %" PRIu64 ", up %s, at %s\n", bold, daemon->version, plain, daemon->pid,
               duration_to_text(daemon->uptime_s, uptime), gpud_socket_path(ctl->socket));
        printf("sessions %" PRIu64 ", allocations %" PRIu64, daemon->sessions, daemon->mems);
        if (daemon->restored_mems > 0)
                printf(" (restored %" PRIu64 ")", daemon->restored_mems);
        printf(", regions %" PRIu64 ", requests %" PRIu64 " (errors %" PRIu64 ", in flight %" PRIu64
               "), fds %" PRIu64 "\n",
               daemon->shms, daemon->requests, daemon->errors, daemon->inflight, daemon->fds);
        print_stalls(daemon);
        putchar('\n');
}

int command_status(Gpuctl *ctl, const struct gpud_none *args) {
        _cleanup_(freep) DeviceStatus *devices = NULL;
        struct gpud_daemon_status_result daemon;
        size_t n_devices = 0;
        int r;

        (void)args;
        r = gpuctl_connect(ctl);
        if (r)
                return r;
        r = read_devices(ctl, &devices, &n_devices);
        /* This is the last call, since its strings and lists live until the next. */
        if (r == 0)
                r = gpud_daemon_status(ctl->client, &daemon);
        if (r < 0)
                return complain_call(ctl, "status", r);
        if (ctl->is_json) {
                output_print_json(json_pack("{s:o, s:o}", "daemon",
                                            output_to_json(&proto_struct_daemon_status_result, &daemon),
                                            "devices", devices_to_json(devices, n_devices)));
        } else {
                print_daemon(ctl, &daemon);
                print_devices(ctl, devices, n_devices);
        }
        return EXIT_SUCCESS;
}
