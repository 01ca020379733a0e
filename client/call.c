/*
 * The typed calls of gpud-protocol.h, expanded from methods.def. Each method gets a blocking call, a thunk
 * that gives the callback its true type back, and a call that submits with that thunk.
 */

#include "client/client.h"

#include <string.h>

/*
 * FOR(macro, structure, ...) is macro_1(structure) where the structure is `none` and macro_0(structure) else:
 * a call has no parameter for what has no fields. IS_none is the only one of its kind that is a macro; its
 * comma moves the 1 to where SECOND looks.
 */
#define IS_none                      ~, 1
#define SECOND(first_, second_, ...) second_
#define SECOND_OF(...)               SECOND(__VA_ARGS__)
#define PASTE(left_, right_)         left_##right_
#define PASTE_OF(left_, right_)      PASTE(left_, right_)
#define FOR(macro_, struct_)         PASTE_OF(macro_, SECOND_OF(IS_##struct_, 0, ~))(struct_)

#define ARGS_1(struct_)
#define ARGS_0(struct_)       , const struct gpud_##struct_ *args
#define ARGS_VALUE_1(struct_) NULL
#define ARGS_VALUE_0(struct_) args
#define RESULT_1(struct_)
#define RESULT_0(struct_)       , struct gpud_##struct_ *ret_result
#define RESULT_VALUE_1(struct_) NULL
#define RESULT_VALUE_0(struct_) ret_result
#define DONE_1(struct_)         (client, r, call->userdata)
#define DONE_0(struct_)         (client, r, result, call->userdata)
#define FD_0
#define FD_1       , int fd
#define FD_VALUE_0 -1
#define FD_VALUE_1 fd

#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_)                                    \
        int gpud_##noun_##_##verb_(struct gpud_client *client FOR(ARGS_, args_)                              \
                                           FD_##fds_ FOR(RESULT_, result_)) {                                \
                return client_call(client, &proto_methods[PROTO_METHOD_##noun_##_##verb_],                   \
                                   FOR(ARGS_VALUE_, args_), FD_VALUE_##fds_, FOR(RESULT_VALUE_, result_));   \
        }                                                                                                    \
                                                                                                             \
        static void thunk_##noun_##_##verb_(struct gpud_client *client, const Call *call, int r,             \
                                            const void *result) {                                            \
                gpud_##result_##_fn *done = (gpud_##result_##_fn *)call->done;                               \
                                                                                                             \
                (void)result;                                                                                \
                if (done)                                                                                    \
                        done FOR(DONE_, result_);                                                            \
        }                                                                                                    \
                                                                                                             \
        int gpud_##noun_##_##verb_##_submit(struct gpud_client *client FOR(ARGS_, args_) FD_##fds_,          \
                                            gpud_##result_##_fn *done, void *userdata) {                     \
                return client_submit(client, &proto_methods[PROTO_METHOD_##noun_##_##verb_],                 \
                                     FOR(ARGS_VALUE_, args_), FD_VALUE_##fds_, thunk_##noun_##_##verb_,      \
                                     (void (*)(void))done, userdata);                                        \
        }
#include "proto/rows.h"
#include "proto/methods.def"
#include "proto/view.h"

int gpud_call(struct gpud_client *client, const char *method, const void *args, int fd, void *ret_result) {
        const ProtoMethod *row = proto_method_find(method, strlen(method));

        if (!row)
                return client_fail(client, GPUD_E_UNKNOWN_METHOD, "no method is called \"%.64s\"", method);
        return client_call(client, row, args, fd, ret_result);
}
