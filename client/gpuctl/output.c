/* What a field looks like follows from its kind, its name and its one line of documentation. */

#include "client/gpuctl/output.h"

#include <ctype.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client/cleanup.h"
#include "client/gpuctl/complain.h"

#define NS_PER_S UINT64_C(1000000000)

/* Narrower than this no text says anything; of a handle's digits so many are enough. */
#define NARROWEST 8
/* So many of a list's last columns may be left out before it becomes blocks. */
#define N_LAST    2

const char *size_to_text(uint64_t size, char ret_text[OUTPUT_TEXT_MAX]) {
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        double value = (double)size;
        size_t unit = 0;

        /* 1023.95 would be shown as 1024.0 of the smaller unit. */
        while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(*units)) {
                value /= 1024;
                unit++;
        }
        if (unit == 0)
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64 " B", size);
        else
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%.1f %s", value, units[unit]);
        return ret_text;
}

static const struct {
        uint64_t seconds;
        const char *name;
} spans[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};

const char *duration_to_text(uint64_t seconds, char ret_text[OUTPUT_TEXT_MAX]) {
        size_t i = 0;

        while (i < 3 && seconds < spans[i].seconds)
                i++;
        if (i == 3)
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64 " s", seconds);
        else
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64 " %s %" PRIu64 " %s",
                         seconds / spans[i].seconds, spans[i].name,
                         seconds % spans[i].seconds / spans[i + 1].seconds, spans[i + 1].name);
        return ret_text;
}

const char *microseconds_to_text(uint64_t microseconds, char ret_text[OUTPUT_TEXT_MAX]) {
        static const char *const units[] = {"us", "ms", "s"};
        double value = (double)microseconds;
        size_t unit = 0;

        while (value >= 999.5 && unit < 2) {
                value /= 1000;
                unit++;
        }
        snprintf(ret_text, OUTPUT_TEXT_MAX, unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value,
                 units[unit]);
        return ret_text;
}

const char *user_to_text(uint64_t uid, char ret_text[OUTPUT_TEXT_MAX]) {
        const struct passwd *user = getpwuid((uid_t)uid);

        if (user)
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%s", user->pw_name);
        else
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64, uid);
        return ret_text;
}

static void group_to_text(uint64_t gid, char ret_text[OUTPUT_TEXT_MAX]) {
        const struct group *group = getgrgid((gid_t)gid);

        if (group)
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%s", group->gr_name);
        else
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64, gid);
}

static bool is_absent(const ProtoField *field, const void *base) {
        const void *value = (const char *)base + field->offset;

        if (field->has_offset != PROTO_NO_OFFSET)
                return !*((const bool *)base + field->has_offset);
        if (field->wire == PROTO_WIRE_STR)
                return !*(const char *const *)value;
        return field->wire == PROTO_WIRE_BIN && !((const struct gpud_bin *)value)->data;
}

static void format_time(uint64_t time_ns, char ret_text[OUTPUT_TEXT_MAX]) {
        time_t seconds = (time_t)(time_ns / NS_PER_S);
        struct tm parts;

        if (!localtime_r(&seconds, &parts) ||
            strftime(ret_text, OUTPUT_TEXT_MAX, "%Y-%m-%d %H:%M:%S %Z", &parts) == 0)
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64, time_ns);
}

const char *age_to_text(uint64_t seconds, char ret_text[OUTPUT_TEXT_MAX]) {
        size_t i = 0;

        while (i + 1 < N_ELEMENTS(spans) && seconds < spans[i].seconds)
                i++;
        snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64 "%c", seconds / spans[i].seconds, spans[i].name[0]);
        return ret_text;
}

uint64_t output_get_now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Short, for tables: "3h ago", "in 5m". */
static void format_distance(uint64_t time_ns, char ret_text[OUTPUT_TEXT_MAX]) {
        uint64_t now_ns = output_get_now_ns();
        char text[OUTPUT_TEXT_MAX];

        if (time_ns <= now_ns)
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%.16s ago",
                         age_to_text((now_ns - time_ns) / NS_PER_S, text));
        else
                snprintf(ret_text, OUTPUT_TEXT_MAX, "in %.16s",
                         age_to_text((time_ns - now_ns) / NS_PER_S, text));
}

