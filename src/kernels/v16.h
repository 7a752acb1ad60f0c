/* v16.h - sixteen floats side by side, as the level that includes this file has them: one AVX-512 register, two AVX2
 * registers, four of NEON (arm/v16.h), or an array. A kernel written over v16 is every level's kernel; lane i of each
 * operation is the same IEEE operation everywhere. Pointers need no alignment. */
#ifndef KERNELS_V16_H
#define KERNELS_V16_H

#include "kernels/half.h"
#include "kernels/kernels.h"

#if defined(__AVX512F__)
#include <immintrin.h>
typedef struct {
    __m512 v;
} v16;
static inline v16 v16_load(const float *p) { return (v16){_mm512_loadu_ps(p)}; }
static inline void v16_store(float *p, v16 a) { _mm512_storeu_ps(p, a.v); }
static inline v16 v16_set(float x) { return (v16){_mm512_set1_ps(x)}; }
static inline v16 v16_add(v16 a, v16 b) { return (v16){_mm512_add_ps(a.v, b.v)}; }
static inline v16 v16_mul(v16 a, v16 b) { return (v16){_mm512_mul_ps(a.v, b.v)}; }
static inline v16 v16_sub(v16 a, v16 b) { return (v16){_mm512_sub_ps(a.v, b.v)}; }
static inline v16 v16_div(v16 a, v16 b) { return (v16){_mm512_div_ps(a.v, b.v)}; }
static inline v16 v16_fma(v16 a, v16 b, v16 c) { return (v16){_mm512_fmadd_ps(a.v, b.v, c.v)}; }
static inline v16 v16_from_half(const uint16_t *p)
{
    return (v16){_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p))};
}
static inline void v16_to_half(uint16_t *p, v16 a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
static inline v16 v16_from_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return (v16){_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
static inline v16 v16_from_i8(const int8_t *p)
{
    return (v16){_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)))};
}
static inline float v16_fold(v16 a)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
static inline v16 v16_max(v16 a, v16 b) { return (v16){_mm512_max_ps(a.v, b.v)}; } /* a > b ? a : b */
static inline __m256 v16_max_of_halves(v16 a)
{
    return _mm256_max_ps(_mm512_extractf32x8_ps(a.v, 1), _mm512_castps512_ps256(a.v));
}
#elif defined(__AVX2__)
#include <immintrin.h>
typedef struct {
    __m256 lo, hi;
} v16;
static inline v16 v16_load(const float *p) { return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void v16_store(float *p, v16 a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
static inline v16 v16_set(float x) { return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static inline v16 v16_add(v16 a, v16 b) { return (v16){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static inline v16 v16_mul(v16 a, v16 b) { return (v16){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static inline v16 v16_sub(v16 a, v16 b) { return (v16){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static inline v16 v16_div(v16 a, v16 b) { return (v16){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
static inline v16 v16_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline v16 v16_from_half(const uint16_t *p)
{
    const __m128i *h = (const __m128i *)(const void *)p;
    return (v16){_mm256_cvtph_ps(_mm_loadu_si128(h)), _mm256_cvtph_ps(_mm_loadu_si128(h + 1))};
}
static inline void v16_to_half(uint16_t *p, v16 a)
{
    __m128i *h = (__m128i *)(void *)p;
    _mm_storeu_si128(h, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(h + 1, _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
static inline __m256 v8_from_bf16(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
static inline v16 v16_from_bf16(const uint16_t *p)
{
    const __m128i *h = (const __m128i *)(const void *)p;
    return (v16){v8_from_bf16(_mm_loadu_si128(h)), v8_from_bf16(_mm_loadu_si128(h + 1))};
}
static inline v16 v16_from_i8(const int8_t *p)
{
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (v16){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b)),
                 _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(b, 8)))};
}
static inline float v16_fold(v16 a)
{
    __m256 h = _mm256_add_ps(a.lo, a.hi);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
static inline v16 v16_max(v16 a, v16 b) { return (v16){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
static inline __m256 v16_max_of_halves(v16 a) { return _mm256_max_ps(a.hi, a.lo); }
#elif defined(LEVEL_NEON)
#include "kernels/arm/v16.h"
#else
typedef struct {
    float v[LANES];
} v16;
#define V16_EACH(expression)        \
    v16 r;                          \
    for (int i = 0; i < LANES; i++) \
        r.v[i] = (expression);      \
    return r
static inline v16 v16_load(const float *p) { V16_EACH(p[i]); }
static inline void v16_store(float *p, v16 a) { memcpy(p, a.v, sizeof a.v); }
static inline v16 v16_set(float x) { V16_EACH(x); }
static inline v16 v16_add(v16 a, v16 b) { V16_EACH(a.v[i] + b.v[i]); }
static inline v16 v16_mul(v16 a, v16 b) { V16_EACH(a.v[i] * b.v[i]); }
static inline v16 v16_sub(v16 a, v16 b) { V16_EACH(a.v[i] - b.v[i]); }
static inline v16 v16_div(v16 a, v16 b) { V16_EACH(a.v[i] / b.v[i]); }
static inline v16 v16_fma(v16 a, v16 b, v16 c) { V16_EACH(__builtin_fmaf(a.v[i], b.v[i], c.v[i])); }
static inline v16 v16_from_half(const uint16_t *p) { V16_EACH(half_to_float(p[i])); }
static inline void v16_to_half(uint16_t *p, v16 a)
{
    for (int i = 0; i < LANES; i++)
        p[i] = half_of_float(a.v[i]);
}
static inline v16 v16_from_bf16(const uint16_t *p) { V16_EACH(bf16_to_float(p[i])); }
static inline v16 v16_from_i8(const int8_t *p) { V16_EACH((float)p[i]); }
/* The lanes fold in halves: i takes i + 8, then i + 4, i + 2, i + 1. */
static inline float v16_fold(v16 a)
{
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            a.v[i] += a.v[i + half];
    return a.v[0];
}
#undef V16_EACH
#endif

/* The largest lane: they fold as in v16_fold, by v16_max. */
#if defined(__AVX2__)
static inline float v16_fold_max(v16 a)
{
    const __m256 h = v16_max_of_halves(a);
    __m128 q = _mm_max_ps(_mm256_extractf128_ps(h, 1), _mm256_castps256_ps128(h));
    q = _mm_max_ps(_mm_movehl_ps(q, q), q);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(q), q));
}
#else
static inline v16 v16_max(v16 a, v16 b)
{
    float x[LANES], y[LANES];
    v16_store(x, a);
    v16_store(y, b);
    for (int i = 0; i < LANES; i++)
        x[i] = x[i] > y[i] ? x[i] : y[i];
    return v16_load(x);
}
static inline float v16_fold_max(v16 a)
{
    float x[LANES];
    v16_store(x, a);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] = x[i + half] > x[i] ? x[i + half] : x[i];
    return x[0];
}
#endif

/* The first n of 16 floats, the rest 0. */
static inline v16 v16_load_part(const float *p, size_t n)
{
    float part[LANES] = {0};
    memcpy(part, p, n * sizeof *p);
    return v16_load(part);
}
static inline void v16_store_part(float *p, v16 a, size_t n)
{
    float part[LANES];
    v16_store(part, a);
    memcpy(p, part, n * sizeof *p);
}

#endif
