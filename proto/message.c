/* The envelope of msgpack-RPC. */

#include "proto/message.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/types.h"

static const char *kind_to_string(ItemKind kind) {
        static const char *const texts[] = {
                [ITEM_NONE] = "no msgpack", [ITEM_NIL] = "nil",        [ITEM_BOOL] = "a bool",
                [ITEM_UINT] = "an integer", [ITEM_INT] = "an integer", [ITEM_FLOAT] = "a float",
                [ITEM_STR] = "a str",       [ITEM_BIN] = "a bin",      [ITEM_ARRAY] = "an array",
                [ITEM_MAP] = "a map",
        };
        return texts[kind];
}

/* Takes the next item for the msgid; false: it is none. */
static bool read_msgid(Cursor *cursor, uint32_t *ret_msgid) {
        Item item = cursor_read(cursor);

        if (item.kind != ITEM_UINT || item.number > UINT32_MAX)
                return false;
        *ret_msgid = (uint32_t)item.number;
        return true;
}

static int refuse_msgid(ProtoFault *fault) {
        return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "msgid is not an integer of 32 bits");
}

static int parse_call(Cursor *cursor, Message *message, ProtoFault *fault) {
        static const uint8_t nil = 0xc0;
        Item method = cursor_read(cursor);
        Item params;

        if (method.kind != ITEM_STR)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "method is %s, not a str",
                                   kind_to_string(method.kind));
        message->method = method.data;
        message->n_method = method.number;

        params = cursor_read(cursor);
        if (params.kind != ITEM_ARRAY || params.number > 1)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "params is not an array of one map of named arguments");
        message->arguments = params.number == 1 ? *cursor : cursor_from_bytes(&nil, sizeof(nil));
        return 0;
}

/* An error has nil for the msgid where gpud does not know which request it refuses, or refuses them all. */
static int parse_response(Cursor *cursor, Message *message, ProtoFault *fault) {
        Cursor start = *cursor;
        Item msgid = cursor_read(&start);
        Item error;

        message->has_msgid = msgid.kind != ITEM_NIL;
        if (!message->has_msgid)
                *cursor = start;
        else if (!read_msgid(cursor, &message->msgid))
                return refuse_msgid(fault);
        message->error = *cursor;
        error = cursor_read(cursor);
        cursor_skip(cursor, &error);
        message->is_error = error.kind != ITEM_NIL;
        message->result = *cursor;
        if (!message->has_msgid && !message->is_error)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "a result has no msgid");
        return 0;
}

int message_parse(const void *data, size_t n_data, Message *ret_message, ProtoFault *fault) {
        Cursor cursor = cursor_from_bytes(data, n_data);
        Item array = cursor_read(&cursor);
        Item type;

        *ret_message = (Message){0};
        if (array.kind != ITEM_ARRAY)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "message is %s, not an array",
                                   kind_to_string(array.kind));
        type = cursor_read(&cursor);
        if (array.number == 0 || type.kind != ITEM_UINT || type.number > MESSAGE_NOTIFICATION)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "message type is not 0 (request), 1 (response) or 2 (notification)");
        ret_message->type = (MessageType)type.number;
        if (array.number != (ret_message->type == MESSAGE_NOTIFICATION ? 3 : 4))
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "message of type %d has %" PRIu64 " elements", (int)ret_message->type,
                                   array.number);
        if (ret_message->type == MESSAGE_NOTIFICATION)
                return parse_call(&cursor, ret_message, fault);

        if (ret_message->type == MESSAGE_RESPONSE)
                return parse_response(&cursor, ret_message, fault);
        ret_message->has_msgid = read_msgid(&cursor, &ret_message->msgid);
        if (!ret_message->has_msgid)
                return refuse_msgid(fault);
        return parse_call(&cursor, ret_message, fault);
}

