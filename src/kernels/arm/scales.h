/* scales.h - scales of eight blocks of a panel at once, for products.c. */
#ifndef KERNELS_ARM_SCALES_H
#define KERNELS_ARM_SCALES_H

#include "kernels/arm/vector.h"
#include <stddef.h>

struct scales {
    float d[CHUNK][WIDTH];       /* of each block and row, as struct mul's dw */
    float m[CHUNK][WIDTH];       /* minima; Q2_K: m[0] is dmin; Q6_K: dw1 */
    int32_t s[2 * CHUNK][WIDTH]; /* integer scales of 16 items, where the type has them */
    int32_t n[2 * CHUNK][WIDTH]; /* Q2_K: integer minima of 16 items */
};

/* The half-precision number at p of each row. */
INLINE float32x4_t halves_of_rows(const uint8_t *p, size_t row_bytes)
{
    uint64_t all = 0;
    for (size_t j = 0; j < WIDTH; j++)
        all |= (uint64_t)load_u16(p + j * row_bytes) << 16 * j;
    return vcvt_f32_f16(vcreate_f16(all));
}

/* 16 small integers of each row to 16 times one of each row. */
INLINE void widen_rows(const int8x16_t rows[4], int32_t (*out)[WIDTH])
{
    const int8x16x2_t a = vzipq_s8(rows[0], rows[2]), b = vzipq_s8(rows[1], rows[3]);
    for (int i = 0; i < 4; i++) {
        const int8x16_t v = i % 2 ? vzip2q_s8(a.val[i / 2], b.val[i / 2]) : vzip1q_s8(a.val[i / 2], b.val[i / 2]);
        const int16x8_t lo = vmovl_s8(vget_low_s8(v)), hi = vmovl_high_s8(v);
        vst1q_s32(out[4 * i], vmovl_s16(vget_low_s16(lo)));
        vst1q_s32(out[4 * i + 1], vmovl_high_s16(lo));
        vst1q_s32(out[4 * i + 2], vmovl_s16(vget_low_s16(hi)));
        vst1q_s32(out[4 * i + 3], vmovl_high_s16(hi));
    }
}

/* k4_scales (blocks.h) of the 12 bytes at p: eight scales, then eight minima. */
INLINE int8x16_t unpack_k4(const uint8_t *p)
{
    static const int32_t down[4] = {0, 0, 0, -4};
    static const uint32_t low_mask[4] = {0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f};
    static const uint32_t high_mask[4] = {0, 0x30303030, 0, 0x30303030};
    const uint32x4_t v = vreinterpretq_u32_u8(vld1q_u8(p));            /* a b c, and four bytes of what follows */
    const uint32x4_t ab = vzip1q_u32(v, v), c = vdupq_laneq_u32(v, 2); /* a a b b, c c c c */
    const uint32x4_t low = vshlq_u32(vtrn1q_u32(ab, c), vld1q_s32(down));
    return vreinterpretq_s8_u32(
        vorrq_u32(vandq_u32(low, vld1q_u32(low_mask)), vandq_u32(vshrq_n_u32(ab, 2), vld1q_u32(high_mask))));
}

/* p: the superblock of the first row, as below. */
INLINE void scales_k4(const uint8_t *p, size_t row_bytes, struct scales *out)
{
    const float32x4_t d = halves_of_rows(p, row_bytes), dmin = vnegq_f32(halves_of_rows(p + 2, row_bytes));
    int8x16_t packed[WIDTH];
    for (size_t j = 0; j < WIDTH; j++)
        packed[j] = unpack_k4(p + j * row_bytes + 4);
    widen_rows(packed, out->s);
    for (size_t i = 0; i < CHUNK; i++) {
        vst1q_f32(out->d[i], vmulq_f32(d, vcvtq_f32_s32(vld1q_s32(out->s[i]))));
        vst1q_f32(out->m[i], vmulq_f32(dmin, vcvtq_f32_s32(vld1q_s32(out->s[CHUNK + i]))));
    }
}

INLINE void scales_of_16(uint32_t type, const uint8_t *p, size_t row_bytes, struct scales *out)
{
    const size_t d_at = type == TYPE_Q2_K ? offsetof(struct block_q2_k, d) : block_bytes(type) - 2;
    const float32x4_t d = halves_of_rows(p + d_at, row_bytes);
    int8x16_t s[WIDTH], n[WIDTH];
    for (size_t j = 0; j < WIDTH; j++) {
        const uint8_t *row = p + j * row_bytes;
        if (type == TYPE_Q2_K) {
            const uint8x16_t both = vld1q_u8(row);
            s[j] = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
            n[j] = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
        } else if (type == TYPE_Q3_K) {
            int8_t unpacked[16];
            k3_scales(unpacked, row + offsetof(struct block_q3_k, scales));
            s[j] = vld1q_s8(unpacked);
        } else {
            s[j] = vreinterpretq_s8_u8(vld1q_u8(row + offsetof(struct block_q6_k, scales)));
        }
    }
    widen_rows(s, out->s);
    if (type == TYPE_Q2_K) {
        widen_rows(n, out->n);
        vst1q_f32(out->m[0], halves_of_rows(p + offsetof(struct block_q2_k, dmin), row_bytes));
    }
    for (size_t i = 0; i < CHUNK; i++) {
        const bool is_16 = sums_of(type) == SUMS_16;
        vst1q_f32(out->d[i], is_16 ? vmulq_f32(d, vcvtq_f32_s32(vld1q_s32(out->s[2 * i]))) : d);
        if (is_16)
            vst1q_f32(out->m[i], vmulq_f32(d, vcvtq_f32_s32(vld1q_s32(out->s[2 * i + 1]))));
    }
}

/* Of n blocks from `first`, a multiple of CHUNK, on. */
INLINE void take_scales(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t first, size_t n,
                        struct scales *out)
{
    const uint8_t *p = block_at(type, panel, first);
    if (block_length(type) == CHUNK) {
        if (sums_apart(type))
            scales_of_16(type, p, row_bytes, out);
        else
            scales_k4(p, row_bytes, out);
        return;
    }
    for (size_t i = 0; i < n; i++, p += block_bytes(type)) {
        vst1q_f32(out->d[i], halves_of_rows(p, row_bytes));
        if (sums_of(type) == SUMS_MIN)
            vst1q_f32(out->m[i], halves_of_rows(p + 2, row_bytes));
    }
}

#endif
