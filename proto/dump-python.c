/*
 * Prints _schema.py and limits.py of python-client/src/gpud, laid out as `ruff format` leaves them: what
 * might or might not fit on a line is written one item a line with a comma after the last, which the
 * formatter keeps.
 */

#include "proto/dump.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "proto/socket.h"
#include "proto/table.h"
#include "proto/types.h"

#define NAME_SIZE 96

/* snake_case or UPPER_CASE to CapWords. */
static void class_name(char ret_name[static NAME_SIZE], const char *name, const char *suffix) {
        bool is_first = true;
        size_t n = 0;

        for (; *name && n < NAME_SIZE - 1; name++) {
                if (*name == '_') {
                        is_first = true;
                        continue;
                }
                ret_name[n++] =
                        (char)(is_first ? toupper((unsigned char)*name) : tolower((unsigned char)*name));
                is_first = false;
        }
        snprintf(ret_name + n, NAME_SIZE - n, "%s", suffix);
}

static void error_class_name(char ret_name[static NAME_SIZE], const ProtoError *error) {
        size_t n = strlen(error->name);
        bool has_suffix = n >= 5 && strcmp(error->name + n - 5, "ERROR") == 0;

        class_name(ret_name, error->name, has_suffix ? "" : "Error");
}

static void constant_name(char ret_name[static NAME_SIZE], const char *name) {
        snprintf(ret_name, NAME_SIZE, "%s", name);
        for (char *c = ret_name; *c; c++)
                *c = (char)toupper((unsigned char)*c);
}

static size_t count_char(const char *text, char sought) {
        size_t n = 0;

        for (; *text; text++)
                n += *text == sought;
        return n;
}

/* A string literal in the quotes that ruff prefers: double, unless single ones need fewer escapes. */
static void print_literal(FILE *file, const char *text) {
        char quote = count_char(text, '"') > count_char(text, '\'') ? '\'' : '"';

        fputc(quote, file);
        for (; *text; text++) {
                if (*text == quote || *text == '\\')
                        fputc('\\', file);
                fputc(*text, file);
        }
        fputc(quote, file);
}

/* The text of a docstring, without its quotes. */
static void print_doc(FILE *file, const char *text) {
        for (; *text; text++) {
                if (*text == '\\' || *text == '"')
                        fputc('\\', file);
                fputc(*text, file);
        }
}

/* The docstring of the attribute in the line before. */
static void print_attribute_doc(FILE *file, const char *indent, const char *text) {
        fprintf(file, "%s\"\"\"", indent);
        print_doc(file, text);
        fputs("\"\"\"\n", file);
}

/* One more name of __all__. */
static void print_name(FILE *file, const char *name) {
        fprintf(file, "    \"%s\",\n", name);
}

static bool struct_reaches(const ProtoStruct *type, const ProtoStruct *sought) {
        if (type == sought)
                return true;
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].sub && struct_reaches(type->fields[i].sub, sought))
                        return true;
        return false;
}

/* Results become classes; arguments are parameters. */
static bool is_result(const ProtoStruct *type) {
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (struct_reaches(proto_methods[i].result, type))
                        return true;
        return false;
}

static void print_all(FILE *file) {
        char name[NAME_SIZE];

        fputs("__all__ = [\n", file);
        print_name(file, "PROTOCOL");
        for (size_t i = 0; i < proto_n_enums; i++) {
                class_name(name, proto_enums[i]->name, "");
                print_name(file, name);
        }
        for (size_t i = 0; i < proto_n_errors; i++) {
                error_class_name(name, &proto_errors[i]);
                print_name(file, name);
        }
        for (size_t i = 0; i < proto_n_structs; i++)
                if (is_result(proto_structs[i])) {
                        class_name(name, proto_structs[i]->name, "");
                        print_name(file, name);
                }
        fputs("]\n\n", file);
}

static void print_constants(FILE *file) {
        fprintf(file, "PROTOCOL: Final = %d\n", GPUD_PROTOCOL);
        print_attribute_doc(file, "", "version of the protocol");
        fprintf(file, "SOCKET_DEFAULT: Final = \"%s\"\n", PROTO_SOCKET_DEFAULT);
        print_attribute_doc(file, "", "where gpud listens unless told otherwise");
}

static void print_enum(FILE *file, const ProtoEnum *type) {
        char name[NAME_SIZE];

        class_name(name, type->name, "");
        fprintf(file, "\n%s: TypeAlias = Literal[\n", name);
        for (size_t i = 0; i < type->n_values; i++) {
                fputs("    ", file);
                print_literal(file, type->values[i].text);
                fprintf(file, ",  # %s\n", type->values[i].doc);
        }
        fputs("]\n", file);
        print_attribute_doc(file, "", type->doc);
}

static void print_error(FILE *file, const ProtoError *error) {
        char name[NAME_SIZE];

        error_class_name(name, error);
        fprintf(file, "\n\nclass %s(Error, %s):\n    \"\"\"%c", name, error->python_base,
                toupper((unsigned char)error->text[0]));
        print_doc(file, error->text + 1);
        fprintf(file, ".\"\"\"\n\n    code = %d\n    name = ", error->code);
        print_literal(file, error->name);
        fputs("\n    hint = ", file);
        print_literal(file, error->hint);
        fputc('\n', file);
}

