/* quantize.c - activations to 8 bits in blocks of 32, or of 256. Compiled once a level: LEVEL names it.
 *
 * The largest number of a block of 32 goes to 127, 126, ... or 120 exactly, whichever leaves the least error. That
 * takes 18 % of the error's energy away (normal numbers; 16 % of Laplace's), which a product cannot win back. Of 256
 * numbers the largest goes to 127: there is less to win. */
#include "kernels/overlays.h"
#include "kernels/quads.h"

enum { CANDIDATES = 8, MOST = 127, BLOCKS = 4 /* side by side */, REGISTERS = 8 };

/* The candidate c that leaves the least error, as a number: the sum of its squares over (127 - c)^2. unit: 1 / largest.
 */
static inline v16 best_candidate(const v16 x[REGISTERS], v16 unit)
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
        squares[c] = v16_set(0);
        for (int j = 0; j < REGISTERS; j++) {
            const v16 scaled = v16_mul(x[j], by), rest = v16_sub(scaled, quads_round(scaled));
            squares[c] = v16_fma(rest, rest, squares[c]);
        }
    }
    const v16 low = quads_pairs(quads_pairs(squares[0], squares[1]), quads_pairs(squares[2], squares[3]));
    const v16 high = quads_pairs(quads_pairs(squares[4], squares[5]), quads_pairs(squares[6], squares[7]));
    return quads_least(quads_weighted(low, weights), quads_weighted(high, weights + 4));
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

/* Four blocks of numbers, side by side; the largest magnitude of each in all lanes of its quad. */
static inline v16 load_four(v16 x[REGISTERS], const float *numbers)
{
    v16 largest = v16_set(0);
    for (int j = 0; j < REGISTERS; j++) {
        x[j] = quads_load(numbers + 4 * j);
        largest = quads_larger(largest, x[j]);
    }
    return quads_largest(largest);
}

/* A block with an infinity or a NaN has d = NaN, so that its products are NaN; one whose largest is below 2^-100 is
 * zero: n numbers become 0. */
static inline float scale_or_zeros(int8_t *q, size_t n, float largest, float scale)
{
    const bool finite = bits_of_float(largest) < 0x7f800000, zero = largest < 0x1p-100f;
    if (!finite || zero)
        memset(q, 0, n);
    return !finite ? float_of_bits(0x7fc00000) : zero ? 0.0f : scale;
}

static inline void quantize_four(int8_t *q, float d[BLOCKS], const float *numbers)
{
    v16 x[REGISTERS];
    const v16 largest = load_four(x, numbers);
    const v16 unit = v16_div(v16_set(1), largest);
    const v16 most = v16_sub(v16_set(MOST), best_candidate(x, unit)), by = v16_mul(unit, most);
    for (int j = 0; j < REGISTERS; j++)
        x[j] = v16_mul(x[j], by);
    quads_to_i8(q, x);
    float sizes[LANES], scales[LANES];
    v16_store(sizes, largest);
    v16_store(scales, v16_div(largest, most));
    for (int b = 0; b < BLOCKS; b++)
        d[b] = scale_or_zeros(q + b * Q_BLOCK, Q_BLOCK, sizes[4 * b], scales[4 * b]);
}

/* Eight blocks that share a scale. */
static inline void quantize_wide(int8_t *q, float d[2 * BLOCKS], const float *numbers)
{
    v16 x[2 * REGISTERS];
    const v16 low = load_four(x, numbers), high = load_four(x + REGISTERS, numbers + BLOCKS * Q_BLOCK);
    float sizes[LANES];
    v16_store(sizes, quads_larger(low, high));
    float largest = sizes[0];
    for (int b = 1; b < BLOCKS; b++) /* as bits: a NaN is larger than all */
        largest = bits_of_float(sizes[4 * b]) > bits_of_float(largest) ? sizes[4 * b] : largest;
    const v16 by = v16_set(MOST / largest);
    for (int j = 0; j < 2 * REGISTERS; j++)
        x[j] = v16_mul(x[j], by);
    quads_to_i8(q, x);
    quads_to_i8(q + BLOCKS * Q_BLOCK, x + REGISTERS);
    const float scale = scale_or_zeros(q, Q_WIDE, largest, largest / MOST);
    for (int b = 0; b < 2 * BLOCKS; b++)
        d[b] = scale;
}

/* What stands beside k numbers and their scales. */
static void add_sums(struct q8 y, size_t k)
{
    for (size_t b = 0; b < k / Q_BLOCK; b++) {
        sum_halves(y.sums + 2 * b, y.q + b * Q_BLOCK);
        y.ds[b] = y.d[b] * (float)(y.sums[2 * b] + y.sums[2 * b + 1]);
    }
}

static void quantize_q8(struct q8 y, const float *x, size_t k)
{
    const size_t n = k / Q_BLOCK;
    for (size_t b = 0; b + BLOCKS <= n; b += BLOCKS)
        quantize_four(y.q + b * Q_BLOCK, y.d + b, x + b * Q_BLOCK);
    if (n > BLOCKS && n % BLOCKS) { /* the last four; some of them for the second time, to the same bits */
        const size_t b = n - BLOCKS;
        quantize_four(y.q + b * Q_BLOCK, y.d + b, x + b * Q_BLOCK);
    } else if (n < BLOCKS) {
        float numbers[BLOCKS * Q_BLOCK] = {0}, d[BLOCKS];
        int8_t q[BLOCKS * Q_BLOCK];
        memcpy(numbers, x, k * sizeof *x);
        quantize_four(q, d, numbers);
        memcpy(y.q, q, k);
        memcpy(y.d, d, n * sizeof *d);
    }
    add_sums(y, k);
}

static void quantize_q8_wide(struct q8 y, const float *x, size_t k)
{
    for (size_t at = 0; at < k; at += Q_WIDE)
        quantize_wide(y.q + at, y.d + at / Q_BLOCK, x + at);
    add_sums(y, k);
}

void LEVELED(quantize_overlay)(struct kernels *k)
{
    k->quantize_q8 = quantize_q8;
    k->quantize_q8_wide = quantize_q8_wide;
}
