/* quantize.c - activations to 8 bits in blocks of 32. Compiled once a level: LEVEL names it.
 *
 * The largest number of a block goes to 127, 126, ... or 120 exactly, whichever leaves the least error. That takes 18 %
 * of the error's energy away (normal numbers; 16 % of Laplace's), which a product cannot win back. */
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
static inline v16 rest_of(v16 x, v16 by) { return v16_fnma(x, by, round_by(x, by)); }

/* The candidate c that leaves the least error: the sum of its squares over (127 - c)^2. unit: 1 / largest. */
static inline uint32_t best_candidate(struct halves x, v16 unit)
{
    static const float weights[CANDIDATES] = {/* (127 / (127 - c))^2 */
                                              1.0f,
                                              16129.0f / 15876,
                                              16129.0f / 15625,
                                              16129.0f / 15376,
                                              16129.0f / 15129,
                                              16129.0f / 14884,
                                              16129.0f / 14641,
                                              16129.0f / 14400};
    v16 squares[CANDIDATES];
    for (int c = 0; c < CANDIDATES; c++) {
        const v16 by = v16_mul(unit, v16_set((float)(MOST - c)));
        const v16 a = rest_of(x.a, by), b = rest_of(x.b, by);
        squares[c] = v16_fma(b, b, v16_mul(a, a));
    }
    return v16_least_of_8(squares, weights);
}

static inline void sum_halves(int16_t sums[2], const int8_t *q)
{
#if defined(__AVX2__)
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)q), flip = _mm256_set1_epi8(-128);
    __m256i s = _mm256_sad_epu8(_mm256_xor_si256(v, flip), _mm256_setzero_si256()); /* of v + 128, in two parts each */
    s = _mm256_add_epi64(s, _mm256_shuffle_epi32(s, 0x4e));
    sums[0] = (int16_t)(_mm256_extract_epi16(s, 0) - 16 * 128);
    sums[1] = (int16_t)(_mm256_extract_epi16(s, 8) - 16 * 128);
#elif defined(LEVEL_NEON)
    sums[0] = vaddlvq_s8(vld1q_s8(q));
    sums[1] = vaddlvq_s8(vld1q_s8(q + LANES));
#else
    for (int half = 0; half < 2; half++) {
        int sum = 0;
        for (int i = 0; i < LANES; i++)
            sum += q[half * LANES + i];
        sums[half] = (int16_t)sum;
    }
#endif
}

/* A block with an infinity or a NaN has d = NaN, so that its products are NaN; one whose largest is below 2^-100 is
 * zero. */
static inline float quantize_block(int8_t *q, struct halves x)
{
    const uint32_t bits = v16_largest_bits(x.a, x.b);
    const float largest = float_of_bits(bits);
    if (bits >= 0x7f800000 || largest < 0x1p-100f) {
        memset(q, 0, Q_BLOCK);
        return bits >= 0x7f800000 ? float_of_bits(0x7fc00000) : 0.0f;
    }
    const v16 unit = v16_set(1.0f / largest);
    const float most = (float)(MOST - (int)best_candidate(x, unit));
    const v16 by = v16_mul(unit, v16_set(most));
    v16_to_i8(q, round_by(x.a, by));
    v16_to_i8(q + LANES, round_by(x.b, by));
    return largest / most;
}

static void quantize_q8(struct q8 y, const float *x, size_t k)
{
    for (size_t b = 0; b < k / Q_BLOCK; b++) {
        const float *block = x + b * Q_BLOCK;
        y.d[b] = quantize_block(y.q + b * Q_BLOCK, (struct halves){v16_load(block), v16_load(block + LANES)});
    }
    for (size_t b = 0; b < k / Q_BLOCK; b++) {
        sum_halves(y.sums + 2 * b, y.q + b * Q_BLOCK);
        y.ds[b] = y.d[b] * (float)(y.sums[2 * b] + y.sums[2 * b + 1]);
    }
}

void LEVELED(quantize_overlay)(struct kernels *k) { k->quantize_q8 = quantize_q8; }
