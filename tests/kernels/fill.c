/* fill.c - see fill.h. */
#include "fill.h"
#include "base/random.h"
#include <string.h>

static struct random rng;

const char *const fill_names[N_FILLS] = {"random", "zeros", "ones", "extremes"};

const uint32_t run_types[] = {
    TYPE_F32,
    TYPE_F16,
    TYPE_BF16,
#define QUANTIZED(name, type) TYPE_##type,
#include "kernels/quantized.def"
#undef QUANTIZED
};
const size_t n_run_types = sizeof run_types / sizeof *run_types;

void fill_seed(uint64_t seed) { random_init(&rng, seed); }

size_t fill_below(size_t n) { return (size_t)random_below(&rng, n); }

static float one_float(enum fill fill)
{
    static const float ends[] = {
        0x1.fffffep+127f, -0x1.fffffep+127f, 1e-42f, -1e-42f, 0.0f, -0.0f, 0x1p-126f, -1e30f, 88.5f, -87.4f, 0.5f};
    switch (fill) {
    case ZEROS: return 0.0f;
    case ONES: return 1.0f;
    case EXTREMES: return ends[fill_below(sizeof ends / sizeof *ends)];
    default: return (float)(random_unit(&rng) * 2 - 1) * (fill_below(50) ? 1.0f : 30.0f);
    }
}

void fill_floats(float *x, size_t n, enum fill fill)
{
    for (size_t i = 0; i < n; i++)
        x[i] = one_float(fill);
}

void fill_special(float *x, size_t n)
{
    static const float special[] = {
        0.0f, -0.0f, __builtin_inff(), -__builtin_inff(), 1e-42f, -100.0f, 100.0f, 88.5f, -87.4f, 0.625f, 4.0f};
    fill_floats(x, n, RANDOM);
    for (size_t i = 0; i < sizeof special / sizeof *special && n > 40; i++)
        x[fill_below(n)] = special[i];
}

/* ---- weights ---- */

/* High bytes of a block's half floats (-1: none). IQ1_M's highest bits are its last byte's. */
static const int high_bytes[TYPE_LIMIT][2] = {
    [TYPE_Q4_0] = {1, -1},   [TYPE_Q4_1] = {1, 3},     [TYPE_Q5_0] = {1, -1},    [TYPE_Q5_1] = {1, 3},
    [TYPE_Q8_0] = {1, -1},   [TYPE_Q2_K] = {81, 83},   [TYPE_Q3_K] = {109, -1},  [TYPE_Q4_K] = {1, 3},
    [TYPE_Q5_K] = {1, 3},    [TYPE_Q6_K] = {209, -1},  [TYPE_F16] = {1, -1},     [TYPE_BF16] = {1, -1},
    [TYPE_IQ4_NL] = {1, -1}, [TYPE_IQ4_XS] = {1, -1},  [TYPE_MXFP4] = {-1, -1},  [TYPE_NVFP4] = {-1, -1},
    [TYPE_Q1_0] = {1, -1},   [TYPE_Q2_0] = {1, -1},    [TYPE_TQ1_0] = {53, -1},  [TYPE_TQ2_0] = {65, -1},
    [TYPE_IQ1_S] = {1, -1},  [TYPE_IQ1_M] = {55, -1},  [TYPE_IQ2_XXS] = {1, -1}, [TYPE_IQ2_XS] = {1, -1},
    [TYPE_IQ2_S] = {1, -1},  [TYPE_IQ3_XXS] = {1, -1}, [TYPE_IQ3_S] = {1, -1},   [TYPE_F32] = {-1, -1},
};

/* Random: exponents 8 to 15 of 31, so that sums neither vanish nor run away. Else: the largest finite exponent. */
static uint8_t finite(uint8_t high, enum fill fill)
{
    if (fill == RANDOM)
        return (uint8_t)((high & 0x9f) | 0x20);
    return fill == ZEROS ? 0 : (uint8_t)((high & 0x83) | 0x78);
}

static void fill_block(uint8_t *w, uint32_t type, enum fill fill)
{
    static const uint8_t ends[] = {0x00, 0xff, 0x80, 0x7f};
    const size_t n = type_info(type)->block_bytes;
    uint8_t end = 0;
    for (size_t i = 0; i < n; i++) {
        if (!fill_below(6) || !i)
            end = ends[fill_below(sizeof ends)];
        w[i] = fill == ZEROS ? 0 : fill == ONES ? 0xff : fill == EXTREMES ? end : (uint8_t)fill_below(256);
    }
    for (int j = 0; j < 2; j++)
        if (high_bytes[type][j] >= 0)
            w[high_bytes[type][j]] = finite(w[high_bytes[type][j]], fill);
    if (type == TYPE_MXFP4 && fill != ZEROS) /* an exponent */
        w[0] = (uint8_t)(fill == RANDOM ? 100 + w[0] % 40 : fill == ONES ? 200 : w[0] % 200);
}

void fill_weights(uint8_t *w, uint32_t type, size_t n_blocks, enum fill fill)
{
    const size_t bytes = type_info(type)->block_bytes;
    for (size_t i = 0; i < n_blocks; i++, w += bytes) {
        if (type == TYPE_F32) {
            float x = (float)random_unit(&rng) - 0.5f;
            x = fill == ZEROS ? 0.0f : fill == ONES ? 1.0f : fill == EXTREMES ? 1e-42f * x : x;
            memcpy(w, &x, sizeof x);
        } else {
            fill_block(w, type, fill);
        }
    }
}

/* ---- activations ---- */

static int one_item(enum fill fill, int sign)
{
    switch (fill) {
    case ZEROS: return 0;
    case ONES: return 1;
    case EXTREMES: return sign;
    default: return (int)fill_below(255) - 127;
    }
}

void fill_q8(struct q8 x, size_t n, size_t k, enum fill fill)
{
    for (size_t b = 0; b < n * k / Q_BLOCK; b++) {
        const int sign = fill_below(2) ? 127 : -127;
        int sums[2] = {0, 0};
        for (size_t i = 0; i < Q_BLOCK; i++) {
            const int item = one_item(fill, sign);
            x.q[b * Q_BLOCK + i] = (int8_t)item;
            sums[i / 16] += item;
        }
        x.sums[2 * b] = (int16_t)sums[0];
        x.sums[2 * b + 1] = (int16_t)sums[1];
        x.d[b] = fill == ZEROS  ? 0.0f
                 : fill == ONES ? 1.0f
                                : (float)random_unit(&rng) * (fill == EXTREMES ? 1e6f : 1.0f);
        x.ds[b] = x.d[b] * (float)(sums[0] + sums[1]);
    }
}
