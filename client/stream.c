/* Copies past the caches. */

#include <stdint.h>
#include <string.h>

#include "client/gpud.h"

#ifdef __SSE2__

#include <emmintrin.h>

#define LINE 64

static void stream_line(char *target, const char *source) {
        for (size_t i = 0; i < LINE; i += sizeof(__m128i))
                _mm_stream_si128((__m128i *)(void *)(target + i),
                                 _mm_loadu_si128((const __m128i *)(const void *)(source + i)));
}

void gpud_stream_copy(void *target, const void *source, size_t size) {
        size_t head = -(uintptr_t)target % LINE;
        const char *from = source;
        char *to = target;

        if (head > size)
                head = size;
        memcpy(to, from, head);
        for (to += head, from += head, size -= head; size >= LINE; to += LINE, from += LINE, size -= LINE)
                stream_line(to, from);
        memcpy(to, from, size);
        /* Whoever learns that it is done sees the bytes. */
        _mm_sfence();
}

#else

void gpud_stream_copy(void *target, const void *source, size_t size) {
        memcpy(target, source, size);
}

#endif
