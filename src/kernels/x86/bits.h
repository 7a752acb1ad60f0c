/* bits.h - one token's products of types whose bytes hold four items, for products.c. Items are not shifted into place:
 * sums of products with bits where they stand are so many times too large, and are shifted, one register for four. Such
 * bytes need a 32-bit dot product (AVX-512 VNNI). */
#ifndef KERNELS_X86_BITS_H
#define KERNELS_X86_BITS_H

#include "kernels/x86/panel.h"

INLINE bool has_bits(uint32_t type)
{
    return N_LANES == 4 && (type == TYPE_Q2_K || type == TYPE_Q3_K || type == TYPE_TQ2_0);
}

INLINE vi shift_right(vi v, int n) { return n < 0 ? V(slli_epi32)(v, -n) : n > 0 ? V(srai_epi32)(v, n) : v; }

/* Adds the products of bits `mask` of 16 bytes of each row, as words, with 16 activations, over 2^shift. */
INLINE vi dot_bits(vi sum, const vi words[4], int mask, int shift, const int8_t *q)
{
    vi dots = V(set1_epi32)(0);
    for (size_t j = 0; j < 4; j++) {
        int32_t four;
        memcpy(&four, q + 4 * j, 4);
        dots = vi_dot(dots, vi_and(words[j], vi_bytes(mask)), V(set1_epi32)(four));
    }
    return V(add_epi32)(sum, shift_right(dots, shift));
}

/* The same for a half of block b of a superblock. */
INLINE vi dot_half(uint32_t type, vi sum, vi raw[RAW][4], size_t b, size_t half, const int8_t *q)
{
    const size_t column = 2 * (b / 4) + half;
    const int shift = 2 * (int)(b % 4);
    sum = dot_bits(sum, raw[type == TYPE_Q3_K ? column + 2 : column], 3 << shift, shift, q + 16 * half);
    return type == TYPE_Q3_K ? dot_bits(sum, raw[half], 1 << b, (int)b - 2, q + 16 * half) : sum;
}

#endif