static void format_number(const Gpuctl *ctl, ProtoKind kind, uint64_t value, char ret_text[OUTPUT_TEXT_MAX]) {
        if (kind == PROTO_MODE)
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%04" PRIo64, value);
        else if (ctl->is_terminal && kind == PROTO_TIME)
                format_time(value, ret_text);
        else if (ctl->is_terminal && kind == PROTO_DURATION)
                duration_to_text(value, ret_text);
        else if (ctl->is_terminal && kind == PROTO_DURATION_US)
                microseconds_to_text(value, ret_text);
        else if (ctl->is_terminal && kind == PROTO_SIZE)
                size_to_text(value, ret_text);
        else if (ctl->is_terminal && kind == PROTO_UID)
                user_to_text(value, ret_text);
        else if (ctl->is_terminal && kind == PROTO_GID)
                group_to_text(value, ret_text);
        else
                snprintf(ret_text, OUTPUT_TEXT_MAX, "%" PRIu64, value);
}

const char *choice_to_text(const ProtoEnum *type, unsigned value) {
        return value < type->n_values ? type->values[value].text : "?";
}

static const char *enum_text(const ProtoField *field, const void *value) {
        return choice_to_text(field->choices, *(const unsigned *)value);
}

/* 0x and the digits; the caller frees it. */
static char *hex_text(const struct gpud_bin *bytes) {
        char *text = malloc(2 * bytes->size + 3);

        if (!text)
                abort();
        strcpy(text, "0x");
        for (size_t i = 0; i < bytes->size; i++)
                sprintf(text + 2 + 2 * i, "%02x", ((const unsigned char *)bytes->data)[i]);
        return text;
}

void output_add_size(const Gpuctl *ctl, Table *table, uint64_t size) {
        char text[OUTPUT_TEXT_MAX];

        if (ctl->is_terminal)
                size_to_text(size, text);
        else
                snprintf(text, sizeof(text), "%" PRIu64, size);
        table_add_cell(table, text);
}

void output_add_cell(const Gpuctl *ctl, Table *table, const ProtoField *field, const void *base) {
        const void *value = (const char *)base + field->offset;
        char text[OUTPUT_TEXT_MAX] = "";
        _cleanup_(freep) char *hex = NULL;

        if (is_absent(field, base)) {
                table_add_cell(table, ctl->is_terminal ? "-" : "");
                return;
        }
        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                snprintf(text, sizeof(text), "%s", *(const bool *)value ? "yes" : "no");
                break;
        case PROTO_WIRE_U64:
                format_number(ctl, field->kind, *(const uint64_t *)value, text);
                break;
        case PROTO_WIRE_F64:
                snprintf(text, sizeof(text), ctl->is_terminal ? "%.1f" : "%.17g", *(const double *)value);
                break;
        case PROTO_WIRE_STR:
                table_add_cell(table, *(const char *const *)value);
                return;
        case PROTO_WIRE_BIN:
                hex = hex_text(value);
                table_add_cell(table, hex);
                return;
        case PROTO_WIRE_UUID:
                gpud_uuid_to_string(value, text);
                break;
        case PROTO_WIRE_ENUM:
                snprintf(text, sizeof(text), "%s", enum_text(field, value));
                break;
        case PROTO_WIRE_STRUCT:
                snprintf(text, sizeof(text), "(%s)", field->sub->name);
                break;
        case PROTO_WIRE_LIST:
                snprintf(text, sizeof(text), "%zu",
                         *(const size_t *)(const void *)((const char *)base + field->count_offset));
                break;
        }
        table_add_cell(table, text);
}

/* Names of users and groups are none. */
static bool is_number(const ProtoField *field) {
        return field->wire == PROTO_WIRE_F64 || (field->wire == PROTO_WIRE_U64 && field->kind != PROTO_UID &&
                                                 field->kind != PROTO_GID && field->kind != PROTO_TIME);
}

/* People read the unit in the value. */
static const char *field_label(const Gpuctl *ctl, const ProtoField *field, char ret_text[NAME_TEXT_MAX]) {
        bool has_unit = field->kind == PROTO_TIME || field->kind == PROTO_DURATION ||
                        field->kind == PROTO_DURATION_US;
        char *unit;

        snprintf(ret_text, NAME_TEXT_MAX, "%s", field->name);
        unit = strrchr(ret_text, '_');
        if (ctl->is_terminal && has_unit && unit)
                *unit = '\0';
        return ret_text;
}

