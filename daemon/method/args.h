#pragma once

/*
 * What handlers get: the structures of methods.def in which a named object is looked up already, and a
 * prototype for every method. A handler that is missing does not link; one of another type does not compile.
 */

#include "daemon/rpc/request.h"
#include "daemon/rpc/resolve.h"
#include "proto/types.h"

#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_) typedef argument_ Arg##NAME_;
#include "proto/kinds.def"
#include "proto/view.h"

/* Objects that a request for a list looks at: where few pass its filter, the page ends early. */
#define SCAN_MAX 2048

struct none {
        char unused;
};

#define STRUCT_NAME(name_) name_
#define TYPE(kind_)        Arg##kind_
#define ROOM_BEGIN
#define ROOM_END(name_)
#include "proto/structs.h"
#undef STRUCT_NAME
#undef TYPE
#undef ROOM_BEGIN
#undef ROOM_END

/* Returns 0 with `ret` filled in, REQUEST_LATER, a GPUD_E_ code, or -errno. */
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_)                                    \
        int method_##noun_##_##verb_(Request *request, const struct args_ *args, struct gpud_##result_ *ret);
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