static void print_error_table(FILE *file) {
        char name[NAME_SIZE];

        fputs("\n\nERRORS: Final[Mapping[int, type[Error]]] = {\n", file);
        for (size_t i = 0; i < proto_n_errors; i++) {
                error_class_name(name, &proto_errors[i]);
                fprintf(file, "    %s.code: %s,\n", name, name);
        }
        fputs("}\n", file);
        print_attribute_doc(file, "", "the class of each code on the wire");
}

/* The annotation of a field; without " | None". */
static void field_type(char ret_type[static NAME_SIZE + 16], const ProtoField *field, bool is_argument) {
        static const char *const types[] = {
                [PROTO_WIRE_BOOL] = "bool", [PROTO_WIRE_U64] = "int",   [PROTO_WIRE_F64] = "float",
                [PROTO_WIRE_STR] = "str",   [PROTO_WIRE_BIN] = "bytes", [PROTO_WIRE_UUID] = "str",
        };
        char name[NAME_SIZE];

        if (field->wire == PROTO_WIRE_ENUM)
                class_name(ret_type, field->choices->name, "");
        else if (field->wire == PROTO_WIRE_STRUCT)
                class_name(ret_type, field->sub->name, "");
        else if (field->wire == PROTO_WIRE_LIST) {
                class_name(name, field->sub->name, "");
                snprintf(ret_type, NAME_SIZE + 16, "tuple[%s, ...]", name);
        } else
                snprintf(ret_type, NAME_SIZE, "%s",
                         field->wire == PROTO_WIRE_BIN && is_argument ? "Buffer" : types[field->wire]);
}

static const char *python_preset(const ProtoField *field, char ret_text[static DUMP_PRESET_MAX]) {
        if (field->wire == PROTO_WIRE_BOOL)
                return *(const bool *)field->preset ? "True" : "False";
        return dump_preset(field, ret_text);
}

/*
 * `field=...,` of the constructor call: a REQUIRED key must be there, one that came later has its default,
 * any other may be missing.
 */
static void print_from_wire(FILE *file, const ProtoField *field) {
        char name[NAME_SIZE], preset[DUMP_PRESET_MAX];

        if (field->sub)
                class_name(name, field->sub->name, "");
        fprintf(file, "            %s=", field->name);
        if (field->wire == PROTO_WIRE_STRUCT)
                fprintf(file, "%s.from_wire(wire[\"%s\"]),\n", name, field->name);
        else if (field->wire == PROTO_WIRE_LIST)
                fprintf(file, "tuple(%s.from_wire(item) for item in wire.get(\"%s\", ())),\n", name,
                        field->name);
        else if (field->since > 1)
                fprintf(file, "wire.get(\"%s\", %s),\n", field->name, python_preset(field, preset));
        else
                fprintf(file, field->is_required ? "wire[\"%s\"],\n" : "wire.get(\"%s\"),\n", field->name);
}

static void print_struct(FILE *file, const ProtoStruct *type) {
        char name[NAME_SIZE], annotation[NAME_SIZE + 16];

        class_name(name, type->name, "");
        fprintf(file, "\n\n@dataclass(frozen=True, slots=True)\nclass %s:\n    \"\"\"", name);
        print_doc(file, type->doc);
        fputs("\"\"\"\n\n", file);
        for (size_t i = 0; i < type->n_fields; i++) {
                field_type(annotation, &type->fields[i], false);
                fprintf(file, "    %s: %s%s\n", type->fields[i].name, annotation,
                        type->fields[i].is_required ? "" : " | None");
                print_attribute_doc(file, "    ", type->fields[i].doc);
        }
        fputs("\n    @classmethod\n"
              "    def from_wire(cls, wire: Mapping[str, Any]) -> Self:\n"
              "        \"\"\"Reads a reply; keys of a newer protocol are ignored.\"\"\"\n"
              "        return cls(\n",
              file);
        for (size_t i = 0; i < type->n_fields; i++)
                print_from_wire(file, &type->fields[i]);
        fputs("        )\n", file);
}

static void print_parameters(FILE *file, const ProtoMethod *method) {
        char annotation[NAME_SIZE + 16];

        fputs("        *,\n", file);
        for (size_t i = 0; i < method->args->n_fields; i++) {
                field_type(annotation, &method->args->fields[i], true);
                fprintf(file, "        %s: %s%s,\n", method->args->fields[i].name, annotation,
                        method->args->fields[i].is_required ? "" : " | None = None");
        }
        if (method->n_fds > 0)
                fputs("        fds: Sequence[int],\n", file);
}

