/* quantize.c - activations to 8 bits in blocks of 32. Compiled once a level: LEVEL names it.
 *
 * The largest number of a block goes to 127, 126, ... or 120 exactly, whichever leaves the least error; its scale is
 * then the best one for these integers by least squares. That takes a fifth of the error's energy away (normal numbers;
 * a sixth of Laplace's), which a product cannot win back: SmolLM2 Q4_1's distance from the exact distributions falls by
 * 8 %. */
#include "kernels/functions.h"
#include "kernels/overlays.h"
#include "kernels/v16.h"

enum { CANDIDATES = 8, MOST = 127 };

struct halves {
    v16 a, b;
};

/* x * by to integers, halves to even: what is added leaves no room for a fraction. |x * by| is below 2^22. */
static inline v16 round_by(v16 x, v16 by)
{
    const v16 shift = v16_set(0x1.8p+23f);
    return v16_sub(v16_fma(x, by, shift), shift);
}

/* What rounding added: q - x * by. */
static inline v16 rest_of(v16 x, v16 by, v16 q) { return v16_fnma(x, by, q); }

/* The candidate that leaves the least error: sum of squares over most^2, in units of the largest number squared. Its
 * last three bits give way to the candidate's number, so that the least of eight integers tells both. */
static inline uint32_t best_candidate(struct halves x, float unit)
{
    float left[CANDIDATES];
    v16 squares[CANDIDATES];
    for (int c = 0; c < CANDIDATES; c++) {
        const v16 by = v16_set((float)(MOST - c) * unit);
        const v16 a = rest_of(x.a, by, round_by(x.a, by)), b = rest_of(x.b, by, round_by(x.b, by));
        squares[c] = v16_fma(b, b, v16_mul(a, a));
    }
    v16_fold_8(left, squares);
    uint32_t least = UINT32_MAX;
    for (uint32_t c = 0; c < CANDIDATES; c++) {
        const float most = (float)(MOST - (int)c);
        const uint32_t key = (bits_of_float(left[c] * ((float)(MOST * MOST) / (most * most))) & ~7u) | c;
        least = key < least ? key : least;
    }
    return least & 7;
}

/* The scale is (1 - sum rq / sum qq) * largest / most. */
static inline void quantize_block(int8_t *q, float *d, float *ds, int16_t *sums, struct halves x, float largest)
{
    const float unit = 1.0f / largest, most = (float)(MOST - (int)best_candidate(x, unit)), step = largest / most;
    const v16 by = v16_set(most * unit), a = round_by(x.a, by), b = round_by(x.b, by);
    const v16 rq = v16_fma(rest_of(x.b, by, b), b, v16_mul(rest_of(x.a, by, a), a)), qq = v16_fma(b, b, v16_mul(a, a));
    const float sum0 = v16_fold(a), sum1 = v16_fold(b);
    v16_to_i8(q, a);
    v16_to_i8(q + LANES, b);
    *d = fmadd(-v16_fold(rq) / v16_fold(qq), step, step);
    *ds = *d * (sum0 + sum1);
    sums[0] = (int16_t)sum0;
    sums[1] = (int16_t)sum1;
}

/* A broken block has d = NaN, so that its products are NaN; one whose largest is below 2^-100 is zero. */
static void set_block(int8_t *q, float *d, float *ds, int16_t *sums, bool broken)
{
    memset(q, 0, Q_BLOCK);
    *d = broken ? float_of_bits(0x7fc00000) : 0.0f;
    *ds = *d * 0.0f;
    sums[0] = sums[1] = 0;
}

static void quantize_q8(struct q8 y, const float *x, size_t k)
{
    for (size_t b = 0; b < k / Q_BLOCK; b++) {
        const float *block = x + b * Q_BLOCK;
        const struct halves all = {v16_load(block), v16_load(block + LANES)};
        const uint32_t low = v16_largest_bits(all.a), high = v16_largest_bits(all.b), bits = low > high ? low : high;
        const float largest = float_of_bits(bits);
        const bool broken = bits >= 0x7f800000; /* by an infinity or a NaN */
        if (broken || largest < 0x1p-100f)
            set_block(y.q + b * Q_BLOCK, y.d + b, y.ds + b, y.sums + 2 * b, broken);
        else
            quantize_block(y.q + b * Q_BLOCK, y.d + b, y.ds + b, y.sums + 2 * b, all, largest);
    }
}

void LEVELED(quantize_overlay)(struct kernels *k) { k->quantize_q8 = quantize_q8; }
