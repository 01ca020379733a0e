/* The C library's functions under its names for those who replace them. */

#include "tests/unit/failing.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

long failing_n_until;
long failing_n_live;

#if FAILING_CAN
/* For the libraries too: what one allocates the other frees. */
#pragma GCC visibility push(default)
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static int fails(void) {
        return failing_n_until > 0 && --failing_n_until == 0;
}

void *malloc(size_t size) {
        void *memory = fails() ? NULL : __libc_malloc(size);

        failing_n_live += memory != NULL;
        return memory;
}

void *calloc(size_t n, size_t size) {
        void *memory = fails() ? NULL : __libc_calloc(n, size);

        failing_n_live += memory != NULL;
        return memory;
}

void *realloc(void *old, size_t size) {
        void *memory = fails() ? NULL : __libc_realloc(old, size);

        failing_n_live += memory && !old;
        return memory;
}

void free(void *memory) {
        failing_n_live -= memory != NULL;
        __libc_free(memory);
}

void *mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset) {
        void *map = MAP_FAILED;

        if (fails())
                errno = ENOMEM;
        else
                map = (void *)syscall(SYS_mmap, place, size, protection, flags, fd, offset);
        failing_n_live += map != MAP_FAILED;
        return map;
}

/* Of all that was mapped in one call. */
int munmap(void *map, size_t size) {
        failing_n_live--;
        return (int)syscall(SYS_munmap, map, size);
}
#pragma GCC visibility pop
#endif
