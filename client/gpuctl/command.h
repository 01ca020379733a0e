#pragma once

/*
 * gpuctl's own commands, from the rows of commands.def: the structures of what they take, their functions,
 * and the table that the first word is looked up in and that help, completion and guesses walk. A row whose
 * function is missing does not link; one whose function takes another structure does not compile.
 */

#include "client/gpuctl/gpuctl.h"

struct gpud_none;

/* The type of each kind. */
#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_) typedef type_ Command##NAME_;
#include "proto/kinds.def"
#include "proto/view.h"

/* Structures and tables are called as the schema's are, so that a row of a command can name either's. */
#define ENUM(name_, doc_)                enum gpud_##name_ {
#define VALUE(enum_, NAME_, text_, doc_) GPUD_##NAME_,
#define END_ENUM(name_)                                                                                      \
        }                                                                                                    \
        ;
#define STRUCT(name_, doc_) struct gpud_##name_ {
#define FIELD(struct_, name_, kind_, need_, doc_)                                                            \
        Command##kind_ name_;                                                                                \
        bool has_##name_;
#define CHOICE(struct_, name_, enum_, need_, doc_)                                                           \
        enum gpud_##enum_ name_;                                                                             \
        bool has_##name_;
#define END_STRUCT(name_)                                                                                    \
        }                                                                                                    \
        ;                                                                                                    \
        extern const ProtoStruct proto_struct_##name_;
#define COMMAND(name_, args_, WORDS_, doc_, more_)                                                           \
        int command_##name_(Gpuctl *ctl, const struct gpud_##args_ *args);
#include "proto/rows.h"
#include "client/gpuctl/commands.def"
#include "proto/view.h"
#undef COMMAND

typedef struct Command {
        const char *name;
        const char *doc;
        const char *more; /* behind it, where there is room */
        const ProtoStruct *args;
        bool is_repeated; /* for each of several last words */
        int (*run)(Gpuctl *ctl, const void *args);
} Command;

extern const Command gpuctl_commands[];
extern const size_t gpuctl_n_commands;

/* NULL if there is none of this name. */
const Command *command_find(const char *name);

/* Complains: there is no command of this word, or if that is a noun, of this verb (NULL: none was given). */
int command_complain(const char *word, const char *verb);
