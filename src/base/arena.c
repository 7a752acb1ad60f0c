/* arena.c - blocks in a list; each twice as large as the one before, up to what a large item needs. */
#include "base/arena.h"
#include "base/alloc.h"
#include <stdint.h>
#include <string.h>

struct arena_block {
    struct arena_block *before;
    size_t used, capacity; /* bytes of data[] */
    _Alignas(64) char data[];
};

enum { FIRST_BLOCK = 16 << 10, LARGEST_BLOCK = 4 << 20 };

void arena_init(struct arena *a, size_t max_bytes) { *a = (struct arena){.max_bytes = max_bytes}; }

void arena_reset(struct arena *a)
{
    for (struct arena_block *b = a->last, *before; b; b = before) {
        before = b->before;
        alloc_free(b);
    }
    arena_init(a, a->max_bytes);
}

static struct arena_block *add_block(struct arena *a, size_t bytes)
{
    size_t capacity = a->last ? a->last->capacity * 2 : FIRST_BLOCK;
    if (capacity > LARGEST_BLOCK)
        capacity = LARGEST_BLOCK;
    if (capacity < bytes)
        capacity = bytes;
    size_t left = a->max_bytes - a->used_bytes;
    if (left < sizeof(struct arena_block) || left - sizeof(struct arena_block) < bytes)
        return NULL;
    if (capacity > left - sizeof(struct arena_block))
        capacity = left - sizeof(struct arena_block);
    struct arena_block *b = alloc_zeroed(1, sizeof *b + capacity);
    if (!b)
        return NULL;
    b->capacity = capacity;
    b->before = a->last;
    a->last = b;
    a->used_bytes += sizeof *b + capacity;
    return b;
}

void *arena_alloc(struct arena *a, size_t n, size_t item_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, item_bytes, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    size_t alignment = bytes >= 64 ? 64 : 16;
    struct arena_block *b = a->last;
    size_t at = b ? (b->used + alignment - 1) & ~(alignment - 1) : 0;
    if (!b || at > b->capacity || bytes > b->capacity - at) {
        if (!(b = add_block(a, bytes)))
            return NULL;
        at = 0;
    }
    b->used = at + bytes;
    return b->data + at;
}

char *arena_text(struct arena *a, const char *p, size_t n)
{
    char *copy = n < SIZE_MAX ? arena_alloc(a, n + 1, 1) : NULL;
    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}
