/* books.h - items and scales of the types whose items come from code books (IQ1, IQ2, IQ3), for products.c.
 *
 * Entries are looked up one by one, for a superblock of every row of a panel, into `struct book`; signs and scales are
 * unpacked with rows side by side. */
#ifndef KERNELS_X86_BOOKS_H
#define KERNELS_X86_BOOKS_H

#include "kernels/grids.h"
#include "kernels/x86/types.h"

/* A panel's superblock, looked up. Rows stand as in struct items: lane i of register j is row 4 i + j. */
struct book {
    uint64_t entries[CHUNK][2][4][2 * N_LANES]; /* of each block: half, register, lane */
    uint16_t signs[CHUNK][2][4][N_LANES];       /* bit i: item i is negative; not IQ1 */
    uint32_t words[CHUNK][WIDTH];               /* what entries_of returned, rows in order */
};

INLINE uint32_t load_word(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

INLINE uint64_t two_words(uint32_t a, uint32_t b) { return a | (uint64_t)b << 32; }

/* ---- entries ---- */

/* Four words of 16 bits: index of 9, sign index of 7; the latter come back beside each other. */
INLINE uint32_t entries_iq2_xs(const uint8_t *qs, uint64_t v[4])
{
    uint32_t signs = 0;
    for (int l = 0; l < 4; l++) {
        const uint32_t code = load_u16(qs + 2 * l);
        v[l] = grid_iq2_xs[code & 511];
        signs |= code >> 9 << (7 * l);
    }
    return signs;
}

INLINE void entries_iq3_s(const uint8_t *qs, uint32_t high, uint64_t v[4])
{
    for (int l = 0; l < 4; l++) {
        const uint32_t a = high << (8 - 2 * l) & 256, b = high << (7 - 2 * l) & 256;
        v[l] = two_words(grid_iq3_s[qs[2 * l] | a], grid_iq3_s[qs[2 * l + 1] | b]);
    }
}

/* Eight items of IQ1 in eighths, less the offset: 2 more where the eighth is added. negative: 0 or 1; no branch, which
 * would be mispredicted. */
INLINE uint64_t eighths(uint32_t index, uint32_t negative)
{
    return grid_iq1[index] + 0x0202020202020202u * (negative ^ 1);
}

INLINE uint32_t entries_iq1_s(const uint8_t *qs, uint32_t high, uint64_t v[4])
{
    for (int l = 0; l < 4; l++)
        v[l] = eighths(qs[l] | (high >> (3 * l) & 7) << 8, high >> 15);
    return high;
}

INLINE void entries_iq1_m(const uint8_t *qs, uint32_t high, uint64_t v[4])
{
    for (int l = 0; l < 4; l++)
        v[l] = eighths(qs[l] | (high >> (4 * l) & 7) << 8, high >> (4 * l + 3) & 1);
}

/* The four times eight items of block b of superblock p, without signs; returns the block's word of signs (sign
 * indices) and scales. */
INLINE uint32_t entries_of(uint32_t type, const uint8_t *p, size_t b, uint64_t v[4])
{
    const uint8_t *qs = p + 2 + 8 * b;
    switch (type) {
    case TYPE_IQ2_XXS:
        for (int l = 0; l < 4; l++)
            v[l] = grid_iq2_xxs[qs[l]];
        return load_word(qs + 4);
    case TYPE_IQ2_XS: return entries_iq2_xs(qs, v);
    case TYPE_IQ2_S:
        qs = p + 2 + 4 * b;
        for (int l = 0; l < 4; l++)
            v[l] = grid_iq2_s[qs[l] | ((uint32_t)p[66 + b] << (8 - 2 * l) & 0x300)];
        return load_word(qs + 32);
    case TYPE_IQ3_XXS:
        for (int l = 0; l < 4; l++)
            v[l] = two_words(grid_iq3_xxs[qs[2 * l]], grid_iq3_xxs[qs[2 * l + 1]]);
        return load_word(p + 66 + 4 * b);
    case TYPE_IQ3_S: entries_iq3_s(qs, p[66 + b], v); return load_word(p + 74 + 4 * b);
    case TYPE_IQ1_S: return entries_iq1_s(p + 2 + 4 * b, load_u16(p + 34 + 2 * b), v);
    default: entries_iq1_m(p + 4 * b, load_u16(p + 32 + 2 * b), v); return 0;
    }
}

INLINE bool has_signs(uint32_t type) { return type != TYPE_IQ1_S && type != TYPE_IQ1_M; }
INLINE bool has_sign_indices(uint32_t type)
{
    return type == TYPE_IQ2_XXS || type == TYPE_IQ2_XS || type == TYPE_IQ3_XXS;
}

/* Four sign indices of 7 bits in each word: signs_of_7 (blocks.h). */
INLINE vi signs_of_indices(vi w)
{
    vi v = vi_and(w, V(set1_epi32)(0x7f));
    v = vi_or(v, vi_and(V(slli_epi32)(w, 1), V(set1_epi32)(0x7f00)));
    v = vi_or(v, vi_and(V(slli_epi32)(w, 2), V(set1_epi32)(0x7f0000)));
    v = vi_or(v, vi_and(V(slli_epi32)(w, 3), V(set1_epi32)(0x7f000000)));
    vi odd = vi_xor(v, V(srli_epi32)(v, 4));
    odd = vi_xor(odd, V(srli_epi32)(odd, 2));
    odd = vi_xor(odd, V(srli_epi32)(odd, 1));
    return vi_or(v, V(slli_epi32)(vi_and(odd, V(set1_epi32)(0x01010101)), 7));
}

/* Words of rows to halves of words, in the order of struct book. */
INLINE void store_signs(vi words, uint16_t out[2][4][N_LANES])
{
    uint32_t place[WIDTH];
    for (uint32_t r = 0; r < WIDTH; r++)
        place[r % 4 * N_LANES + r / 4] = r;
    const vi v = vi_permute(words, vi_load(place));
    vi_store_u16(out[0], v);
    vi_store_u16(out[1], V(srli_epi32)(v, 16));
}

/* ---- scales ---- */

/* Of one scale a block: d times 2 scale + 1, and `unit`. */
INLINE void scale_block(float *out, vf d, vi scale)
{
    const vi odd = vi_or(V(add_epi32)(scale, scale), V(set1_epi32)(1));
    V(storeu_ps)(out, V(mul_ps)(d, V(cvtepi32_ps)(odd)));
}

INLINE void scale_half(int8_t *out, vi scale) { vi_store_i8(out, vi_or(V(add_epi32)(scale, scale), V(set1_epi32)(1))); }

INLINE void scales_iq2(uint32_t type, const uint8_t *panel, size_t row_bytes, struct scales *out)
{
    const uint8_t *at = panel + block_bytes(type) - 8;
    const vi words[2] = {words_of_rows(at, row_bytes), words_of_rows(at + 4, row_bytes)};
    for (size_t h = 0; h < 2 * CHUNK; h++)
        scale_half(out->s[h], vi_and(vi_shift_right(words[h / 8], (int)(4 * (h % 8))), V(set1_epi32)(15)));
}

/* Returns d, which stands in the highest nibbles of four words of 16 bits. */
INLINE vf scales_iq1_m(const uint8_t *panel, size_t row_bytes, struct scales *out)
{
    const vi words[2] = {words_of_rows(panel + 48, row_bytes), words_of_rows(panel + 52, row_bytes)};
    for (size_t h = 0; h < 2 * CHUNK; h++) {
        const vi v = vi_shift_right(words[h / 8], (int)(16 * (h / 4 % 2) + 3 * (h % 4)));
        scale_half(out->s[h], vi_and(v, V(set1_epi32)(7)));
    }
    vi d = vi_and(V(srli_epi32)(words[0], 12), V(set1_epi32)(0x000f));
    d = vi_or(d, vi_and(V(srli_epi32)(words[0], 24), V(set1_epi32)(0x00f0)));
    d = vi_or(d, vi_and(V(srli_epi32)(words[1], 4), V(set1_epi32)(0x0f00)));
    return vf_low_half(vi_or(d, vi_and(V(srli_epi32)(words[1], 16), V(set1_epi32)(0xf000))));
}

INLINE void scales_of_book(uint32_t type, const uint8_t *panel, size_t row_bytes, const struct book *book,
                           struct scales *out)
{
    vf d = type == TYPE_IQ1_M ? scales_iq1_m(panel, row_bytes, out) : halves_of_rows(panel, row_bytes);
    if (type != TYPE_IQ3_S)
        d = V(mul_ps)(d, V(set1_ps)(type == TYPE_IQ3_XXS ? 0.25f : 0.125f));
    if (type == TYPE_IQ2_XS || type == TYPE_IQ2_S)
        scales_iq2(type, panel, row_bytes, out);
    const vi nibbles = type == TYPE_IQ3_S ? words_of_rows(panel + 106, row_bytes) : V(set1_epi32)(0);
    for (int b = 0; b < CHUNK; b++) {
        const vi words = vi_load(book->words[b]);
        switch (type) {
        case TYPE_IQ2_XXS:
        case TYPE_IQ3_XXS: scale_block(out->d[b], d, V(srli_epi32)(words, 28)); break;
        case TYPE_IQ1_S: scale_block(out->d[b], d, vi_and(V(srli_epi32)(words, 12), V(set1_epi32)(7))); break;
        case TYPE_IQ3_S: scale_block(out->d[b], d, vi_and(vi_shift_right(nibbles, 4 * b), V(set1_epi32)(15))); break;
        default: V(storeu_ps)(out->d[b], d);
        }
    }
}

/* ---- a panel's superblock ---- */

/* Left alone, compilers put such numbers into vectors before they store them, which takes two to three times as long.
 */
INLINE uint64_t in_register(uint64_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

INLINE void look_up(uint32_t type, const uint8_t *panel, size_t row_bytes, struct book *book)
{
    for (size_t r = 0; r < WIDTH; r++)
        for (size_t b = 0; b < CHUNK; b++) {
            uint64_t v[4];
            book->words[b][r] = entries_of(type, panel + r * row_bytes, b, v);
            for (size_t l = 0; l < 4; l++)
                book->entries[b][l / 2][r % 4][r / 4 * 2 + l % 2] = in_register(v[l]);
        }
    for (size_t b = 0; b < CHUNK && has_signs(type); b++) {
        const vi words = vi_load(book->words[b]);
        store_signs(has_sign_indices(type) ? signs_of_indices(words) : words, book->signs[b]);
    }
}

/* In a function of its own, whose loops get all registers. */
static __attribute__((noinline)) void open_book(uint32_t type, const uint8_t *panel, size_t row_bytes,
                                                struct book *book)
{
    switch (type) {
    case TYPE_IQ1_S: look_up(TYPE_IQ1_S, panel, row_bytes, book); break;
    case TYPE_IQ1_M: look_up(TYPE_IQ1_M, panel, row_bytes, book); break;
    case TYPE_IQ2_XXS: look_up(TYPE_IQ2_XXS, panel, row_bytes, book); break;
    case TYPE_IQ2_XS: look_up(TYPE_IQ2_XS, panel, row_bytes, book); break;
    case TYPE_IQ2_S: look_up(TYPE_IQ2_S, panel, row_bytes, book); break;
    case TYPE_IQ3_XXS: look_up(TYPE_IQ3_XXS, panel, row_bytes, book); break;
    default: look_up(TYPE_IQ3_S, panel, row_bytes, book); break;
    }
}

INLINE void read_book(uint32_t type, const struct book *book, size_t b, struct items *out)
{
    const vi base = vi_bytes(offset_of(type));
    for (size_t j = 0; j < 4; j++) {
        out->lo[j] = vi_load(book->entries[b][0][j]);
        out->hi[j] = vi_load(book->entries[b][1][j]);
        if (has_signs(type)) {
            out->lo[j] = vi_add_signed(base, out->lo[j], book->signs[b][0][j]);
            out->hi[j] = vi_add_signed(base, out->hi[j], book->signs[b][1][j]);
        }
    }
}

#endif
