#pragma once

/*
 * The envelope of msgpack-RPC: [0, msgid, method, params], [1, msgid, error, result], [2, method, params].
 * `params` is an array of one map of named arguments, or empty. Pure: bytes in, bytes out.
 */

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/cursor.h"
#include "proto/fault.h"
#include "proto/table.h"

typedef enum MessageType {
        MESSAGE_REQUEST = 0,
        MESSAGE_RESPONSE = 1,
        MESSAGE_NOTIFICATION = 2,
} MessageType;

typedef struct Message {
        MessageType type;
        uint32_t msgid;     /* of a request or response */
        bool has_msgid;     /* not of a response to no request in particular */
        const char *method; /* of a request or notification; not terminated */
        size_t n_method;
        Cursor arguments; /* of a request or notification: at the map, or at a nil */
        bool is_error;    /* of a response */
        Cursor error;     /* of a response */
        Cursor result;
} Message;

/*
 * Takes apart one whole message that scan_walk() passed; what comes out points into `data`. Returns 0, or a
 * GPUD_E_ code with `fault` filled.
 */
int message_parse(const void *data, size_t n_data, Message *ret_message, ProtoFault *fault);

/*
 * Reads the msgid off the first bytes of a request, for the reply to one that cannot be parsed further. It
 * need not have passed scan_walk().
 */
bool message_peek_msgid(const void *data, size_t n_data, uint32_t *ret_msgid);

/*
 * Each packs one whole message and returns 0 or -ENOMEM, after which the packer's buffer is to be dropped.
 */
int message_pack_request(const msgpack_packer *packer, uint32_t msgid, const ProtoMethod *method,
                         const void *args);
int message_pack_result(const msgpack_packer *packer, uint32_t msgid, const ProtoStruct *type,
                        const void *result);
/* `msgid` NULL: nobody knows which request it was; nil stands in its place. */
int message_pack_error(const msgpack_packer *packer, const uint32_t *msgid, const ProtoFault *fault);

/* Reads the error of a response: {code, name, message, hint}. What is no such map becomes INTERNAL. */
void message_read_error(Cursor error, ProtoFault *ret_fault);
