/* fetch.h - items of a panel's block of 32 as unsigned bytes (offset_of), for products.c; those of code books: books.h.
 */
#ifndef KERNELS_X86_FETCH_H
#define KERNELS_X86_FETCH_H

#include "kernels/grids.h"
#include "kernels/x86/types.h"

/* ---- a byte or a nibble an item, and perhaps a fifth bit ---- */

/* 2 where an item's bit is set; its 16 bits stand in bytes `from` and `from + 1` of each lane. */
INLINE vi bytes_of_bits(vi bits, size_t from)
{
    const vi pick = vi_lanes(_mm_set_epi64x(0x0101010101010101, 0));
    return V(shuffle_epi8)(bits, V(add_epi8)(pick, vi_bytes((int)from)));
}

INLINE vi or_bits(vi v, vi bits, size_t from, int set)
{
    const vi bit = vi_lanes(_mm_set1_epi64x((long long)0x8040201008040201u));
    return vi_or_where(v, bytes_of_bits(bits, from), bit, vi_bytes(set));
}

/* p: the block in row j of a register; step: from one lane's row to the next. */
INLINE void fetch_bytes(uint32_t type, const uint8_t *p, size_t step, vi *lo, vi *hi)
{
    const vi flip = vi_bytes(signed_bytes(type) ? 0 : -128);
    *lo = vi_xor(vi_gather(p + 2, step), flip);
    *hi = vi_xor(vi_gather(p + 18, step), flip);
}

INLINE bool has_nibbles(uint32_t type)
{
    switch (type) {
    case TYPE_Q4_0:
    case TYPE_Q4_1:
    case TYPE_Q5_0:
    case TYPE_Q5_1:
    case TYPE_IQ4_NL:
    case TYPE_IQ4_XS:
    case TYPE_MXFP4:
    case TYPE_NVFP4: return true;
    default: return false;
    }
}

/* Where the 16 bytes of nibbles of block b of 32 begin: items 0..15 are their low halves, the others the high ones. In
 * NVFP4 eight bytes hold 16 items so. */
INLINE size_t nibbles_at(uint32_t type, size_t b)
{
    switch (type) {
    case TYPE_MXFP4: return 1;
    case TYPE_IQ4_NL: return 2;
    case TYPE_NVFP4: return 4 + 16 * (b % 2);
    case TYPE_IQ4_XS: return 8 + 16 * b;
    default: return block_bytes(type) - 16;
    }
}

/* Nibbles, or the codes that they name. */
INLINE vi low_items(uint32_t type, vi bytes)
{
    const vi nibbles = vi_and(bytes, vi_bytes(15));
    if (type != TYPE_MXFP4 && type != TYPE_NVFP4 && type != TYPE_IQ4_NL && type != TYPE_IQ4_XS)
        return nibbles;
    const int8_t *codes = type == TYPE_MXFP4 || type == TYPE_NVFP4 ? codes_fp4 : codes_iq4;
    const vi table = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)codes));
    return V(shuffle_epi8)(V(add_epi8)(table, vi_bytes(offset_of(type))), nibbles);
}
INLINE vi high_items(uint32_t type, vi bytes) { return low_items(type, V(srli_epi16)(bytes, 4)); }
INLINE bool has_fifth_bits(uint32_t type) { return type == TYPE_Q5_0 || type == TYPE_Q5_1; }

INLINE void fetch_nibbles(uint32_t type, const uint8_t *p, size_t step, size_t b, vi *lo, vi *hi)
{
    const size_t at = nibbles_at(type, b);
    const vi qs = vi_gather(p + at, step);
    *lo = low_items(type, qs);
    *hi = high_items(type, qs);
    if (has_fifth_bits(type)) {
        const vi qh = vi_gather(p + at - 4, step);
        *lo = or_bits(*lo, qh, 0, 16);
        *hi = or_bits(*hi, qh, 2, 16);
    }
    if (type == TYPE_NVFP4) {
        const vi a = *lo, c = *hi;
        *lo = V(unpacklo_epi64)(a, c);
        *hi = V(unpackhi_epi64)(a, c);
    }
}

/* ---- one or two bits an item, one after the other ---- */

INLINE void fetch_q1_0(const uint8_t *p, size_t step, size_t b, vi *lo, vi *hi)
{
    const vi bits = vi_gather(p + 2, step);
    *lo = or_bits(vi_bytes(0), bits, 4 * b, 2);
    *hi = or_bits(vi_bytes(0), bits, 4 * b + 2, 2);
}

/* Item i from bits 2 (i % 4).. of byte `from + i / 4` of each lane. */
INLINE vi two_bits_in_row(vi v, size_t from)
{
    const vi pick = vi_lanes(_mm_set_epi32(0x03030303, 0x02020202, 0x01010101, 0));
    const vi four = V(shuffle_epi8)(v, V(add_epi8)(pick, vi_bytes((int)from)));
    const vi two = vi_or(vi_and(four, V(set1_epi32)(0x0000ffff)),
                         vi_and(V(srli_epi16)(four, 4), V(set1_epi32)((int)0xffff0000)));
    return vi_or(vi_and(two, V(set1_epi16)(0x0003)), vi_and(V(srli_epi16)(two, 2), V(set1_epi16)(0x0300)));
}

