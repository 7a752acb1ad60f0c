/* quads.h - a v16 as four quads of lanes, one for each of four blocks of 32 numbers side by side: lane 4 g + i of
 * register j is number 4 j + i of block g. For quantize.c; on 64-bit ARM: arm/quads.h. Magnitudes are compared as the
 * bits of floats, where infinities and NaN are largest of all. */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include "kernels/v16.h"

#if defined(__AVX512F__)
/* Four numbers of each block: p[0..3], p[32..35], p[64..67], p[96..99]. */
static inline v16 quads_load(const float *p)
{
    const __m256 a = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 32), 1);
    const __m256 b = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 64)), _mm_loadu_ps(p + 96), 1);
    return (v16){_mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1)};
}
/* To integers, halves to even. */
static inline v16 quads_round(v16 x)
{
    return (v16){_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline v16 quads_larger(v16 most, v16 x) /* most, or the magnitude of x */
{
    const __m512i all = _mm512_set1_epi32(0x7fffffff), bits = _mm512_and_si512(_mm512_castps_si512(x.v), all);
    return (v16){_mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(most.v), bits))};
}
/* The largest of its quad in each lane; no lane is negative. */
static inline v16 quads_largest(v16 x)
{
    __m512i most = _mm512_castps_si512(x.v);
    most = _mm512_max_epi32(most, _mm512_shuffle_epi32(most, 0x4e));
    return (v16){_mm512_castsi512_ps(_mm512_max_epi32(most, _mm512_shuffle_epi32(most, 0xb1)))};
}
/* In each quad a0 + a1, a2 + a3, b0 + b1, b2 + b3. */
static inline v16 quads_pairs(v16 a, v16 b)
{
    return (v16){_mm512_add_ps(_mm512_shuffle_ps(a.v, b.v, 0x88), _mm512_shuffle_ps(a.v, b.v, 0xdd))};
}
static inline v16 quads_weighted(v16 x, const float weights[4]) /* lane i of each quad times weight i */
{
    return (v16){_mm512_mul_ps(x.v, _mm512_broadcast_f32x4(_mm_loadu_ps(weights)))};
}
/* Which of eight is the least, low's quad and then high's, in all lanes of the quad; the last three of 24 bits do not
 * count, none is negative. */
static inline v16 quads_least(v16 low, v16 high)
{
    const __m512i count = _mm512_set1_epi32(7);
    const __m512i places = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 1, 2, 3));
    const __m512i a = _mm512_or_si512(_mm512_andnot_si512(count, _mm512_castps_si512(low.v)), places);
    const __m512i b = _mm512_or_si512(_mm512_andnot_si512(count, _mm512_castps_si512(high.v)),
                                      _mm512_add_epi32(places, _mm512_set1_epi32(4)));
    __m512i least = _mm512_min_epu32(a, b);
    least = _mm512_min_epu32(least, _mm512_shuffle_epi32(least, 0x4e));
    least = _mm512_min_epu32(least, _mm512_shuffle_epi32(least, 0xb1));
    return (v16){_mm512_cvtepi32_ps(_mm512_and_si512(least, count))};
}
/* Four blocks of 32 numbers in -127..127, rounded to integers, halves to even; others become any. */
static inline void quads_to_i8(int8_t *p, const v16 x[8])
{
    __m512i words[4];
    for (int i = 0; i < 4; i++)
        words[i] = _mm512_packs_epi32(_mm512_cvtps_epi32(x[2 * i].v), _mm512_cvtps_epi32(x[2 * i + 1].v));
    const __m512i first = _mm512_packs_epi16(words[0], words[1]), second = _mm512_packs_epi16(words[2], words[3]);
    _mm512_storeu_si512(p, _mm512_permutex2var_epi64(first, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), second));
    _mm512_storeu_si512(p + 64,
                        _mm512_permutex2var_epi64(first, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), second));
}
#elif defined(__AVX2__)
static inline __m256 quads_load_two(const float *p)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 32), 1);
}
static inline v16 quads_load(const float *p) { return (v16){quads_load_two(p), quads_load_two(p + 64)}; }
static inline v16 quads_round(v16 x)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return (v16){_mm256_round_ps(x.lo, NEAREST), _mm256_round_ps(x.hi, NEAREST)};
}
static inline __m256 quads_larger_two(__m256 most, __m256 x)
{
    const __m256i bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(most), bits));
}
static inline v16 quads_larger(v16 most, v16 x)
{
    return (v16){quads_larger_two(most.lo, x.lo), quads_larger_two(most.hi, x.hi)};
}
static inline __m256 quads_largest_two(__m256 x)
{
    __m256i most = _mm256_castps_si256(x);
    most = _mm256_max_epi32(most, _mm256_shuffle_epi32(most, 0x4e));
    return _mm256_castsi256_ps(_mm256_max_epi32(most, _mm256_shuffle_epi32(most, 0xb1)));
}
static inline v16 quads_largest(v16 x) { return (v16){quads_largest_two(x.lo), quads_largest_two(x.hi)}; }
static inline __m256 quads_pairs_two(__m256 a, __m256 b)
{
    return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}
