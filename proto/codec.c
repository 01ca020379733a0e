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

/* The most that a field takes: its name, and a UUID or an item without its bytes. */
#define FIELD_MAX (1 + PROTO_NAME_SIZE + WRITER_ITEM_MAX + GPUD_UUID_TEXT)

typedef struct Decoder {
        CodecRole role;
        Cursor cursor;
        msgpack_zone *zone;
        ProtoFault *fault;
} Decoder;

static int decode_struct(Decoder *decoder, const ProtoStruct *type, const Item *item, void *ret_value);

static int refuse_wire(const Decoder *decoder, const ProtoField *field, const Item *item) {
        const char *expected = field->wire == PROTO_WIRE_U64    ? "non-negative integer"
                               : field->wire == PROTO_WIRE_UUID ? "UUID"
                                                                : proto_wire_to_string(field->wire);
        char value[ITEM_TEXT];

        item_to_string(item, value);
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is not a %s: %s", field->name,
                           expected, value);
}

static int refuse_number(const Decoder *decoder, const ProtoField *field, uint64_t number) {
        uint64_t max = proto_kind_get_max(field->kind);

        if (field->kind == PROTO_MODE)
                return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT,
                                   "`%s` is 0%" PRIo64 ", limit 0%" PRIo64, field->name, number, max);
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is %" PRIu64 ", limit %" PRIu64,
                           field->name, number, max);
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
                return refuse_wire(decoder, field, item);
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
                return refuse_wire(decoder, field, item);
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
                return refuse_wire(decoder, field, item);
        if (!uuid_from_string(item->data, item->number, ret_uuid))
                return refuse_wire(decoder, field, item);
        return 0;
}

static int decode_enum(Decoder *decoder, const ProtoField *field, const Item *item, int *ret_value) {
        const ProtoEnum *choices = field->choices;
        char list[128] = "", value[ITEM_TEXT];

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
        item_to_string(item, value);
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is not one of %s: %s", field->name,
                           list, value);
}

static int decode_list(Decoder *decoder, const ProtoField *field, const Item *item, void *base) {
        const void **items = (const void **)((char *)base + field->offset);
        size_t *n_items = (size_t *)(void *)((char *)base + field->count_offset);
        char *array;
        Item element;
        int r;

        if (item->kind != ITEM_ARRAY)
                return refuse_wire(decoder, field, item);
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
                return refuse_wire(decoder, field, item);
        }
}

static int decode_field(Decoder *decoder, const ProtoField *field, const Item *item, void *base) {
        void *value = (char *)base + field->offset;

        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                if (item->kind != ITEM_BOOL)
                        return refuse_wire(decoder, field, item);
                *(bool *)value = item->number;
                return 0;
        case PROTO_WIRE_U64:
                if (item->kind != ITEM_UINT)
                        return refuse_wire(decoder, field, item);
                if (item->number > proto_kind_get_max(field->kind) && decoder->role == CODEC_ARGUMENTS)
                        return refuse_number(decoder, field, item->number);
                *(uint64_t *)value = item->number;
                return 0;
        case PROTO_WIRE_F64:
                return decode_f64(decoder, field, item, value);
        case PROTO_WIRE_STR:
                return decode_str(decoder, field, item, value);
        case PROTO_WIRE_BIN:
                return decode_bin(decoder, field, item, value);
        case PROTO_WIRE_UUID:
                return decode_uuid(decoder, field, item, value);
        case PROTO_WIRE_ENUM:
                return decode_enum(decoder, field, item, value);
        case PROTO_WIRE_STRUCT:
                return decode_struct(decoder, field->sub, item, value);
        case PROTO_WIRE_LIST:
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

/* Handles a field that did not come. An older gpud sends none that came later: it reads as its default. */
static int decode_missing(const Decoder *decoder, const ProtoField *field, void *base) {
        if (decoder->role == CODEC_RESULT && field->preset) {
                memcpy((char *)base + field->offset, field->preset, field->preset_size);
                return 0;
        }
        if (decoder->role == CODEC_RESULT && field->wire == PROTO_WIRE_LIST)
                return 0;
        return proto_fault(decoder->fault, GPUD_E_INVALID_ARGUMENT, "`%s` is missing", field->name);
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
                if (type->fields[i].is_required && !(seen & UINT64_C(1) << i)) {
                        r = decode_missing(decoder, &type->fields[i], ret_value);
                        if (r)
                                return r;
                }
        return 0;
}

int codec_decode(const ProtoStruct *type, CodecRole role, Cursor cursor, msgpack_zone *zone, void *ret_value,
                 ProtoFault *fault) {
        Decoder decoder = {role, cursor, zone, fault};
        Item item = cursor_read(&decoder.cursor);

        return decode_struct(&decoder, type, &item, ret_value);
}

/* Of a kind that is absent by a flag. */
static bool value_is_zero(const ProtoField *field, const void *value) {
        static const struct gpud_uuid zero;

        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                return !*(const bool *)value;
        case PROTO_WIRE_ENUM:
                return *(const int *)value == 0;
        case PROTO_WIRE_UUID:
                return memcmp(value, &zero, sizeof(zero)) == 0;
        default:
                return *(const uint64_t *)value == 0;
        }
}

