/* decode_codes.c - quantized blocks whose items are few or come from code books, as plain numbers. Formats are drawn in
 * blocks.h. */
#include "kernels/blocks.h"
#include "kernels/decode.h"
#include "kernels/grids.h"

/* ---- a code for each item ---- */

static void nibble_codes(int *v, const uint8_t *qs, const int8_t *codes)
{
    for (int i = 0; i < 16; i++) {
        v[i] = codes[qs[i] & 15];
        v[i + 16] = codes[qs[i] >> 4];
    }
}

void decode_iq4_nl(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq4_nl *w = (const struct block_iq4_nl *)row + b;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    nibble_codes(out->v, w->qs, codes_iq4);
}

void decode_iq4_xs(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq4_xs *w = (const struct block_iq4_xs *)row + b / 8;
    const size_t j = b % 8;
    const int low = w->scales_l[j / 2] >> (4 * (j % 2)) & 15, high = load_u16(w->scales_h) >> (2 * j) & 3;
    *out = (struct decoded){.d = load_half(w->d) * (float)((low | high << 4) - 32), .scale = {1, 1}};
    nibble_codes(out->v, w->qs + 16 * j, codes_iq4);
}

void decode_mxfp4(struct decoded *out, const void *row, size_t b)
{
    const struct block_mxfp4 *w = (const struct block_mxfp4 *)row + b;
    /* 2^-128 and 2^-127 are subnormal */
    const uint32_t bits = w->e < 2 ? 0x200000u << w->e : (uint32_t)(w->e - 1) << 23;
    *out = (struct decoded){.d = float_of_bits(bits), .scale = {1, 1}};
    nibble_codes(out->v, w->qs, codes_fp4);
}

void decode_nvfp4(struct decoded *out, const void *row, size_t b)
{
    const struct block_nvfp4 *w = (const struct block_nvfp4 *)row + b / 2;
    const size_t group = b % 2 * 2;
    *out = (struct decoded){.d = fp8_scale(w->d[group]), .d1 = fp8_scale(w->d[group + 1]), .scale = {1, 1}};
    for (size_t i = 0; i < Q_BLOCK; i++) {
        const uint8_t two = w->qs[8 * (group + i / 16) + i % 8];
        out->v[i] = codes_fp4[i % 16 < 8 ? two & 15 : two >> 4];
    }
}

void decode_q1_0(struct decoded *out, const void *row, size_t b)
{
    const struct block_q1_0 *w = (const struct block_q1_0 *)row + b / 4;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    for (size_t i = 0; i < Q_BLOCK; i++)
        out->v[i] = (w->qs[4 * (b % 4) + i / 8] >> (i % 8) & 1) ? 1 : -1;
}

void decode_q2_0(struct decoded *out, const void *row, size_t b)
{
    const struct block_q2_0 *w = (const struct block_q2_0 *)row + b / 2;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    for (size_t i = 0; i < Q_BLOCK; i++)
        out->v[i] = (w->qs[8 * (b % 2) + i / 4] >> (2 * (i % 4)) & 3) - 1;
}

/* Digit n of a base-3 fraction, less 1. */
static int trit(uint8_t x, size_t n)
{
    static const uint8_t powers[] = {1, 3, 9, 27, 81};
    const uint8_t rest = (uint8_t)(x * powers[n]);
    return (rest * 3 >> 8) - 1;
}

void decode_tq1_0(struct decoded *out, const void *row, size_t b)
{
    const struct block_tq1_0 *w = (const struct block_tq1_0 *)row + b / 8;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    for (size_t i = 0; i < Q_BLOCK; i++) {
        const size_t item = Q_BLOCK * (b % 8) + i;
        if (item < 160)
            out->v[i] = trit(w->qs[item % 32], item / 32);
        else if (item < 240)
            out->v[i] = trit(w->qs[32 + item % 16], (item - 160) / 16);
        else
            out->v[i] = trit(w->qh[item % 4], (item - 240) / 4);
    }
}

void decode_tq2_0(struct decoded *out, const void *row, size_t b)
{
    const struct block_tq2_0 *w = (const struct block_tq2_0 *)row + b / 8;
    const size_t j = b % 8;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    for (size_t i = 0; i < Q_BLOCK; i++)
        out->v[i] = (w->qs[32 * (j / 4) + i] >> (2 * (j % 4)) & 3) - 1;
}

/* ---- code books ---- */

/* Eight items of a code book's entry, negative where their sign is set. */
static void signed_items(int *v, uint64_t entry, uint8_t signs)
{
    for (int i = 0; i < 8; i++) {
        const int item = (int)(entry >> (8 * i) & 255);
        v[i] = signs >> i & 1 ? -item : item;
    }
}

static uint64_t two_entries(uint32_t a, uint32_t b) { return a | (uint64_t)b << 32; }

