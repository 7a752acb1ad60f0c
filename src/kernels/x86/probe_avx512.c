/* probe_avx512.c - roofs at AVX-512 with VNNI. */
#include "kernels/probe.h"
#include <immintrin.h>

void probes_avx512(struct probes *p);

enum { CHAINS = 16 };

static double int8_avx512(size_t rounds, int32_t *sink)
{
    __m512i acc[CHAINS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_setzero_si512();
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
    }
    for (int i = 0; i < CHAINS; i++)
        *sink += _mm512_cvtsi512_si32(acc[i]);
    return (double)rounds * CHAINS * 64 * 2;
}

static double f32_avx512(size_t rounds, float *sink)
{
    __m512 acc[CHAINS], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.0f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_setzero_ps();
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_fmadd_ps(acc[i], a, b);
    }
    for (int i = 0; i < CHAINS; i++)
        *sink += _mm512_cvtss_f32(acc[i]);
    return (double)rounds * CHAINS * 16 * 2;
}

void probes_avx512(struct probes *p)
{
    p->int8 = int8_avx512;
    p->f32 = f32_avx512;
}
