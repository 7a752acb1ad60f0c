/* vector.h - exact sums of products of 8-bit integers as the level that includes this file has them, for products.c:
 * base NEON, the dot product of ARMv8.2 (dotprod), or its matrix product (i8mm).
 *
 * Weights are signed bytes. `narrow`: those of a type with at most 6 bits, so that the products of 32 items sum in 16
 * bits lane by lane; others may be -128, and only two products do. Activations are -127..127. */
#ifndef KERNELS_ARM_VECTOR_H
#define KERNELS_ARM_VECTOR_H

#include "kernels/panels.h"
#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>

enum { WIDTH = 4 }; /* rows of a panel: 32-bit lanes of a register */

/* A block of 32 items of a panel, unpacked: 16 items of the four rows, then the other 16. In each half base NEON has
 * row after row, dotprod four items of every row beside each other, i8mm eight items of two rows. */
enum { HALF_BYTES = 16 * WIDTH, TILE_BYTES = 2 * HALF_BYTES };

/* Of one tile. */
#if defined(__ARM_FEATURE_DOTPROD)
enum { TILE_PANELS = 2, TILE_TOKENS = 4 };
#else
enum { TILE_PANELS = 2, TILE_TOKENS = 2 };
#endif

/* ---- of registers ---- */

/* Adds four sums of four products each. */
INLINE int32x4_t dot_16(int32x4_t sum, int8x16_t w, int8x16_t x)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, w, x);
#else
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(w), vget_low_s8(x)), w, x));
#endif
}

/* The sums of 32 products, in four parts. */
INLINE int32x4_t dot_32(bool narrow, int8x16_t w0, int8x16_t w1, int8x16_t x0, int8x16_t x1)
{
#if !defined(__ARM_FEATURE_DOTPROD)
    if (narrow) {
        int16x8_t sum = vmlal_high_s8(vmull_s8(vget_low_s8(w0), vget_low_s8(x0)), w0, x0);
        return vpaddlq_s16(vmlal_high_s8(vmlal_s8(sum, vget_low_s8(w1), vget_low_s8(x1)), w1, x1));
    }
#endif
    (void)narrow;
    return dot_16(dot_16(vdupq_n_s32(0), w0, x0), w1, x1);
}

/* The sum of each of four rows' parts, in order. */
INLINE int32x4_t fold(const int32x4_t rows[4])
{
    return vpaddq_s32(vpaddq_s32(rows[0], rows[1]), vpaddq_s32(rows[2], rows[3]));
}

/* Adds the products of four items of each of four rows with four items of activations. */
#if defined(__ARM_FEATURE_DOTPROD)
#define DOT_WORD(sum, w, x, word) vdotq_laneq_s32(sum, w, x, word)
#else
#define DOT_WORD(sum, w, x, word) dot_word(sum, w, vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(x), word)))
INLINE int32x4_t dot_word(int32x4_t sum, int8x16_t w, int8x16_t x)
{
    return vpadalq_s16(sum, vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)), vmull_high_s8(w, x)));
}
#endif

/* ---- of unpacked blocks ----
 *
 * store_half   puts 16 items of each row to a half of an unpacked block.
 * dot_tile     sums[p * T + t]: the products of `halves` halves of panel p's block, from w[p] on, with those of token
 *              t, from x[t] on. T is even. */

#if defined(__ARM_FEATURE_DOTPROD)
INLINE int8x16_t low_words(int8x16_t a, int8x16_t b)
{
    return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b)));
}
INLINE int8x16_t high_words(int8x16_t a, int8x16_t b)
{
    return vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b)));
}
#endif

#if defined(__ARM_FEATURE_MATMUL_INT8)
INLINE void store_half(int8_t *out, const int8x16_t rows[4])
{
    vst1q_s8(out, low_words(rows[0], rows[1]));
    vst1q_s8(out + 16, low_words(rows[2], rows[3]));
    vst1q_s8(out + 32, high_words(rows[0], rows[1]));
    vst1q_s8(out + 48, high_words(rows[2], rows[3]));
}

/* Sums of two rows and two tokens (t r, t r', t' r, t' r') to those of four rows and one token. */
INLINE void split_tokens(int32x4_t *sums, int32x4_t rows01, int32x4_t rows23)
{
    const int8x16_t a = vreinterpretq_s8_s32(rows01), b = vreinterpretq_s8_s32(rows23);
    sums[0] = vreinterpretq_s32_s8(low_words(a, b));
    sums[1] = vreinterpretq_s32_s8(high_words(a, b));
}

