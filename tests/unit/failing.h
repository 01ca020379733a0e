#pragma once

/*
 * Host memory that runs out: in a program that links this, malloc() and its kin and mmap() fail when the test
 * says.
 */

/* AddressSanitizer brings an allocator of its own that must not be replaced. */
#if defined(__SANITIZE_ADDRESS__)
#define FAILING_CAN 0
#else
#define FAILING_CAN 1
#endif

extern long failing_n_until; /* the n-th allocation from here fails, once; 0: none does */
extern long failing_n_live;  /* allocated and not freed */
