/* alloc.c - the heap behind one door.
 *
 * Zeroed blocks come from calloc with room to align, so that large ones are fresh pages of the system that are not
 * resident before they are touched. The word before an aligned block tells where the real one begins. */
#include "base/alloc.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { ALIGNMENT = 64, HEADER = 16 };

static _Atomic uint64_t n_allocations;
static _Atomic int64_t n_left = -1;

/* Count this allocation; true when a test wants it to fail. */
static bool must_fail(void)
{
    atomic_fetch_add_explicit(&n_allocations, 1, memory_order_relaxed);
    if (atomic_load_explicit(&n_left, memory_order_relaxed) < 0)
        return false;
    return atomic_fetch_sub_explicit(&n_left, 1, memory_order_relaxed) == 0;
}

void alloc_fail_after(int64_t n)
{
    atomic_store(&n_left, n);
}

uint64_t alloc_count(void)
{
    return atomic_load(&n_allocations);
}

/* Both kinds of block keep their base pointer in front, so that one alloc_free serves both. */
static void *place(char *base, size_t alignment)
{
    uintptr_t at = ((uintptr_t)base + HEADER + alignment - 1) & ~(uintptr_t)(alignment - 1);
    char *p = base + (at - (uintptr_t)base);
    ((char **)(void *)p)[-1] = base;
    return p;
}

void *alloc_zeroed(size_t n, size_t item_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, item_bytes, &bytes) || bytes > SIZE_MAX - ALIGNMENT - HEADER || must_fail())
        return NULL;
    char *base = calloc(1, bytes + ALIGNMENT + HEADER);
    return base ? place(base, ALIGNMENT) : NULL;
}

void *alloc_resize(void *p, size_t bytes)
{
    if (bytes > SIZE_MAX - HEADER || must_fail())
        return NULL;
    char *base = realloc(p ? ((char **)p)[-1] : NULL, bytes + HEADER);
    return base ? place(base, HEADER) : NULL;
}

void alloc_free(void *p)
{
    if (p)
        free(((char **)p)[-1]);
}