bool message_peek_msgid(const void *data, size_t n_data, uint32_t *ret_msgid) {
        Cursor cursor;
        Item array;
        Item type;

        if (n_data == 0)
                return false;
        cursor = cursor_from_bytes(data, n_data);
        array = cursor_read(&cursor);
        type = cursor_read(&cursor);
        return array.kind == ITEM_ARRAY && array.number == 4 && type.kind == ITEM_UINT &&
               type.number == MESSAGE_REQUEST && read_msgid(&cursor, ret_msgid);
}

/* [type, msgid or nil, ... */
static char *put_head(char *at, MessageType type, const uint32_t *msgid) {
        at = writer_put_array(at, 4);
        at = writer_put_uint(at, type);
        return msgid ? writer_put_uint(at, *msgid) : writer_put_nil(at);
}

int message_pack_request(const msgpack_packer *packer, uint32_t msgid, const ProtoMethod *method,
                         const void *args) {
        bool has_args = method->args->n_fields > 0;
        Writer writer;
        char *at;

        writer_init(&writer, packer);
        at = writer_reserve(&writer, 3 * WRITER_ITEM_MAX);
        writer_commit(&writer, put_head(at, MESSAGE_REQUEST, &msgid));
        writer_write_str(&writer, method->name);
        at = writer_reserve(&writer, WRITER_ITEM_MAX);
        writer_commit(&writer, writer_put_array(at, has_args ? 1 : 0));
        if (has_args)
                codec_encode(&writer, method->args, CODEC_ARGUMENTS, args);
        return writer_finish(&writer);
}

int message_pack_result(const msgpack_packer *packer, uint32_t msgid, const ProtoStruct *type,
                        const void *result) {
        Writer writer;
        char *at;

        writer_init(&writer, packer);
        at = writer_reserve(&writer, 4 * WRITER_ITEM_MAX);
        at = put_head(at, MESSAGE_RESPONSE, &msgid);
        writer_commit(&writer, writer_put_nil(at));
        codec_encode(&writer, type, CODEC_RESULT, result);
        return writer_finish(&writer);
}

int message_pack_error(const msgpack_packer *packer, const uint32_t *msgid, const ProtoFault *fault) {
        const ProtoError *error = proto_error_find(fault->code);
        Writer writer;
        char *at;

        writer_init(&writer, packer);
        at = writer_reserve(&writer, 4 * WRITER_ITEM_MAX);
        at = put_head(at, MESSAGE_RESPONSE, msgid);
        writer_commit(&writer, writer_put_map(at, 4));
        writer_write_str(&writer, "code");
        at = writer_reserve(&writer, WRITER_ITEM_MAX);
        writer_commit(&writer, writer_put_uint(at, (uint64_t)error->code));
        writer_write_str(&writer, "name");
        writer_write_str(&writer, error->name);
        writer_write_str(&writer, "message");
        writer_write_str(&writer, fault->text[0] ? fault->text : error->text);
        writer_write_str(&writer, "hint");
        writer_write_str(&writer, error->hint);
        writer_commit(&writer, writer_put_nil(writer_reserve(&writer, WRITER_ITEM_MAX)));
        return writer_finish(&writer);
}

void message_read_error(Cursor error, ProtoFault *ret_fault) {
        Item map = cursor_read(&error);
        Item key;
        Item value;

        proto_fault(ret_fault, GPUD_E_INTERNAL, "the daemon replied with an error that is not understood");
        if (map.kind != ITEM_MAP)
                return;
        for (uint64_t i = 0; i < map.number; i++) {
                key = cursor_read(&error);
                cursor_skip(&error, &key);
                value = cursor_read(&error);
                cursor_skip(&error, &value);
                if (item_is_str(&key, "code", 4) && value.kind == ITEM_UINT && value.number <= INT32_MAX &&
                    proto_error_find((int)value.number))
                        ret_fault->code = (int)value.number;
                else if (item_is_str(&key, "message", 7) && value.kind == ITEM_STR)
                        proto_fault(ret_fault, ret_fault->code, "%.*s", (int)value.number, value.data);
        }
}
