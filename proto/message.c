/* The envelope of msgpack-RPC. */

#include "proto/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/types.h"

static const char *object_type_to_string(const msgpack_object *object) {
        switch (object->type) {
        case MSGPACK_OBJECT_NIL:
                return "nil";
        case MSGPACK_OBJECT_BOOLEAN:
                return "a bool";
        case MSGPACK_OBJECT_POSITIVE_INTEGER:
        case MSGPACK_OBJECT_NEGATIVE_INTEGER:
                return "an integer";
        case MSGPACK_OBJECT_FLOAT32:
        case MSGPACK_OBJECT_FLOAT64:
                return "a float";
        case MSGPACK_OBJECT_STR:
                return "a str";
        case MSGPACK_OBJECT_BIN:
                return "a bin";
        case MSGPACK_OBJECT_ARRAY:
                return "an array";
        case MSGPACK_OBJECT_MAP:
                return "a map";
        default:
                return "an extension type";
        }
}

static int parse_msgid(const msgpack_object *object, uint32_t *ret_msgid, ProtoFault *fault) {
        if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > UINT32_MAX)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "msgid is not an integer of 32 bits");
        *ret_msgid = (uint32_t)object->via.u64;
        return 0;
}

static int parse_call(const msgpack_object *method, const msgpack_object *params, Message *message,
                      ProtoFault *fault) {
        const msgpack_object_array *array = &params->via.array;

        if (method->type != MSGPACK_OBJECT_STR)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "method is %s, not a str",
                                   object_type_to_string(method));
        message->method = method->via.str.ptr;
        message->n_method = method->via.str.size;

        if (params->type != MSGPACK_OBJECT_ARRAY || array->size > 1)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "params is not an array of one map of named arguments");
        if (array->size == 1)
                message->arguments = array->ptr[0];
        else
                message->arguments.type = MSGPACK_OBJECT_NIL;
        return 0;
}

static int parse_array(const msgpack_object_array *array, Message *message, ProtoFault *fault) {
        const msgpack_object *item = array->ptr;
        int r;

        if (array->size == 0 || item[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
            item[0].via.u64 > MESSAGE_NOTIFICATION)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "message type is not 0 (request), 1 (response) or 2 (notification)");
        message->type = (MessageType)item[0].via.u64;
        if (array->size != (message->type == MESSAGE_NOTIFICATION ? 3 : 4))
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "message of type %d has %" PRIu32 " elements", (int)message->type,
                                   array->size);
        if (message->type == MESSAGE_NOTIFICATION)
                return parse_call(&item[1], &item[2], message, fault);

        r = parse_msgid(&item[1], &message->msgid, fault);
        if (r)
                return r;
        if (message->type == MESSAGE_REQUEST)
                return parse_call(&item[2], &item[3], message, fault);
        message->error = item[2];
        message->result = item[3];
        return 0;
}

int message_parse(const void *data, size_t n_data, msgpack_zone *zone, Message *ret_message,
                  ProtoFault *fault) {
        msgpack_object object;
        size_t offset = 0;

        *ret_message = (Message){0};
        switch (msgpack_unpack(data, n_data, &offset, zone, &object)) {
        case MSGPACK_UNPACK_SUCCESS:
                break;
        case MSGPACK_UNPACK_NOMEM_ERROR:
                return -ENOMEM;
        default:
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "message is not msgpack");
        }
        if (object.type != MSGPACK_OBJECT_ARRAY)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "message is %s, not an array",
                                   object_type_to_string(&object));
        return parse_array(&object.via.array, ret_message, fault);
}

bool message_peek_msgid(const void *data, size_t n_data, uint32_t *ret_msgid) {
        const uint8_t *bytes = data;
        uint32_t value = 0;
        size_t width;

        /* [0, msgid, ...: the array's header, type 0, then any form of unsigned integer. */
        if (n_data < 3 || bytes[0] != 0x94 || bytes[1] != MESSAGE_REQUEST)
                return false;
        if (bytes[2] <= 0x7f) {
                *ret_msgid = bytes[2];
                return true;
        }
        if (bytes[2] < 0xcc || bytes[2] > 0xce)
                return false;
        width = (size_t)1 << (bytes[2] - 0xcc);
        if (n_data < 3 + width)
                return false;
        for (size_t i = 0; i < width; i++)
                value = value << 8 | bytes[3 + i];
        *ret_msgid = value;
        return true;
}

static int pack_string(msgpack_packer *packer, const char *text) {
        size_t n = strlen(text);

        return msgpack_pack_str(packer, n) || msgpack_pack_str_body(packer, text, n);
}

int message_pack_request(msgpack_packer *packer, uint32_t msgid, const ProtoMethod *method,
                         const void *args) {
        bool has_args = method->args->n_fields > 0;

        if (msgpack_pack_array(packer, 4) || msgpack_pack_int(packer, MESSAGE_REQUEST) ||
            msgpack_pack_uint32(packer, msgid) || pack_string(packer, method->name) ||
            msgpack_pack_array(packer, has_args ? 1 : 0))
                return -ENOMEM;
        return has_args ? codec_encode(packer, method->args, CODEC_ARGUMENTS, args) : 0;
}

int message_pack_result(msgpack_packer *packer, uint32_t msgid, const ProtoStruct *type, const void *result) {
        if (msgpack_pack_array(packer, 4) || msgpack_pack_int(packer, MESSAGE_RESPONSE) ||
            msgpack_pack_uint32(packer, msgid) || msgpack_pack_nil(packer))
                return -ENOMEM;
        return codec_encode(packer, type, CODEC_RESULT, result);
}

int message_pack_error(msgpack_packer *packer, const uint32_t *msgid, const ProtoFault *fault) {
        const ProtoError *error = proto_error_find(fault->code);

        if (msgpack_pack_array(packer, 4) || msgpack_pack_int(packer, MESSAGE_RESPONSE) ||
            (msgid ? msgpack_pack_uint32(packer, *msgid) : msgpack_pack_nil(packer)) ||
            msgpack_pack_map(packer, 4) || pack_string(packer, "code") ||
            msgpack_pack_int(packer, error->code) || pack_string(packer, "name") ||
            pack_string(packer, error->name) || pack_string(packer, "message") ||
            pack_string(packer, fault->text[0] ? fault->text : error->text) || pack_string(packer, "hint") ||
            pack_string(packer, error->hint) || msgpack_pack_nil(packer))
                return -ENOMEM;
        return 0;
}

static bool string_is(const msgpack_object *object, const char *text) {
        return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
               memcmp(object->via.str.ptr, text, object->via.str.size) == 0;
}

void message_read_error(const msgpack_object *error, ProtoFault *ret_fault) {
        const msgpack_object_kv *pair;

        proto_fault(ret_fault, GPUD_E_INTERNAL, "the daemon replied with an error that is not understood");
        if (error->type != MSGPACK_OBJECT_MAP)
                return;
        for (uint32_t i = 0; i < error->via.map.size; i++) {
                pair = &error->via.map.ptr[i];
                if (string_is(&pair->key, "code") && pair->val.type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                    pair->val.via.u64 <= INT32_MAX && proto_error_find((int)pair->val.via.u64))
                        ret_fault->code = (int)pair->val.via.u64;
                else if (string_is(&pair->key, "message") && pair->val.type == MSGPACK_OBJECT_STR)
                        snprintf(ret_fault->text, sizeof(ret_fault->text), "%.*s",
                                 (int)pair->val.via.str.size, pair->val.via.str.ptr);
        }
}
