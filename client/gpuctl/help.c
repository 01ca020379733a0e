/* Help from the schema: what there is, a noun's verbs, and what one command takes and gives. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"

static void print_upper(const char *name) {
        for (; *name; name++)
                putchar(toupper((unsigned char)*name));
}

static const char *value_name(const ProtoField *field) {
        if (field->kind == PROTO_MODE)
                return "OCTAL";
        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                return "true|false";
        case PROTO_WIRE_U64:
        case PROTO_WIRE_F64:
                return "NUMBER";
        case PROTO_WIRE_BIN:
                return "BYTES";
        case PROTO_WIRE_UUID:
                return "HANDLE";
        case PROTO_WIRE_ENUM:
                return NULL;
        default:
                return "TEXT";
        }
}

static void print_usage(const char *noun, const char *verb, const ProtoStruct *type) {
        bool has_options = false;

        printf("usage: gpuctl %s%s%s", noun, *verb ? " " : "", verb);
        for (size_t i = 0; i < type->n_fields; i++) {
                has_options |= !type->fields[i].is_required;
                if (type->fields[i].is_required) {
                        putchar(' ');
                        print_upper(type->fields[i].name);
                }
        }
        puts(has_options ? " [--OPTION=VALUE ...]" : "");
}

static void print_choices(const ProtoEnum *choices) {
        for (size_t i = 0; i < choices->n_values; i++)
                printf("%s%s", i ? "|" : "", choices->values[i].text);
}

static void print_argument(const ProtoField *field) {
        const char *value = value_name(field);
        char name[NAME_TEXT_MAX];

        if (field->is_required)
                print_upper(field->name);
        else
                printf("--%s=%s", name_to_text(field->name, name), value ? value : "");
        if (field->is_required && !value)
                putchar(' ');
        if (!value)
                print_choices(field->choices);
}

static void print_arguments(const ProtoStruct *type) {
        const ProtoField *field;

        if (type->n_fields > 0)
                putchar('\n');
        for (size_t i = 0; i < type->n_fields; i++) {
                field = &type->fields[i];
                fputs("  ", stdout);
                print_argument(field);
                printf("\n          %s", field->doc);
                if (field->max > 0)
                        printf("; at most %zu bytes", field->max);
                putchar('\n');
        }
}

static void print_forms(const ProtoStruct *type) {
        bool has_number = false, has_bytes = false;

        for (size_t i = 0; i < type->n_fields; i++) {
                has_number |= type->fields[i].wire == PROTO_WIRE_U64;
                has_bytes |= type->fields[i].wire == PROTO_WIRE_BIN;
        }
        if (has_number)
                puts("\nNumbers may end in K, M, G or T (powers of 1024) or begin with 0x.");
        if (has_bytes)
                puts("\nBytes are text, 0x and hexadecimal digits, or @FILE for a file's contents.");
}

static void print_result(const ProtoStruct *type) {
        if (type->n_fields == 0)
                return;
        puts("\nPrints:");
        for (size_t i = 0; i < type->n_fields; i++)
                printf("  %-22s %s\n", type->fields[i].name, type->fields[i].doc);
}

static int print_method(const ProtoMethod *method) {
        print_usage(method->noun, method->verb, method->args);
        printf("\n%s\n", method->doc);
        if (method == &proto_methods[PROTO_METHOD_mem_alloc])
                puts("Here the lifetime is `persistent` when absent: a session's allocation would go with "
                     "this command.");
        if (method->access == PROTO_ACCESS_ADMIN)
                puts("For administrators only.");
        if (method->n_fds > 0)
                puts("It takes a file descriptor, which a command line cannot give: for programs only.");
        print_arguments(method->args);
        print_forms(method->args);
        print_result(method->result);
        return EXIT_SUCCESS;
}

static int print_command(const Command *command) {
        char name[NAME_TEXT_MAX];

        print_usage(name_to_text(command->name, name), "", command->args);
        printf("\n%s\n", command->doc);
        if (command->more[0])
                puts(command->more);
        print_arguments(command->args);
        print_forms(command->args);
        return EXIT_SUCCESS;
}

static void print_noun(const char *noun) {
        char name[64];

        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (strcmp(proto_methods[i].noun, noun) == 0) {
                        snprintf(name, sizeof(name), "%s %s", noun, proto_methods[i].verb);
                        printf("  %-19s %s\n", name, proto_methods[i].doc);
                }
}

static void print_all(void) {
        char name[NAME_TEXT_MAX];
        const char *noun = "";

        puts("usage: gpuctl COMMAND [ARGUMENTS] [--json] [--socket=PATH]\n"
             "\n"
             "Looks into gpud, the process that owns this node's GPU memory, and works with it.\n");
        for (size_t i = 0; i < gpuctl_n_commands; i++)
                printf("  %-19s %s\n", name_to_text(gpuctl_commands[i].name, name), gpuctl_commands[i].doc);
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                if (strcmp(noun, proto_methods[i].noun) == 0)
                        continue;
                noun = proto_methods[i].noun;
                putchar('\n');
                print_noun(noun);
        }
        printf("\nThe socket is --socket, else GPUD_SOCKET, else %s. --json prints every result as JSON.\n"
               "Exits 0, or 1 failed, 2 usage, 3 refused, 4 no gpud.\n",
               gpud_socket_path(""));
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
