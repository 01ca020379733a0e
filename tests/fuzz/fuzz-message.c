/*
 * Fuzzes what comes after the scanner: envelope and codec. What decodes must encode to a message that decodes
 * to the same bytes again: arguments as in gpud, results and errors as in a client. Messages follow one
 * another as on a connection; a reply is to the call before it, and its method that call's. The first byte is
 * for fuzz-scan.
 */

#include <assert.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/message.h"
#include "proto/scan.h"
#include "proto/table.h"
#include "proto/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data);

/* A result has what was absent as nil: more items than it came with. */
static const ScanLimits all = {.size_max = SIZE_MAX, .depth_max = SCAN_DEPTH_MAX, .items_max = UINT64_MAX};

static void *new_struct(const ProtoStruct *type) {
        void *value = malloc(type->size);

        assert(value);
        return value;
}

/* Takes apart what was packed, which must be one whole message; it points into `buffer`. */
static void parse_packed(const msgpack_sbuffer *buffer, Message *ret_message) {
        Scan scan = SCAN_NULL;
        ProtoFault fault;
        size_t size;

        assert(scan_walk(&scan, &all, buffer->data, buffer->size, &size) == 0);
        assert(size == buffer->size);
        assert(message_parse(buffer->data, size, ret_message, &fault) == 0);
}

static void pack(msgpack_sbuffer *ret_buffer, const ProtoMethod *method, CodecRole role, const void *value) {
        msgpack_packer packer;
        int r;

        msgpack_sbuffer_init(ret_buffer);
        msgpack_packer_init(&packer, ret_buffer, msgpack_sbuffer_write);
        if (role == CODEC_ARGUMENTS)
                r = message_pack_request(&packer, 7, method, value);
        else
                r = message_pack_result(&packer, 7, method->result, value);
        assert(r == 0);
}

/* Packs the structure, takes it apart again and packs that: both must be the same bytes. */
static void check_round_trip(const ProtoMethod *method, CodecRole role, const void *value,
                             msgpack_zone *zone) {
        const ProtoStruct *type = role == CODEC_ARGUMENTS ? method->args : method->result;
        void *again = new_struct(type);
        msgpack_sbuffer buffers[2];
        ProtoFault fault;
        Message message;
        Cursor cursor;

        pack(&buffers[0], method, role, value);
        parse_packed(&buffers[0], &message);
        if (role == CODEC_ARGUMENTS)
                assert(proto_method_find(message.method, message.n_method) == method);
        cursor = role == CODEC_ARGUMENTS ? message.arguments : message.result;
        assert(codec_decode(type, role, cursor, zone, again, &fault) == 0);
        pack(&buffers[1], method, role, again);
        assert(buffers[0].size == buffers[1].size);
        assert(memcmp(buffers[0].data, buffers[1].data, buffers[0].size) == 0);
        msgpack_sbuffer_destroy(&buffers[0]);
        msgpack_sbuffer_destroy(&buffers[1]);
        free(again);
}

/* Returns the method that is called; NULL: there is no such. */
static const ProtoMethod *decode_call(const Message *message, msgpack_zone *zone) {
        const ProtoMethod *method = proto_method_find(message->method, message->n_method);
        ProtoFault fault;
        void *args;
        int r;

        if (!method)
                return NULL;
        args = new_struct(method->args);
        r = codec_decode(method->args, CODEC_ARGUMENTS, message->arguments, zone, args, &fault);
        if (r == 0)
                check_round_trip(method, CODEC_ARGUMENTS, args, zone);
        else
                assert(r == fault.code && fault.text[0] != '\0');
        free(args);
        return method;
}

/* What a client does not know, gpud would never send: an enumeration's value. */
static bool is_known(const ProtoStruct *type, const void *base) {
        for (const ProtoField *field = type->fields; field < type->fields + type->n_fields; field++) {
                const void *value = (const char *)base + field->offset;
                size_t n = 1;

                if (field->wire == PROTO_WIRE_ENUM && *(const int *)value < 0)
                        return false;
                if (field->wire == PROTO_WIRE_LIST) {
                        n = *(const size_t *)(const void *)((const char *)base + field->count_offset);
                        value = *(const void *const *)value;
                }
                for (size_t i = 0; field->sub && i < n; i++)
                        if (!is_known(field->sub, (const char *)value + i * field->sub->size))
                                return false;
        }
        return true;
}

static void decode_result(const Message *message, const ProtoMethod *method, msgpack_zone *zone) {
        void *result = new_struct(method->result);
        ProtoFault fault;
        int r = codec_decode(method->result, CODEC_RESULT, message->result, zone, result, &fault);

        if (r)
                assert(r == fault.code && fault.text[0] != '\0');
        else if (is_known(method->result, result))
                check_round_trip(method, CODEC_RESULT, result, zone);
        free(result);
}

static void decode_error(const Message *message) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        ProtoFault fault;
        ProtoFault again;
        Message packed;

        message_read_error(message->error, &fault);
        assert(proto_error_find(fault.code));
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        assert(message_pack_error(&packer, message->has_msgid ? &message->msgid : NULL, &fault) == 0);
        parse_packed(&buffer, &packed);
        assert(packed.is_error && packed.has_msgid == message->has_msgid && packed.msgid == message->msgid);
        message_read_error(packed.error, &again);
        assert(again.code == fault.code);
        /* Without a text there is that of the code. */
        assert(!fault.text[0] || strcmp(again.text, fault.text) == 0);
        msgpack_sbuffer_destroy(&buffer);
}

/* `method` is that of the last call; NULL: there was none. Returns whether it is a message at all. */
static bool decode(const uint8_t *data, size_t n_data, const ProtoMethod **method, msgpack_zone *zone) {
        Message message;
        ProtoFault fault;

        if (message_parse(data, n_data, &message, &fault))
                return false;
        if (message.type != MESSAGE_RESPONSE)
                *method = decode_call(&message, zone);
        else if (message.is_error)
                decode_error(&message);
        else if (*method)
                decode_result(&message, *method, zone);
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data) {
        const ProtoMethod *method = NULL;
        Scan scan = SCAN_NULL;
        size_t size;
        uint32_t msgid;
        msgpack_zone *zone = msgpack_zone_new(1024);

        assert(zone);
        for (size_t i = 1; i < n_data; i += size) {
                message_peek_msgid(data + i, n_data - i, &msgid);
                if (scan_walk(&scan, &scan_request_limits, data + i, n_data - i, &size) ||
                    !decode(data + i, size, &method, zone))
                        break;
        }
        msgpack_zone_free(zone);
        return 0;
}
