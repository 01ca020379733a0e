/*
 * Fuzzes what comes after the scanner: envelope and codec. Arguments that decode must encode to a message that
 * decodes to the same bytes again; results are decoded as a client would, by the method that the first byte picks.
 */

#include <assert.h>
#include <msgpack.h>
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

/* Packs the arguments, takes them apart again and packs those: both must be the same bytes. */
static void check_round_trip(const ProtoMethod *method, const void *args, msgpack_zone *zone) {
        msgpack_sbuffer buffers[2];
        msgpack_packer packer;
        Message message;
        ProtoFault fault;
        Scan scan = SCAN_NULL;
        size_t size;
        void *again = malloc(method->args->size);

        assert(again);
        for (size_t i = 0; i < 2; i++) {
                msgpack_sbuffer_init(&buffers[i]);
                msgpack_packer_init(&packer, &buffers[i], msgpack_sbuffer_write);
                assert(message_pack_request(&packer, 7, method, i ? again : args) == 0);
                if (i > 0)
                        break;
                assert(scan_walk(&scan, &scan_request_limits, buffers[0].data, buffers[0].size, &size) == 0);
                assert(size == buffers[0].size);
                assert(message_parse(buffers[0].data, size, &message, &fault) == 0);
                assert(proto_method_find(message.method, message.n_method) == method);
                assert(codec_decode(method->args, CODEC_ARGUMENTS, message.arguments, zone, again, &fault) ==
                       0);
        }
        assert(buffers[0].size == buffers[1].size);
        assert(memcmp(buffers[0].data, buffers[1].data, buffers[0].size) == 0);
        msgpack_sbuffer_destroy(&buffers[0]);
        msgpack_sbuffer_destroy(&buffers[1]);
        free(again);
}

static void decode_call(const Message *message, msgpack_zone *zone) {
        const ProtoMethod *method = proto_method_find(message->method, message->n_method);
        ProtoFault fault;
        void *args;
        int r;

        if (!method)
                return;
        args = malloc(method->args->size);
        assert(args);
        r = codec_decode(method->args, CODEC_ARGUMENTS, message->arguments, zone, args, &fault);
        if (r == 0)
                check_round_trip(method, args, zone);
        else
                assert(r == fault.code && fault.text[0] != '\0');
        free(args);
}

static void decode_reply(const Message *message, const ProtoMethod *method, msgpack_zone *zone) {
        ProtoFault fault;
        void *result = malloc(method->result->size);

        assert(result);
        message_read_error(message->error, &fault);
        assert(proto_error_find(fault.code));
        codec_decode(method->result, CODEC_RESULT, message->result, zone, result, &fault);
        free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data) {
        Scan scan = SCAN_NULL;
        size_t size;
        uint32_t msgid;
        Message message;
        ProtoFault fault;
        msgpack_zone *zone;

        if (n_data == 0)
                return 0;
        message_peek_msgid(data + 1, n_data - 1, &msgid);
        if (scan_walk(&scan, &scan_request_limits, data + 1, n_data - 1, &size))
                return 0;
        zone = msgpack_zone_new(1024);
        assert(zone);
        if (message_parse(data + 1, size, &message, &fault) == 0) {
                if (message.type == MESSAGE_RESPONSE)
                        decode_reply(&message, &proto_methods[data[0] % PROTO_N_METHODS], zone);
                else
                        decode_call(&message, zone);
        }
        msgpack_zone_free(zone);
        return 0;
}