void output_add_columns(const Gpuctl *ctl, Table *table, const ProtoStruct *type) {
        const ProtoField *field;
        char title[NAME_TEXT_MAX];

        for (size_t i = 0; i < type->n_fields; i++) {
                field = &type->fields[i];
                table_add(table,
                          (TableColumn){
                                  .title = field_label(ctl, field, title),
                                  .is_number = is_number(field),
                                  .is_cut = field->wire == PROTO_WIRE_UUID,
                                  .width_min = field->wire == PROTO_WIRE_UUID || field->wire == PROTO_WIRE_STR
                                                       ? NARROWEST
                                                       : 0,
                                  .rank = i > 0 && i + N_LAST >= type->n_fields ? (unsigned)i : 0,
                          });
        }
}

/* A row of a list; its times are short, unless all is wanted. */
void output_add_row(const Gpuctl *ctl, Table *table, const ProtoStruct *type, const void *base) {
        const ProtoField *field;
        char text[OUTPUT_TEXT_MAX];

        for (size_t i = 0; i < type->n_fields; i++) {
                field = &type->fields[i];
                if (!ctl->is_terminal || ctl->is_whole || field->kind != PROTO_TIME ||
                    is_absent(field, base)) {
                        output_add_cell(ctl, table, field, base);
                        continue;
                }
                format_distance(*(const uint64_t *)(const void *)((const char *)base + field->offset), text);
                table_add_cell(table, text);
        }
}

static size_t screen_width(void) {
        struct winsize size;

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void output_print_text(const char *first, size_t indent, const char *text) {
        size_t width = isatty(STDOUT_FILENO) ? screen_width() : SIZE_MAX;
        size_t column = strlen(first), n;

        fputs(first, stdout);
        while (*text) {
                n = strcspn(text, " ");
                if (column > indent && column + 1 + n > width) {
                        printf("\n%*s", (int)indent, "");
                        column = indent;
                } else if (column > indent) {
                        putchar(' ');
                        column++;
                }
                printf("%.*s", (int)n, text);
                column += n;
                text += n + strspn(text + n, " ");
        }
        putchar('\n');
}

void output_print_columns(const Gpuctl *ctl, Table *table) {
        if (!ctl->is_terminal) {
                table_print_tabs(table, stdout);
                return;
        }
        if (!ctl->is_whole)
                table_fit(table, screen_width());
        table_print_aligned(table, stdout, ctl->is_colour);
}

void output_print_table(const Gpuctl *ctl, Table *table) {
        size_t width = ctl->is_terminal ? screen_width() : SIZE_MAX;

        if (!ctl->is_terminal)
                table_print_tabs(table, stdout);
        else if (ctl->is_whole ? table_get_width(table) > width : !table_fit(table, width))
                table_print_blocks(table, stdout, ctl->is_colour);
        else
                table_print_aligned(table, stdout, ctl->is_colour);
}

/* One line for each value, those of a structure inside under its name. */
static void add_values(const Gpuctl *ctl, Table *names, const ProtoStruct *type, const void *base,
                       const char *prefix) {
        const ProtoField *field;
        char name[128], label[NAME_TEXT_MAX];

        for (size_t i = 0; i < type->n_fields; i++) {
                field = &type->fields[i];
                snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "",
                         field_label(ctl, field, label));
                if (field->wire == PROTO_WIRE_STRUCT) {
                        add_values(ctl, names, field->sub, (const char *)base + field->offset, name);
                } else if (field->wire != PROTO_WIRE_LIST) {
                        table_add_cell(names, name);
                        output_add_cell(ctl, names, field, base);
                }
        }
}

static void print_values(const Gpuctl *ctl, const ProtoStruct *type, const void *base) {
        _cleanup_(table_freep) Table *names = table_new();

        table_add_column(names, "", false);
        table_add_column(names, "", false);
        add_values(ctl, names, type, base, "");
        if (ctl->is_terminal && table_get_n_rows(names) > 0)
                table_print_rows(names, stdout);
        else
                table_print_tabs(names, stdout);
}

/* Prints a list under its name, or if `name` is NULL alone. */
static void print_list(const Gpuctl *ctl, const ProtoField *field, const void *base, const char *name) {
        const char *items = *(const char *const *)(const void *)((const char *)base + field->offset);
        size_t n_items = *(const size_t *)(const void *)((const char *)base + field->count_offset);
        bool is_prefixed = name && !ctl->is_terminal;
        _cleanup_(table_freep) Table *table = table_new();

        if (is_prefixed)
                table_add_column(table, "", false);
        output_add_columns(ctl, table, field->sub);
        for (size_t i = 0; i < n_items; i++) {
                if (is_prefixed)
                        table_add_cell(table, name);
                output_add_row(ctl, table, field->sub, items + i * field->sub->size);
        }
        if (name && ctl->is_terminal)
                printf("\n%s:\n", name);
        output_print_table(ctl, table);
}

