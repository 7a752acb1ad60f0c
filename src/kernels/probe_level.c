/* probe_level.c - roofs of a level over its whole registers. Compiled for every level but ref: LEVEL names it. */
#include "kernels/overlays.h"
#include "kernels/probe.h"
#include <string.h>
#if defined(__x86_64__)
#include "kernels/x86/vector.h"
#else
#include "kernels/arm/vector.h"
#endif

/* PRODUCTS: of 8 bits in one instruction (base NEON: in one `dot`). CHAINS: accumulators, which hide the latency of two
 * units, and of four nearly. A product that does not depend on its sum would be computed once, hence `^ sum`. */
#if defined(__x86_64__)
typedef vi words, octets;
typedef vf floats;
enum { PRODUCTS = 4 * WIDTH, CHAINS = WIDTH == 16 ? 16 : 12 };
#define IN_REGISTER "+v"
#if defined(__AVX512F__)
static inline words dot(words sum, octets a, octets b) { return vi_dot(sum, a, b); }
#else
static inline words dot(words sum, octets a, octets b) { return vi_dot(sum, a ^ sum, b); }
#endif
static inline floats multiply_add(floats sum, floats a, floats b) { return V(fmadd_ps)(a, b, sum); }
#else
typedef int32x4_t words;
typedef int8x16_t octets;
typedef float32x4_t floats;
#define IN_REGISTER "+w"
#if defined(__ARM_FEATURE_MATMUL_INT8)
enum { PRODUCTS = 32, CHAINS = 12 };
static inline words dot(words sum, octets a, octets b) { return vmmlaq_s32(sum, a, b); }
#elif defined(__ARM_FEATURE_DOTPROD)
enum { PRODUCTS = 16, CHAINS = 12 };
static inline words dot(words sum, octets a, octets b) { return dot_16(sum, a, b); }
#else
enum { PRODUCTS = 16, CHAINS = 12 };
static inline words dot(words sum, octets a, octets b) { return dot_16(sum, a ^ vreinterpretq_s8_s32(sum), b); }
#endif
static inline floats multiply_add(floats sum, floats a, floats b) { return vfmaq_f32(sum, a, b); }
#endif

/* The compiler no longer knows the value: it neither works ahead with it nor finds two chains alike. */
#define HIDE(x) __asm__ volatile("" : IN_REGISTER(x))

static double probe_int8(size_t rounds, int32_t *sink)
{
    words acc[CHAINS];
    octets a, b;
    memset(&a, 3, sizeof a);
    memset(&b, 2, sizeof b);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        acc[i] = (words){0};
        HIDE(acc[i]);
    }
    for (size_t r = 0; r < rounds; r++) {
        HIDE(a);
        HIDE(b);
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = dot(acc[i], a, b);
    }
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        *sink = (int32_t)((uint32_t)*sink + (uint32_t)acc[i][0]);
    return (double)rounds * CHAINS * PRODUCTS * 2;
}

static double probe_f32(size_t rounds, float *sink)
{
    floats acc[CHAINS], a = (floats){0} + 0.5f, b = (floats){0} + 1.0f;
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        acc[i] = (floats){0};
        HIDE(acc[i]);
    }
    for (size_t r = 0; r < rounds; r++) {
        HIDE(a);
        HIDE(b);
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = multiply_add(acc[i], a, b);
    }
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        *sink += acc[i][0];
    return (double)rounds * CHAINS * WIDTH * 2;
}

static double probe_read(const void *p, size_t bytes, uint64_t *sink)
{
    enum { STEP = 4 * sizeof(words) };
    words sum[4], v;
    uint64_t parts[STEP / 8];
    memset(sum, 0, sizeof sum);
    for (size_t at = 0; at < bytes; at += STEP)
        for (size_t i = 0; i < 4; i++) {
            memcpy(&v, (const char *)p + at + i * sizeof v, sizeof v);
            sum[i] ^= v;
        }
    memcpy(parts, sum, sizeof sum);
    for (size_t i = 0; i < STEP / 8; i++)
        *sink += parts[i];
    return (double)bytes;
}

void LEVELED(probes)(struct probes *p) { *p = (struct probes){probe_int8, probe_f32, probe_read}; }
