/* floats.c - norms, activations, rotary positions. Compiled once a level: LEVEL names it.
 *
 * Loops without a sum are plain C that the compiler may spread over any number of lanes; each item's operations are the
 * same. Sums are over v16. y may be x everywhere. */
#include "kernels/functions.h"
#include "kernels/overlays.h"
#include "kernels/v16.h"

#define EACH(expression) \
    _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) { y[i] = (expression); }

static void add(float *y, const float *a, const float *b, size_t n) { EACH(a[i] + b[i]) }
static void mul(float *y, const float *a, const float *b, size_t n) { EACH(a[i] * b[i]) }
static void shift(float *y, const float *x, float by, size_t n) { EACH(x[i] + by) }
static void scale(float *y, const float *x, float by, size_t n) { EACH(x[i] * by) }
static void divide(float *y, const float *a, const float *b, size_t n) { EACH(a[i] / b[i]) }
static void muladd(float *y, const float *a, const float *b, size_t n) { EACH(fmadd(a[i], b[i], y[i])) }
static void axpy(float *y, const float *x, float by, size_t n) { EACH(fmadd(x[i], by, y[i])) }
static void clamp(float *y, const float *x, float low, float high, size_t n)
{
    EACH(x[i] < low ? low : x[i] > high ? high : x[i])
}
static void softcap(float *y, const float *x, float cap, size_t n) { EACH(cap * tanh_f32(x[i] / cap)) }

/* x^2 in lanes, less `mean` first. */
static float sum_of_squares(const float *x, float mean, size_t n)
{
    v16 sum = v16_set(0), less = v16_set(-mean);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        v16 a = v16_add(v16_load(x + i), less);
        sum = v16_fma(a, a, sum);
    }
    if (i < n) {
        float part[LANES] = {0};
        for (size_t j = 0; j < n - i; j++)
            part[j] = x[i + j] - mean;
        sum = v16_fma(v16_load(part), v16_load(part), sum);
    }
    return v16_fold(sum);
}

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    float by = 1.0f / __builtin_sqrtf(sum_of_squares(x, 0, n) / (float)n + eps);
    if (w) {
        EACH(x[i] * by * w[i])
    } else {
        EACH(x[i] * by)
    }
}

