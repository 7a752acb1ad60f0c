/* probe.c - roofs at base NEON, dotprod and i8mm: LEVEL names it. 12 accumulators hide the latency of two units, and of
 * four nearly. */
#include "kernels/probe.h"
#include "kernels/overlays.h"
#include <arm_neon.h>

void LEVELED(probes)(struct probes *p);

enum { CHAINS = 12 };
#if defined(__ARM_FEATURE_MATMUL_INT8)
enum { PRODUCTS = 32 }; /* of one instruction */
#else
enum { PRODUCTS = 16 };
#endif

static inline int32x4_t products(int32x4_t sum, int8x16_t a, int8x16_t b)
{
#if defined(__ARM_FEATURE_MATMUL_INT8)
    return vmmlaq_s32(sum, a, b);
#elif defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, a, b);
#else
    a = veorq_s8(a, vreinterpretq_s8_s32(sum)); /* or it would be computed once */
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
#endif
}

static double probe_int8(size_t rounds, int32_t *sink)
{
    int32x4_t acc[CHAINS];
    int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(2);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = vdupq_n_s32(0);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+w"(a), "+w"(b));
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] = products(acc[i], a, b);
    }
    for (int i = 0; i < CHAINS; i++)
        *sink = (int32_t)((uint32_t)*sink + (uint32_t)vaddvq_s32(acc[i]));
    return (double)rounds * CHAINS * PRODUCTS * 2;
}

static double probe_f32(size_t rounds, float *sink)
{
    float32x4_t acc[CHAINS], a = vdupq_n_f32(0.5f), b = vdupq_n_f32(1.0f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = vdupq_n_f32(0);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+w"(a), "+w"(b));
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] = vfmaq_f32(acc[i], a, b);
    }
    for (int i = 0; i < CHAINS; i++)
        *sink += vgetq_lane_f32(acc[i], 0);
    return (double)rounds * CHAINS * 4 * 2;
}

static double probe_read(const void *p, size_t bytes, uint64_t *sink)
{
    const uint64_t *v = p;
    uint64x2_t sum[4] = {vdupq_n_u64(0), vdupq_n_u64(0), vdupq_n_u64(0), vdupq_n_u64(0)};
    for (size_t i = 0; i < bytes / sizeof *v; i += 8)
        for (size_t j = 0; j < 4; j++)
            sum[j] = veorq_u64(sum[j], vld1q_u64(v + i + 2 * j));
    *sink += vaddvq_u64(veorq_u64(veorq_u64(sum[0], sum[1]), veorq_u64(sum[2], sum[3])));
    return (double)bytes;
}

void LEVELED(probes)(struct probes *p) { *p = (struct probes){probe_int8, probe_f32, probe_read}; }