INLINE void dot_tile(int32x4_t *sums, const int8_t *const *w, const int8_t *const *x, bool narrow, int halves, int P,
                     int T)
{
    const int pairs = T / 2;
    int32x4_t acc[2 * TILE_PANELS][TILE_TOKENS / 2];
    (void)narrow;
    for (int r = 0; r < 2 * P; r++)
        for (int t = 0; t < pairs; t++)
            acc[r][t] = vdupq_n_s32(0);
    for (int eight = 0; eight < 2 * halves; eight++) {
        int8x16_t q[TILE_TOKENS / 2];
        for (int t = 0; t < pairs; t++)
            q[t] = vcombine_s8(vld1_s8(x[2 * t] + 8 * eight), vld1_s8(x[2 * t + 1] + 8 * eight));
        for (int r = 0; r < 2 * P; r++) {
            const int8x16_t rows = vld1q_s8(w[r / 2] + 32 * eight + 16 * (r % 2));
            for (int t = 0; t < pairs; t++)
                acc[r][t] = vmmlaq_s32(acc[r][t], q[t], rows);
        }
    }
    for (int p = 0; p < P; p++)
        for (int t = 0; t < pairs; t++)
            split_tokens(sums + p * T + 2 * t, acc[2 * p][t], acc[2 * p + 1][t]);
}
#elif defined(__ARM_FEATURE_DOTPROD)
INLINE void store_half(int8_t *out, const int8x16_t rows[4])
{
    const int32x4x2_t a = vzipq_s32(vreinterpretq_s32_s8(rows[0]), vreinterpretq_s32_s8(rows[1]));
    const int32x4x2_t b = vzipq_s32(vreinterpretq_s32_s8(rows[2]), vreinterpretq_s32_s8(rows[3]));
    for (int i = 0; i < 2; i++) {
        const int8x16_t c = vreinterpretq_s8_s32(a.val[i]), d = vreinterpretq_s8_s32(b.val[i]);
        vst1q_s8(out + 32 * i, low_words(c, d));
        vst1q_s8(out + 32 * i + 16, high_words(c, d));
    }
}

INLINE void dot_tile(int32x4_t *sums, const int8_t *const *w, const int8_t *const *x, bool narrow, int halves, int P,
                     int T)
{
    (void)narrow;
    for (int i = 0; i < P * T; i++)
        sums[i] = vdupq_n_s32(0);
    for (int half = 0; half < halves; half++) {
        int8x16_t q[TILE_TOKENS];
        for (int t = 0; t < T; t++)
            q[t] = vld1q_s8(x[t] + 16 * half);
        for (int p = 0; p < P; p++) {
            const int8_t *words = w[p] + HALF_BYTES * half;
            const int8x16_t a = vld1q_s8(words), b = vld1q_s8(words + 16), c = vld1q_s8(words + 32),
                            d = vld1q_s8(words + 48);
            for (int t = 0; t < T; t++) {
                int32x4_t sum = DOT_WORD(sums[p * T + t], a, q[t], 0);
                sum = DOT_WORD(sum, b, q[t], 1);
                sum = DOT_WORD(sum, c, q[t], 2);
                sums[p * T + t] = DOT_WORD(sum, d, q[t], 3);
            }
        }
    }
}
#else
INLINE void store_half(int8_t *out, const int8x16_t rows[4])
{
    for (int j = 0; j < WIDTH; j++)
        vst1q_s8(out + 16 * j, rows[j]);
}

INLINE void dot_tile(int32x4_t *sums, const int8_t *const *w, const int8_t *const *x, bool narrow, int halves, int P,
                     int T)
{
    for (int p = 0; p < P; p++) {
        int32x4_t parts[TILE_TOKENS][WIDTH];
        for (int j = 0; j < WIDTH; j++) {
            const int8x16_t lo = vld1q_s8(w[p] + 16 * j), hi = halves > 1 ? vld1q_s8(w[p] + HALF_BYTES + 16 * j) : lo;
            for (int t = 0; t < T; t++)
                parts[t][j] = halves > 1 ? dot_32(narrow, lo, hi, vld1q_s8(x[t]), vld1q_s8(x[t] + 16))
                                         : dot_16(vdupq_n_s32(0), lo, vld1q_s8(x[t]));
        }
        for (int t = 0; t < T; t++)
            sums[p * T + t] = fold(parts[t]);
    }
}
#endif

#endif
