/* panels.h - what products of panels, on x86 and on ARM, know of a weight type alike. A panel is the rows that stand
 * side by side in a register. All of it is constant where it is inlined, as base/types.h's sizes are not. */
#ifndef KERNELS_PANELS_H
#define KERNELS_PANELS_H

#include "kernels/blocks.h"
#include "kernels/decode.h"

#define INLINE static inline __attribute__((always_inline))

enum { CHUNK = 8 }; /* blocks of 32 whose scales are taken at once; a superblock */

/* In bytes, a block as it stands in the file. */
INLINE size_t block_bytes(uint32_t type)
{
    switch (type) {
#define QUANTIZED(name, type) \
    case TYPE_##type:         \
        return sizeof(struct block_##name);
#include "kernels/quantized.def"
#undef QUANTIZED
    default: return 0;
    }
}

/* In blocks of 32. */
INLINE size_t block_length(uint32_t type)
{
    switch (type) {
    case TYPE_Q4_0:
    case TYPE_Q4_1:
    case TYPE_Q5_0:
    case TYPE_Q5_1:
    case TYPE_Q8_0:
    case TYPE_IQ4_NL:
    case TYPE_MXFP4: return 1;
    case TYPE_Q2_0:
    case TYPE_NVFP4: return 2;
    case TYPE_Q1_0: return 4;
    default: return CHUNK;
    }
}

/* The block that holds block b of 32 of a row. */
INLINE const uint8_t *block_at(uint32_t type, const uint8_t *row, size_t b)
{
    return row + b / block_length(type) * block_bytes(type);
}

/* Items 0..15 and 16..31 of a block are summed apart. */
INLINE bool sums_apart(uint32_t type) { return sums_of(type) == SUMS_16 || type == TYPE_Q2_K || type == TYPE_Q3_K; }

/* The activations' side of a block. */
struct activations {
    const int8_t *q;
    const int16_t *sums;
    float d, ds;
};

INLINE struct activations activations_of(const struct mul *m, size_t token, size_t b)
{
    size_t at = token * (m->k / Q_BLOCK) + b;
    return (struct activations){m->xq.q + at * Q_BLOCK, m->xq.sums + 2 * at, m->xq.d[at], m->xq.ds[at]};
}

#endif