INLINE void fetch_q2_0(const uint8_t *p, size_t step, size_t b, vi *lo, vi *hi)
{
    const vi qs = vi_gather(p + 2, step);
    *lo = two_bits_in_row(qs, 8 * b);
    *hi = two_bits_in_row(qs, 8 * b + 4);
}

/* ---- base-3 digits ---- */

/* Digit n of each byte; powers: 3^n in 16 bits. */
INLINE vi digits(vi v, vi powers)
{
    const vi three = V(set1_epi16)(3);
    const vi even = V(mulhi_epu16)(V(mullo_epi16)(V(slli_epi16)(v, 8), powers), three);
    const vi odd = V(mulhi_epu16)(V(mullo_epi16)(vi_and(v, V(set1_epi16)((short)0xff00)), powers), three);
    return vi_or(even, V(slli_epi16)(odd, 8));
}

/* ---- superblocks ---- */

/* The bytes of items of a panel's superblock, read once for its eight blocks: lane i of raw[c][j] holds 16 bytes of row
 * 4 i + j, the c-th 16 from raw_offset on. */
enum { RAW = 12 };

/* 0 for types whose bytes are read block by block. */
INLINE size_t raw_columns(uint32_t type)
{
    static const uint8_t columns[TYPE_LIMIT] = {[TYPE_Q2_K] = 4,  [TYPE_Q3_K] = 6,  [TYPE_Q4_K] = 8, [TYPE_Q5_K] = 10,
                                                [TYPE_Q6_K] = 12, [TYPE_TQ1_0] = 4, [TYPE_TQ2_0] = 4};
    return columns[type];
}
INLINE bool has_raw(uint32_t type) { return raw_columns(type) > 0; }

INLINE size_t raw_offset(uint32_t type, size_t c)
{
    if (type == TYPE_TQ1_0 && c == 3)
        return 38; /* its last four bytes of items, and not beyond the block */
    return 16 * c + (type == TYPE_Q2_K || type == TYPE_Q4_K || type == TYPE_Q5_K ? 16 : 0);
}

/* 4 x 4 words in each lane: register j's word c goes to register c's word j. Lane i of register j held 16 bytes of row
 * 4 i + j; word r of register c holds bytes 4 c.. of row r then. */
INLINE void transpose_words(vi v[4])
{
    const vi a = V(unpacklo_epi32)(v[0], v[1]), b = V(unpackhi_epi32)(v[0], v[1]);
    const vi c = V(unpacklo_epi32)(v[2], v[3]), d = V(unpackhi_epi32)(v[2], v[3]);
    v[0] = V(unpacklo_epi64)(a, c);
    v[1] = V(unpackhi_epi64)(a, c);
    v[2] = V(unpacklo_epi64)(b, d);
    v[3] = V(unpackhi_epi64)(b, d);
}

/* Items of a superblock can be taken of its transposed bytes. */
INLINE bool has_raw_words(uint32_t type) { return has_raw(type) && type != TYPE_TQ1_0; }

/* The block that needs column c first: until then, registers hold others. */
INLINE size_t raw_first_block(uint32_t type, size_t c)
{
    switch (type) {
    case TYPE_TQ2_0:
    case TYPE_Q2_K: return c / 2 * 4;
    case TYPE_Q3_K: return c < 2 ? 0 : (c - 2) / 2 * 4;
    case TYPE_Q4_K: return c / 2 * 2;
    case TYPE_Q5_K: return c < 2 ? 0 : (c - 2) / 2 * 2;
    case TYPE_Q6_K: return c < 8 ? c / 4 * 4 + c / 2 % 2 : (c - 8) / 2 * 4;
    default: return 0;
    }
}

/* The columns that block b needs first; as words where `as_words`, and where the type has_raw_words. */
INLINE void read_raw(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, bool as_words, vi raw[RAW][4])
{
#pragma GCC unroll 12
    for (size_t c = 0; c < raw_columns(type); c++) {
        if (raw_first_block(type, c) != b)
            continue;
        for (size_t j = 0; j < 4; j++)
            raw[c][j] = vi_gather(panel + j * row_bytes + raw_offset(type, c), 4 * row_bytes);
        if (as_words && has_raw_words(type))
            transpose_words(raw[c]);
    }
}

/* 16 items of block b; half: 0 or 1. */
INLINE vi fetch_tq1_0(vi raw[RAW][4], size_t j, size_t b, size_t half)
{
    static const int16_t powers[5] = {1, 3, 9, 27, 81};
    if (b == 7 && half) { /* four digits of four bytes */
        const vi bytes = V(shuffle_epi8)(raw[3][j], vi_lanes(_mm_set1_epi32(0x0d0c0b0a)));
        return digits(bytes, vi_lanes(_mm_set_epi16(27, 27, 9, 9, 3, 3, 1, 1)));
    }
    const size_t n = b < 5 ? b : 2 * (b - 5) + half;
    return digits(raw[b < 5 ? half : 2][j], V(set1_epi16)(powers[n]));
}

