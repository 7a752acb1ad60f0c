/* fetch.h - items of a panel's block of 32, for products.c. */
#ifndef KERNELS_ARM_FETCH_H
#define KERNELS_ARM_FETCH_H

#include "kernels/arm/vector.h"

struct items {
    int8x16_t lo[WIDTH], hi[WIDTH]; /* items 0..15 and 16..31 of each row */
};

/* What was added to each item to make it unsigned; Q8_0 is signed as it stands. */
INLINE int offset_of(uint32_t type)
{
    switch (type) {
    case TYPE_Q4_0: return 8;
    case TYPE_Q5_0: return 16;
    case TYPE_Q3_K: return 4;
    case TYPE_Q6_K: return 32;
    default: return 0;
    }
}

INLINE uint8x16_t shift_right(uint8x16_t v, int n) { return vshlq_u8(v, vdupq_n_s8((int8_t)-n)); }
INLINE uint8x16_t low_bits(uint8x16_t v, int n) { return vandq_u8(v, vdupq_n_u8((uint8_t)((1 << n) - 1))); }
/* v | `set` in the bytes where x has the bit. */
INLINE uint8x16_t or_where(uint8x16_t v, uint8x16_t x, uint8x16_t bit, int set)
{
    return vorrq_u8(v, vandq_u8(vtstq_u8(x, bit), vdupq_n_u8((uint8_t)set)));
}

/* Fifth bits of 16 items, in bytes `from` and `from + 1` of qh. */
INLINE uint8x16_t fifth_bits(uint8x16_t v, const uint8_t *qh, int from)
{
    const uint8x16_t x = vcombine_u8(vdup_n_u8(qh[from]), vdup_n_u8(qh[from + 1]));
    return or_where(v, x, vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u)), 16);
}

/* A block of 32; p: the block. */
INLINE void fetch_32(uint32_t type, const uint8_t *p, uint8x16_t *lo, uint8x16_t *hi)
{
    const uint8_t *qs = p + block_bytes(type) - 16;
    if (type == TYPE_Q8_0) {
        *lo = vld1q_u8(qs - 16);
        *hi = vld1q_u8(qs);
        return;
    }
    *lo = low_bits(vld1q_u8(qs), 4);
    *hi = vshrq_n_u8(vld1q_u8(qs), 4);
    if (type == TYPE_Q5_0 || type == TYPE_Q5_1) {
        *lo = fifth_bits(*lo, qs - 4, 0);
        *hi = fifth_bits(*hi, qs - 4, 2);
    }
}

/* 16 items of block b of a superblock; p: the superblock, `at`: 0 or 16. */
INLINE uint8x16_t fetch_k(uint32_t type, const uint8_t *p, size_t b, size_t at)
{
    const size_t half = b / 4;
    const int quarter = (int)(b % 4);
    const uint8x16_t bit = vdupq_n_u8((uint8_t)(1 << b));
    uint8x16_t v, high;
    switch (type) {
    case TYPE_Q2_K: return low_bits(shift_right(vld1q_u8(p + 16 + 32 * half + at), 2 * quarter), 2);
    case TYPE_Q3_K:
        v = low_bits(shift_right(vld1q_u8(p + 32 + 32 * half + at), 2 * quarter), 2);
        return or_where(v, vld1q_u8(p + at), bit, 4);
    case TYPE_Q4_K: return low_bits(shift_right(vld1q_u8(p + 16 + 32 * (b / 2) + at), 4 * (int)(b % 2)), 4);
    case TYPE_Q5_K:
        v = low_bits(shift_right(vld1q_u8(p + 48 + 32 * (b / 2) + at), 4 * (int)(b % 2)), 4);
        return or_where(v, vld1q_u8(p + 16 + at), bit, 16);
    default: /* Q6_K */
        v = low_bits(shift_right(vld1q_u8(p + 64 * half + 32 * (b % 2) + at), 4 * (quarter / 2)), 4);
        high = low_bits(shift_right(vld1q_u8(p + 128 + 32 * half + at), 2 * quarter), 2);
        return vsliq_n_u8(v, high, 4);
    }
}

/* Block b of a panel. */
INLINE void fetch(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, struct items *out)
{
    for (size_t j = 0; j < WIDTH; j++) {
        const uint8_t *p = block_at(type, panel + j * row_bytes, b);
        uint8x16_t lo, hi;
        if (block_length(type) == CHUNK) {
            lo = fetch_k(type, p, b % CHUNK, 0);
            hi = fetch_k(type, p, b % CHUNK, 16);
        } else {
            fetch_32(type, p, &lo, &hi);
        }
        out->lo[j] = vreinterpretq_s8_u8(lo);
        out->hi[j] = vreinterpretq_s8_u8(hi);
    }
}

#endif
