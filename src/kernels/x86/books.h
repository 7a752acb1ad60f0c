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
    uint16_t signs[CHUNK][2][4][N_LANES];       /* bit i: item i is negative (signs_of) */
    uint32_t words[CHUNK][WIDTH];               /* as in struct row_codes, rows in order */
};

/* ---- indices ---- */

/* Indices of a row's superblock, and the words of its blocks that hold signs (sign indices) and scales. */
struct row_codes {
    uint16_t index[CHUNK * 8]; /* IQ1, IQ2: 4 a block, of 8 items; IQ3: 8 a block, of 4 items */
    uint32_t words[CHUNK];
};

INLINE __m256i load_16_bytes(const uint8_t *p)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* Four bytes, or words of 16 bits, at p: each four times, in 16 bits. */
INLINE __m256i four_times(const uint8_t *p, bool bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, bytes ? 4 : 8);
    const __m256i all = _mm256_set1_epi64x((long long)v);
    if (bytes)
        return _mm256_shuffle_epi8(all, _mm256_set_epi64x(-0x7ffc7ffc7ffc7ffd, -0x7ffd7ffd7ffd7ffe, -0x7ffe7ffe7ffe7fff,
                                                          (long long)0x8000800080008000u));
    return _mm256_shuffle_epi8(
        all, _mm256_set_epi64x(0x0706070607060706, 0x0504050405040504, 0x0302030203020302, 0x0100010001000100));
}

INLINE void store_index(uint16_t *index, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)index, v); }

/* Three bits at bits `step` l of a word of 16 for each four entries l, above the low eight. */
INLINE void indices_iq1(const uint8_t *low, const uint8_t *high, int step, struct row_codes *out)
{
    const long long by = 0x8000ll | 0x8000ll >> step << 16 | 0x8000ll >> 2 * step << 32 | 0x8000ll >> 3 * step << 48;
    for (size_t i = 0; i < CHUNK * 4; i += 16) { /* a shift to the right is a product's high half */
        __m256i v = _mm256_mulhi_epu16(_mm256_slli_epi16(four_times(high + i / 2, false), 1), _mm256_set1_epi64x(by));
        v = _mm256_slli_epi16(_mm256_and_si256(v, _mm256_set1_epi16(7)), 8);
        store_index(out->index + i, _mm256_or_si256(v, load_16_bytes(low + i)));
    }
    for (size_t b = 0; b < CHUNK; b++)
        out->words[b] = load_u16(high + 2 * b);
}

/* 16 bits for 8 items: index of 9, sign index of 7. */
INLINE void indices_iq2_xs(const uint8_t *p, struct row_codes *out)
{
    __m256i signs[2];
    for (size_t i = 0; i < 2; i++) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * i));
        store_index(out->index + 16 * i, _mm256_and_si256(v, _mm256_set1_epi16(511)));
        signs[i] = _mm256_srli_epi16(v, 9);
    }
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(signs[0], signs[1]), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)out->words, bytes);
}

INLINE void indices_iq2_s(const uint8_t *p, struct row_codes *out)
{
    const __m256i by = _mm256_set1_epi64x(0x0004001000400100);
    for (size_t i = 0; i < CHUNK * 4; i += 16) {
        const __m256i v = _mm256_mullo_epi16(four_times(p + 66 + i / 4, true), by);
        store_index(out->index + i,
                    _mm256_or_si256(_mm256_and_si256(v, _mm256_set1_epi16(0x300)), load_16_bytes(p + 2 + i)));
    }
    memcpy(out->words, p + 34, sizeof out->words);
}

/* One more bit an entry: bit i of 16. */
INLINE void indices_iq3_s(const uint8_t *p, struct row_codes *out)
{
    const __m256i bit = _mm256_set_epi16((short)0x8000, 0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x200, 0x100, 0x80, 0x40,
                                         0x20, 0x10, 8, 4, 2, 1);
    for (size_t i = 0; i < CHUNK * 8; i += 16) {
        const __m256i bits = _mm256_set1_epi16((short)load_u16(p + 66 + i / 8));
        const __m256i set = _mm256_cmpeq_epi16(_mm256_and_si256(bits, bit), bit);
        store_index(out->index + i,
                    _mm256_or_si256(_mm256_and_si256(set, _mm256_set1_epi16(256)), load_16_bytes(p + 2 + i)));
    }
    memcpy(out->words, p + 74, sizeof out->words);
}

/* IQ2_XXS, IQ3_XXS: indices are bytes, used where they stand. */
INLINE bool has_byte_indices(uint32_t type) { return type == TYPE_IQ2_XXS || type == TYPE_IQ3_XXS; }

