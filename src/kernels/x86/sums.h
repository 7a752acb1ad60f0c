/* sums.h - a block's products with activations, and its step in an output's chain (struct mul). */
#ifndef KERNELS_X86_SUMS_H
#define KERNELS_X86_SUMS_H

#include "kernels/x86/types.h"

/* How a type's blocks are summed; constant where it is inlined, but for `offset` in tiles. */
struct form {
    enum sums sums;
    bool is_signed; /* signed_bytes */
    bool in_bytes;  /* scales of 16 items, of a type with floats (Q6_K), are still their integers */
    bool is_scaled; /* items have their scales of 16 already: scale_items */
    int offset;
};

INLINE struct form form_of(uint32_t type)
{
    return (struct form){sums_of(type), signed_bytes(type), type == TYPE_Q6_K, false, offset_of(type)};
}
INLINE bool in_halves(struct form f) { return sums_apart(f.sums) && !f.is_scaled; }

INLINE vi dot(struct form f, vi sum, vi w, vi x)
{
#if !defined(__AVX512F__)
    if (f.is_signed)
        return vi_dot(sum, V(abs_epi8)(w), V(sign_epi8)(x, w));
#endif
    (void)f;
    return vi_dot(sum, w, x);
}

/* Lane i of register j holds four partial sums of row 4 i + j; the sum of each row, in order. */
INLINE vi fold(vi a, vi b, vi c, vi d)
{
    vi ab = V(add_epi32)(V(unpacklo_epi32)(a, b), V(unpackhi_epi32)(a, b));
    vi cd = V(add_epi32)(V(unpacklo_epi32)(c, d), V(unpackhi_epi32)(c, d));
    return V(add_epi32)(V(unpacklo_epi64)(ab, cd), V(unpackhi_epi64)(ab, cd));
}

/* What a block of a panel has beside its items, in registers. */
struct scale {
    vf d, m;    /* as struct mul's dw and m; Q2_K: dmin; SUMS_16: dw1 */
    vf half[2]; /* integer scales of 16 items */
    vi minima;  /* Q2_K: integer minima of 16 items, in 16 bits each */
};

INLINE vf scale_of_16(const struct scales *s, size_t i) { return V(cvtepi32_ps)(vi_widen_i8(s->s[i])); }

/* Of block b of the eight. */
INLINE struct scale scale_at(struct form f, const struct scales *s, size_t b)
{
    struct scale out;
    out.d = V(loadu_ps)(s->d[b]);
    if (f.in_bytes) {
        out.m = V(mul_ps)(out.d, scale_of_16(s, 2 * b + 1));
        out.d = V(mul_ps)(out.d, scale_of_16(s, 2 * b));
    } else if (f.sums == SUMS_MIN || f.sums == SUMS_16) {
        out.m = V(loadu_ps)(s->m[b]);
    }
    if (in_halves(f) && f.sums != SUMS_16)
        for (size_t i = 0; i < 2; i++)
            out.half[i] = scale_of_16(s, 2 * b + i);
    if (f.sums == SUMS_SCALED_MIN) {
        out.m = V(loadu_ps)(s->m[0]);
        out.minima = vi_or(vi_widen_i8(s->n[2 * b]), V(slli_epi32)(vi_widen_i8(s->n[2 * b + 1]), 16));
    }
    return out;
}

/* Floats hold all products of a half's sum with its integer scale, and their sum, exactly (below 2^24), at half the
 * cost of 32-bit products. That a zero may be -0 is not seen: no chain (struct mul) ever reaches -0, since it begins
 * with 0 and adds multiples of the least float. */
INLINE vf two_products(const struct scale *s, vf x0, vf x1)
{
    return V(fmadd_ps)(s->half[1], x1, V(mul_ps)(s->half[0], x0));
}

/* Q2_K: the block's sum of minima, exact as well. */
INLINE vf minima(const struct scale *s, const struct activations *x)
{
    int32_t both;
    memcpy(&both, x->sums, sizeof both);
    return V(cvtepi32_ps)(V(madd_epi16)(s->minima, V(set1_epi32)(both)));
}

/* The chain's step: acc and a block's exact sum, less the offset already; or its halves' where in_halves. */
INLINE vf step(struct form f, vf acc, vi sum, vi sum1, const struct scale *s, const struct activations *x)
{
    const vf first = V(cvtepi32_ps)(sum), by = V(set1_ps)(x->d);
    if (f.sums == SUMS_16)
        return V(fmadd_ps)(V(fmadd_ps)(V(cvtepi32_ps)(sum1), s->m, V(mul_ps)(first, s->d)), by, acc);
    const vf whole = in_halves(f) ? two_products(s, first, V(cvtepi32_ps)(sum1)) : first;
    if (f.sums == SUMS_SCALED_MIN)
        return V(fmadd_ps)(V(fnmadd_ps)(minima(s, x), s->m, V(mul_ps)(whole, s->d)), by, acc);
    acc = V(fmadd_ps)(whole, V(mul_ps)(s->d, by), acc);
    if (f.sums == SUMS_MIN)
        acc = V(fmadd_ps)(s->m, V(set1_ps)(x->ds), acc);
    return acc;
}

#endif
