/* The dispatch table: a typed thunk per method, and the tables of the handlers' argument structures. */

#include "daemon/method/table.h"

#include "daemon/method/args.h"

#define STRUCT_NAME(name_)  name_
#define TABLE_NAME(name_)   args_##name_
#define STRUCT(name_, doc_) static const ProtoStruct args_struct_##name_;
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
#define TABLE_STORAGE static
#include "proto/fields.h"

static const ProtoStruct args_struct_none = {"none", "Nothing.", sizeof(struct none), NULL, 0};

#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_)                                    \
        static int call_##noun_##_##verb_(Request *request, const void *args, void *ret) {                   \
                return method_##noun_##_##verb_(request, args, ret);                                         \
        }
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

const MethodRow method_rows[] = {
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_)                                    \
        [PROTO_METHOD_##noun_##_##verb_] = {call_##noun_##_##verb_, &args_struct_##args_},
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"
};