static void print_method_doc(FILE *file, const ProtoMethod *method) {
        fputs("        \"\"\"", file);
        print_doc(file, method->doc);
        if (method->access == PROTO_ACCESS_ADMIN)
                fputs(" For administrators only.", file);
        if (method->args->n_fields > 0 || method->n_fds > 0)
                fputs("\n\n        Args:\n", file);
        for (size_t i = 0; i < method->args->n_fields; i++) {
                const ProtoField *field = &method->args->fields[i];

                fprintf(file, "            %s: ", field->name);
                print_doc(file, field->doc);
                if (field->max > 0)
                        fprintf(file, "; at most %zu bytes", field->max);
                fputc('\n', file);
        }
        if (method->n_fds > 0)
                fprintf(file, "            fds: file descriptors that travel with the request: %zu\n",
                        method->n_fds);
        fputs(method->args->n_fields > 0 || method->n_fds > 0 ? "        \"\"\"\n" : "\"\"\"\n", file);
}

/* `name`, or what of it msgpack can pack. */
static void print_value(FILE *file, const ProtoField *field) {
        fprintf(file, field->wire == PROTO_WIRE_BIN ? "_buffers.view_of(%s)" : "%s", field->name);
}

static void print_arguments(FILE *file, const ProtoStruct *args) {
        size_t n_required = 0;

        for (size_t i = 0; i < args->n_fields; i++)
                n_required += args->fields[i].is_required;
        if (n_required == 0)
                fputs("        args: dict[str, Any] = {}\n", file);
        else {
                fputs("        args: dict[str, Any] = {\n", file);
                for (size_t i = 0; i < args->n_fields; i++)
                        if (args->fields[i].is_required) {
                                fprintf(file, "            \"%s\": ", args->fields[i].name);
                                print_value(file, &args->fields[i]);
                                fputs(",\n", file);
                        }
                fputs("        }\n", file);
        }
        /* Not sent as nil: a daemon that is older than the argument would refuse its name. */
        for (size_t i = 0; i < args->n_fields; i++)
                if (!args->fields[i].is_required) {
                        fprintf(file, "        if %s is not None:\n            args[\"%s\"] = ",
                                args->fields[i].name, args->fields[i].name);
                        print_value(file, &args->fields[i]);
                        fputc('\n', file);
                }
}

static void print_method(FILE *file, const ProtoMethod *method) {
        bool has_parameters = method->args->n_fields > 0 || method->n_fds > 0;
        bool has_result = method->result->n_fields > 0;
        char result[NAME_SIZE];

        class_name(result, method->result->name, "");
        fprintf(file, "\n    async def %s_%s(", method->noun, method->verb);
        if (has_parameters) {
                fputs("\n        self,\n", file);
                print_parameters(file, method);
                fputs("    ", file);
        } else
                fputs("self", file);
        fprintf(file, ") -> %s:\n", has_result ? result : "None");
        print_method_doc(file, method);
        print_arguments(file, method->args);
        fprintf(file, "        %sawait self._call(\"%s\", args%s)\n", has_result ? "wire = " : "",
                method->name, method->n_fds > 0 ? ", fds" : "");
        if (has_result)
                fprintf(file, "        return %s.from_wire(wire)\n", result);
}

void dump_python(FILE *file) {
        fputs("\"\"\"The protocol: enumerations, errors, results and methods.\n\n"
              "Printed from the tables of proto/ by `make`; not for editing.\n"
              "\"\"\"\n\n"
              "from __future__ import annotations\n\n"
              "from collections.abc import Mapping, Sequence\n"
              "from dataclasses import dataclass\n"
              "from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias\n\n"
              "from gpud import _buffers\n"
              "from gpud._errors import Error\n\n"
              "if TYPE_CHECKING:\n"
              "    from typing_extensions import Buffer\n\n",
              file);
        print_all(file);
        print_constants(file);
        for (size_t i = 0; i < proto_n_enums; i++)
                print_enum(file, proto_enums[i]);
        for (size_t i = 0; i < proto_n_errors; i++)
                print_error(file, &proto_errors[i]);
        print_error_table(file);
        for (size_t i = 0; i < proto_n_structs; i++)
                if (is_result(proto_structs[i]))
                        print_struct(file, proto_structs[i]);

        fputs("\n\nclass Methods:\n"
              "    \"\"\"Every method of the protocol as a coroutine. How a call is made, the subclass "
              "says.\"\"\"\n\n"
              "    async def _call(self, method: str, args: dict[str, Any], fds: Sequence[int] = ()) -> "
              "Any:\n"
              "        raise NotImplementedError\n",
              file);
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                print_method(file, &proto_methods[i]);
}

void dump_python_limits(FILE *file) {
        char name[NAME_SIZE];

        /* Not Final, whose import would be one more name that the module shows. */
        fputs("\"\"\"The limits of the protocol. Client.limits has those of the daemon at the other end.\n\n"
              "Printed from proto/limits.def by `make`; not for editing.\n"
              "\"\"\"\n\n",
              file);
        for (size_t i = 0; i < proto_n_limits; i++) {
                constant_name(name, proto_limits[i].name);
                fprintf(file, "%s = %" PRIu64 "\n", name, proto_limits[i].value);
                print_attribute_doc(file, "", proto_limits[i].doc);
        }
}
