/* attend_dots.h - exact sums of products of 8-bit keys and queries, as the level that includes this file has them. */
#ifndef KERNELS_ATTEND_DOTS_H
#define KERNELS_ATTEND_DOTS_H

#include "kernels/v16.h"
#if defined(LEVEL_NEON)
#include "kernels/arm/vector.h"
#endif

#define INLINE static inline __attribute__((always_inline))

/* Four numbers of a query. */
INLINE int32_t quad_of(const int8_t *q)
{
    int32_t quad;
    memcpy(&quad, q, sizeof quad);
    return quad;
}

#if defined(__AVX512VNNI__)
/* Sums of 32 products for 16 keys and Q queries: keys [8][16][4], q [Q] blocks `step` apart, sums [Q] of their halves.
 */
INLINE void dots_q8(v16 *out, const int8_t *keys, const int8_t *q, const int16_t *sums, size_t step, int Q)
{
    __m512i sum[8];
    for (int j = 0; j < Q; j++) { /* dpbusd wants one side unsigned: keys + 128, whose part is taken off first */
        const int16_t *halves = sums + (size_t)j * step / 16;
        sum[j] = _mm512_set1_epi32(-128 * (halves[0] + halves[1]));
    }
    for (int i = 0; i < 8; i++) {
        const __m512i k = _mm512_xor_si512(_mm512_loadu_si512(keys + 64 * i), _mm512_set1_epi8(-128));
        for (int j = 0; j < Q; j++)
            sum[j] = _mm512_dpbusd_epi32(sum[j], k, _mm512_set1_epi32(quad_of(q + (size_t)j * step + 4 * i)));
    }
    for (int j = 0; j < Q; j++)
        out[j] = (v16){_mm512_cvtepi32_ps(sum[j])};
}
#elif defined(__AVX2__)
INLINE __m256i dot_quad(__m256i sum, __m256i x, __m256i keys)
{
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(keys, x));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
INLINE void dots_q8(v16 *out, const int8_t *keys, const int8_t *q, const int16_t *sums, size_t step, int Q)
{
    __m256i lo[4], hi[4];
    (void)sums;
    for (int j = 0; j < Q; j++)
        lo[j] = hi[j] = _mm256_setzero_si256();
    for (int i = 0; i < 8; i++) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(keys + 64 * i));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(keys + 64 * i + 32));
        for (int j = 0; j < Q; j++) {
            const __m256i x = _mm256_set1_epi32(quad_of(q + (size_t)j * step + 4 * i));
            lo[j] = dot_quad(lo[j], x, a);
            hi[j] = dot_quad(hi[j], x, b);
        }
    }
    for (int j = 0; j < Q; j++)
        out[j] = (v16){_mm256_cvtepi32_ps(lo[j]), _mm256_cvtepi32_ps(hi[j])};
}
#else
#if defined(LEVEL_NEON)
INLINE v16 dot_q8(const int8_t *keys, const int8_t *q)
{
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (int half = 0; half < 2; half++) {
        const int8x16_t x = vld1q_s8(q + 16 * half);
        for (int i = 0; i < 4; i++) {
            const int8_t *four = keys + 256 * half + 16 * i; /* keys */
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four), x, 0);
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four + 64), x, 1);
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four + 128), x, 2);
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four + 192), x, 3);
        }
    }
    return (v16){vcvtq_f32_s32(sum[0]), vcvtq_f32_s32(sum[1]), vcvtq_f32_s32(sum[2]), vcvtq_f32_s32(sum[3])};
}
#else
INLINE v16 dot_q8(const int8_t *keys, const int8_t *q)
{
    v16 r;
    for (int lane = 0; lane < LANES; lane++) {
        int sum = 0;
        for (int i = 0; i < Q_BLOCK; i++)
            sum += keys[i / 4 * 64 + lane * 4 + i % 4] * q[i];
        r.v[lane] = (float)sum;
    }
    return r;
}
#endif
INLINE void dots_q8(v16 *out, const int8_t *keys, const int8_t *q, const int16_t *sums, size_t step, int Q)
{
    (void)sums;
    for (int j = 0; j < Q; j++)
        out[j] = dot_q8(keys, q + (size_t)j * step);
}
#endif

#endif
