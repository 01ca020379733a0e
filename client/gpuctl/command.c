/* gpuctl's own commands as tables, and what is said to a word that is in none. */

#include "client/gpuctl/command.h"

#include <string.h>

#include "client/gpuctl/complain.h"
#include "proto/guess.h"
#include "proto/macros.h"

#define NEED_REQUIRED true
#define NEED_OPTIONAL false

#define ROW(struct_, name_, kind_, need_, doc_)                                                              \
        .name = #name_, .n_name = sizeof(#name_) - 1, .doc = doc_, .kind = PROTO_##kind_,                    \
        .wire = (ProtoWire)PROTO_WIRE_OF_##kind_, .object = (ProtoObject)PROTO_OBJECT_OF_##kind_,            \
        .is_required = NEED_##need_, .offset = offsetof(struct gpud_##struct_, name_),                       \
        .has_offset = offsetof(struct gpud_##struct_, has_##name_)

#define ENUM(name_, doc_)                                                                                    \
        static const char about_##name_[] = doc_;                                                            \
        static const ProtoValue values_##name_[] = {
#define VALUE(enum_, NAME_, text_, doc_) {text_, doc_},
#define END_ENUM(name_)                                                                                      \
        }                                                                                                    \
        ;                                                                                                    \
        static const ProtoEnum proto_enum_##name_ = {#name_, about_##name_, values_##name_,                  \
                                                     N_ELEMENTS(values_##name_)};
#define STRUCT(name_, doc_)                                                                                  \
        static const char about_##name_[] = doc_;                                                            \
        static const ProtoField fields_##name_[] = {
#define FIELD(struct_, name_, kind_, need_, doc_) {ROW(struct_, name_, kind_, need_, doc_)},
#define BOUNDED(struct_, name_, kind_, need_, limit_, doc_)                                                  \
        {ROW(struct_, name_, kind_, need_, doc_), .max = GPUD_##limit_},
#define CHOICE(struct_, name_, enum_, need_, doc_)                                                           \
        {ROW(struct_, name_, ENUM, need_, doc_), .choices = &proto_enum_##enum_},
#define END_STRUCT(name_)                                                                                    \
        }                                                                                                    \
        ;                                                                                                    \
        const ProtoStruct proto_struct_##name_ = {#name_, about_##name_, sizeof(struct gpud_##name_),        \
                                                  fields_##name_, N_ELEMENTS(fields_##name_)};
#define COMMAND(name_, args_, WORDS_, doc_, more_)                                                           \
        static int run_##name_(Gpuctl *ctl, const void *args) {                                              \
                return command_##name_(ctl, args);                                                           \
        }
#include "proto/rows.h"
#include "client/gpuctl/commands.def"
#include "proto/view.h"
#undef COMMAND

const Command gpuctl_commands[] = {
#define IS_REPEATED_ONCE false
#define IS_REPEATED_EACH true
#define COMMAND(name_, args_, WORDS_, doc_, more_)                                                           \
        {#name_, doc_, more_, &proto_struct_##args_, IS_REPEATED_##WORDS_, run_##name_},
#include "proto/rows.h"
#include "client/gpuctl/commands.def"
#include "proto/view.h"
#undef COMMAND
};
const size_t gpuctl_n_commands = N_ELEMENTS(gpuctl_commands);

const Command *command_find(const char *name) {
        for (size_t i = 0; i < gpuctl_n_commands; i++)
                if (name_is(name, gpuctl_commands[i].name))
                        return &gpuctl_commands[i];
        return NULL;
}

static int complain_word(const char *word) {
        const char *candidates[PROTO_N_METHODS + N_ELEMENTS(gpuctl_commands)];
        char name[NAME_TEXT_MAX];
        const char *found;
        size_t n = 0;

        for (size_t i = 0; i < gpuctl_n_commands; i++)
                candidates[n++] = gpuctl_commands[i].name;
        for (size_t i = 0; i < PROTO_N_METHODS; i++)
                candidates[n++] = proto_methods[i].noun;
        found = guess(word, candidates, n);
        if (found)
                return complain(EXIT_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", word,
                                name_to_text(found, name));
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