static inline v16 quads_pairs(v16 a, v16 b) { return (v16){quads_pairs_two(a.lo, b.lo), quads_pairs_two(a.hi, b.hi)}; }
static inline v16 quads_weighted(v16 x, const float weights[4])
{
    const __m256 w = _mm256_broadcast_ps((const __m128 *)(const void *)weights);
    return (v16){_mm256_mul_ps(x.lo, w), _mm256_mul_ps(x.hi, w)};
}
static inline __m256 quads_least_two(__m256 low, __m256 high)
{
    const __m256i count = _mm256_set1_epi32(7), places = _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3);
    const __m256i a = _mm256_or_si256(_mm256_andnot_si256(count, _mm256_castps_si256(low)), places);
    const __m256i b = _mm256_or_si256(_mm256_andnot_si256(count, _mm256_castps_si256(high)),
                                      _mm256_add_epi32(places, _mm256_set1_epi32(4)));
    __m256i least = _mm256_min_epu32(a, b);
    least = _mm256_min_epu32(least, _mm256_shuffle_epi32(least, 0x4e));
    least = _mm256_min_epu32(least, _mm256_shuffle_epi32(least, 0xb1));
    return _mm256_cvtepi32_ps(_mm256_and_si256(least, count));
}
static inline v16 quads_least(v16 low, v16 high)
{
    return (v16){quads_least_two(low.lo, high.lo), quads_least_two(low.hi, high.hi)};
}
static inline __m256i quads_words(__m256 a, __m256 b)
{
    return _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
}
static inline void quads_to_i8_two(int8_t *p, __m256i w0, __m256i w1, __m256i w2, __m256i w3)
{
    const __m256i first = _mm256_packs_epi16(w0, w1), second = _mm256_packs_epi16(w2, w3);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(p + 32), _mm256_permute2x128_si256(first, second, 0x31));
}
static inline void quads_to_i8(int8_t *p, const v16 x[8])
{
    quads_to_i8_two(p, quads_words(x[0].lo, x[1].lo), quads_words(x[2].lo, x[3].lo), quads_words(x[4].lo, x[5].lo),
                    quads_words(x[6].lo, x[7].lo));
    quads_to_i8_two(p + 64, quads_words(x[0].hi, x[1].hi), quads_words(x[2].hi, x[3].hi), quads_words(x[4].hi, x[5].hi),
                    quads_words(x[6].hi, x[7].hi));
}
#elif defined(LEVEL_NEON)
#include "kernels/arm/quads.h"
#else
static inline v16 quads_load(const float *p)
{
    v16 r;
    for (int i = 0; i < LANES; i++)
        r.v[i] = p[i / 4 * Q_BLOCK + i % 4];
    return r;
}
static inline v16 quads_round(v16 x)
{
    for (int i = 0; i < LANES; i++)
        x.v[i] = __builtin_rintf(x.v[i]);
    return x;
}
static inline v16 quads_larger(v16 most, v16 x)
{
    for (int i = 0; i < LANES; i++) {
        const uint32_t bits = bits_of_float(x.v[i]) & 0x7fffffff;
        most.v[i] = bits > bits_of_float(most.v[i]) ? float_of_bits(bits) : most.v[i];
    }
    return most;
}
static inline v16 quads_largest(v16 x)
{
    v16 most;
    for (int i = 0; i < LANES; i++) {
        most.v[i] = x.v[i / 4 * 4];
        for (int j = i / 4 * 4; j < i / 4 * 4 + 4; j++)
            most.v[i] = bits_of_float(x.v[j]) > bits_of_float(most.v[i]) ? x.v[j] : most.v[i];
    }
    return most;
}
static inline v16 quads_pairs(v16 a, v16 b)
{
    v16 r;
    for (int i = 0; i < LANES; i++) {
        const float *pair = (i % 4 < 2 ? a.v : b.v) + i / 4 * 4 + i % 2 * 2;
        r.v[i] = pair[0] + pair[1];
    }
    return r;
}
static inline v16 quads_weighted(v16 x, const float weights[4])
{
    for (int i = 0; i < LANES; i++)
        x.v[i] *= weights[i % 4];
    return x;
}
static inline v16 quads_least(v16 low, v16 high)
{
    v16 r;
    for (int i = 0; i < LANES; i++) {
        uint32_t least = UINT32_MAX;
        for (uint32_t c = 0; c < 8; c++) {
            const float *from = c < 4 ? low.v : high.v;
            const uint32_t key = (bits_of_float(from[i / 4 * 4 + (int)(c % 4)]) & ~7u) | c;
            least = key < least ? key : least;
        }
        r.v[i] = (float)(least & 7);
    }
    return r;
}
static inline void quads_to_i8(int8_t *p, const v16 x[8])
{
    for (int i = 0; i < 4 * Q_BLOCK; i++) {
        const float number = __builtin_rintf(x[i % Q_BLOCK / 4].v[i / Q_BLOCK * 4 + i % 4]);
        p[i] = number >= -127 && number <= 127 ? (int8_t)number : 0;
    }
}
#endif

#endif
