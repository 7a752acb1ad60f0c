/* probe_avx2.c - roofs at AVX2: 12 accumulators hide the latency of two 256-bit units. */
#include "kernels/probe.h"
#include <immintrin.h>

void probes_avx2(struct probes *p);

enum { CHAINS = 12 };

static double int8_avx2(size_t rounds, int32_t *sink)
{
    __m256i acc[CHAINS], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm256_setzero_si256();
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm256_add_epi32(acc[i],
                                      _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_xor_si256(a, acc[i]), b), ones));
    }
    for (int i = 0; i < CHAINS; i++)
        *sink += _mm256_extract_epi32(acc[i], 0);
    return (double)rounds * CHAINS * 32 * 2;
}

static double f32_avx2(size_t rounds, float *sink)
{
    __m256 acc[CHAINS], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.0f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm256_setzero_ps();
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm256_fmadd_ps(acc[i], a, b);
    }
    for (int i = 0; i < CHAINS; i++)
        *sink += _mm256_cvtss_f32(acc[i]);
    return (double)rounds * CHAINS * 8 * 2;
}

static double read_avx2(const void *p, size_t bytes, uint64_t *sink)
{
    const __m256i *v = p;
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    for (size_t i = 0; i < bytes / sizeof *v; i += 4)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm256_xor_si256(sum[j], _mm256_loadu_si256(v + i + j));
    sum[0] = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
    *sink += (uint64_t)_mm256_extract_epi64(sum[0], 0) ^ (uint64_t)_mm256_extract_epi64(sum[0], 3);
    return (double)bytes;
}

void probes_avx2(struct probes *p) { *p = (struct probes){int8_avx2, f32_avx2, read_avx2}; }