INLINE void codes_of_row(uint32_t type, const uint8_t *p, struct row_codes *out)
{
    switch (type) {
    case TYPE_IQ1_S: indices_iq1(p + 2, p + 34, 3, out); break;
    case TYPE_IQ1_M: indices_iq1(p, p + 32, 4, out); break;
    case TYPE_IQ2_XS: indices_iq2_xs(p + 2, out); break;
    case TYPE_IQ2_S: indices_iq2_s(p, out); break;
    case TYPE_IQ3_S: indices_iq3_s(p, out); break;
    case TYPE_IQ3_XXS: memcpy(out->words, p + 66, sizeof out->words); break;
    default:
        for (size_t b = 0; b < CHUNK; b++)
            memcpy(&out->words[b], p + 6 + 8 * b, 4);
    }
}

/* ---- entries ---- */

INLINE uint32_t index_of(uint32_t type, const uint8_t *p, const struct row_codes *codes, size_t b, size_t l)
{
    const size_t per_block = type == TYPE_IQ3_XXS || type == TYPE_IQ3_S ? 8 : 4;
    return has_byte_indices(type) ? p[2 + 8 * b + l] : codes->index[per_block * b + l];
}

/* Items 8 l to 8 l + 7 of block b of superblock p, without signs. */
INLINE uint64_t entry_of(uint32_t type, const uint8_t *p, const struct row_codes *codes, size_t b, size_t l)
{
    switch (type) {
    case TYPE_IQ2_XXS: return grid_iq2_xxs[index_of(type, p, codes, b, l)];
    case TYPE_IQ2_XS: return grid_iq2_xs[index_of(type, p, codes, b, l)];
    case TYPE_IQ2_S: return grid_iq2_s[index_of(type, p, codes, b, l)];
    case TYPE_IQ3_XXS:
    case TYPE_IQ3_S: {
        const uint32_t *grid = type == TYPE_IQ3_S ? grid_iq3_s : grid_iq3_xxs;
        return grid[index_of(type, p, codes, b, 2 * l)] | (uint64_t)grid[index_of(type, p, codes, b, 2 * l + 1)] << 32;
    }
    default: return grid_iq1[index_of(type, p, codes, b, l)];
    }
}

INLINE bool is_iq1(uint32_t type) { return type == TYPE_IQ1_S || type == TYPE_IQ1_M; }

/* Sign indices of 7 bits in each byte: signs_of_7 (blocks.h). */
INLINE vi with_eighth_signs(vi v)
{
    vi odd = vi_xor(v, V(srli_epi32)(v, 4));
    odd = vi_xor(odd, V(srli_epi32)(odd, 2));
    odd = vi_xor(odd, V(srli_epi32)(odd, 1));
    return vi_or(v, V(slli_epi32)(vi_and(odd, V(set1_epi32)(0x01010101)), 7));
}

/* Four of them beside each other in each word. */
INLINE vi signs_of_indices(vi w)
{
    vi v = vi_and(w, V(set1_epi32)(0x7f));
    v = vi_or(v, vi_and(V(slli_epi32)(w, 1), V(set1_epi32)(0x7f00)));
    v = vi_or(v, vi_and(V(slli_epi32)(w, 2), V(set1_epi32)(0x7f0000)));
    v = vi_or(v, vi_and(V(slli_epi32)(w, 3), V(set1_epi32)(0x7f000000)));
    return with_eighth_signs(v);
}

