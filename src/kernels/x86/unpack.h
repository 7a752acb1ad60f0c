/* unpack.h - panels unpacked into words for many tokens, with their scales. */
#ifndef KERNELS_X86_UNPACK_H
#define KERNELS_X86_UNPACK_H

#include "kernels/x86/panel.h"

/* A panel's chunk of 256 items, unpacked: w[b][i] holds items 4 i to 4 i + 3 of block b of each row. */
struct chunk {
    uint8_t w[CHUNK][8][4 * WIDTH];
    struct scales s;
    uint8_t minima[8][4 * WIDTH]; /* Q2_K's, for amx_products.c */
};
_Static_assert(MUL_PANELS * sizeof(struct chunk) <= MUL_CHUNK_BYTES, "scratch holds so many panels");

/* Integers to floats. */
INLINE void widen_scales(struct form f, struct scales *s)
{
    for (size_t b = 0; b < CHUNK; b++) {
        const struct scale x = scale_at(f, s, b);
        V(storeu_ps)(s->d[b], x.d);
        V(storeu_ps)(s->m[b], x.m);
    }
}

/* What to unpack: a chunk of the panel from row r on. That of the panel at `ahead` is fetched meanwhile, or of every
 * other block only, where a caller fetches the others. */
struct unpacking {
    const struct mul *m;
    size_t r, chunk;
    const uint8_t *ahead;
    bool half;
    int less; /* taken off each item */
};

INLINE void unpack_chunk(const struct unpacking *u, uint32_t type, struct chunk *out)
{
    const struct mul *m = u->m;
    const vi off = vi_bytes(u->less);
    const size_t first = u->chunk * CHUNK, left = m->k / Q_BLOCK - first;
    size_t n = left < CHUNK ? left : CHUNK;
    struct eight blocks;
    take(type, panel_at(m, u->r), m->row_bytes, first, &blocks);
    take_scales(type, &blocks, n, &out->s);
    if (form_of(type).in_bytes)
        widen_scales(form_of(type), &out->s);
    if (has_raw(type))
        n = CHUNK;
#pragma GCC unroll 8
    for (size_t b = 0; b < n; b++) {
        vi w[8];
        if (b % 2 == 0 || !u->half)
            fetch_ahead(type, u->ahead, first, b);
        fetch_words(type, &blocks, b, w);
        for (size_t j = 0; j < 8; j++)
            vi_store(out->w[b][j], V(sub_epi8)(w[j], off));
    }
}

/* Of a row of k items. */
INLINE size_t chunks_of(size_t k) { return (k / Q_BLOCK + CHUNK - 1) / CHUNK; }

/* Q3_K's scaled items, -124 to 128, fit in bytes when 127 is added, but such bytes saturate without a 32-bit dot
 * product (signed_bytes); Q2_K's are at most 45. */
INLINE bool can_scale(uint32_t type) { return type == TYPE_Q2_K || (type == TYPE_Q3_K && N_LANES == 4); }

INLINE struct form form_of_many(uint32_t type)
{
    struct form f = form_of(type);
    if (can_scale(type))
        f.in_halves = false;
    if (can_scale(type) && type == TYPE_Q3_K)
        f.offset = 127;
    return f;
}

/* Items (and their offset) times their integer scales of 16, with f's offset. */
INLINE void scale_items(struct chunk *c, int offset_before, struct form f)
{
    const vi even = V(set1_epi16)(255);
    for (size_t b = 0; b < CHUNK; b++)
        for (size_t j = 0; j < 8; j++) {
            const vi w = vi_load(c->w[b][j]), s = vi_widen_i8(c->s.s[2 * b + j / 4]);
            const vi by = vi_or(vi_and(s, V(set1_epi32)(0xffff)), V(slli_epi32)(s, 16));
            const vi add = V(sub_epi16)(V(set1_epi16)((short)f.offset),
                                        V(mullo_epi16)(by, V(set1_epi16)((short)offset_before)));
            const vi lo = V(add_epi16)(V(mullo_epi16)(vi_and(w, even), by), add);
            const vi hi = V(add_epi16)(V(mullo_epi16)(V(srli_epi16)(w, 8), by), add);
            vi_store(c->w[b][j], vi_or(lo, V(slli_epi16)(hi, 8)));
        }
}

/* Of a superblock's activations. */
INLINE int sum_of_256(const int16_t sums[2 * CHUNK])
{
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    const __m256i pairs = _mm256_madd_epi16(v, _mm256_set1_epi16(1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

#endif
