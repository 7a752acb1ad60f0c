/* alloc.c - the heap behind one door.
 *
 * Zeroed blocks come from calloc with room to align, so that large ones are fresh pages of the system that are not
 * resident before they are touched. The words before an aligned block tell where the real one begins, and its size. */
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

void alloc_fail_after(int64_t n) { atomic_store(&n_left, n); }

uint64_t alloc_count(void) { return atomic_load(&n_allocations); }

static _Atomic size_t held_bytes, peak_bytes;

size_t alloc_peak_bytes(void) { return atomic_load(&peak_bytes); }

void alloc_peak_reset(void) { atomic_store(&peak_bytes, atomic_load(&held_bytes)); }

static void count_bytes(size_t more, size_t less)
{
    size_t held = atomic_fetch_add_explicit(&held_bytes, more - less, memory_order_relaxed) + more - less;
    size_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (held > peak &&
           !atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, held, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* What stands in front of every block, so that one alloc_free serves both kinds. */
struct front {
    size_t bytes; /* as asked for */
    char *base;
};
_Static_assert(sizeof(struct front) <= HEADER, "a block's front must fit its header");

static struct front *front_of(void *p) { return (struct front *)p - 1; }

static void *place(char *base, size_t bytes, size_t alignment)
{
    uintptr_t at = ((uintptr_t)base + HEADER + alignment - 1) & ~(uintptr_t)(alignment - 1);
    void *p = base + (at - (uintptr_t)base);
    *front_of(p) = (struct front){bytes, base};
    return p;
}

void *alloc_zeroed(size_t n, size_t item_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, item_bytes, &bytes) || bytes > SIZE_MAX - ALIGNMENT - HEADER || must_fail())
        return NULL;
    char *base = calloc(1, bytes + ALIGNMENT + HEADER);
    if (!base)
        return NULL;
    count_bytes(bytes, 0);
    return place(base, bytes, ALIGNMENT);
}

void *alloc_resize(void *p, size_t bytes)
{
    if (bytes > SIZE_MAX - HEADER || must_fail())
        return NULL;
    size_t before = p ? front_of(p)->bytes : 0;
    char *base = realloc(p ? front_of(p)->base : NULL, bytes + HEADER);
    if (!base)
        return NULL;
    count_bytes(bytes, before);
    return place(base, bytes, HEADER);
}

void alloc_free(void *p)
{
    if (!p)
        return;
    count_bytes(0, front_of(p)->bytes);
    free(front_of(p)->base);
}
