/*
 * msgpack to C structure and back. One walk over the map looks each key up among the structure's fields; a
 * bit set remembers which came, so that a missing or doubled one is found without another pass over the map.
 */

#include "proto/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "proto/text.h"
#include "proto/types.h"

/* A reply of mem.alloc, and most others, goes out in one piece. */
#define BATCH_SIZE 1024

typedef struct Decoder {
        CodecRole role;
        Cursor cursor;
        msgpack_zone *zone;
        ProtoFault *fault;
} Decoder;

static int decode_struct(Decoder *decoder, const ProtoStruct *type, const Item *item, void *ret_value);

static int refuse_kind(const Decoder *decoder, const ProtoField *field) {
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is not a %s", field->name,
                           field->kind == PROTO_U64 ? "non-negative integer"
                                                    : proto_kind_to_string(field->kind));
}

static int refuse_size(const Decoder *decoder, const ProtoField *field, const Item *item) {
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` has %" PRIu64 " bytes, limit %zu",
                           field->name, item->number, field->max);
}

/* The bytes of the item, a NUL behind them; NULL without memory. */
static char *copy_bytes(const Decoder *decoder, const Item *item) {
        char *copy = msgpack_zone_malloc_no_align(decoder->zone, item->number + 1);

        if (!copy)
                return NULL;
        memcpy(copy, item->data, item->number);
        copy[item->number] = '\0';
        return copy;
}

static int decode_str(const Decoder *decoder, const ProtoField *field, const Item *item,
                      const char **ret_text) {
        if (item->kind != ITEM_STR)
                return refuse_kind(decoder, field);
        if (field->max > 0 && item->number > field->max)
                return refuse_size(decoder, field, item);
        if (memchr(item->data, '\0', item->number))
                return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` contains a NUL byte",
                                   field->name);
        if (!text_is_utf8(item->data, item->number))
                return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is not UTF-8", field->name);
        *ret_text = copy_bytes(decoder, item);
        return *ret_text ? 0 : -ENOMEM;
}

static int decode_bin(const Decoder *decoder, const ProtoField *field, const Item *item,
                      struct gpud_bin *ret_bin) {
        /* A str will do: older msgpack libraries and Neovim have no bin. */
        if (item->kind != ITEM_BIN && item->kind != ITEM_STR)
                return refuse_kind(decoder, field);
        if (field->max > 0 && item->number > field->max)
                return refuse_size(decoder, field, item);
        *ret_bin = (struct gpud_bin){item->data, item->number};
        if (decoder->role == CODEC_ARGUMENTS)
                ret_bin->data = copy_bytes(decoder, item);
        return ret_bin->data ? 0 : -ENOMEM;
}

static int decode_uuid(const Decoder *decoder, const ProtoField *field, const Item *item,
                       struct gpud_uuid *ret_uuid) {
        if (item->kind != ITEM_STR)
                return refuse_kind(decoder, field);
        if (!uuid_from_string(item->data, item->number, ret_uuid))
                return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is not a UUID: \"%.*s\"",
                                   field->name, (int)(item->number < 64 ? item->number : 64), item->data);
        return 0;
}

static int decode_enum(Decoder *decoder, const ProtoField *field, const Item *item, int *ret_value) {
        const ProtoEnum *choices = field->choices;
        char list[128] = "";

        for (size_t i = 0; i < choices->n_values; i++)
                if (item_is_str(item, choices->values[i].text, strlen(choices->values[i].text))) {
                        *ret_value = (int)i;
                        return 0;
                }
        /* A client meets values that a newer gpud added. */
        if (decoder->role == CODEC_RESULT) {
                cursor_skip(&decoder->cursor, item);
                *ret_value = -1;
                return 0;
        }
        for (size_t i = 0; i < choices->n_values; i++) {
                strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
                strncat(list, choices->values[i].text, sizeof(list) - strlen(list) - 1);
        }
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is not one of %s", field->name,
                           list);
}

static int decode_list(Decoder *decoder, const ProtoField *field, const Item *item, void *base) {
        const void **items = (const void **)((char *)base + field->offset);
        size_t *n_items = (size_t *)(void *)((char *)base + field->count_offset);
        char *array;
        Item element;
        int r;

        if (item->kind != ITEM_ARRAY)
                return refuse_kind(decoder, field);
        /* Never 0 bytes, for which NULL would be a success. */
        array = msgpack_zone_malloc(decoder->zone, item->number * field->sub->size + 1);
        if (!array)
                return -ENOMEM;
        for (uint64_t i = 0; i < item->number; i++) {
                element = cursor_read(&decoder->cursor);
                r = decode_struct(decoder, field->sub, &element, array + i * field->sub->size);
                if (r)
                        return r;
        }
        *items = array;
        *n_items = item->number;
        return 0;
}

