#pragma once

/*
 * Bounded walk over untrusted msgpack: where one message ends, and whether it is safe to decode. Allocates
 * nothing and believes no promised count, by which lists then take memory. Resumable: the bytes of a message
 * may come in any number of pieces, each is looked at once.
 */

#include <stddef.h>
#include <stdint.h>

#define SCAN_DEPTH_MAX 32

typedef struct ScanLimits {
        size_t size_max;    /* bytes of one message */
        uint32_t depth_max; /* nested arrays and maps; at most SCAN_DEPTH_MAX */
        uint64_t items_max; /* msgpack items of one message, promised ones counted */
} ScanLimits;

/* What gpud accepts: limits.def. */
extern const ScanLimits scan_request_limits;

typedef struct ScanPlace {
        size_t position;  /* bytes walked */
        uint64_t skip;    /* bytes of the last item still to come: a length of 32 bits and its head */
        uint64_t n_items; /* items seen or promised */
        uint64_t n_left;  /* items that the innermost open array or map still lacks */
        uint32_t depth;   /* open arrays and maps */
} ScanPlace;

typedef struct Scan {
        ScanPlace place;
        uint64_t open[SCAN_DEPTH_MAX]; /* items that those around the innermost one still lack */
} Scan;

/* The message itself is one item. */
#define SCAN_PLACE_NULL ((ScanPlace){.n_items = 1, .n_left = 1})
#define SCAN_NULL       ((Scan){.place = SCAN_PLACE_NULL})

enum {
        _SCAN_E_SUCCESS,
        SCAN_E_MORE,      /* the message is not complete yet */
        SCAN_E_TOO_LARGE, /* more than size_max bytes, by what is there or by what is promised */
        SCAN_E_TOO_DEEP,
        SCAN_E_TOO_MANY,
        SCAN_E_INVALID, /* the byte 0xc1 or an extension type */
};

/*
 * Goes on with the message that starts at `data`, of which `n_data` bytes are there. 0: the message is
 * complete and *ret_size bytes long, and `scan` is ready for the next one.
 */
int scan_walk(Scan *scan, const ScanLimits *limits, const void *data, size_t n_data, size_t *ret_size);

/* What is wrong with the message, with the limit; for results above SCAN_E_MORE. */
void scan_error_to_string(int r, const ScanLimits *limits, char *ret_text, size_t n_text);
