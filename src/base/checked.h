/* checked.h - arithmetic on numbers that came from a file or a client. Each returns false on overflow and leaves *out
 * unspecified; nothing that was not checked is used as a size. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* Round `a` up to a multiple of `unit` (a power of two). */
static inline bool checked_align(uint64_t a, uint64_t unit, uint64_t *out)
{
    if (!checked_add(a, unit - 1, out))
        return false;
    *out &= ~(unit - 1);
    return true;
}

/* Does [offset, offset + bytes) lie within [0, total)? */
static inline bool checked_within(uint64_t offset, uint64_t bytes, uint64_t total)
{
    return offset <= total && bytes <= total - offset;
}

#endif
