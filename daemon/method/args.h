#pragma once

/*
 * What handlers get: the structures of methods.def in which a named object is looked up already, and a
 * prototype for every method. A handler that is missing does not link; one of another type does not compile.
 */

#include "daemon/rpc/request.h"
#include "daemon/rpc/resolve.h"
#include "proto/types.h"

#define ARG_BOOL    bool
#define ARG_U64     uint64_t
#define ARG_F64     double
#define ARG_STR     const char *
#define ARG_BIN     struct gpud_bin
#define ARG_UUID    struct gpud_uuid
#define ARG_MEM     MemRef
#define ARG_MEM_R   MemRef
#define ARG_MEM_W   MemRef
#define ARG_MEM_OWN MemRef
#define ARG_SHM     ShmRef
#define ARG_DEVICE  DeviceRef

/* What a request for a list looks at: where little passes its filter, the page ends early. */
#define SCAN_MAX 2048

struct none {
        char unused;
};

#define STRUCT_NAME(name_) name_
#define TYPE(kind_)        ARG_##kind_
#include "proto/structs.h"
#undef STRUCT_NAME
#undef TYPE

/* Returns 0 with `ret` filled in, REQUEST_LATER, a GPUD_E_ code, or -errno. */
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_)                                    \
        int method_##noun_##_##verb_(Request *request, const struct args_ *args, struct gpud_##result_ *ret);
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