void output_print_struct(const Gpuctl *ctl, const ProtoStruct *type, const void *base) {
        size_t n_lists = 0;
        bool is_list;

        for (size_t i = 0; i < type->n_fields; i++)
                n_lists += type->fields[i].wire == PROTO_WIRE_LIST;
        /* A structure that is a list, at most with the cursor of the next part, needs no names. */
        is_list = n_lists == 1 && type->fields[0].wire == PROTO_WIRE_LIST;
        if (!is_list)
                print_values(ctl, type, base);
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].wire == PROTO_WIRE_LIST)
                        print_list(ctl, &type->fields[i], base, is_list ? NULL : type->fields[i].name);
}

static void print_dump(const struct gpud_bin *bytes) {
        const unsigned char *data = bytes->data;

        for (size_t i = 0; i < bytes->size; i += 16) {
                printf("%08zx ", i);
                for (size_t k = i; k < i + 16; k++) {
                        if (k < bytes->size)
                                printf(" %02x", data[k]);
                        else
                                fputs("   ", stdout);
                }
                fputs("  ", stdout);
                for (size_t k = i; k < i + 16 && k < bytes->size; k++)
                        putchar(data[k] < 0x80 && isprint(data[k]) ? data[k] : '.');
                putchar('\n');
        }
}

void output_print_handle(const struct gpud_uuid *mem) {
        char text[GPUD_UUID_TEXT + 1];

        gpud_uuid_to_string(mem, text);
        puts(text);
}

void output_print_bytes(const Gpuctl *ctl, const struct gpud_bin *bytes) {
        if (ctl->is_terminal)
                print_dump(bytes);
        else if (bytes->size > 0)
                fwrite(bytes->data, 1, bytes->size, stdout);
}

static json_t *field_to_json(const ProtoField *field, const void *base) {
        const void *value = (const char *)base + field->offset;
        char uuid[GPUD_UUID_TEXT + 1];
        _cleanup_(freep) char *hex = NULL;
        const char *items;
        json_t *json;

        if (is_absent(field, base))
                return json_null();
        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                return json_boolean(*(const bool *)value);
        case PROTO_WIRE_U64:
                /* jansson's integers end here. */
                if (*(const uint64_t *)value > INT64_MAX)
                        return json_real((double)*(const uint64_t *)value);
                return json_integer((json_int_t) * (const uint64_t *)value);
        case PROTO_WIRE_F64:
                return json_real(*(const double *)value);
        case PROTO_WIRE_STR:
                return json_string(*(const char *const *)value);
        case PROTO_WIRE_BIN:
                hex = hex_text(value);
                return json_string(hex);
        case PROTO_WIRE_UUID:
                gpud_uuid_to_string(value, uuid);
                return json_string(uuid);
        case PROTO_WIRE_ENUM:
                return json_string(enum_text(field, value));
        case PROTO_WIRE_STRUCT:
                return output_to_json(field->sub, value);
        case PROTO_WIRE_LIST:
                json = json_array();
                items = *(const char *const *)value;
                for (size_t i = 0;
                     i < *(const size_t *)(const void *)((const char *)base + field->count_offset); i++)
                        json_array_append_new(json, output_to_json(field->sub, items + i * field->sub->size));
                return json;
        }
        return NULL;
}

json_t *output_to_json(const ProtoStruct *type, const void *base) {
        json_t *object = json_object();

        for (size_t i = 0; i < type->n_fields; i++)
                json_object_set_new(object, type->fields[i].name, field_to_json(&type->fields[i], base));
        return object;
}

/* Control characters that JSON allows and terminals obey: DEL, and C1, U+0080 to U+009F. */
void output_print_json(json_t *json) {
        _cleanup_(freep) char *text = json_dumps(json, JSON_INDENT(2));

        if (!text)
                abort();
        for (const unsigned char *c = (const unsigned char *)text; *c; c++)
                if (*c == 0x7f)
                        fputs("\\u007f", stdout);
                else if (c[0] == 0xc2 && c[1] < 0xa0)
                        printf("\\u00%02x", *++c);
                else
                        putchar(*c);
        putchar('\n');
        json_decref(json);
}
