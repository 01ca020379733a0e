#pragma once

/*
 * What can be configured of each layer, expanded from config.def. For every layer: nothing of ours is
 * included but the table. The strings and lists belong to the Config; a layer's options outlive the layer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <syslog.h>

/* A number, and a group, that nobody chose. */
#define OPTION_UNSET UINT64_MAX
#define NO_GROUP     ((gid_t)-1)

/* Where connections_reserved is unset, it is this part of connections_max: of a few, none. */
#define OPTION_RESERVED_SHARE 1024

/* Where shm_max is unset, a session may register this part of the machine's memory. */
#define OPTION_SHM_SHARE 4

/*
 * Where spin_us is unset, the loop polls for completions so long before it sleeps: a wake-up costs a GPU
 * 30-780 us, a poll 12. Who polls for as long as the wake-up would take never pays more than twice; and a
 * gibibyte inside a fast device takes no longer. A software device needs the very core that would spin.
 */
#define OPTION_SPIN_GPU_US 700
#define OPTION_SPIN_CPU_US 10

/* A block is at most this part of the device's memory. */
#define OPTION_BLOCK_SHARE 64

typedef struct OptionUsers {
        uid_t *uids;
        size_t n_uids;
} OptionUsers;

typedef struct OptionNames {
        char **names;
        size_t n_names;
} OptionNames;

#define WORDS(Words_)                            typedef enum Words_ {
#define WORD(Words_, NAME_, value_, text_, doc_) NAME_ = value_,
#define END_WORDS(Words_)                                                                                    \
        }                                                                                                    \
        Words_;
#include "daemon/config.def"

/* The type of each kind. */
#define OPTION_BOOL         bool
#define OPTION_COUNT        uint64_t
#define OPTION_SIZE         uint64_t
#define OPTION_MICROSECONDS uint64_t
#define OPTION_MODE         mode_t
#define OPTION_PATH         char *
#define OPTION_GROUP        gid_t
#define OPTION_USERS        OptionUsers
#define OPTION_NAMES        OptionNames

#define OPTIONS(options_, Type_, section_)                         typedef struct Type_ {
#define KEY(options_, name_, KIND_, default_, range_, when_, doc_) OPTION_##KIND_ name_;
#define CHOICE(options_, name_, Words_, default_, when_, doc_)     Words_ name_;
#define INTERNAL(options_, name_, KIND_)                           OPTION_##KIND_ name_;
#define END_OPTIONS(Type_)                                                                                   \
        }                                                                                                    \
        Type_;
#include "daemon/config.def"
