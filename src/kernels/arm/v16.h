/* v16.h - sixteen floats side by side as four NEON registers: kernels/v16.h on 64-bit ARM, which says what each
 * operation means. */
#ifndef KERNELS_ARM_V16_H
#define KERNELS_ARM_V16_H

#include <arm_neon.h>
#include <stdint.h>

typedef struct {
    float32x4_t a, b, c, d;
} v16;
#define V16_EACH(f, ...) ((v16){f(a, __VA_ARGS__), f(b, __VA_ARGS__), f(c, __VA_ARGS__), f(d, __VA_ARGS__)})
#define V16_TWO(lane, f, x, y) f((x).lane, (y).lane)
#define V16_THREE(lane, f, x, y, z) f((x).lane, (y).lane, (z).lane)

static inline v16 v16_load(const float *p)
{
    return (v16){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
static inline void v16_store(float *p, v16 x)
{
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}
static inline v16 v16_set(float x) { return (v16){vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x)}; }
static inline v16 v16_add(v16 x, v16 y) { return V16_EACH(V16_TWO, vaddq_f32, x, y); }
static inline v16 v16_mul(v16 x, v16 y) { return V16_EACH(V16_TWO, vmulq_f32, x, y); }
static inline v16 v16_sub(v16 x, v16 y) { return V16_EACH(V16_TWO, vsubq_f32, x, y); }
static inline v16 v16_div(v16 x, v16 y) { return V16_EACH(V16_TWO, vdivq_f32, x, y); }
static inline v16 v16_fma(v16 x, v16 y, v16 z) { return V16_EACH(V16_THREE, vfmaq_f32, z, x, y); }
#undef V16_EACH
#undef V16_TWO
#undef V16_THREE

static inline v16 v16_from_half(const uint16_t *p)
{
    const float16x8_t lo = vreinterpretq_f16_u16(vld1q_u16(p)), hi = vreinterpretq_f16_u16(vld1q_u16(p + 8));
    return (v16){vcvt_f32_f16(vget_low_f16(lo)), vcvt_high_f32_f16(lo), vcvt_f32_f16(vget_low_f16(hi)),
                 vcvt_high_f32_f16(hi)};
}
static inline void v16_to_half(uint16_t *p, v16 x)
{
    vst1q_u16(p, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.a), x.b)));
    vst1q_u16(p + 8, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.c), x.d)));
}
static inline v16 v16_from_bf16(const uint16_t *p)
{
    const uint16x8_t lo = vld1q_u16(p), hi = vld1q_u16(p + 8);
    return (v16){
        vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(lo), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(lo, 16)),
        vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(hi), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(hi, 16))};
}
static inline v16 v16_from_i8(const int8_t *p)
{
    const int8x16_t x = vld1q_s8(p);
    const int16x8_t lo = vmovl_s8(vget_low_s8(x)), hi = vmovl_high_s8(x);
    return (v16){vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))), vcvtq_f32_s32(vmovl_high_s16(lo)),
                 vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))), vcvtq_f32_s32(vmovl_high_s16(hi))};
}
/* i takes i + 8, then i + 4. */
static inline float v16_fold(v16 x)
{
    const float32x4_t q = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    return vpadds_f32(vadd_f32(vget_low_f32(q), vget_high_f32(q)));
}

#endif
