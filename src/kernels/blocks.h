/* blocks.h - how weights stand in a file, byte by byte (GGML's formats). All are packed; nothing is aligned.
 *
 * v: the integers that products multiply (struct mul in kernels.h).
 *
 *     Q4_0  d | 16 bytes: low nibbles are items 0..15, high nibbles 16..31         v = nibble - 8
 *     Q4_1  d, m | the same                                                          v = nibble
 *     Q5_0  d | 32 fifth bits, item i at bit i | nibbles as Q4_0                     v = 5 bits - 16
 *     Q5_1  d, m | the same                                                          v = 5 bits
 *     Q8_0  d | 32 signed bytes                                                      v = byte
 *     IQ4_NL d | nibbles as Q4_0                                                     v = codes_iq4[nibble]
 *     MXFP4 1 byte e: d = 2^(e - 128) | nibbles as Q4_0                              v = codes_fp4[nibble]
 *     NVFP4 64 items; 4 bytes: d of 16 items each, see fp8_scale | 32 bytes: bytes 8 g.. of group g of 16 hold items
 *           0..7 in low nibbles, 8..15 in high ones                                  v = codes_fp4[nibble]
 *     Q1_0  128 items; d | item i at bit i                                           v = 1, or -1 where the bit is 0
 *     Q2_0  64 items; d | item i at bits 2 i and 2 i + 1                             v = 2 bits - 1
 *
 * Superblocks of 256 items; blocks b of 32; h = b / 4 is the half:
 *     Q2_K  16 bytes: low nibble scale, high nibble minimum of 16 items | 64 bytes: item i of block b has bits
 *           2(b % 4).. of byte 32 h + i | d, dmin                                    v = 2 bits
 *     Q3_K  32 bytes: item i of block b has its third bit at bit b of byte i | 64 bytes: low bits as Q2_K |
 *           12 bytes: sixteen 6-bit scales, plus 32 | d                              v = 3 bits - 4
 *     Q4_K  d, dmin | 12 bytes: eight 6-bit scales and minima | 128 bytes: blocks 2j and 2j + 1 are the low and high
 *           nibbles of bytes 32 j..                                                  v = nibble
 *     Q5_K  d, dmin | 12 bytes | 32 bytes: item i of block b has its fifth bit at bit b of byte i | 128 bytes as Q4_K
 *     Q6_K  128 bytes: blocks 0, 1 (4, 5) are low nibbles, 2, 3 (6, 7) high ones of bytes 64 h + 32 (b % 2).. |
 *           64 bytes: high two bits at bits 2(b % 4).. of byte 32 h + i | 16 signed scales of 16 items | d
 *                                                                                    v = 6 bits - 32
 *     IQ4_XS d | 16 bits: high two bits of block b's scale at 2 b | 4 bytes: low four bits, block b in nibble b; less
 * 32 | 128 bytes: 16 of each block, as Q4_0                                      v = codes_iq4[nibble] TQ2_0 64 bytes
 * as Q2_K | d                                                      v = 2 bits - 1 TQ1_0 48 + 4 bytes | d. Byte x holds
 * a base-3 fraction x / 256 of 5 (4) digits; digit n is (3^n x mod 256) * 3 / 256, rounded down. Items 32 n + i are
 * digit n of byte i < 32, 160 + 16 n + i of byte 32 + i, 240 + 4 n + i of byte 48 + i v = digit - 1
 *
 * Code books (grids.h): an index names 8 items (IQ3: 4); signs are a bit an item, set where it is negative. A sign
 * index of 7 bits stands for 8 signs of which an even number is set. IQ2_XXS d | per block 4 index bytes, then 32 bits:
 * 4 sign indices of 7, scale of 4        dw = d (2 scale + 1) / 8 IQ2_XS d | per 8 items 16 bits: index of 9, sign
 * index of 7 | per block a scale nibble for each 16 IQ2_S d | 32 bytes: low 8 bits of indices | 32 bytes: signs | per
 * block 8 bits: high 2 bits of its 4 indices | scales as IQ2_XS IQ3_XXS d | 64 index bytes | per block 32 bits as in
 * IQ2_XXS                              dw = d (2 scale + 1) / 4 IQ3_S d | 64 bytes: low 8 bits of indices | per block 8
 * bits: the ninth bits | 32 bytes: signs | 4 bytes: a scale nibble for each block dw = d (2 scale + 1) IQ1_S d | 32
 * bytes: low 8 bits of indices | per block 16 bits: high 3 bits of 4 indices, scale of 3, sign of the eighth that is
 * added to each item: v = 8 item + 1 or - 1                            dw = d (2 scale + 1) / 8 IQ1_M 32 bytes: low 8
 * bits of indices | 16 bytes: a nibble for each 8 items, high 3 bits of the index and the sign of the eighth | 4 words
 * of 16 bits: 4 scales of 3 bits for 16 items each; their highest nibbles are d */
