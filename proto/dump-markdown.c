/* Prints proto/methods.md: the reference for whoever writes a client in another language. */

#include "proto/dump.h"

#include <inttypes.h>
#include <string.h>

#include "proto/table.h"
#include "proto/types.h"

/* What a value is on the wire, in the reader's words. */
static void print_kind(FILE *file, const ProtoField *field) {
        const char *object = proto_object_to_string(field->object),
                   *format = proto_kind_get_format(field->kind);

        if (field->wire == PROTO_WIRE_ENUM)
                fprintf(file, "[%s](#%s)", field->choices->name, field->choices->name);
        else if (field->wire == PROTO_WIRE_STRUCT)
                fprintf(file, "[%s](#%s)", field->sub->name, field->sub->name);
        else if (field->wire == PROTO_WIRE_LIST)
                fprintf(file, "list of [%s](#%s)", field->sub->name, field->sub->name);
        else
                fputs(proto_wire_to_string(field->wire), file);
        if (object)
                fprintf(file, ", %s", object);
        if (format)
                fprintf(file, ", %s", format);
        if (field->max > 0)
                fprintf(file, ", at most %zu bytes", field->max);
        if (field->since > 1)
                fprintf(file, ", since protocol %" PRIu32, field->since);
}

static void print_fields(FILE *file, const ProtoStruct *type) {
        fputs("\n| field | type | |\n|---|---|---|\n", file);
        for (size_t i = 0; i < type->n_fields; i++) {
                fprintf(file, "| `%s`%s | ", type->fields[i].name, type->fields[i].is_required ? "" : "?");
                print_kind(file, &type->fields[i]);
                fprintf(file, " | %s |\n", type->fields[i].doc);
        }
}

/* Structures that belong to one method stand with it, the others in a chapter of their own. */
static bool is_shared(const ProtoStruct *type) {
        size_t n_uses = 0;

        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                n_uses += (proto_methods[i].args == type) + (proto_methods[i].result == type);
        return n_uses != 1;
}

static void print_side(FILE *file, const char *title, const ProtoStruct *type) {
        if (type->n_fields == 0)
                fprintf(file, "\n%s: nothing.\n", title);
        else if (is_shared(type))
                fprintf(file, "\n%s: [%s](#%s)\n", title, type->name, type->name);
        else {
                fprintf(file, "\n%s:\n", title);
                print_fields(file, type);
        }
}

static void print_method(FILE *file, const ProtoMethod *method) {
        fprintf(file, "\n### %s\n\n%s", method->name, method->doc);
        if (method->access == PROTO_ACCESS_ADMIN)
                fputs(" For administrators only.", file);
        if (method->n_fds > 0)
                fprintf(file, " Takes %zu file descriptor%s.", method->n_fds, method->n_fds > 1 ? "s" : "");
        fprintf(file, " Since protocol %" PRIu32 ".\n", method->since);
        print_side(file, "Arguments", method->args);
        print_side(file, "Result", method->result);
}

static void print_tables(FILE *file) {
        fputs("\n## Enumerations\n\nOn the wire a value is its string.\n", file);
        for (size_t i = 0; i < proto_n_enums; i++) {
                fprintf(file, "\n### %s\n\n%s\n\n| value | |\n|---|---|\n", proto_enums[i]->name,
                        proto_enums[i]->doc);
                for (size_t k = 0; k < proto_enums[i]->n_values; k++)
                        fprintf(file, "| `%s` | %s |\n", proto_enums[i]->values[k].text,
                                proto_enums[i]->values[k].doc);
        }
        fputs("\n## Errors\n\nA reply's error is a map of `code`, `name`, `message` and `hint`.\n\n"
              "| code | name | meaning | what to do |\n|---|---|---|---|\n",
              file);
        for (size_t i = 0; i < proto_n_errors; i++)
                fprintf(file, "| %d | `%s` | %s | %s |\n", proto_errors[i].code, proto_errors[i].name,
                        proto_errors[i].text, proto_errors[i].hint);
        fputs("\n## Limits\n\n| limit | value | of what |\n|---|---|---|\n", file);
        for (size_t i = 0; i < proto_n_limits; i++)
                fprintf(file, "| `%s` | %" PRIu64 " | %s |\n", proto_limits[i].name, proto_limits[i].value,
                        proto_limits[i].doc);
}

void dump_markdown(FILE *file) {
        const char *noun = "";

        fprintf(file,
                "# The methods of protocol %d\n\n"
                "Printed from the tables of proto/ by `make`; not for editing. A `?` marks a "
                "field "
                "that may be absent in arguments\nand nil in results. Sizes and offsets are bytes, `_ns` are "
                "nanoseconds since the epoch, a uuid is a str of 36 characters.\n",
                GPUD_PROTOCOL);
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                if (strcmp(noun, proto_methods[i].noun) != 0)
                        fprintf(file, "\n## %s\n", proto_methods[i].noun);
                noun = proto_methods[i].noun;
                print_method(file, &proto_methods[i]);
        }
        fputs("\n## Structures\n", file);
        for (size_t i = 0; i < proto_n_structs; i++)
                if (is_shared(proto_structs[i])) {
                        fprintf(file, "\n### %s\n\n%s\n", proto_structs[i]->name, proto_structs[i]->doc);
                        print_fields(file, proto_structs[i]);
                }
        print_tables(file);
}
