/* decode.h - one block of 32 quantized weights as plain numbers: what a product and a dequantization mean. */
#ifndef KERNELS_DECODE_H
#define KERNELS_DECODE_H

#include "kernels/kernels.h"

/* How a block of 32 enters an output's chain (struct mul). */
enum sums {
    SUMS_PLAIN,  /* one scale */
    SUMS_MIN,    /* one scale, one minimum */
    SUMS_16,     /* integer scales of 16 items */
    SUMS_16_MIN, /* integer scales and minima of 16 items */
    SUMS_STEPS,  /* float scales of 16 items: two steps */
};

static inline enum sums sums_of(uint32_t type)
{
    switch (type) {
    case TYPE_Q4_1:
    case TYPE_Q5_1:
    case TYPE_Q4_K:
    case TYPE_Q5_K: return SUMS_MIN;
    case TYPE_Q3_K:
    case TYPE_Q6_K:
    case TYPE_IQ1_M:
    case TYPE_IQ2_XS:
    case TYPE_IQ2_S: return SUMS_16;
    case TYPE_Q2_K: return SUMS_16_MIN;
    case TYPE_NVFP4: return SUMS_STEPS;
    default: return SUMS_PLAIN;
    }
}

/* Item i has the value d * scale[i / 16] * v[i] + minimum[i / 16]. */
struct decoded {
    int v[Q_BLOCK];
    float d;      /* of types with a float scale for each 32 (Q4_K: d * scale), times an integer scale for each 16 */
    float d1;     /* SUMS_STEPS: of items 16..31, and d of 0..15 */
    int scale[2]; /* 1 where the type has none */
    float m;      /* SUMS_MIN: minimum of the block */
    float dmin;   /* SUMS_16_MIN: minimum is -dmin * min[i / 16] */
    int min[2];
};

/* Block b (of 32) of a row of quantized weights. */
typedef void (*decode_fn)(struct decoded *out, const void *row, size_t b);
/* NULL: no quantized type that runs here. */
decode_fn decode_of(uint32_t type);
#define QUANTIZED(name, type) void decode_##name(struct decoded *out, const void *row, size_t b);
#include "kernels/quantized.def"
#undef QUANTIZED

#endif
