/*
 * Host tool: prints what is derived from the protocol but wanted as text. `make` runs it and the output
 * is checked in, so that readers and Python need no compiler.
 */

#include "proto/dump.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const char *dump_preset(const ProtoField *field, char ret_text[static DUMP_PRESET_MAX]) {
        const void *preset = field->preset;

        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                snprintf(ret_text, DUMP_PRESET_MAX, "%s", *(const bool *)preset ? "true" : "false");
                break;
        case PROTO_WIRE_U64:
                snprintf(ret_text, DUMP_PRESET_MAX, "%" PRIu64, *(const uint64_t *)preset);
                break;
        case PROTO_WIRE_F64:
                snprintf(ret_text, DUMP_PRESET_MAX, "%.17g", *(const double *)preset);
                break;
        case PROTO_WIRE_STR:
                snprintf(ret_text, DUMP_PRESET_MAX, "\"%s\"", *(const char *const *)preset);
                break;
        case PROTO_WIRE_ENUM:
                snprintf(ret_text, DUMP_PRESET_MAX, "\"%s\"",
                         field->choices->values[*(const int *)preset].text);
                break;
        default:
                fprintf(stderr, "`%s` may not be SINCE: its kind has no default to print\n", field->name);
                exit(EXIT_FAILURE);
        }
        return ret_text;
}

int main(int argc, char **argv) {
        static const struct {
                const char *option;
                void (*dump)(FILE *file);
        } outputs[] = {
                {"--header", dump_header},
                {"--markdown", dump_markdown},
                {"--python", dump_python},
                {"--python-limits", dump_python_limits},
        };

        for (size_t i = 0; argc == 2 && i < sizeof(outputs) / sizeof(*outputs); i++)
                if (strcmp(argv[1], outputs[i].option) == 0) {
                        outputs[i].dump(stdout);
                        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
                }
        fputs("usage: dump --header | --markdown | --python | --python-limits\n", stderr);
        return 2;
}
