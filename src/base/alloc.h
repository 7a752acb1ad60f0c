/* alloc.h - the only door to the heap. Tests fail each allocation in turn through it. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for `n` items of `item_bytes`, aligned to 64; NULL when the product overflows or there is none. */
void *alloc_zeroed(size_t n, size_t item_bytes);
/* As realloc: NULL leaves `p` as it was. New bytes are not zeroed; aligned to 16. Only for memory from alloc_resize. */
void *alloc_resize(void *p, size_t bytes);
/* Takes memory of either call; NULL is fine. */
void alloc_free(void *p);

/* For tests: let `n` more allocations succeed and the one after them fail, once; a negative `n` lets all succeed. */
void alloc_fail_after(int64_t n);
/* Allocations so far in this process; tests of "nothing allocates after the first token" compare two readings. */
uint64_t alloc_count(void);
/* Most bytes that were held at once since the last alloc_peak_reset, as asked for; tests of memory budgets read it. */
size_t alloc_peak_bytes(void);
void alloc_peak_reset(void);

#endif
