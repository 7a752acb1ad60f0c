/* quads.h - kernels/quads.h on 64-bit ARM, which says what each operation means: a quad is a register. */
#ifndef KERNELS_ARM_QUADS_H
#define KERNELS_ARM_QUADS_H

#include "kernels/v16.h"

#define QUADS_EACH(f, x) ((v16){f((x).a), f((x).b), f((x).c), f((x).d)})
#define QUADS_BOTH(f, x, y) ((v16){f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)})

static inline v16 quads_load(const float *p)
{
    return (v16){vld1q_f32(p), vld1q_f32(p + 32), vld1q_f32(p + 64), vld1q_f32(p + 96)};
}
static inline v16 quads_round(v16 x) { return QUADS_EACH(vrndnq_f32, x); }
static inline float32x4_t quad_larger(float32x4_t most, float32x4_t x)
{
    return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(most), vreinterpretq_u32_f32(vabsq_f32(x))));
}
static inline v16 quads_larger(v16 most, v16 x) { return QUADS_BOTH(quad_larger, most, x); }
static inline float32x4_t quad_largest(float32x4_t x)
{
    return vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(vreinterpretq_u32_f32(x))));
}
static inline v16 quads_largest(v16 x) { return QUADS_EACH(quad_largest, x); }
static inline v16 quads_pairs(v16 x, v16 y) { return QUADS_BOTH(vpaddq_f32, x, y); }
static inline v16 quads_weighted(v16 x, const float weights[4])
{
    const float32x4_t w = vld1q_f32(weights);
    return (v16){vmulq_f32(x.a, w), vmulq_f32(x.b, w), vmulq_f32(x.c, w), vmulq_f32(x.d, w)};
}
static inline float32x4_t quad_least(float32x4_t low, float32x4_t high)
{
    static const uint32_t places[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const uint32x4_t counts = vdupq_n_u32(~7u);
    const uint32x4_t a = vorrq_u32(vandq_u32(vreinterpretq_u32_f32(low), counts), vld1q_u32(places));
    const uint32x4_t b = vorrq_u32(vandq_u32(vreinterpretq_u32_f32(high), counts), vld1q_u32(places + 4));
    return vdupq_n_f32((float)(vminvq_u32(vminq_u32(a, b)) & 7));
}
static inline v16 quads_least(v16 low, v16 high) { return QUADS_BOTH(quad_least, low, high); }
static inline int8x16_t quad_to_i8(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d)
{
    const int16x8_t first = vuzp1q_s16(vreinterpretq_s16_s32(vcvtnq_s32_f32(a)),
                                       vreinterpretq_s16_s32(vcvtnq_s32_f32(b)));
    const int16x8_t second = vuzp1q_s16(vreinterpretq_s16_s32(vcvtnq_s32_f32(c)),
                                        vreinterpretq_s16_s32(vcvtnq_s32_f32(d)));
    return vuzp1q_s8(vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(second));
}
static inline void quads_to_i8(int8_t *p, const v16 x[8])
{
    for (int half = 0; half < 2; half++, p += LANES, x += 4) {
        vst1q_s8(p, quad_to_i8(x[0].a, x[1].a, x[2].a, x[3].a));
        vst1q_s8(p + 32, quad_to_i8(x[0].b, x[1].b, x[2].b, x[3].b));
        vst1q_s8(p + 64, quad_to_i8(x[0].c, x[1].c, x[2].c, x[3].c));
        vst1q_s8(p + 96, quad_to_i8(x[0].d, x[1].d, x[2].d, x[3].d));
    }
}
#undef QUADS_EACH
#undef QUADS_BOTH

#endif