#ifndef KERNELS_BLOCKS_H
#define KERNELS_BLOCKS_H

#include "kernels/half.h"
#include <stdint.h>
#include <string.h>

struct block_q4_0 {
    uint8_t d[2], qs[16];
};
struct block_q4_1 {
    uint8_t d[2], m[2], qs[16];
};
struct block_q5_0 {
    uint8_t d[2], qh[4], qs[16];
};
struct block_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
};
struct block_q8_0 {
    uint8_t d[2], qs[32];
};
struct block_iq4_nl {
    uint8_t d[2], qs[16];
};
struct block_mxfp4 {
    uint8_t e, qs[16];
};
struct block_nvfp4 {
    uint8_t d[4], qs[32];
};
struct block_q1_0 {
    uint8_t d[2], qs[16];
};
struct block_q2_0 {
    uint8_t d[2], qs[16];
};
struct block_q2_k {
    uint8_t scales[16], qs[64], d[2], dmin[2];
};
struct block_q3_k {
    uint8_t hmask[32], qs[64], scales[12], d[2];
};
struct block_q4_k {
    uint8_t d[2], dmin[2], scales[12], qs[128];
};
struct block_q5_k {
    uint8_t d[2], dmin[2], scales[12], qh[32], qs[128];
};
struct block_q6_k {
    uint8_t ql[128], qh[64], scales[16], d[2];
};
struct block_iq4_xs {
    uint8_t d[2], scales_h[2], scales_l[4], qs[128];
};
struct block_tq1_0 {
    uint8_t qs[48], qh[4], d[2];
};
struct block_tq2_0 {
    uint8_t qs[64], d[2];
};
struct block_iq2_xxs {
    uint8_t d[2], qs[64];
};
struct block_iq2_xs {
    uint8_t d[2], qs[64], scales[8];
};
struct block_iq2_s {
    uint8_t d[2], qs[32], signs[32], qh[8], scales[8];
};
struct block_iq3_xxs {
    uint8_t d[2], qs[64], signs[32];
};
struct block_iq3_s {
    uint8_t d[2], qs[64], qh[8], signs[32], scales[4];
};
struct block_iq1_s {
    uint8_t d[2], qs[32], qh[16];
};
struct block_iq1_m {
    uint8_t qs[32], qh[16], scales[8];
};

_Static_assert(sizeof(struct block_q3_k) == 110 && sizeof(struct block_q6_k) == 210, "blocks are packed");

static inline uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t load_u32(const uint8_t *p) { return (uint32_t)load_u16(p) | (uint32_t)load_u16(p + 2) << 16; }

static inline float load_half(const uint8_t *p) { return half_to_float(load_u16(p)); }

/* The eight 6-bit scales (out[0..7]) and minima (out[8..15]) of Q4_K and Q5_K. Bytes 0..3 hold the low six bits of
 * scales 0..3, bytes 4..7 those of minima 0..3; bytes 8..11 the low four bits of scales 4..7 and, above them, of
 * minima 4..7, whose high two bits are the high bits of bytes 0..7. */
static inline void k4_scales(uint8_t out[16], const uint8_t p[12])
{
    uint32_t a, b, c;
    memcpy(&a, p, 4);
    memcpy(&b, p + 4, 4);
    memcpy(&c, p + 8, 4);
    uint32_t word[4] = {a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030), b & 0x3f3f3f3f,
                        (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030)};
    memcpy(out, word, 16);
}

/* The sixteen 6-bit scales of Q3_K, less 32: low nibbles in bytes 0..7, high two bits in bytes 8..11. */
static inline void k3_scales(int8_t out[16], const uint8_t p[12])
{
    for (int i = 0; i < 16; i++) {
        int low = i < 8 ? p[i] & 15 : p[i - 8] >> 4, high = p[8 + i % 4] >> (2 * (i / 4)) & 3;
        out[i] = (int8_t)((low | high << 4) - 32);
    }
}

/* NVFP4's scale, halved because codes_fp4 are doubled: x is 4 bits of exponent (bias 7) above 3 of fraction; 0x7f is 0
 * and the top bit has no meaning. An integer times 2^-10. */
static inline float fp8_scale(uint8_t x)
{
    const int exponent = x >> 3 & 15, whole = (x & 7) | (exponent ? 8 : 0);
    return x == 0x7f ? 0.0f : (float)(whole << (exponent ? exponent - 1 : 0)) * 0x1p-10f;
}

/* The eight signs of a 7-bit index: the eighth makes the number of those set even. */
static inline uint8_t signs_of_7(uint32_t index)
{
    index &= 127;
    uint32_t odd = index ^ index >> 4;
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    return (uint8_t)(index | (odd & 1) << 7);
}

#endif
