/* The commands with a shape of their own. */

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