static int decode_f64(const Decoder *decoder, const ProtoField *field, const Item *item, double *ret_value) {
        switch (item->kind) {
        case ITEM_UINT:
                *ret_value = (double)item->number;
                return 0;
        case ITEM_INT:
                *ret_value = (double)(int64_t)item->number;
                return 0;
        case ITEM_FLOAT:
                *ret_value = item_get_float(item);
                return 0;
        default:
                return refuse_kind(decoder, field);
        }
}

static int decode_field(Decoder *decoder, const ProtoField *field, const Item *item, void *base) {
        void *value = (char *)base + field->offset;

        switch (field->kind) {
        case PROTO_BOOL:
                if (item->kind != ITEM_BOOL)
                        return refuse_kind(decoder, field);
                *(bool *)value = item->number;
                return 0;
        case PROTO_U64:
                if (item->kind != ITEM_UINT)
                        return refuse_kind(decoder, field);
                *(uint64_t *)value = item->number;
                return 0;
        case PROTO_F64:
                return decode_f64(decoder, field, item, value);
        case PROTO_STR:
                return decode_str(decoder, field, item, value);
        case PROTO_BIN:
                return decode_bin(decoder, field, item, value);
        case PROTO_UUID:
                return decode_uuid(decoder, field, item, value);
        case PROTO_ENUM:
                return decode_enum(decoder, field, item, value);
        case PROTO_STRUCT:
                return decode_struct(decoder, field->sub, item, value);
        case PROTO_LIST:
                return decode_list(decoder, field, item, base);
        }
        return 0;
}

static const ProtoField *find_field(const ProtoStruct *type, const Item *key) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (item_is_str(key, type->fields[i].name, type->fields[i].n_name))
                        return &type->fields[i];
        return NULL;
}

static int decode_unknown(Decoder *decoder, const Item *key) {
        Item value;

        if (decoder->role == CODEC_RESULT) {
                cursor_skip(&decoder->cursor, key);
                value = cursor_read(&decoder->cursor);
                cursor_skip(&decoder->cursor, &value);
                return 0;
        }
        if (key->kind != ITEM_STR)
                return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT,
                                   "an argument's name is not a str");
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "unknown argument `%.*s`",
                           (int)(key->number < 64 ? key->number : 64), key->data);
}

/* Takes one pair of the map; `seen` has a bit per field. */
static int decode_pair(Decoder *decoder, const ProtoStruct *type, uint64_t *seen, void *ret_value) {
        Item key = cursor_read(&decoder->cursor);
        const ProtoField *field = find_field(type, &key);
        uint64_t bit;
        Item value;
        int r;

        if (!field)
                return decode_unknown(decoder, &key);
        bit = UINT64_C(1) << (field - type->fields);
        if (*seen & bit)
                return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "argument `%s` is given twice",
                                   field->name);
        value = cursor_read(&decoder->cursor);
        if (value.kind == ITEM_NIL && !field->is_required)
                return 0;
        r = decode_field(decoder, field, &value, ret_value);
        if (r)
                return r;
        *seen |= bit;
        if (field->has_offset != PROTO_NO_OFFSET)
                *((bool *)ret_value + field->has_offset) = true;
        return 0;
}

static int decode_struct(Decoder *decoder, const ProtoStruct *type, const Item *item, void *ret_value) {
        uint64_t seen = 0;
        int r;

        memset(ret_value, 0, type->size);
        if (item->kind == ITEM_MAP) {
                for (uint64_t i = 0; i < item->number; i++) {
                        r = decode_pair(decoder, type, &seen, ret_value);
                        if (r)
                                return r;
                }
        } else if (item->kind != ITEM_NIL) {
                return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "%s is not a map of named fields",
                                   type->name);
        }
        for (size_t i = 0; i < type->n_fields; i++)
                if (type->fields[i].is_required && !(seen & UINT64_C(1) << i))
                        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is missing",
                                           type->fields[i].name);
        return 0;
}

int codec_decode(const ProtoStruct *type, CodecRole role, Cursor cursor, msgpack_zone *zone, void *ret_value,
                 ProtoFault *fault) {
        Decoder decoder = {role, cursor, zone, fault};
        Item item = cursor_read(&decoder.cursor);

        return decode_struct(&decoder, type, &item, ret_value);
}