/* Two bits an item; raw: the four columns that hold them. */
INLINE vi two_bits(vi raw[][4], size_t j, size_t b, size_t half)
{
    return vi_and(vi_shift_right(raw[2 * (b / 4) + half][j], (int)(2 * (b % 4))), vi_bytes(3));
}

/* Nibbles; raw: the eight columns. */
INLINE vi four_bits(vi raw[][4], size_t j, size_t b, size_t half)
{
    return vi_and(vi_shift_right(raw[2 * (b / 2) + half][j], (int)(4 * (b % 2))), vi_bytes(15));
}

INLINE vi six_bits(vi raw[][4], size_t j, size_t b, size_t half)
{
    const int quarter = (int)b % 4;
    const vi low = raw[4 * (b / 4) + 2 * ((size_t)quarter % 2) + half][j], high = raw[8 + 2 * (b / 4) + half][j];
    const vi four = quarter < 2 ? low : V(srli_epi16)(low, 4);
    const vi two = quarter < 2 ? V(slli_epi16)(high, 4 - 2 * quarter) : V(srli_epi16)(high, 2 * quarter - 4);
    return vi_and(vi_select(vi_bytes(15), four, two), vi_bytes(63));
}

/* v | bit b of each byte of x as bit `to`. */
INLINE vi or_bit(vi v, vi x, size_t b, size_t to)
{
    const vi moved = b < to ? V(slli_epi16)(x, (int)(to - b)) : vi_shift_right(x, (int)(b - to));
    return vi_or_and(v, moved, vi_bytes(1 << to));
}

/* Register j of 16 items of block b of a superblock. */
INLINE vi fetch_raw(uint32_t type, vi raw[RAW][4], size_t j, size_t b, size_t half)
{
    switch (type) {
    case TYPE_TQ1_0: return fetch_tq1_0(raw, j, b, half);
    case TYPE_TQ2_0:
    case TYPE_Q2_K: return two_bits(raw, j, b, half);
    case TYPE_Q3_K: return or_bit(two_bits(raw + 2, j, b, half), raw[half][j], b, 2);
    case TYPE_Q4_K: return four_bits(raw, j, b, half);
    case TYPE_Q5_K: return or_bit(four_bits(raw + 2, j, b, half), raw[half][j], b, 4);
    default: return six_bits(raw, j, b, half); /* Q6_K */
    }
}

/* Registers j of block b of 32 of a row of other types; p: the block of the file that holds it, in row j. */
INLINE void fetch_row(uint32_t type, const uint8_t *p, size_t step, size_t b, vi *lo, vi *hi)
{
    if (has_nibbles(type))
        fetch_nibbles(type, p, step, b, lo, hi);
    else if (type == TYPE_Q8_0)
        fetch_bytes(type, p, step, lo, hi);
    else if (type == TYPE_Q1_0)
        fetch_q1_0(p, step, b % 4, lo, hi);
    else
        fetch_q2_0(p, step, b % 2, lo, hi);
}

/* ---- words: four items of each row ---- */

/* 16 where bit 4 c + k of the word of `bits` is set, in byte k of word c. */
INLINE vi or_bits_of_word(vi v, vi bits, int c)
{
    const vi pick = vi_lanes(_mm_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0));
    const vi bytes = V(shuffle_epi8)(bits, V(add_epi8)(pick, vi_bytes(c / 2)));
    return vi_or_where(v, bytes, V(set1_epi32)(c % 2 ? (int)0x80402010 : 0x08040201), vi_bytes(16));
}

/* Block b of 32 as words w[8]; p: the block of the file that holds it, of the panel's first row. */
INLINE void nibble_words(uint32_t type, const uint8_t *p, size_t row_bytes, size_t b, vi w[8])
{
    const size_t at = nibbles_at(type, b);
    vi v[4], bits[4];
    for (size_t j = 0; j < 4; j++)
        v[j] = vi_gather(p + j * row_bytes + at, 4 * row_bytes);
    transpose_words(v);
    for (size_t j = 0; j < 4; j++) {
        const size_t low = type == TYPE_NVFP4 && j >= 2 ? j + 2 : j;
        w[low] = low_items(type, v[j]);
        w[low + (type == TYPE_NVFP4 ? 2 : 4)] = high_items(type, v[j]);
    }
    if (!has_fifth_bits(type))
        return;
    for (size_t j = 0; j < 4; j++)
        bits[j] = vi_gather(p + j * row_bytes + at - 4, 4 * row_bytes);
    transpose_words(bits);
    for (int c = 0; c < 8; c++)
        w[c] = or_bits_of_word(w[c], bits[0], c);
}

#endif