void decode_iq2_xxs(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq2_xxs *w = (const struct block_iq2_xxs *)row + b / 8;
    const uint8_t *qs = w->qs + 8 * (b % 8);
    const uint32_t word = load_u32(qs + 4);
    *out = (struct decoded){.d = load_half(w->d) * 0.125f * (float)(2 * (word >> 28) + 1), .scale = {1, 1}};
    for (int l = 0; l < 4; l++)
        signed_items(out->v + 8 * l, grid_iq2_xxs[qs[l]], signs_of_7(word >> (7 * l)));
}

/* d (2 a + 1) / 8 and d (2 b + 1) / 8. */
static struct decoded two_scales(float d, int a, int b)
{
    return (struct decoded){
        .d = d * 0.125f * (float)(2 * a + 1), .d1 = d * 0.125f * (float)(2 * b + 1), .scale = {1, 1}};
}

void decode_iq2_xs(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq2_xs *w = (const struct block_iq2_xs *)row + b / 8;
    *out = two_scales(load_half(w->d), w->scales[b % 8] & 15, w->scales[b % 8] >> 4);
    for (size_t l = 0; l < 4; l++) {
        const uint32_t code = load_u16(w->qs + 8 * (b % 8) + 2 * l);
        signed_items(out->v + 8 * l, grid_iq2_xs[code & 511], signs_of_7(code >> 9));
    }
}

void decode_iq2_s(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq2_s *w = (const struct block_iq2_s *)row + b / 8;
    const size_t j = b % 8;
    *out = two_scales(load_half(w->d), w->scales[j] & 15, w->scales[j] >> 4);
    for (size_t l = 0; l < 4; l++) {
        const unsigned index = w->qs[4 * j + l] | (w->qh[j] >> (2 * l) & 3u) << 8;
        signed_items(out->v + 8 * l, grid_iq2_s[index], w->signs[4 * j + l]);
    }
}

void decode_iq3_xxs(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq3_xxs *w = (const struct block_iq3_xxs *)row + b / 8;
    const uint8_t *qs = w->qs + 8 * (b % 8);
    const uint32_t word = load_u32(w->signs + 4 * (b % 8));
    *out = (struct decoded){.d = load_half(w->d) * 0.25f * (float)(2 * (word >> 28) + 1), .scale = {1, 1}};
    for (int l = 0; l < 4; l++)
        signed_items(out->v + 8 * l, two_entries(grid_iq3_xxs[qs[2 * l]], grid_iq3_xxs[qs[2 * l + 1]]),
                     signs_of_7(word >> (7 * l)));
}

void decode_iq3_s(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq3_s *w = (const struct block_iq3_s *)row + b / 8;
    const size_t j = b % 8;
    const uint8_t *qs = w->qs + 8 * j;
    const unsigned high = w->qh[j], scale = w->scales[j / 2] >> (4 * (j % 2)) & 15;
    *out = (struct decoded){.d = load_half(w->d) * (float)(2 * scale + 1), .scale = {1, 1}};
    for (int l = 0; l < 4; l++) {
        const unsigned a = qs[2 * l] | (high >> (2 * l) & 1) << 8, c = qs[2 * l + 1] | (high >> (2 * l + 1) & 1) << 8;
        signed_items(out->v + 8 * l, two_entries(grid_iq3_s[a], grid_iq3_s[c]), w->signs[4 * j + (size_t)l]);
    }
}

/* Eight items of IQ1 in eighths: `high` holds the index's high 3 bits and, above them, whether an eighth is taken off.
 */
static void eighths(int *v, uint8_t low, unsigned high)
{
    const uint64_t entry = grid_iq1[low | (high & 7) << 8];
    for (int i = 0; i < 8; i++)
        v[i] = (int)(entry >> (8 * i) & 255) - 8 + (high & 8 ? -1 : 1);
}

void decode_iq1_s(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq1_s *w = (const struct block_iq1_s *)row + b / 8;
    const size_t j = b % 8;
    const unsigned high = load_u16(w->qh + 2 * j);
    *out = (struct decoded){.d = load_half(w->d) * 0.125f * (float)(2 * (high >> 12 & 7) + 1), .scale = {1, 1}};
    for (size_t l = 0; l < 4; l++)
        eighths(out->v + 8 * l, w->qs[4 * j + l], (high >> (3 * l) & 7) | (high >> 15) << 3);
}

void decode_iq1_m(struct decoded *out, const void *row, size_t b)
{
    const struct block_iq1_m *w = (const struct block_iq1_m *)row + b / 8;
    const size_t j = b % 8;
    unsigned d = 0;
    for (size_t i = 0; i < 4; i++)
        d |= (unsigned)(load_u16(w->scales + 2 * i) >> 12) << (4 * i);
    const int scales = load_u16(w->scales + j / 2 * 2) >> (6 * (j % 2));
    *out = two_scales(half_to_float((uint16_t)d), scales & 7, scales >> 3 & 7);
    for (size_t l = 0; l < 4; l++)
        eighths(out->v + 8 * l, w->qs[4 * j + l], w->qh[2 * j + l / 2] >> (4 * (l % 2)));
}