static float sum(const float *x, size_t n)
{
    v16 sum = v16_set(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum = v16_add(sum, v16_load(x + i));
    if (i < n)
        sum = v16_add(sum, v16_load_part(x + i, n - i));
    return v16_fold(sum);
}

static void l2norm(float *y, const float *x, size_t n, float eps)
{
    const float by = 1.0f / __builtin_sqrtf(sum_of_squares(x, 0, n) + eps);
    EACH(x[i] * by)
}

static void softmax(float *y, const float *x, size_t n)
{
    float most = -__builtin_inff();
    for (size_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    EACH(exp_f32(x[i] - most))
    const float by = 1.0f / sum(y, n);
    EACH(y[i] * by)
}

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    const float mean = sum(x, n) / (float)n;
    float by = 1.0f / __builtin_sqrtf(sum_of_squares(x, mean, n) / (float)n + eps);
    if (w) {
        EACH((x[i] - mean) * by * w[i])
    } else {
        EACH((x[i] - mean) * by)
    }
    if (b) {
        EACH(y[i] + b[i])
    }
}

static inline float silu_f32(float x) { return x * sigmoid_f32(x); }
static inline float gelu_f32(float x) { return 0.5f * x * (1.0f + erf_f32(x * 0.70710678f)); }
static inline float gelu_tanh_f32(float x)
{
    float inner = 0.79788456f * x * fmadd(0.044715f * x, x, 1.0f);
    return 0.5f * x * (1.0f + tanh_f32(inner));
}
static inline float gelu_quick_f32(float x) { return x * sigmoid_f32(1.702f * x); }
static inline float relu_f32(float x) { return x > 0.0f ? x : 0.0f; }
/* Adding 2^23 rounds what is below it to a whole number; what is not is whole already. */
static inline float floor_f32(float x)
{
    const float a = magnitude_f32(x), whole = with_sign_of((a + 0x1p23f) - 0x1p23f, x);
    return a < 0x1p23f ? (whole > x ? whole - 1.0f : whole) : x;
}
static inline float relu2_f32(float x) { return relu_f32(x) * relu_f32(x); }

#define ACTIVATIONS(f_of)                                        \
    switch (f) {                                                 \
    case ACT_NONE: EACH(f_of(x[i])) break;                       \
    case ACT_SILU: EACH(f_of(silu_f32(x[i]))) break;             \
    case ACT_GELU: EACH(f_of(gelu_f32(x[i]))) break;             \
    case ACT_GELU_TANH: EACH(f_of(gelu_tanh_f32(x[i]))) break;   \
    case ACT_GELU_QUICK: EACH(f_of(gelu_quick_f32(x[i]))) break; \
    case ACT_RELU: EACH(f_of(relu_f32(x[i]))) break;             \
    case ACT_RELU2: EACH(f_of(relu2_f32(x[i]))) break;           \
    case ACT_SIGMOID: EACH(f_of(sigmoid_f32(x[i]))) break;       \
    case ACT_TANH: EACH(f_of(tanh_f32(x[i]))) break;             \
    case ACT_EXP: EACH(f_of(exp_f32(x[i]))) break;               \
    case ACT_SOFTPLUS: EACH(f_of(softplus_f32(x[i]))) break;     \
    case ACT_LOG: EACH(f_of(log_f32(x[i]))) break;               \
    case ACT_SQRT: EACH(f_of(__builtin_sqrtf(x[i]))) break;      \
    case ACT_FLOOR: EACH(f_of(floor_f32(x[i]))) break;           \
    case ACT_LIMIT: break;                                       \
    }
#define ALONE(value) (value)
#define TIMES_UP(value) ((value)*up[i])

static void activate(enum activation f, float *y, const float *x, size_t n) { ACTIVATIONS(ALONE) }

static void gate(enum activation f, float *y, const float *x, const float *up, size_t n) { ACTIVATIONS(TIMES_UP) }

/* Pair i is x[2 i], x[2 i + 1]. */
static void rope_pairs(float *y, const float *x, const float *cos, const float *sin, size_t n_pairs)
{
#pragma GCC ivdep
    for (size_t i = 0; i < n_pairs; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        y[2 * i] = fmadd(a, cos[i], -(b * sin[i]));
        y[2 * i + 1] = fmadd(a, sin[i], b * cos[i]);
    }
}

/* Pair i is x[i], x[i + n_pairs]. */
static void rope_halves(float *y, const float *x, const float *cos, const float *sin, size_t n_pairs)
{
#pragma GCC ivdep
    for (size_t i = 0; i < n_pairs; i++) {
        float a = x[i], b = x[i + n_pairs];
        y[i] = fmadd(a, cos[i], -(b * sin[i]));
        y[i + n_pairs] = fmadd(a, sin[i], b * cos[i]);
    }
}

static size_t max_index(const float *x, size_t n)
{
    float most[LANES];
    for (int i = 0; i < LANES; i++)
        most[i] = -__builtin_inff();
    size_t at = 0;
    for (; at + LANES <= n; at += LANES)
        for (int i = 0; i < LANES; i++)
            most[i] = x[at + (size_t)i] > most[i] ? x[at + (size_t)i] : most[i];
    for (; at < n; at++)
        most[0] = x[at] > most[0] ? x[at] : most[0];
    for (int i = 1; i < LANES; i++)
        most[0] = most[i] > most[0] ? most[i] : most[0];
    for (size_t i = 0; i < n; i++)
        if (x[i] == most[0])
            return i;
    return 0;
}

void LEVELED(floats_overlay)(struct kernels *k)
{
    k->rmsnorm = rmsnorm;
    k->layernorm = layernorm;
    k->add = add;
    k->mul = mul;
    k->shift = shift;
    k->scale = scale;
    k->activate = activate;
    k->gate = gate;
    k->softcap = softcap;
    k->rope_pairs = rope_pairs;
    k->rope_halves = rope_halves;
    k->divide = divide;
    k->muladd = muladd;
    k->axpy = axpy;
    k->clamp = clamp;
    k->sum = sum;
    k->l2norm = l2norm;
    k->softmax = softmax;
    k->max_index = max_index;
}
