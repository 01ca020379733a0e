/* Prints client/gpud-protocol.h. Its structures have the layout of types.h; a unit test compares them. */

#include "proto/dump.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "proto/table.h"
#include "proto/types.h"
#include "proto/version.h"

#define COLUMNS 110
#define INDENT  8

/* The words of a comment that begins at `column`, and its end, on as many lines as it takes. */
static void print_words(FILE *file, size_t column, const char *lead, const char *text) {
        size_t position = column;
        const char *space = "";
        size_t n;

        for (; *text; text += strspn(text, " ")) {
                n = strcspn(text, " ");
                /* Three columns for the end of the comment. */
                if (position + strlen(space) + n + 3 > COLUMNS) {
                        fprintf(file, "\n%*s", (int)column, lead);
                        position = column;
                        space = "";
                }
                fprintf(file, "%s%.*s", space, (int)n, text);
                position += strlen(space) + n;
                space = " ";
                text += n;
        }
        fputs(" */\n", file);
}

/* A declaration and its comment beside it. */
static void print_commented(FILE *file, size_t width, const char *declaration, const char *comment) {
        fprintf(file, "%*s%-*s /* ", INDENT, "", (int)width, declaration);
        print_words(file, INDENT + width + strlen(" /* "), "", comment);
}

/* PREFIX_NAME in upper case. */
static void constant_name(char *ret_name, size_t n_name, const char *prefix, const char *name) {
        snprintf(ret_name, n_name, "GPUD_%s%s%s", prefix, *prefix ? "_" : "", name);
        for (char *c = ret_name; *c; c++)
                *c = (char)toupper((unsigned char)*c);
}

static void print_limits(FILE *file) {
        char name[64], declaration[128];
        size_t width = 0;

        for (size_t i = 0; i < proto_n_limits; i++)
                if (strlen(proto_limits[i].name) > width)
                        width = strlen(proto_limits[i].name);
        width += strlen("GPUD_ = 1234567,");
        fputs("/* Limits: what gpud accepts. */\nenum {\n", file);
        for (size_t i = 0; i < proto_n_limits; i++) {
                constant_name(name, sizeof(name), "", proto_limits[i].name);
                snprintf(declaration, sizeof(declaration), "%s = %" PRIu64 ",", name, proto_limits[i].value);
                print_commented(file, width, declaration, proto_limits[i].doc);
        }
        fputs("};\n\n", file);
}

static void print_errors(FILE *file) {
        char declaration[128];

        fputs("/* Errors: calls return them negated. gpud_strerror() and gpud_error_hint() have the words. "
              "*/\n"
              "enum gpud_error {\n",
              file);
        for (size_t i = 0; i < proto_n_errors; i++) {
                snprintf(declaration, sizeof(declaration), "GPUD_E_%s = %d,", proto_errors[i].name,
                         proto_errors[i].code);
                print_commented(file, 32, declaration, proto_errors[i].text);
        }
        fputs("};\n\n", file);
}

static void print_enum(FILE *file, const ProtoEnum *type) {
        char name[64], declaration[80];

        fprintf(file, "/* %s */\nenum gpud_%s {\n", type->doc, type->name);
        for (size_t i = 0; i < type->n_values; i++) {
                constant_name(name, sizeof(name), type->name, type->values[i].text);
                snprintf(declaration, sizeof(declaration), "%s,", name);
                print_commented(file, 32, declaration, type->values[i].doc);
        }
        fputs("};\n\n", file);
}

