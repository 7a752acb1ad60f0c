/* scales.h - scales of eight blocks of a panel at once, for products.c; those of code books: books.h. */
#ifndef KERNELS_X86_SCALES_H
#define KERNELS_X86_SCALES_H

#include "kernels/x86/types.h"
#include <stddef.h>

/* ---- blocks of 32, 64 and 128 ---- */

/* MXFP4: 2^(e - 128) from the lowest byte of each word. */
INLINE vf power_of_byte(vi v)
{
    const vi e = vi_and(v, V(set1_epi32)(255)), one = V(set1_epi32)(1);
    const vi small = V(sllv_epi32)(V(set1_epi32)(0x200000), e); /* 0 from e = 11 on */
    const vi bits = V(slli_epi32)(V(sub_epi32)(V(max_epi32)(e, one), one), 23);
    return vf_of_bits(vi_choose(V(set1_epi32)(2), e, small, bits));
}

/* NVFP4: fp8_scale (blocks.h) of byte i of each word. */
INLINE vf fp8_of_byte(vi v, int i)
{
    const vi x = vi_and(V(srli_epi32)(v, 8 * i), V(set1_epi32)(255)), one = V(set1_epi32)(1);
    const vi exponent = vi_and(V(srli_epi32)(x, 3), V(set1_epi32)(15)), fraction = vi_and(x, V(set1_epi32)(7));
    const vi normal = V(min_epi32)(exponent, one); /* 0: subnormal */
    const vi whole = V(sllv_epi32)(vi_or(fraction, V(slli_epi32)(normal, 3)), V(sub_epi32)(exponent, normal));
    const vi zero = V(set1_epi32)(0), none = vi_xor(x, V(set1_epi32)(0x7f));
    return V(mul_ps)(V(cvtepi32_ps)(vi_choose(one, none, zero, whole)), V(set1_ps)(0x1p-10f));
}

/* Scales stand in the first 32 bits of a block of 32, 64 or 128. */
INLINE bool has_first_word(uint32_t type) { return block_length(type) < CHUNK; }

/* They are one half, and copied as such: where a panel has 8 rows, shifting takes longer than storing twice as much. */
INLINE bool copies_halves(uint32_t type)
{
    return WIDTH == 16 && has_first_word(type) && sums_of(type) == SUMS_PLAIN && type != TYPE_MXFP4;
}

/* Compilers would bring such words together in vectors, which takes longer. */
INLINE uint32_t in_scalar_register(uint32_t word)
{
    __asm__("" : "+r"(word));
    return word;
}

/* The first word of block b of each row, or the first halves of two rows in a word: stores are what is scarce. */
INLINE void copy_words(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, uint32_t out[WIDTH])
{
    const uint8_t *p = block_at(type, panel, b);
    if (copies_halves(type)) {
        for (size_t r = 0; r < WIDTH; r += 2) {
            const uint32_t low = load_u16(p + r * row_bytes), high = load_u16(p + (r + 1) * row_bytes);
            out[r / 2] = in_scalar_register(high << 16 | low);
        }
        return;
    }
    for (size_t r = 0; r < WIDTH; r++) {
        uint32_t word;
        memcpy(&word, p + r * row_bytes, 4);
        out[r] = in_scalar_register(word);
    }
}

/* Scales of block b from what copy_words wrote. */
INLINE vf scale_of_words(uint32_t type, const uint32_t words[WIDTH], size_t b)
{
    if (copies_halves(type))
        return vf_of_half(words);
    const vi v = vi_load(words);
    if (type == TYPE_NVFP4)
        return b % 2 ? fp8_of_byte(v, 2) : fp8_of_byte(v, 0);
    return type == TYPE_MXFP4 ? power_of_byte(v) : vf_low_half(v);
}

/* Minima, or second scales, of types that have them. */
INLINE vf second_of_words(uint32_t type, const uint32_t words[WIDTH], size_t b)
{
    const vi v = vi_load(words);
    if (type == TYPE_NVFP4)
        return b % 2 ? fp8_of_byte(v, 3) : fp8_of_byte(v, 1);
    return vf_high_half(v);
}

/* n: CHUNK, or fewer at a row's end. */
INLINE void scales_first(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t n, struct scales *out)
{
    uint32_t words[CHUNK][WIDTH];
    for (size_t b = 0; b < n; b++)
        copy_words(type, panel, row_bytes, b, words[b]);
    for (size_t b = 0; b < n; b++) {
        V(storeu_ps)(out->d[b], scale_of_words(type, words[b], b));
        if (sums_of(type) != SUMS_PLAIN)
            V(storeu_ps)(out->m[b], second_of_words(type, words[b], b));
    }
}

/* ---- superblocks ---- */

/* TQ1_0, TQ2_0: one at the end. */
INLINE void scales_last(uint32_t type, const uint8_t *panel, size_t row_bytes, struct scales *out)
{
    const vf d = halves_of_rows(panel + block_bytes(type) - 2, row_bytes);
    for (size_t b = 0; b < CHUNK; b++)
        V(storeu_ps)(out->d[b], d);
}