static bool field_is_absent(const ProtoField *field, const void *base) {
        const void *value = (const char *)base + field->offset;

        if (field->has_offset != PROTO_NO_OFFSET)
                return !*((const bool *)base + field->has_offset);
        if (field->is_required)
                return false;
        if (field->kind == PROTO_STR)
                return !*(const char *const *)value;
        return field->kind == PROTO_BIN && !((const struct gpud_bin *)value)->data;
}

/* Gathers the many small pieces of a map, and hands them on by the kilobyte. */
typedef struct Batch {
        msgpack_packer packer;
        const msgpack_packer *out;
        size_t n;
        char bytes[BATCH_SIZE];
} Batch;

static int batch_flush(Batch *batch) {
        size_t n = batch->n;

        batch->n = 0;
        return n > 0 ? batch->out->callback(batch->out->data, batch->bytes, n) : 0;
}

static int batch_write(void *data, const char *bytes, size_t n) {
        Batch *batch = data;

        if (n > sizeof(batch->bytes) - batch->n) {
                if (batch_flush(batch))
                        return -1;
                if (n > sizeof(batch->bytes))
                        return batch->out->callback(batch->out->data, bytes, n);
        }
        memcpy(batch->bytes + batch->n, bytes, n);
        batch->n += n;
        return 0;
}

static int encode_struct(msgpack_packer *packer, const ProtoStruct *type, CodecRole role, const void *value);

static int encode_text(msgpack_packer *packer, const char *text, size_t n) {
        return msgpack_pack_str(packer, n) || msgpack_pack_str_body(packer, text, n);
}

static int encode_list(msgpack_packer *packer, const ProtoField *field, CodecRole role, const void *base) {
        const char *items = *(const char *const *)(const void *)((const char *)base + field->offset);
        size_t n_items = *(const size_t *)(const void *)((const char *)base + field->count_offset);

        if (msgpack_pack_array(packer, n_items))
                return -ENOMEM;
        for (size_t i = 0; i < n_items; i++)
                if (encode_struct(packer, field->sub, role, items + i * field->sub->size))
                        return -ENOMEM;
        return 0;
}

static int encode_field(msgpack_packer *packer, const ProtoField *field, CodecRole role, const void *base) {
        const void *value = (const char *)base + field->offset;
        const struct gpud_bin *bin = value;
        const char *text = "";
        char uuid[GPUD_UUID_TEXT + 1];

        switch (field->kind) {
        case PROTO_BOOL:
                return *(const bool *)value ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
        case PROTO_U64:
                return msgpack_pack_uint64(packer, *(const uint64_t *)value);
        case PROTO_F64:
                return msgpack_pack_double(packer, *(const double *)value);
        case PROTO_STR:
                if (*(const char *const *)value)
                        text = *(const char *const *)value;
                return encode_text(packer, text, strlen(text));
        case PROTO_BIN:
                return msgpack_pack_bin(packer, bin->size) ||
                       msgpack_pack_bin_body(packer, bin->data, bin->size);
        case PROTO_UUID:
                uuid_to_string(value, uuid);
                return encode_text(packer, uuid, GPUD_UUID_TEXT);
        case PROTO_ENUM:
                text = field->choices->values[*(const int *)value].text;
                return encode_text(packer, text, strlen(text));
        case PROTO_STRUCT:
                return encode_struct(packer, field->sub, role, value);
        case PROTO_LIST:
                return encode_list(packer, field, role, base);
        }
        return 0;
}

static int encode_struct(msgpack_packer *packer, const ProtoStruct *type, CodecRole role, const void *value) {
        uint32_t n_fields = 0;
        bool is_absent;

        for (size_t i = 0; i < type->n_fields; i++)
                if (role == CODEC_RESULT || !field_is_absent(&type->fields[i], value))
                        n_fields++;
        if (msgpack_pack_map(packer, n_fields))
                return -ENOMEM;
        for (size_t i = 0; i < type->n_fields; i++) {
                is_absent = field_is_absent(&type->fields[i], value);
                if (is_absent && role == CODEC_ARGUMENTS)
                        continue;
                if (encode_text(packer, type->fields[i].name, type->fields[i].n_name) ||
                    (is_absent ? msgpack_pack_nil(packer)
                               : encode_field(packer, &type->fields[i], role, value)))
                        return -ENOMEM;
        }
        return 0;
}

int codec_encode(msgpack_packer *packer, const ProtoStruct *type, CodecRole role, const void *value) {
        Batch batch;

        batch.out = packer;
        batch.n = 0;
        msgpack_packer_init(&batch.packer, &batch, batch_write);
        return encode_struct(&batch.packer, type, role, value) || batch_flush(&batch) ? -ENOMEM : 0;
}
