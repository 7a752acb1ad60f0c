/* decode.h - one block of 32 quantized weights as plain numbers: what a product and a dequantization mean. */
#ifndef KERNELS_DECODE_H
#define KERNELS_DECODE_H

#include "kernels/kernels.h"

/* How a block of 32 enters an output's chain (struct mul). */
enum sums {
    SUMS_PLAIN,    /* one scale */
    SUMS_MIN,      /* one scale, one minimum */
    SUMS_16,       /* scales of 16 items */
    SUMS_WIDE,     /* with the other seven of its superblock: one scale for all their exact sum */
    SUMS_WIDE_MIN, /* and integer minima of 16 items */
};

static inline enum sums sums_of(uint32_t type)
{
    switch (type) {
    case TYPE_Q4_1:
    case TYPE_Q5_1:
    case TYPE_Q4_K:
    case TYPE_Q5_K: return SUMS_MIN;
    case TYPE_Q6_K:
    case TYPE_NVFP4:
    case TYPE_IQ1_M:
    case TYPE_IQ2_XS:
    case TYPE_IQ2_S: return SUMS_16;
    case TYPE_Q3_K:
    case TYPE_TQ1_0:
    case TYPE_TQ2_0: return SUMS_WIDE;
    case TYPE_Q2_K: return SUMS_WIDE_MIN;
    default: return SUMS_PLAIN;
    }
}
static inline bool is_wide(enum sums sums) { return sums == SUMS_WIDE || sums == SUMS_WIDE_MIN; }

/* Item i has the value d * scale[i / 16] * v[i] + minimum[i / 16]. */
struct decoded {
    int v[Q_BLOCK];
    float d;      /* of types with a float scale for each 32 (Q4_K: d * scale), times an integer scale for each 16 */
    float d1;     /* SUMS_16: of items 16..31, and d of 0..15 */
    int scale[2]; /* integer ones of Q3_K and Q2_K; else 1 */
    float m;      /* SUMS_MIN: minimum of the block */
    float dmin;   /* SUMS_WIDE_MIN: minimum is -dmin * min[i / 16] */
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
