/* Prints the completion of gpuctl for bash: nouns, their verbs, and the options of each verb. */

#include "proto/dump.h"

#include <string.h>

#include "proto/table.h"

static bool is_first_of_noun(size_t index) {
        for (size_t i = 0; i < index; i++)
                if (strcmp(proto_methods[i].noun, proto_methods[index].noun) == 0)
                        return false;
        return true;
}

static void print_options(FILE *file, const ProtoStruct *type) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (!type->fields[i].is_required) {
                        fputs(" --", file);
                        for (const char *c = type->fields[i].name; *c; c++)
                                fputc(*c == '_' ? '-' : *c, file);
                }
}

void dump_completion(FILE *file) {
        fputs("# Completion of gpuctl for bash, printed from the schema.\n"
              "_gpuctl() {\n"
              "        local current=${COMP_WORDS[COMP_CWORD]} words options='--json --socket --help'\n"
              "        case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n",
              file);
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                fprintf(file, "        '%s %s') options=\"$options", proto_methods[i].noun,
                        proto_methods[i].verb);
                print_options(file, proto_methods[i].args);
                fputs("\" ;;\n", file);
        }
        fputs("        'put '*) options=\"$options --device --name --size --mode --exportable --meta\" ;;\n"
              "        'get '*) options=\"$options --device --uid --offset --size\" ;;\n"
              "        'ls '*) options=\"$options --device --uid --session --name-prefix\" ;;\n"
              "        esac\n"
              "        case $COMP_CWORD:${COMP_WORDS[1]} in\n"
              "        1:*) words='status ls put get help",
              file);
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (is_first_of_noun(i))
                        fprintf(file, " %s", proto_methods[i].noun);
        fputs("' ;;\n", file);
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                if (!is_first_of_noun(i))
                        continue;
                fprintf(file, "        2:%s) words='", proto_methods[i].noun);
                for (size_t k = i; k < PROTO_N_METHODS; k++)
                        if (strcmp(proto_methods[k].noun, proto_methods[i].noun) == 0)
                                fprintf(file, "%s%s", k > i ? " " : "", proto_methods[k].verb);
                fputs("' ;;\n", file);
        }
        fputs("        esac\n"
              "        [[ $current == -* ]] && words=$options\n"
              "        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
              "        [[ -z $words ]] && COMPREPLY=($(compgen -f -- \"$current\"))\n"
              "}\n"
              "complete -F _gpuctl gpuctl\n",
              file);
}