INLINE void scales_iq4_xs(const uint8_t *panel, size_t row_bytes, struct scales *out)
{
    const vi first = words_of_rows(panel, row_bytes);
    const vi high = V(srli_epi32)(first, 16), low = words_of_rows(panel + 4, row_bytes);
    const vf d = vf_low_half(first);
    for (int b = 0; b < CHUNK; b++) {
        const vi four = vi_and(vi_shift_right(low, 4 * b), V(set1_epi32)(15));
        const vi two = vi_and(vi_shift_right(high, 2 * b), V(set1_epi32)(3));
        const vi scale = V(sub_epi32)(vi_or(four, V(slli_epi32)(two, 4)), V(set1_epi32)(32));
        V(storeu_ps)(out->d[b], V(mul_ps)(d, V(cvtepi32_ps)(scale)));
    }
}

/* Bytes of rows to rows of bytes: lane i of register j holds 16 bytes of row 4 i + j; out[c] gets byte c of all rows.
 */
INLINE void transpose_bytes(const vi v[4], int8_t out[16][WIDTH])
{
    uint32_t place[WIDTH];
    for (uint32_t lane = 0; lane < N_LANES; lane++)
        for (uint32_t c = 0; c < 4; c++)
            place[c * N_LANES + lane] = lane * 4 + c;
    const vi at = vi_load(place);
    vi a = V(unpacklo_epi8)(v[0], v[1]), b = V(unpackhi_epi8)(v[0], v[1]);
    vi c = V(unpacklo_epi8)(v[2], v[3]), d = V(unpackhi_epi8)(v[2], v[3]);
    vi_store(out[0], vi_permute(V(unpacklo_epi16)(a, c), at));
    vi_store(out[4], vi_permute(V(unpackhi_epi16)(a, c), at));
    vi_store(out[8], vi_permute(V(unpacklo_epi16)(b, d), at));
    vi_store(out[12], vi_permute(V(unpackhi_epi16)(b, d), at));
}

/* k4_scales (blocks.h) in each lane: eight scales, then eight minima. */
INLINE vi unpack_k4(vi v)
{
    const vi low = V(srlv_epi32)(V(shuffle_epi32)(v, 0x98), vi_lanes(_mm_set_epi32(4, 0, 0, 0)));
    const vi high = V(srli_epi32)(V(shuffle_epi32)(v, 0x40), 2);
    return vi_or(vi_and(low, vi_lanes(_mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f))),
                 vi_and(high, vi_lanes(_mm_set_epi32(0x30303030, 0, 0x30303030, 0))));
}

/* k3_scales in each lane, whose bytes 2..13 are the packed ones. */
INLINE vi unpack_k3(vi v)
{
    const vi low = V(shuffle_epi8)(v, vi_lanes(_mm_set_epi32(0x09080706, 0x05040302, 0x09080706, 0x05040302)));
    const vi high = V(shuffle_epi8)(v, vi_lanes(_mm_set1_epi32(0x0d0c0b0a)));
    const vi a = vi_and(V(srlv_epi32)(low, vi_lanes(_mm_set_epi32(4, 4, 0, 0))), vi_bytes(15));
    const vi b = vi_and(V(srlv_epi32)(high, vi_lanes(_mm_set_epi32(6, 4, 2, 0))), vi_bytes(3));
    return V(sub_epi8)(vi_or(a, V(slli_epi32)(b, 4)), vi_bytes(32));
}

INLINE void scales_k4(const uint8_t *panel, size_t row_bytes, struct scales *out)
{
    int8_t packed[16][WIDTH];
    vi v[4];
    for (size_t j = 0; j < 4; j++)
        v[j] = unpack_k4(vi_gather(panel + j * row_bytes + 4, 4 * row_bytes));
    transpose_bytes(v, packed);
    const vi words = words_of_rows(panel, row_bytes);
    const vf d = vf_low_half(words), dmin = V(xor_ps)(vf_high_half(words), V(set1_ps)(-0.0f));
    for (size_t b = 0; b < CHUNK; b++) {
        V(storeu_ps)(out->d[b], V(mul_ps)(d, V(cvtepi32_ps)(vi_widen_u8(packed[b]))));
        V(storeu_ps)(out->m[b], V(mul_ps)(dmin, V(cvtepi32_ps)(vi_widen_u8(packed[8 + b]))));
    }
}

INLINE void scales_of_16(uint32_t type, const uint8_t *panel, size_t row_bytes, struct scales *out)
{
    const size_t at = type == TYPE_Q2_K ? 0 : type == TYPE_Q3_K ? 94 : 192;
    vi v[4];
    for (size_t j = 0; j < 4; j++) {
        v[j] = vi_gather(panel + j * row_bytes + at, 4 * row_bytes);
        if (type == TYPE_Q3_K)
            v[j] = unpack_k3(v[j]);
    }
    vf d;
    if (type == TYPE_Q2_K) {
        vi low[4], high[4];
        for (size_t j = 0; j < 4; j++) {
            low[j] = vi_and(v[j], vi_bytes(15));
            high[j] = vi_and(V(srli_epi16)(v[j], 4), vi_bytes(15));
        }
        transpose_bytes(low, out->s);
        transpose_bytes(high, out->n);
        const vi words = words_of_rows(panel + offsetof(struct block_q2_k, d), row_bytes);
        d = vf_low_half(words);
        V(storeu_ps)(out->m[0], vf_high_half(words));
    } else {
        transpose_bytes(v, out->s);
        d = halves_of_rows(panel + block_bytes(type) - 2, row_bytes);
    }
    for (size_t b = 0; b < CHUNK; b++)
        V(storeu_ps)(out->d[b], d);
}

#endif
