/* sums.h - a block's products with activations, and its step in an output's chain (struct mul). */
#ifndef KERNELS_X86_SUMS_H
#define KERNELS_X86_SUMS_H

#include "kernels/x86/types.h"

/* How a type's blocks are summed; constant where it is inlined, but for `offset` in tiles. */
struct form {
    enum sums sums;
    bool is_signed; /* signed_bytes */
    bool in_bytes;  /* scales of 16 items, of a type with floats (Q6_K), are still their integers */
    bool in_halves; /* items 0..15 and 16..31 are summed apart: their scales meet the sums, not the items */
    int offset;
};

INLINE struct form form_of(uint32_t type)
{
    return (struct form){sums_of(type), signed_bytes(type), type == TYPE_Q6_K, sums_apart(type), offset_of(type)};
}

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
    if (f.in_halves && f.sums != SUMS_16)
        for (size_t i = 0; i < 2; i++)
            out.half[i] = scale_of_16(s, 2 * b + i);
    if (f.sums == SUMS_WIDE_MIN) {
        out.m = V(loadu_ps)(s->m[0]);
        out.minima = vi_or(vi_widen_i8(s->n[2 * b]), V(slli_epi32)(vi_widen_i8(s->n[2 * b + 1]), 16));
    }
    return out;
}

/* An output's chain; of wide types also what its superblock's blocks have added up to, exact integers below 2^24. */
struct chain {
    vf acc, sum, least;
};
INLINE struct chain chain_start(void) { return (struct chain){V(setzero_ps)(), V(setzero_ps)(), V(setzero_ps)()}; }

/* Q2_K: the block's sum of minima. */
INLINE vi minima(const struct scale *s, const struct activations *x)
{
    int32_t both;
    memcpy(&both, x->sums, sizeof both);
    return V(madd_epi16)(s->minima, V(set1_epi32)(both));
}

/* The step of a superblock. */
INLINE vf step_wide(struct form f, vf acc, vf sum, vf least, const struct scale *s, const struct activations *x)
{
    const vf by = V(set1_ps)(x->d);
    if (f.sums == SUMS_WIDE_MIN)
        return V(fmadd_ps)(V(fnmadd_ps)(least, s->m, V(mul_ps)(sum, s->d)), by, acc);
    return V(fmadd_ps)(sum, V(mul_ps)(s->d, by), acc);
}

/* A block of a superblock, the last of it or not. Floats hold the products of a half's sum with its integer scale, and
 * all their sums, exactly, at half the cost of 32-bit products. (That a zero may be -0 is not seen: no chain ever
 * reaches -0, since it begins with 0 and adds multiples of the least float.) */
INLINE void add_to_superblock(struct form f, struct chain *c, vf sum, vf sum1, const struct scale *s,
                              const struct activations *x, bool last)
{
    c->sum = f.in_halves ? V(fmadd_ps)(s->half[1], sum1, V(fmadd_ps)(s->half[0], sum, c->sum)) : V(add_ps)(c->sum, sum);
    if (f.sums == SUMS_WIDE_MIN)
        c->least = V(add_ps)(c->least, V(cvtepi32_ps)(minima(s, x)));
    if (last) {
        const vf acc = step_wide(f, c->acc, c->sum, c->least, s, x);
        *c = chain_start();
        c->acc = acc;
    }
}

/* The chain's step: a block's exact sum, less the offset already; or its halves' where in_halves. b: which of eight it
 * is. */
INLINE void step(struct form f, struct chain *c, vi sum, vi sum1, const struct scale *s, const struct activations *x,
                 size_t b)
{
    const vf first = V(cvtepi32_ps)(sum), by = V(set1_ps)(x->d);
    if (is_wide(f.sums)) {
        add_to_superblock(f, c, first, V(cvtepi32_ps)(sum1), s, x, b % CHUNK == CHUNK - 1);
        return;
    }
    if (f.sums == SUMS_16) {
        c->acc = V(fmadd_ps)(V(fmadd_ps)(V(cvtepi32_ps)(sum1), s->m, V(mul_ps)(first, s->d)), by, c->acc);
        return;
    }
    c->acc = V(fmadd_ps)(first, V(mul_ps)(s->d, by), c->acc);
    if (f.sums == SUMS_MIN)
        c->acc = V(fmadd_ps)(s->m, V(set1_ps)(x->ds), c->acc);
}

#endif
