/* The commands with a shape of their own. */

#include <string.h>

#include "client/gpuctl/complain.h"
#include "client/gpuctl/gpuctl.h"

static const ProtoStruct no_arguments = {"none", "Nothing.", 1, NULL, 0};

const Command gpuctl_commands[] = {
        {"status", "Show the daemon and its devices.", &no_arguments, command_status},
        {"ls", "List the allocations you may see.", &proto_struct_mem_list_args, command_ls},
        {"put", "Copy a file into a new persistent allocation and print its handle.", &put_options,
         command_put},
        {"get", "Copy an allocation into a file.", &get_options, command_get},
};
const size_t gpuctl_n_commands = sizeof(gpuctl_commands) / sizeof(*gpuctl_commands);

const Command *command_find(const char *name) {
        for (size_t i = 0; i < gpuctl_n_commands; i++)
                if (name_is(name, gpuctl_commands[i].name))
                        return &gpuctl_commands[i];
        return NULL;
}

static int complain_word(const char *word) {
        const char *candidates[PROTO_N_METHODS + 16] = {"help"};
        const char *found;
        size_t n = 1;

        for (size_t i = 0; i < gpuctl_n_commands; i++)
                candidates[n++] = gpuctl_commands[i].name;
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                candidates[n++] = proto_methods[i].noun;
        found = guess(word, candidates, n);
        if (found)
                return complain(EXIT_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", word, found);
        return complain(EXIT_USAGE, "there is no command \"%s\"; `gpuctl help` lists them", word);
}

/* The noun is right, the verb is missing or wrong. */
static int complain_verb(const char *noun, const char *verb) {
        const char *candidates[PROTO_N_METHODS];
        const char *found = NULL;
        char verbs[512] = "";
        size_t n = 0;

        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (name_is(noun, proto_methods[i].noun)) {
                        strncat(verbs, n ? ", " : "", sizeof(verbs) - strlen(verbs) - 1);
                        strncat(verbs, proto_methods[i].verb, sizeof(verbs) - strlen(verbs) - 1);
                        candidates[n++] = proto_methods[i].verb;
                }
        if (!verb)
                return complain(EXIT_USAGE, "%s needs a verb: %s", noun, verbs);
        found = guess(verb, candidates, n);
        if (found)
                return complain(EXIT_USAGE, "%s has no verb \"%s\"; did you mean \"%s\"?", noun, verb, found);
        return complain(EXIT_USAGE, "%s has no verb \"%s\"; it has %s", noun, verb, verbs);
}

int command_complain(const char *word, const char *verb) {
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                if (name_is(word, proto_methods[i].noun))
                        return complain_verb(word, verb);
        return complain_word(word);
}
