/* Walks what there is to complete, and prints the parts that the scripts share. */

#include "client/gpuctl/completion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/argument.h"

void completion_each_own(CompletionFn *print) {
        const Command *command;
        CompletionRow row;

        for (command = gpuctl_commands; command < gpuctl_commands + gpuctl_n_commands; command++) {
                row = (CompletionRow){
                        .doc = command->doc, .args = command->args, .is_repeated = command->is_repeated};
                name_to_text(command->name, row.noun);
                print(&row);
        }
}

void completion_each_method(CompletionFn *print, const char *noun) {
        const ProtoMethod *method;
        CompletionRow row;

        for (method = proto_methods; method < proto_methods + PROTO_N_METHODS; method++) {
                if (noun && strcmp(method->noun, noun) != 0)
                        continue;
                row = (CompletionRow){.doc = method->doc, .args = method->args};
                name_to_text(method->noun, row.noun);
                name_to_text(method->verb, row.verb);
                print(&row);
        }
}

void completion_each_command(CompletionFn *print) {
        completion_each_own(print);
        completion_each_method(print, NULL);
}

void completion_each_noun(void (*print)(const char *noun)) {
        size_t first;

        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                first = 0;
                while (strcmp(proto_methods[first].noun, proto_methods[i].noun) != 0)
                        first++;
                if (first == i)
                        print(proto_methods[i].noun);
        }
}

CompletionSource completion_get_source(const ProtoField *field) {
        if (field->kind == PROTO_FILE)
                return COMPLETION_FILES;
        if (field->kind == PROTO_UID)
                return COMPLETION_USERS;
        if (field->object == PROTO_OBJECT_MEM || field->object == PROTO_OBJECT_DEVICE)
                return COMPLETION_ASKED;
        return field->kind == PROTO_ENUM || field->kind == PROTO_BOOL ? COMPLETION_WORDS
               : field->kind == PROTO_BIN                             ? COMPLETION_BYTES
                                                                      : COMPLETION_NONE;
}

const char *completion_get_values(const ProtoField *field) {
        return field->object == PROTO_OBJECT_MEM ? "mem" : "device";
}

size_t completion_get_fields(const ProtoStruct *type, const ProtoField *ret_fields[COMPLETION_FIELDS_MAX]) {
        const ProtoStruct *more = &proto_struct_name_options;
        size_t n = 0;

        for (size_t i = 0; i < type->n_fields; i++)
                if (!arguments_is_hidden(&type->fields[i]))
                        ret_fields[n++] = &type->fields[i];
        for (size_t i = 0; arguments_has_names(type) && i < more->n_fields; i++)
                if (!arguments_find_field(type, more->fields[i].name))
                        ret_fields[n++] = &more->fields[i];
        return n;
}

void completion_print_command(const CompletionRow *row) {
        printf("%s%s%s", row->noun, *row->verb ? " " : "", row->verb);
}

void completion_print_option(const ProtoField *field) {
        char name[NAME_TEXT_MAX];

        printf("--%s", name_to_text(field->name, name));
}

void completion_print_values(const ProtoField *field) {
        if (field->kind == PROTO_BOOL)
                fputs("true false", stdout);
        else
                for (size_t i = 0; i < field->choices->n_values; i++)
                        printf("%s%s", i ? " " : "", field->choices->values[i].text);
}

void completion_print_quoted(const char *text, const char *quote, const char *escaped) {
        for (; *text; text++) {
                if (strchr(escaped, *text))
                        putchar('\\');
                if (*text == '\'')
                        fputs(quote, stdout);
                else
                        putchar(*text);
        }
}

int command_completion(Gpuctl *ctl, const struct gpud_completion_args *args) {
        static void (*const printers[])(void) = {
                [GPUD_SHELL_BASH] = completion_print_bash,
                [GPUD_SHELL_ZSH] = completion_print_zsh,
                [GPUD_SHELL_FISH] = completion_print_fish,
        };

        if (args->has_values)
                return completion_print_asked(ctl, args->values, args->word ? args->word : "");
        printers[args->shell]();
        return EXIT_SUCCESS;
}
