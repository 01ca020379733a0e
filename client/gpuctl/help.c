/* Help from the schema: what there is, a noun's verbs, and what one command takes and gives. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/argument.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"
#include "proto/guess.h"
#include "proto/macros.h"

/* Of the longest text that is made up here. */
#define TEXT_MAX 512

static const char names_form[] = "NAME is all of a name. Where several allocations have it, --device and "
                                 "--uid say which. HANDLE is a UUID; "
                                 "its first 8 or more digits do where an allocation is only looked at, not "
                                 "to write, change or free it.";

static void print_upper(const char *name) {
        for (; *name; name++)
                putchar(toupper((unsigned char)*name));
}

static const char *value_name(const ProtoField *field) {
        static const char *const names[PROTO_N_KINDS] = {
                [PROTO_BOOL] = "true|false", [PROTO_SIZE] = "BYTES",        [PROTO_MODE] = "OCTAL",
                [PROTO_DURATION] = "TIME",   [PROTO_UID] = "USER",          [PROTO_GID] = "GROUP",
                [PROTO_U64] = "NUMBER",      [PROTO_F64] = "NUMBER",        [PROTO_BIN] = "DATA",
                [PROTO_UUID] = "HANDLE",     [PROTO_SHM] = "HANDLE",        [PROTO_DEVICE] = "DEVICE",
                [PROTO_FILE] = "FILE",       [PROTO_MEM] = "NAME|HANDLE",   [PROTO_MEM_R] = "NAME|HANDLE",
                [PROTO_STR] = "TEXT",        [PROTO_MEM_W] = "NAME|HANDLE", [PROTO_MEM_OWN] = "NAME|HANDLE",
        };

        return names[field->kind];
}

/* Whether it is a word of its own; where there is one device, that may be left out. */
static void print_word(const ProtoField *field) {
        fputs(field->kind == PROTO_DEVICE ? " [" : " ", stdout);
        print_upper(field->name);
        if (field->kind == PROTO_DEVICE)
                putchar(']');
}

static void print_usage(const char *noun, const char *verb, const ProtoStruct *type, bool is_repeated) {
        bool has_options = arguments_has_names(type);

        printf("usage: gpuctl %s%s%s", noun, *verb ? " " : "", verb);
        for (size_t i = 0; i < type->n_fields; i++) {
                has_options |= !type->fields[i].is_required && !arguments_is_hidden(&type->fields[i]);
                if (type->fields[i].is_required)
                        print_word(&type->fields[i]);
        }
        fputs(is_repeated ? "..." : "", stdout);
        puts(has_options ? " [--OPTION=VALUE ...]" : "");
}

/* "  name      what it is", the text below itself where it is long. */
static void print_entry(const char *name, int width, const char *doc) {
        char first[NAME_TEXT_MAX + 64];

        snprintf(first, sizeof(first), "  %-*s ", width, name);
        output_print_text(first, (size_t)width + 3, doc);
}

static void print_choices(const ProtoEnum *choices) {
        for (size_t i = 0; i < choices->n_values; i++)
                printf("%s%s", i ? "|" : "", choices->values[i].text);
}

static void print_argument(const ProtoField *field) {
        const char *value = value_name(field);
        char name[NAME_TEXT_MAX];

        fputs("  ", stdout);
        if (field->is_required)
                print_upper(field->name);
        else
                printf("--%s", name_to_text(field->name, name));
        if (!value) {
                putchar(field->is_required ? ' ' : '=');
                print_choices(field->choices);
        } else if (!field->is_required) {
                printf(field->kind == PROTO_BOOL ? "[=%s]" : "=%s", value);
        } else if (strcasecmp(value, field->name) != 0) {
                printf(" %s", value);
        }
        putchar('\n');
}

static void print_argument_doc(const ProtoField *field) {
        char text[TEXT_MAX];
        size_t n = 0;

        n += (size_t)snprintf(text, sizeof(text), "%s", field->doc);
        if (field->max > 0)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "; at most %zu bytes", field->max);
        if (field->is_required && field->kind == PROTO_DEVICE)
                snprintf(text + n, sizeof(text) - n, "; may be left out where there is one device");
        output_print_text("          ", 10, text);
}

static void print_fields(const ProtoStruct *type, const ProtoStruct *but) {
        const ProtoField *field;

        for (size_t i = 0; i < type->n_fields; i++) {
                field = &type->fields[i];
                if (arguments_is_hidden(field) || (but && arguments_find_field(but, field->name)))
                        continue;
                print_argument(field);
                print_argument_doc(field);
        }
}

static bool has_arguments(const ProtoStruct *type) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (!arguments_is_hidden(&type->fields[i]))
                        return true;
        return false;
}

static void print_arguments(const ProtoStruct *type) {
        putchar('\n');
        print_fields(type, NULL);
        if (arguments_has_names(type))
                print_fields(&proto_struct_name_options, type);
}

