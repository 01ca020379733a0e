#pragma once

/*
 * Packs msgpack: gathers small pieces and hands them on by the kilobyte, since most messages have less
 * than one. Room is reserved once for several pieces. That memory ran out is said once, at the end.
 */

#include <endian.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WRITER_SIZE 1024

/* The most that one item takes but for the bytes of a str or bin. */
#define WRITER_ITEM_MAX 9

typedef struct Writer {
        const msgpack_packer *out; /* takes the bytes: only its callback is used */
        char *at;
        bool has_failed; /* bytes are lost */
        char bytes[WRITER_SIZE];
} Writer;

static inline void writer_init(Writer *writer, const msgpack_packer *out) {
        writer->out = out;
        writer->at = writer->bytes;
        writer->has_failed = false;
}

/* Hands on what is there. */
void writer_flush(Writer *writer);

/* The same, at the end. Returns 0 or -ENOMEM. */
int writer_finish(Writer *writer);

/* Copies any number of bytes. */
void writer_write(Writer *writer, const void *data, size_t n_data);

/* A whole str. */
void writer_write_str(Writer *writer, const char *text);

/*
 * Makes room for `n` bytes, at most WRITER_SIZE of them. Returns the place: what is put there goes on from
 * what writer_put_*() return, and counts when it is given to writer_commit().
 */
static inline char *writer_reserve(Writer *writer, size_t n) {
        if ((size_t)(writer->bytes + sizeof(writer->bytes) - writer->at) < n)
                writer_flush(writer);
        return writer->at;
}

static inline void writer_commit(Writer *writer, char *at) {
        writer->at = at;
}

static inline char *writer_put_byte(char *at, unsigned byte) {
        *at = (char)byte;
        return at + 1;
}

/* A type byte, and behind it a big-endian number of `width` bytes. */
static inline char *writer_put_wide(char *at, unsigned type, uint64_t number, size_t width) {
        uint64_t bytes = htobe64(number << (64 - 8 * width));

        *at = (char)type;
        memcpy(at + 1, &bytes, width);
        return at + 1 + width;
}

static inline char *writer_put_nil(char *at) {
        return writer_put_byte(at, 0xc0);
}

static inline char *writer_put_bool(char *at, bool value) {
        return writer_put_byte(at, value ? 0xc3 : 0xc2);
}

/* As short as it can be. */
static inline char *writer_put_uint(char *at, uint64_t value) {
        if (value <= 0x7f)
                return writer_put_byte(at, (unsigned)value);
        if (value <= UINT8_MAX)
                return writer_put_wide(at, 0xcc, value, 1);
        if (value <= UINT16_MAX)
                return writer_put_wide(at, 0xcd, value, 2);
        if (value <= UINT32_MAX)
                return writer_put_wide(at, 0xce, value, 4);
        return writer_put_wide(at, 0xcf, value, 8);
}

static inline char *writer_put_double(char *at, double value) {
        uint64_t bits;

        memcpy(&bits, &value, sizeof(bits));
        return writer_put_wide(at, 0xcb, bits, 8);
}

/* The heads of those whose contents follow. */

/* Of at most 31 bytes. */
static inline char *writer_put_short_str(char *at, size_t n_bytes) {
        return writer_put_byte(at, 0xa0 | (unsigned)n_bytes);
}

static inline char *writer_put_str(char *at, size_t n_bytes) {
        if (n_bytes <= 0x1f)
                return writer_put_short_str(at, n_bytes);
        if (n_bytes <= UINT8_MAX)
                return writer_put_wide(at, 0xd9, n_bytes, 1);
        if (n_bytes <= UINT16_MAX)
                return writer_put_wide(at, 0xda, n_bytes, 2);
        return writer_put_wide(at, 0xdb, n_bytes, 4);
}

static inline char *writer_put_bin(char *at, size_t n_bytes) {
        if (n_bytes <= UINT8_MAX)
                return writer_put_wide(at, 0xc4, n_bytes, 1);
        if (n_bytes <= UINT16_MAX)
                return writer_put_wide(at, 0xc5, n_bytes, 2);
        return writer_put_wide(at, 0xc6, n_bytes, 4);
}

static inline char *writer_put_array(char *at, size_t n_elements) {
        if (n_elements <= 0x0f)
                return writer_put_byte(at, 0x90 | (unsigned)n_elements);
        if (n_elements <= UINT16_MAX)
                return writer_put_wide(at, 0xdc, n_elements, 2);
        return writer_put_wide(at, 0xdd, n_elements, 4);
}

static inline char *writer_put_map(char *at, size_t n_pairs) {
        if (n_pairs <= 0x0f)
                return writer_put_byte(at, 0x80 | (unsigned)n_pairs);
        return writer_put_wide(at, 0xde, n_pairs, 2);
}