/* The member's declaration but for the n_ and has_ members that go with it. */
static void declare_field(char *ret_text, size_t n_text, const ProtoField *field) {
        static const char *const types[] = {
                [PROTO_WIRE_BOOL] = "bool ",           [PROTO_WIRE_U64] = "uint64_t ",
                [PROTO_WIRE_F64] = "double ",          [PROTO_WIRE_STR] = "const char *",
                [PROTO_WIRE_BIN] = "struct gpud_bin ", [PROTO_WIRE_UUID] = "struct gpud_uuid ",
        };

        if (field->wire == PROTO_WIRE_ENUM)
                snprintf(ret_text, n_text, "enum gpud_%s %s;", field->choices->name, field->name);
        else if (field->wire == PROTO_WIRE_STRUCT)
                snprintf(ret_text, n_text, "struct gpud_%s %s;", field->sub->name, field->name);
        else if (field->wire == PROTO_WIRE_LIST)
                snprintf(ret_text, n_text, "const struct gpud_%s *%s;", field->sub->name, field->name);
        else
                snprintf(ret_text, n_text, "%s%s;", types[field->wire], field->name);
}

static void print_field(FILE *file, size_t width, const ProtoField *field) {
        char declaration[128], comment[512], preset[DUMP_PRESET_MAX];
        int n;

        declare_field(declaration, sizeof(declaration), field);
        n = snprintf(comment, sizeof(comment), "%s%s", field->is_required ? "" : "optional: ", field->doc);
        if (field->max > 0)
                n += snprintf(comment + n, sizeof(comment) - (size_t)n, "; at most %zu bytes", field->max);
        if (field->since > 1)
                snprintf(comment + n, sizeof(comment) - (size_t)n,
                         "; %s from a gpud before protocol %" PRIu32, dump_preset(field, preset),
                         field->since);
        print_commented(file, width, declaration, comment);
        if (field->wire == PROTO_WIRE_LIST)
                fprintf(file, "%*ssize_t n_%s;\n", INDENT, "", field->name);
        if (field->has_offset != PROTO_NO_OFFSET)
                fprintf(file, "%*sbool has_%s;\n", INDENT, "", field->name);
}

static void print_struct(FILE *file, const ProtoStruct *type) {
        char declaration[128];
        size_t width = 0;

        for (size_t i = 0; i < type->n_fields; i++) {
                declare_field(declaration, sizeof(declaration), &type->fields[i]);
                if (strlen(declaration) > width)
                        width = strlen(declaration);
        }
        fprintf(file, "/* %s */\nstruct gpud_%s {\n", type->doc, type->name);
        for (size_t i = 0; i < type->n_fields; i++)
                print_field(file, width, &type->fields[i]);
        if (type->size > proto_struct_get_end(type))
                fprintf(file, "%*sunsigned char room[%zu];\n", INDENT, "",
                        type->size - proto_struct_get_end(type));
        fputs("};\n\n", file);
}

/* `head(first, second, ...);`, going on below the first parameter where the line is full. */
static void print_prototype(FILE *file, const char *head, const char *const *parameters,
                            size_t n_parameters) {
        size_t start = strlen(head) + 1;
        size_t position = start;

        fprintf(file, "%s(", head);
        for (size_t i = 0; i < n_parameters; i++) {
                if (i > 0) {
                        fputc(',', file);
                        position++;
                        if (position + 1 + strlen(parameters[i]) + strlen(");") > COLUMNS) {
                                fprintf(file, "\n%*s", (int)start, "");
                                position = start;
                        } else {
                                fputc(' ', file);
                                position++;
                        }
                }
                fputs(parameters[i], file);
                position += strlen(parameters[i]);
        }
        fputs(");\n", file);
}

static void print_callback(FILE *file, const ProtoStruct *type) {
        char head[96], result[96];
        const char *parameters[4] = {"struct gpud_client *client", "int r"};
        size_t n = 2;

        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (proto_methods[i].result == type) {
                        snprintf(head, sizeof(head), "typedef void gpud_%s_fn", type->name);
                        snprintf(result, sizeof(result), "const struct gpud_%s *result", type->name);
                        if (type->n_fields > 0)
                                parameters[n++] = result;
                        parameters[n++] = "void *userdata";
                        print_prototype(file, head, parameters, n);
                        return;
                }
}

