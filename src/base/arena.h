/* arena.h - memory that lives and dies together: one arena a lifetime (model, session, step). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *last;
    size_t used_bytes; /* all bytes taken from the heap */
    size_t max_bytes;  /* never more than this */
};

/* An empty arena that will never take more than `max_bytes` from the heap. Caller's memory; takes none itself. */
void arena_init(struct arena *a, size_t max_bytes);
/* Free everything; the arena is empty and usable again. */
void arena_reset(struct arena *a);
/* `n` zeroed items of `item_bytes`, aligned to 64 where the whole is at least 64 bytes, else to 16. NULL: over the
 * maximum, out of memory, or the product overflows. n == 0 gives a valid pointer to no bytes. */
void *arena_alloc(struct arena *a, size_t n, size_t item_bytes);
/* A copy of `n` bytes with a zero byte after them, or NULL. */
char *arena_text(struct arena *a, const char *p, size_t n);

#endif
