/* Copies past the caches. */

#include "client/stream.h"

#include <stdint.h>
#include <string.h>

#include "client/gpud.h"

#ifdef __x86_64__

#include <immintrin.h>

#define LINE 64

__attribute__((target("avx512f"))) static void stream_wide(char *to, const char *from, size_t n_lines) {
        for (; n_lines > 0; n_lines--, to += LINE, from += LINE)
                _mm512_stream_si512((void *)to, _mm512_loadu_si512(from));
}

static void stream_narrow(char *to, const char *from, size_t n_lines) {
        for (; n_lines > 0; n_lines--, to += LINE, from += LINE)
                for (size_t i = 0; i < LINE; i += sizeof(__m128i))
                        _mm_stream_si128((__m128i *)(void *)(to + i),
                                         _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
}

void stream_copy(void *target, const void *source, size_t size, bool is_wide) {
        size_t head = -(uintptr_t)target % LINE;
        const char *from = source;
        char *to = target;
        size_t body;

        if (head > size)
                head = size;
        body = (size - head) / LINE * LINE;
        memcpy(to, from, head);
        if (is_wide)
                stream_wide(to + head, from + head, body / LINE);
        else
                stream_narrow(to + head, from + head, body / LINE);
        memcpy(to + head + body, from + head + body, size - head - body);
        /* Whoever learns that the copy is done sees its bytes. */
        _mm_sfence();
}

bool stream_can_be_wide(void) {
        return __builtin_cpu_supports("avx512f");
}

#else

void stream_copy(void *target, const void *source, size_t size, bool is_wide) {
        (void)is_wide;
        memcpy(target, source, size);
}

bool stream_can_be_wide(void) {
        return false;
}

#endif

void gpud_stream_copy(void *target, const void *source, size_t size) {
        stream_copy(target, source, size, stream_can_be_wide());
}