/* How values are written, where that is not plain. */
static void print_forms(const ProtoStruct *type) {
        static const struct {
                ProtoKind kind;
                const char *text;
        } forms[] = {
                {PROTO_SIZE,
                 "BYTES is a number. Behind it may stand K, M, G or T for powers of 1024, kB, MB, GB or TB "
                 "for powers of 1000, as in 64K or 1.5G. 0x begins a hexadecimal one."},
                {PROTO_DURATION, "TIME is in seconds, or ends in min, h or d."},
                {PROTO_UID, "USER is a name or a number."},
                {PROTO_BIN, "DATA is text, or 0x and hexadecimal digits, or @FILE for a file's contents."},
        };

        const char *gap = "\n";

        if (arguments_has_names(type)) {
                fputs(gap, stdout);
                output_print_text("", 0, names_form);
                gap = "";
        }
        for (size_t i = 0; i < N_ELEMENTS(forms); i++)
                if (proto_struct_find_kind(type, forms[i].kind)) {
                        fputs(gap, stdout);
                        output_print_text("", 0, forms[i].text);
                        gap = "";
                }
}

/* The fields of a list's items stand under it. */
static void print_results(const ProtoStruct *type, int indent) {
        char name[NAME_TEXT_MAX];

        for (size_t i = 0; i < type->n_fields; i++) {
                if (arguments_is_hidden(&type->fields[i]))
                        continue;
                snprintf(name, sizeof(name), "%*s%s", indent, "", type->fields[i].name);
                print_entry(name, 22, type->fields[i].doc);
                if (type->fields[i].wire == PROTO_WIRE_LIST)
                        print_results(type->fields[i].sub, indent + 2);
        }
}

static void print_result(const ProtoStruct *type) {
        if (type->n_fields == 0)
                return;
        puts("\nPrints:");
        print_results(type, 0);
}

static int print_method(const ProtoMethod *method) {
        print_usage(method->noun, method->verb, method->args, false);
        putchar('\n');
        output_print_text("", 0, method->doc);
        if (method == &proto_methods[PROTO_METHOD_mem_alloc])
                output_print_text(
                        "", 0,
                        "Here the lifetime is `persistent` when absent: a session's allocation would go "
                        "with this command. Into a pipe it prints the handle alone.");
        if (method->access == PROTO_ACCESS_ADMIN)
                puts("For administrators only.");
        if (method->n_fds > 0)
                output_print_text(
                        "", 0,
                        "It takes a file descriptor, which a command line cannot give: for programs only.");
        if (has_arguments(method->args))
                print_arguments(method->args);
        print_forms(method->args);
        print_result(method->result);
        return EXIT_SUCCESS;
}

static int print_command(const Command *command) {
        char name[NAME_TEXT_MAX];

        print_usage(name_to_text(command->name, name), "", command->args, command->is_repeated);
        putchar('\n');
        output_print_text("", 0, command->doc);
        if (command->more[0])
                output_print_text("", 0, command->more);
        if (has_arguments(command->args))
                print_arguments(command->args);
        print_forms(command->args);
        return EXIT_SUCCESS;
}

static void print_noun(const char *noun) {
        char name[64];

        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (strcmp(proto_methods[i].noun, noun) == 0) {
                        snprintf(name, sizeof(name), "%s %s", noun, proto_methods[i].verb);
                        print_entry(name, 19, proto_methods[i].doc);
                }
}

static void print_all(void) {
        char name[NAME_TEXT_MAX], text[TEXT_MAX];
        const char *noun = "";

        puts("usage: gpuctl COMMAND [ARGUMENTS] [--json] [--socket=PATH]\n");
        output_print_text(
                "", 0, "Looks into gpud, the process that owns this node's GPU memory, and works with it.");
        putchar('\n');
        for (size_t i = 0; i < gpuctl_n_commands; i++)
                print_entry(name_to_text(gpuctl_commands[i].name, name), 19, gpuctl_commands[i].doc);
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                if (strcmp(noun, proto_methods[i].noun) == 0)
                        continue;
                noun = proto_methods[i].noun;
                putchar('\n');
                print_noun(noun);
        }
        snprintf(text, sizeof(text),
                 "The socket is --socket, else GPUD_SOCKET, else %s. --json prints every result as JSON.",
                 gpud_socket_path(""));
        putchar('\n');
        output_print_text("", 0, text);
        puts("Exits 0, or 1 failed, 2 usage, 3 refused, 4 no gpud.");
}

static int complain_more(const char *word) {
        return complain(EXIT_USAGE, "help: \"%s\" is one word too many; `gpuctl help` lists the commands",
                        word);
}

int help_print(const char *const *words, size_t n_words) {
        const Command *command;
        bool is_noun = false;

        if (n_words == 0) {
                print_all();
                return EXIT_SUCCESS;
        }
        command = command_find(words[0]);
        if (command)
                return n_words > 1 ? complain_more(words[1]) : print_command(command);
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                if (!name_is(words[0], proto_methods[i].noun))
                        continue;
                is_noun = true;
                if (n_words > 1 && name_is(words[1], proto_methods[i].verb))
                        return n_words > 2 ? complain_more(words[2]) : print_method(&proto_methods[i]);
        }
        if (is_noun && n_words == 1) {
                print_noun(words[0]);
                return EXIT_SUCCESS;
        }
        return command_complain(words[0], n_words > 1 ? words[1] : NULL);
}

int help_print_first(const char *const *words, size_t n_words) {
        size_t n = n_words > 0 && command_find(words[0]) ? 1 : 2;

        return help_print(words, n_words < n ? n_words : n);
}

int command_help(Gpuctl *ctl, const struct gpud_none *args) {
        (void)ctl;
        (void)args;
        print_all();
        return EXIT_SUCCESS;
}
