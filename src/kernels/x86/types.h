/* types.h - what products.c must know of a weight type beside panels.h. All of it is constant where it is inlined. */
#ifndef KERNELS_X86_TYPES_H
#define KERNELS_X86_TYPES_H

#include "kernels/panels.h"
#include "kernels/x86/vector.h"

/* Items come from a code book. */
INLINE bool has_grid(uint32_t type)
{
    switch (type) {
    case TYPE_IQ1_S:
    case TYPE_IQ1_M:
    case TYPE_IQ2_XXS:
    case TYPE_IQ2_XS:
    case TYPE_IQ2_S:
    case TYPE_IQ3_XXS:
    case TYPE_IQ3_S: return true;
    default: return false;
    }
}

/* Without a 32-bit dot product, unsigned times signed bytes saturate for items beyond 128: items that need them go by
 * magnitude and sign. */
INLINE bool signed_bytes(uint32_t type)
{
    return N_LANES == 2 && (type == TYPE_Q8_0 || type == TYPE_IQ4_NL || type == TYPE_IQ4_XS);
}

/* What was added to each item to make it unsigned. */
INLINE int offset_of(uint32_t type)
{
    static const uint8_t offsets[TYPE_LIMIT] = {
        [TYPE_Q4_0] = 8,     [TYPE_Q5_0] = 16,    [TYPE_Q8_0] = 128, [TYPE_Q3_K] = 4,     [TYPE_Q6_K] = 32,
        [TYPE_IQ4_NL] = 128, [TYPE_IQ4_XS] = 128, [TYPE_MXFP4] = 12, [TYPE_NVFP4] = 12,   [TYPE_Q1_0] = 1,
        [TYPE_Q2_0] = 1,     [TYPE_TQ1_0] = 1,    [TYPE_TQ2_0] = 1,  [TYPE_IQ1_S] = 9,    [TYPE_IQ1_M] = 9,
        [TYPE_IQ2_XXS] = 64, [TYPE_IQ2_XS] = 64,  [TYPE_IQ2_S] = 64, [TYPE_IQ3_XXS] = 64, [TYPE_IQ3_S] = 64,
    };
    return signed_bytes(type) ? 0 : offsets[type];
}

/* ---- a panel's numbers ---- */

struct items {
    vi lo[4], hi[4]; /* lane i of register j: items 0..15 and 16..31 of row 4 i + j */
};

struct scales {
    float d[CHUNK][WIDTH];      /* of each block and row, as struct mul's dw */
    float m[CHUNK][WIDTH];      /* minima; Q2_K: m[0] is dmin; SUMS_16: dw1 */
    int8_t s[2 * CHUNK][WIDTH]; /* integer scales of 16 items; Q6_K: dw and dw1 over d, which stands in d */
    int8_t n[2 * CHUNK][WIDTH]; /* Q2_K: integer minima of 16 items */
};

/* Four bytes at p of each row. */
INLINE vi words_of_rows(const uint8_t *p, size_t row_bytes)
{
    uint32_t word[WIDTH];
    for (size_t r = 0; r < WIDTH; r++)
        memcpy(&word[r], p + r * row_bytes, 4);
    return vi_load(word);
}

INLINE vf halves_of_rows(const uint8_t *p, size_t row_bytes)
{
    uint16_t half[WIDTH];
    for (size_t r = 0; r < WIDTH; r++)
        memcpy(&half[r], p + r * row_bytes, 2);
    return vf_of_half(half);
}

#endif