/* A bit an item: it is negative; IQ1: an eighth is taken off it. */
INLINE vi signs_of(uint32_t type, vi w)
{
    vi v;
    switch (type) {
    case TYPE_IQ1_S: return V(srai_epi32)(V(slli_epi32)(w, 16), 31);
    case TYPE_IQ1_M: /* bits 3, 7, 11 and 15 to bytes */
        v = vi_and(V(srli_epi32)(w, 3), V(set1_epi32)(1));
        v = vi_or(v, vi_and(V(slli_epi32)(w, 1), V(set1_epi32)(0x100)));
        v = vi_or(v, vi_and(V(slli_epi32)(w, 5), V(set1_epi32)(0x10000)));
        v = vi_or(v, vi_and(V(slli_epi32)(w, 9), V(set1_epi32)(0x1000000)));
        return V(sub_epi32)(V(slli_epi32)(v, 8), v);
    case TYPE_IQ2_XXS:
    case TYPE_IQ3_XXS: return signs_of_indices(w);
    case TYPE_IQ2_XS: return with_eighth_signs(w);
    default: return w;
    }
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

INLINE void scales_iq2(uint32_t type, const uint8_t *panel, size_t row_bytes, vf d, struct scales *out)
{
    const uint8_t *at = panel + block_bytes(type) - 8;
    const vi words[2] = {words_of_rows(at, row_bytes), words_of_rows(at + 4, row_bytes)};
    for (size_t h = 0; h < 2 * CHUNK; h++) {
        const vi v = vi_shift_right(words[h / 8], (int)(4 * (h % 8)));
        scale_block(h % 2 ? out->m[h / 2] : out->d[h / 2], d, vi_and(v, V(set1_epi32)(15)));
    }
}

/* d stands in the highest nibbles of four words of 16 bits. */
INLINE void scales_iq1_m(const uint8_t *panel, size_t row_bytes, struct scales *out)
{
    const vi words[2] = {words_of_rows(panel + 48, row_bytes), words_of_rows(panel + 52, row_bytes)};
    vi d = vi_and(V(srli_epi32)(words[0], 12), V(set1_epi32)(0x000f));
    d = vi_or(d, vi_and(V(srli_epi32)(words[0], 24), V(set1_epi32)(0x00f0)));
    d = vi_or(d, vi_and(V(srli_epi32)(words[1], 4), V(set1_epi32)(0x0f00)));
    d = vi_or(d, vi_and(V(srli_epi32)(words[1], 16), V(set1_epi32)(0xf000)));
    const vf eighth = V(mul_ps)(vf_low_half(d), V(set1_ps)(0.125f));
    for (size_t h = 0; h < 2 * CHUNK; h++) {
        const vi v = vi_shift_right(words[h / 8], (int)(16 * (h / 4 % 2) + 3 * (h % 4)));
        scale_block(h % 2 ? out->m[h / 2] : out->d[h / 2], eighth, vi_and(v, V(set1_epi32)(7)));
    }
}

INLINE void scales_of_book(uint32_t type, const uint8_t *panel, size_t row_bytes, const struct book *book,
                           struct scales *out)
{
    if (type == TYPE_IQ1_M) {
        scales_iq1_m(panel, row_bytes, out);
        return;
    }
    vf d = halves_of_rows(panel, row_bytes);
    if (type != TYPE_IQ3_S)
        d = V(mul_ps)(d, V(set1_ps)(type == TYPE_IQ3_XXS ? 0.25f : 0.125f));
    if (type == TYPE_IQ2_XS || type == TYPE_IQ2_S) {
        scales_iq2(type, panel, row_bytes, d, out);
        return;
    }
    const vi nibbles = type == TYPE_IQ3_S ? words_of_rows(panel + 106, row_bytes) : V(set1_epi32)(0);
    for (int b = 0; b < CHUNK; b++) {
        const vi words = vi_load(book->words[b]);
        switch (type) {
        case TYPE_IQ2_XXS:
        case TYPE_IQ3_XXS: scale_block(out->d[b], d, V(srli_epi32)(words, 28)); break;
        case TYPE_IQ1_S: scale_block(out->d[b], d, vi_and(V(srli_epi32)(words, 12), V(set1_epi32)(7))); break;
        default: scale_block(out->d[b], d, vi_and(vi_shift_right(nibbles, 4 * b), V(set1_epi32)(15))); /* IQ3_S */
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
    for (size_t r = 0; r < WIDTH; r++) {
        const uint8_t *p = panel + r * row_bytes;
        struct row_codes codes;
        codes_of_row(type, p, &codes);
        for (size_t b = 0; b < CHUNK; b++) {
            book->words[b][r] = codes.words[b];
            for (size_t l = 0; l < 4; l++)
                book->entries[b][l / 2][r % 4][r / 4 * 2 + l % 2] = in_register(entry_of(type, p, &codes, b, l));
        }
    }
    for (size_t b = 0; b < CHUNK; b++)
        store_signs(signs_of(type, vi_load(book->words[b])), book->signs[b]);
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
    const vi base = vi_bytes(offset_of(type)), one = vi_bytes(1);
    for (size_t j = 0; j < 4; j++) {
        const vi lo = vi_load(book->entries[b][0][j]), hi = vi_load(book->entries[b][1][j]);
        const bool iq1 = is_iq1(type); /* entries are 8 (item + 1): one eighth more or less, and the offset is 9 */
        out->lo[j] = vi_add_signed(iq1 ? V(add_epi8)(lo, one) : base, iq1 ? one : lo, book->signs[b][0][j]);
        out->hi[j] = vi_add_signed(iq1 ? V(add_epi8)(hi, one) : base, iq1 ? one : hi, book->signs[b][1][j]);
    }
}

#endif
