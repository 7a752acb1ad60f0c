/* vector.h - whole registers of integers and floats as the level that includes this file has them, for products.c.
 * A register holds N_LANES lanes of 16 bytes and WIDTH floats or 32-bit integers: one for each row of a panel. */
#ifndef KERNELS_X86_VECTOR_H
#define KERNELS_X86_VECTOR_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
enum { WIDTH = 16, N_LANES = 4 };
typedef __m512i vi;
typedef __m512 vf;
#define V(name) _mm512_##name
INLINE vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void vi_store(void *p, vi v) { _mm512_storeu_si512(p, v); }
INLINE vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
INLINE vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
INLINE vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
INLINE vi vi_lanes(__m128i lane) { return _mm512_broadcast_i32x4(lane); }
INLINE vi vi_permute(vi v, vi at) { return _mm512_permutexvar_epi32(at, v); }
/* a where bits of mask are set, b elsewhere. */
INLINE vi vi_select(vi mask, vi a, vi b) { return _mm512_ternarylogic_epi32(mask, a, b, 0xca); }
/* 16 bytes from each of N_LANES places `step` apart. By way of half registers, which Zen 4 loads twice as fast. */
INLINE vi vi_gather(const uint8_t *p, size_t step)
{
    const __m128i *a = (const __m128i *)(const void *)p, *b = (const __m128i *)(const void *)(p + step);
    const __m128i *c = (const __m128i *)(const void *)(p + 2 * step),
                  *d = (const __m128i *)(const void *)(p + 3 * step);
    const __m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(a)), _mm_loadu_si128(b), 1);
    const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(c)), _mm_loadu_si128(d), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1);
}
INLINE vi vi_or_and(vi v, vi a, vi b) { return _mm512_ternarylogic_epi32(v, a, b, 0xf8); } /* v | (a & b) */
/* v | set in the bytes where x has all bits of `bit`, one of them. */
INLINE vi vi_or_where(vi v, vi x, vi bit, vi set)
{
    return _mm512_mask_blend_epi8(_mm512_test_epi8_mask(x, bit), v, _mm512_or_si512(v, set));
}
/* Adds to each 32-bit sum the four products of unsigned bytes with signed ones. */
INLINE vi vi_dot(vi sum, vi u, vi s) { return _mm512_dpbusd_epi32(sum, u, s); }
INLINE vi vi_widen_i8(const void *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(p)); }
/* a > b ? x : y in each 32-bit word. */
INLINE vi vi_choose(vi a, vi b, vi x, vi y) { return _mm512_mask_blend_epi32(_mm512_cmpgt_epi32_mask(a, b), y, x); }
INLINE vf vf_of_bits(vi v) { return _mm512_castsi512_ps(v); }
INLINE void vi_store_u16(void *p, vi v) { _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(v)); }
/* base + v, or base - v where the bits of `signs`, 16 for each lane, are set. */
INLINE vi vi_add_signed(vi base, vi v, const uint16_t signs[N_LANES])
{
    uint64_t where;
    memcpy(&where, signs, sizeof where);
    return _mm512_mask_sub_epi8(_mm512_add_epi8(base, v), (__mmask64)where, base, v);
}
INLINE vi vi_widen_u8(const void *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(p)); }
/* The low (high) halves of 32-bit words, as half-precision floats. */
INLINE vf vf_low_half(vi v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
INLINE vf vf_of_half(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#else
enum { WIDTH = 8, N_LANES = 2 };
typedef __m256i vi;
typedef __m256 vf;
#define V(name) _mm256_##name
INLINE vi vi_load(const void *p) { return _mm256_loadu_si256(p); }
INLINE void vi_store(void *p, vi v) { _mm256_storeu_si256(p, v); }
INLINE vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
INLINE vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
INLINE vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
INLINE vi vi_lanes(__m128i lane) { return _mm256_broadcastsi128_si256(lane); }
INLINE vi vi_permute(vi v, vi at) { return _mm256_permutevar8x32_epi32(v, at); }
INLINE vi vi_select(vi mask, vi a, vi b)
{
    return _mm256_or_si256(_mm256_and_si256(mask, a), _mm256_andnot_si256(mask, b));
}
INLINE vi vi_or_and(vi v, vi a, vi b) { return vi_or(v, vi_and(a, b)); }
INLINE vi vi_gather(const uint8_t *p, size_t step)
{
    const __m128i *a = (const __m128i *)(const void *)p, *b = (const __m128i *)(const void *)(p + step);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(a)), _mm_loadu_si128(b), 1);
}
INLINE vi vi_or_where(vi v, vi x, vi bit, vi set)
{
    vi where = _mm256_cmpeq_epi8(_mm256_and_si256(x, bit), bit);
    return _mm256_or_si256(v, _mm256_and_si256(where, set));
}
/* Pairs of products are summed in 16 bits first: |u| <= 128 and |s| <= 127 keep them in range. */
INLINE vi vi_dot(vi sum, vi u, vi s)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1)));
}
INLINE vi vi_widen_i8(const void *p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64(p)); }
INLINE vi vi_choose(vi a, vi b, vi x, vi y) { return _mm256_blendv_epi8(y, x, _mm256_cmpgt_epi32(a, b)); }
INLINE vf vf_of_bits(vi v) { return _mm256_castsi256_ps(v); }
INLINE __m128i vi_low_words(vi v)
{
    v = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
    return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
INLINE void vi_store_u16(void *p, vi v) { _mm_storeu_si128(p, vi_low_words(v)); }
INLINE vi vi_add_signed(vi base, vi v, const uint16_t signs[N_LANES])
{
    const vi both = _mm256_set_m128i(_mm_set1_epi16((short)signs[1]), _mm_set1_epi16((short)signs[0]));
    const vi bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    const vi bytes = _mm256_shuffle_epi8(both, vi_lanes(_mm_set_epi64x(0x0101010101010101, 0)));
    const vi where = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    return _mm256_sub_epi8(_mm256_add_epi8(base, _mm256_xor_si256(v, where)), where);
}
INLINE vi vi_widen_u8(const void *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64(p)); }
INLINE vf vf_low_half(vi v) { return _mm256_cvtph_ps(vi_low_words(v)); }
INLINE vf vf_of_half(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#endif

INLINE vf vf_high_half(vi v) { return vf_low_half(V(srli_epi32)(v, 16)); }
/* By the same count everywhere, in words of 32 bits: a byte's high bits come from the next. (Shifts by a count in a
 * register that is not a vector of counts take the shuffling unit too.) */
INLINE vi vi_shift_right(vi v, int n) { return V(srlv_epi32)(v, V(set1_epi32)(n)); }
INLINE vi vi_bytes(int x) { return V(set1_epi8)((char)x); }

#endif
