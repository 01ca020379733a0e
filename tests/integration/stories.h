#pragma once

/*
 * What the stories of client-stories.c are told with. It takes from libgpud what gpud.h has and nothing else,
 * as a program would.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/gpud.h"

#define MIB (UINT64_C(1) << 20)

#define MUST(condition_)                                                                                     \
        do {                                                                                                 \
                if (!(condition_)) {                                                                         \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition_);                     \
                        exit(1);                                                                             \
                }                                                                                            \
        } while (0)

/* The call returns what it must; if not, gpud's words are shown. */
#define RETURNS(r_, call_)                                                                                   \
        do {                                                                                                 \
                int got_ = (call_);                                                                          \
                if (got_ != (r_)) {                                                                          \
                        fprintf(stderr, "%s:%d: %s is %d (%s: %s), not %d\n", __FILE__, __LINE__, #call_,    \
                                got_, gpud_strerror(got_), client ? gpud_error_message(client) : "", (r_));  \
                        exit(1);                                                                             \
                }                                                                                            \
        } while (0)

struct gpud_client *connect_client(void);
struct gpud_mem_info alloc(struct gpud_client *client, uint64_t size);
void free_mem(struct gpud_client *client, struct gpud_uuid mem);
void *map(uint64_t size);

/* Every 8 bytes tell their place. */
void fill_pattern(void *data, uint64_t size, uint64_t seed);
void check_pattern(const void *data, uint64_t size, uint64_t seed);

/* ---- in copy-stories.c ---- */

void story_ranges(void);
void story_gibibyte(void);
void story_region(void);
void story_device_to_device(void);
void story_files(void);
void story_sparse_file(void);
void story_part_of_a_file(void);
void story_wrong_files(void);
void story_full_disk(void);
void story_load(void);
void story_save(void);
