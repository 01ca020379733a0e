/*
 * Host tool: prints what is derived from the protocol but wanted as text. `make gen` runs it and the output
 * is checked in, so that readers and Python need no compiler.
 */

#include "proto/dump.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
        static const struct {
                const char *option;
                void (*dump)(FILE *file);
        } outputs[] = {
                {"--header", dump_header},
                {"--markdown", dump_markdown},
                {"--python", dump_python},
                {"--completion", dump_completion},
        };

        for (size_t i = 0; argc == 2 && i < sizeof(outputs) / sizeof(*outputs); i++)
                if (strcmp(argv[1], outputs[i].option) == 0) {
                        outputs[i].dump(stdout);
                        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
                }
        fputs("usage: dump --header | --markdown | --python | --completion\n", stderr);
        return 2;
}
