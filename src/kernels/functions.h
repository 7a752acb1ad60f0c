/* functions.h - exp and its kin for floats, one value at a time and without branches, so that a compiler may run any
 * number of them side by side. Only IEEE operations and fma: the bits are the same on every machine. */
#ifndef KERNELS_FUNCTIONS_H
#define KERNELS_FUNCTIONS_H

#include "kernels/half.h"
#include "kernels/kernels.h"

static inline float fmadd(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

/* e^r of what a whole number of ln 2 leaves of x: r = x - n ln 2, |r| <= ln 2 / 2 (Cody and Waite), by a minimax
 * polynomial. `shifted` has n in its low bits. */
static inline float exp_rest_f32(float x, float shifted)
{
    float n = shifted - 0x1.8p+23f;
    float r = fmadd(n, -0x1.62e4p-1f, x);
    r = fmadd(n, -0x1.7f7d1cp-20f, r);
    float p = 0x1.6d4316p-10f;
    p = fmadd(p, r, 0x1.11d954p-7f);
    p = fmadd(p, r, 0x1.5554f6p-5f);
    p = fmadd(p, r, 0x1.555526p-3f);
    p = fmadd(p, r, 0.5f);
    p = fmadd(p, r, 1.0f);
    return fmadd(p, r, 1.0f);
}

/* e^x within 1 ulp; below -87.3 it is 0 and above 88.7 infinite. n goes to the exponent in two halves. */
static inline float exp_f32(float x)
{
    float clamped = x < -87.5f ? -87.5f : x > 89.0f ? 89.0f : x;
    float shifted = fmadd(clamped, 0x1.715476p+0f, 0x1.8p+23f); /* rounds to an integer in the low bits */
    float p = exp_rest_f32(clamped, shifted);
    int32_t k = (int32_t)(bits_of_float(shifted) - 0x4b400000), half = k >> 1;
    p = p * float_of_bits((uint32_t)(half + 127) << 23) * float_of_bits((uint32_t)(k - half + 127) << 23);
    p = x < -87.33654f ? 0.0f : p;
    return x != x ? x : p;
}

/* The bits of exp_f32 where x <= 0, in fewer steps: n is at least -126, so 2^n is an ordinary number. */
static inline float exp_falling_f32(float x)
{
    float clamped = x < -87.5f ? -87.5f : x;
    float shifted = fmadd(clamped, 0x1.715476p+0f, 0x1.8p+23f);
    float p = exp_rest_f32(clamped, shifted) * float_of_bits((bits_of_float(shifted) << 23) + 0x3f800000);
    return x < -87.33654f ? 0.0f : p;
}

static inline float magnitude_f32(float x) { return float_of_bits(bits_of_float(x) & 0x7fffffff); }

static inline float with_sign_of(float y, float x)
{
    return float_of_bits(bits_of_float(y) | (bits_of_float(x) & 0x80000000));
}

/* 1 / (1 + e^-x) */
static inline float sigmoid_f32(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

/* tanh within 2 ulp: an odd polynomial near 0, 1 - 2 / (e^2|x| + 1) elsewhere. */
static inline float tanh_f32(float x)
{
    float a = magnitude_f32(x), s = a * a;
    float far = 1.0f - 2.0f / (exp_f32(2.0f * a) + 1.0f);
    float p = -0x1.9098p-8f;
    p = fmadd(p, s, 0x1.58386ap-6f);
    p = fmadd(p, s, -0x1.b92bd8p-5f);
    p = fmadd(p, s, 0x1.110e3cp-3f);
    p = fmadd(p, s, -0x1.555552p-2f);
    float near = fmadd(p * s, a, a);
    return with_sign_of(a < 0.625f ? near : far, x);
}

/* erf within 2e-7: x + x p(x^2) near 0, 1 - e^-(|x| + |x| p(|x|)) elsewhere. */
static inline float erf_f32(float x)
{
    float a = magnitude_f32(x), s = a * a;
    float p = 0x1.5e0224p-14f;
    p = fmadd(p, s, -0x1.aaa16ep-11f);
    p = fmadd(p, s, 0x1.54d3fap-8f);
    p = fmadd(p, s, -0x1.b80fecp-6f);
    p = fmadd(p, s, 0x1.ce2e1ap-4f);
    p = fmadd(p, s, -0x1.812744p-2f);
    p = fmadd(p, s, 0x1.06eba8p-3f);
    float near = fmadd(p, a, a);
    float q = 0x1.aa2c78p-17f;
    q = fmadd(q, a, -0x1.6196eep-12f);
    q = fmadd(q, a, 0x1.e4e9ccp-9f);
    q = fmadd(q, a, -0x1.873d8ap-6f);
    q = fmadd(q, a, 0x1.b3af8p-4f);
    q = fmadd(q, a, 0x1.4528e6p-1f);
    q = fmadd(q, a, 0x1.07824ep-3f);
    float far = 1.0f - exp_f32(-fmadd(q, a, a));
    float y = a < 0.921875f ? near : a > 4.0f ? 1.0f : far;
    return with_sign_of(x != x ? x : y, x);
}

/* ln x within 2 ulp for normal x > 0: x = 2^k (1 + f), |f| <= 1/3, ln(1 + f) = f - f^2 / 2 + f^3 p(f). */
static inline float log_f32(float x)
{
    uint32_t shift = (bits_of_float(x) - 0x3f2aaaab) & 0xff800000;
    float f = float_of_bits(bits_of_float(x) - shift) - 1.0f, k = (float)((int32_t)shift >> 23), s = f * f;
    float p = -0x1.04f224p-3f;
    p = fmadd(p, f, 0x1.13200ep-3f);
    p = fmadd(p, f, -0x1.f4cda6p-4f);
    p = fmadd(p, f, 0x1.211d8ep-3f);
    p = fmadd(p, f, -0x1.558a46p-3f);
    p = fmadd(p, f, 0x1.99adb6p-3f);
    p = fmadd(p, f, -0x1.ffff74p-3f);
    p = fmadd(p, f, 0x1.55554cp-2f);
    float rest = fmadd(p * f, s, fmadd(s, -0.5f, k * -0x1.05c61p-29f));
    return fmadd(k, 0x1.62e43p-1f, f + rest);
}

/* ln(1 + e^x), by max(x, 0) + ln(1 + u) with u = e^-|x|; what 1 + u loses comes back by Kahan's factor. */
static inline float softplus_f32(float x)
{
    float u = exp_f32(-magnitude_f32(x)), w = 1.0f + u, d = w - 1.0f;
    float y = d == 0.0f ? u : log_f32(w) * (u / (d == 0.0f ? 1.0f : d));
    return (x > 0.0f ? x : 0.0f) + y;
}

#endif
