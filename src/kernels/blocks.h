/* blocks.h - how weights stand in a file, byte by byte (GGML's formats). All are packed; nothing is aligned.
 *
 * v: the integers that products multiply (struct mul in kernels.h).
 *
 *     Q4_0  d | 16 bytes: low nibbles are items 0..15, high nibbles 16..31         v = nibble - 8
 *     Q4_1  d, m | the same                                                          v = nibble
 *     Q5_0  d | 32 fifth bits, item i at bit i | nibbles as Q4_0                     v = 5 bits - 16
 *     Q5_1  d, m | the same                                                          v = 5 bits
 *     Q8_0  d | 32 signed bytes                                                      v = byte
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
 *                                                                                    v = 6 bits - 32 */
#ifndef KERNELS_BLOCKS_H
#define KERNELS_BLOCKS_H

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

_Static_assert(sizeof(struct block_q3_k) == 110 && sizeof(struct block_q6_k) == 210, "blocks are packed");

static inline uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

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

#endif
