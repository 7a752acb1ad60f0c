/* decode.h - one block of 32 quantized weights as plain numbers: what a product and a dequantization mean. */
#ifndef KERNELS_DECODE_H
#define KERNELS_DECODE_H

#include "kernels/kernels.h"

/* Item i has the value d * scale[i / 16] * v[i] + minimum[i / 16]. */
struct decoded {
    int v[Q_BLOCK];
    float d;        /* of types with a float scale for each 32 (Q4_K: d * scale), times an integer scale for each 16 */
    int scale[2];   /* 1 where the type has none */
    float m;        /* minimum of the block: Q4_1 Q5_1 Q4_K Q5_K */
    float dmin;     /* Q2_K: minimum is -dmin * min[i / 16] */
    int min[2];
};

/* Block b (of 32) of a row of quantized weights. */
typedef void (*decode_fn)(struct decoded *out, const void *row, size_t b);
/* NULL: no quantized type that runs here. */
decode_fn decode_of(uint32_t type);

#endif