static void print_method(FILE *file, const ProtoMethod *method) {
        char head[96], text[512], args[96], result[96], done[96];
        const char *parameters[5] = {"struct gpud_client *client"};
        size_t n = 1;

        snprintf(args, sizeof(args), "const struct gpud_%s *args", method->args->name);
        snprintf(result, sizeof(result), "struct gpud_%s *ret_result", method->result->name);
        snprintf(done, sizeof(done), "gpud_%s_fn *done", method->result->name);
        if (method->args->n_fields > 0)
                parameters[n++] = args;
        if (method->n_fds > 0)
                parameters[n++] = "int fd";

        snprintf(text, sizeof(text), "%s: %s%s", method->name, method->doc,
                 method->access == PROTO_ACCESS_ADMIN ? " For administrators only." : "");
        fputs("/* ", file);
        print_words(file, strlen("/* "), " * ", text);
        snprintf(head, sizeof(head), "int gpud_%s_%s", method->noun, method->verb);
        parameters[n] = result;
        print_prototype(file, head, parameters, n + (method->result->n_fields > 0 ? 1 : 0));
        snprintf(head, sizeof(head), "int gpud_%s_%s_submit", method->noun, method->verb);
        parameters[n] = done;
        parameters[n + 1] = "void *userdata";
        print_prototype(file, head, parameters, n + 2);
        fputc('\n', file);
}

void dump_header(FILE *file) {
        fputs("/*\n"
              " * The protocol as C types and calls. Printed from the tables of proto/ by `make`; not for "
              "editing.\n"
              " * Programs include gpud.h, which says how the calls behave.\n"
              " */\n"
              "/* clang-format off */\n"
              "#ifndef GPUD_PROTOCOL_H\n"
              "#define GPUD_PROTOCOL_H\n\n"
              "#include <stdbool.h>\n"
              "#include <stddef.h>\n"
              "#include <stdint.h>\n\n"
              "#ifdef __cplusplus\n"
              "extern \"C\" {\n"
              "#endif\n"
              "#pragma GCC visibility push(default)\n\n"
              "struct gpud_client;\n\n",
              file);
        fputs("/* Version of what this header came with; gpud_version() is that of the library. */\n"
              "#define GPUD_VERSION \"" GPUD_VERSION "\"\n\n",
              file);
        fprintf(file, "/* Version of the protocol. */\n#define GPUD_PROTOCOL %d\n\n", GPUD_PROTOCOL);
        fprintf(file,
                "/* A handle. As text it has GPUD_UUID_TEXT characters, without the NUL. */\n"
                "#define GPUD_UUID_TEXT %d\n"
                "struct gpud_uuid {\n        uint8_t bytes[%zu];\n};\n\n",
                GPUD_UUID_TEXT, sizeof(struct gpud_uuid));
        fputs("/* Bytes that somebody else owns; absent when `data` is NULL. */\n"
              "struct gpud_bin {\n        const void *data;\n        size_t size;\n};\n\n",
              file);
        print_limits(file);
        print_errors(file);
        for (size_t i = 0; i < proto_n_enums; i++)
                print_enum(file, proto_enums[i]);
        for (size_t i = 0; i < proto_n_structs; i++)
                print_struct(file, proto_structs[i]);

        fputs("/*\n"
              " * Callbacks of the _submit calls, one type for each kind of result. `r` is 0 or a negated "
              "error; `result`\n"
              " * is NULL unless r is 0, and what it points at ends with the callback.\n"
              " */\n",
              file);
        print_callback(file, &proto_struct_none);
        for (size_t i = 0; i < proto_n_structs; i++)
                print_callback(file, proto_structs[i]);
        fputc('\n', file);
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                print_method(file, &proto_methods[i]);
        fputs("#pragma GCC visibility pop\n"
              "#ifdef __cplusplus\n"
              "}\n"
              "#endif\n"
              "#endif\n",
              file);
}
