#pragma once

/* The few macros everybody in the daemon may use. */

#include <stddef.h>
#include <stdint.h>
#include <sys/param.h> /* MIN, MAX */

#include "proto/macros.h"

#define _printf_(format_, args_) __attribute__((format(printf, format_, args_)))

/* The structure of which `pointer_` is the member. */
#define container_of(pointer_, type_, member_)                                                               \
        ((type_ *)(void *)((char *)(pointer_)-offsetof(type_, member_)))

/* Rounds up to a multiple of `unit_`, a power of two. */
#define ALIGN_UP(value_, unit_) (((value_) + (unit_)-1) & ~((__typeof__(value_))(unit_)-1))