/*
 * An argument that is not zero is wanted, whether or not its `has_` member says so: whoever writes
 * `.mode = 0644` means it. In a result the member alone counts.
 */
static bool field_is_absent(const ProtoField *field, CodecRole role, const void *base) {
        const void *value = (const char *)base + field->offset;

        if (field->has_offset != PROTO_NO_OFFSET)
                return !*((const bool *)base + field->has_offset) &&
                       (role == CODEC_RESULT || value_is_zero(field, value));
        if (field->is_required)
                return false;
        if (field->wire == PROTO_WIRE_STR)
                return !*(const char *const *)value;
        return field->wire == PROTO_WIRE_BIN && !((const struct gpud_bin *)value)->data;
}

/*
 * Each of these puts its value at `at`, in the room that codec_encode() reserved for a field, and commits it.
 */

static void encode_text(Writer *writer, char *at, const char *text) {
        size_t n = strlen(text);

        writer_commit(writer, writer_put_str(at, n));
        writer_write(writer, text, n);
}

static void encode_bin(Writer *writer, char *at, const struct gpud_bin *bin) {
        writer_commit(writer, writer_put_bin(at, bin->size));
        writer_write(writer, bin->data, bin->size);
}

static void encode_uuid(Writer *writer, char *at, const struct gpud_uuid *uuid) {
        at = writer_put_str(at, GPUD_UUID_TEXT);
        uuid_to_string(uuid, at);
        writer_commit(writer, at + GPUD_UUID_TEXT);
}

static void encode_list(Writer *writer, char *at, const ProtoField *field, CodecRole role, const void *base) {
        const char *items = *(const char *const *)(const void *)((const char *)base + field->offset);
        size_t n_items = *(const size_t *)(const void *)((const char *)base + field->count_offset);

        writer_commit(writer, writer_put_array(at, n_items));
        for (size_t i = 0; i < n_items; i++)
                codec_encode(writer, field->sub, role, items + i * field->sub->size);
}

static void encode_value(Writer *writer, char *at, const ProtoField *field, CodecRole role,
                         const void *base) {
        const void *value = (const char *)base + field->offset;
        const char *text;

        switch (field->wire) {
        case PROTO_WIRE_BOOL:
                writer_commit(writer, writer_put_bool(at, *(const bool *)value));
                break;
        case PROTO_WIRE_U64:
                writer_commit(writer, writer_put_uint(at, *(const uint64_t *)value));
                break;
        case PROTO_WIRE_F64:
                writer_commit(writer, writer_put_double(at, *(const double *)value));
                break;
        case PROTO_WIRE_STR:
                text = *(const char *const *)value;
                encode_text(writer, at, text ? text : "");
                break;
        case PROTO_WIRE_BIN:
                encode_bin(writer, at, value);
                break;
        case PROTO_WIRE_UUID:
                encode_uuid(writer, at, value);
                break;
        case PROTO_WIRE_ENUM:
                encode_text(writer, at, field->choices->values[*(const int *)value].text);
                break;
        case PROTO_WIRE_STRUCT:
                writer_commit(writer, at);
                codec_encode(writer, field->sub, role, value);
                break;
        case PROTO_WIRE_LIST:
                encode_list(writer, at, field, role, base);
                break;
        }
}

static size_t count_fields(const ProtoStruct *type, CodecRole role, const void *value) {
        size_t n = 0;

        if (role == CODEC_RESULT)
                return type->n_fields;
        for (size_t i = 0; i < type->n_fields; i++)
                n += !field_is_absent(&type->fields[i], role, value);
        return n;
}

void codec_encode(Writer *writer, const ProtoStruct *type, CodecRole role, const void *value) {
        const ProtoField *end = type->fields + type->n_fields;
        bool is_absent;
        char *at;

        at = writer_reserve(writer, WRITER_ITEM_MAX);
        writer_commit(writer, writer_put_map(at, count_fields(type, role, value)));
        for (const ProtoField *field = type->fields; field < end; field++) {
                is_absent = field_is_absent(field, role, value);
                if (is_absent && role == CODEC_ARGUMENTS)
                        continue;
                at = writer_put_short_str(writer_reserve(writer, FIELD_MAX), field->n_name);
                memcpy(at, field->name, sizeof(field->name));
                at += field->n_name;
                if (is_absent)
                        writer_commit(writer, writer_put_nil(at));
                else
                        encode_value(writer, at, field, role, value);
        }
}
