/* products.c - products of quantized weights on x86. Compiled for AVX2 and for AVX-512 with VNNI: LEVEL names it.
 *
 * Rows stand side by side: a register holds one number for each of the WIDTH rows of a panel, so that every output is
 * one chain over blocks (struct mul), for one token and for many.
 *
 * A panel's block of 32 is read as 4 + 4 registers: lane i of register j holds 16 items of row 4 i + j, as unsigned
 * bytes (an offset is taken off the sums). Few tokens  products are taken in this form; four registers of partial sums
 * fold to one sum a row by a small tree. Many tokens two panels are unpacked once into `scratch`, four items of every
 * row beside each other, and a tile of rows and tokens needs no folding. */
#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/overlays.h"
#include "kernels/x86/vector.h"
#include <stddef.h>

enum { CHUNK = 8 };      /* blocks whose scales are taken at once; a superblock */
enum { FEW_TOKENS = 4 }; /* up to so many without unpacking */
enum { LONG_PANEL = 32 << 10 };
#if defined(__AVX512F__)
enum { TILE_TOKENS = 6, TILE_TOKENS_16 = 4 }; /* the latter for scales of 16 items, which need more registers */
#else
enum { TILE_TOKENS = 2, TILE_TOKENS_16 = 1 };
#endif

/* ---- what is known of a type ---- */

INLINE bool has_min(uint32_t type)
{
    return type == TYPE_Q4_1 || type == TYPE_Q5_1 || type == TYPE_Q4_K || type == TYPE_Q5_K;
}
INLINE bool scales_16_items(uint32_t type) { return type == TYPE_Q2_K || type == TYPE_Q3_K || type == TYPE_Q6_K; }
INLINE bool signed_bytes(uint32_t type) { return type == TYPE_Q8_0 && N_LANES == 2; } /* see dot */

/* What was added to each item to make it unsigned. */
INLINE int offset_of(uint32_t type)
{
    switch (type) {
    case TYPE_Q4_0: return 8;
    case TYPE_Q5_0: return 16;
    case TYPE_Q8_0: return signed_bytes(type) ? 0 : 128;
    case TYPE_Q3_K: return 4;
    case TYPE_Q6_K: return 32;
    default: return 0;
    }
}

INLINE size_t
block_bytes(uint32_t type) /* of a block of 32 where scales_16_items and K types have superblocks of 256 */
{
    switch (type) {
    case TYPE_Q4_0: return sizeof(struct block_q4_0);
    case TYPE_Q4_1: return sizeof(struct block_q4_1);
    case TYPE_Q5_0: return sizeof(struct block_q5_0);
    case TYPE_Q5_1: return sizeof(struct block_q5_1);
    case TYPE_Q8_0: return sizeof(struct block_q8_0);
    case TYPE_Q2_K: return sizeof(struct block_q2_k);
    case TYPE_Q3_K: return sizeof(struct block_q3_k);
    case TYPE_Q4_K: return sizeof(struct block_q4_k);
    case TYPE_Q5_K: return sizeof(struct block_q5_k);
    default: return sizeof(struct block_q6_k);
    }
}

INLINE bool superblocks(uint32_t type) { return type >= TYPE_Q2_K && type <= TYPE_Q6_K; }

/* ---- items ---- */

struct items {
    vi lo[4], hi[4]; /* lane i of register j: items 0..15 and 16..31 of row 4 i + j */
};

/* Fifth bits of 16 items, in bytes `from` and `from + 1` of each lane. */
INLINE vi fifth_bits(vi v, vi qh, int from)
{
    const vi pick = vi_lanes(_mm_set_epi64x(0x0101010101010101 * (from + 1), 0x0101010101010101 * from));
    const vi bit = vi_lanes(_mm_set1_epi64x((long long)0x8040201008040201u));
    return vi_or_where(v, V(shuffle_epi8)(qh, pick), bit, vi_bytes(16));
}

/* Registers j of a block of 32; p: the block in row j. */
INLINE void fetch_32(uint32_t type, const uint8_t *p, size_t step, vi *lo, vi *hi)
{
    if (type == TYPE_Q8_0) {
        vi flip = vi_bytes(signed_bytes(type) ? 0 : -128);
        *lo = vi_xor(vi_gather(p + 2, step), flip);
        *hi = vi_xor(vi_gather(p + 18, step), flip);
        return;
    }
    size_t at = block_bytes(type) - 16;
    vi qs = vi_gather(p + at, step);
    *lo = vi_and(qs, vi_bytes(15));
    *hi = vi_and(V(srli_epi16)(qs, 4), vi_bytes(15));
    if (type == TYPE_Q5_0 || type == TYPE_Q5_1) {
        vi qh = vi_gather(p + at - 4, step);
        *lo = fifth_bits(*lo, qh, 0);
        *hi = fifth_bits(*hi, qh, 2);
    }
}

/* 16 items of block b of a superblock; p: the superblock in row j, `at`: 0 or 16. */
INLINE vi fetch_k(uint32_t type, const uint8_t *p, size_t step, size_t b, size_t at)
{
    const size_t half = b / 4, quarter = b % 4;
    const vi bit = vi_bytes(1 << b);
    vi v;
    switch (type) {
    case TYPE_Q2_K:
        v = vi_shift_right(vi_gather(p + 16 + 32 * half + at, step), (int)(2 * quarter));
        return vi_and(v, vi_bytes(3));
    case TYPE_Q3_K:
        v = vi_shift_right(vi_gather(p + 32 + 32 * half + at, step), (int)(2 * quarter));
        return vi_or_where(vi_and(v, vi_bytes(3)), vi_gather(p + at, step), bit, vi_bytes(4));
    case TYPE_Q4_K:
        return vi_and(vi_shift_right(vi_gather(p + 16 + 32 * (b / 2) + at, step), (int)(4 * (b % 2))), vi_bytes(15));
    case TYPE_Q5_K:
        v = vi_and(vi_shift_right(vi_gather(p + 48 + 32 * (b / 2) + at, step), (int)(4 * (b % 2))), vi_bytes(15));
        return vi_or_where(v, vi_gather(p + 16 + at, step), bit, vi_bytes(16));
    default: /* Q6_K */
        v = vi_shift_right(vi_gather(p + 64 * half + 32 * (quarter % 2) + at, step), (int)(4 * (quarter / 2)));
        vi high = vi_shift_right(vi_gather(p + 128 + 32 * half + at, step), (int)(2 * quarter));
        return vi_or(vi_and(v, vi_bytes(15)), V(slli_epi16)(vi_and(high, vi_bytes(3)), 4));
    }
}

INLINE void fetch(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, struct items *out)
{
    for (size_t j = 0; j < 4; j++) {
        const uint8_t *row = panel + j * row_bytes;
        if (superblocks(type)) {
            const uint8_t *p = row + b / CHUNK * block_bytes(type);
            out->lo[j] = fetch_k(type, p, 4 * row_bytes, b % CHUNK, 0);
            out->hi[j] = fetch_k(type, p, 4 * row_bytes, b % CHUNK, 16);
        } else {
            fetch_32(type, row + b * block_bytes(type), 4 * row_bytes, &out->lo[j], &out->hi[j]);
        }
    }
}

/* ---- scales ---- */

struct scales {
    float d[CHUNK][WIDTH];      /* of each block and row, as struct mul's dw */
    float m[CHUNK][WIDTH];      /* minima; Q2_K: m[0] is dmin */
    int8_t s[2 * CHUNK][WIDTH]; /* integer scales of 16 items, where the type has them */
    int8_t n[2 * CHUNK][WIDTH]; /* Q2_K: integer minima of 16 items */
};

/* Four bytes at p of each row. */
INLINE vi words_of_rows(const uint8_t *p, size_t row_bytes)
{
    uint32_t word[WIDTH];
    for (size_t r = 0; r < WIDTH; r++)
        memcpy(&word[r], p + r * row_bytes, 4);
    return vi_load(word);
}

INLINE vf halves_of_rows(const uint8_t *p, size_t row_bytes)
{
    uint16_t half[WIDTH];
    for (size_t r = 0; r < WIDTH; r++)
        memcpy(&half[r], p + r * row_bytes, 2);
    return vf_of_half(half);
}

INLINE void scales_32(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t n, struct scales *out)
{
    uint32_t word[CHUNK][WIDTH];
    for (size_t r = 0; r < WIDTH; r++)
        for (size_t b = 0; b < n; b++)
            memcpy(&word[b][r], panel + r * row_bytes + b * block_bytes(type), 4);
    for (size_t b = 0; b < n; b++) {
        vi v = vi_load(word[b]);
        V(storeu_ps)(out->d[b], vf_low_half(v));
        if (has_min(type))
            V(storeu_ps)(out->m[b], vf_high_half(v));
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

/* Of the n blocks from b on; b is a multiple of CHUNK. */
INLINE void take_scales(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, size_t n, struct scales *out)
{
    if (!superblocks(type))
        scales_32(type, panel + b * block_bytes(type), row_bytes, n, out);
    else if (scales_16_items(type))
        scales_of_16(type, panel + b / CHUNK * block_bytes(type), row_bytes, out);
    else
        scales_k4(panel + b / CHUNK * block_bytes(type), row_bytes, out);
}

/* ---- sums ---- */

/* Without a 32-bit dot product, unsigned times signed bytes saturate for items beyond 128: Q8_0 then goes by magnitude
 * and sign. */
INLINE vi dot(uint32_t type, vi sum, vi w, vi x)
{
#if !defined(__AVX512F__)
    if (signed_bytes(type))
        return vi_dot(sum, V(abs_epi8)(w), V(sign_epi8)(x, w));
#endif
    (void)type;
    return vi_dot(sum, w, x);
}

/* Lane i of register j holds four partial sums of row 4 i + j; the sum of each row, in order. */
INLINE vi fold(vi a, vi b, vi c, vi d)
{
    vi ab = V(add_epi32)(V(unpacklo_epi32)(a, b), V(unpackhi_epi32)(a, b));
    vi cd = V(add_epi32)(V(unpacklo_epi32)(c, d), V(unpackhi_epi32)(c, d));
    return V(add_epi32)(V(unpacklo_epi64)(ab, cd), V(unpackhi_epi64)(ab, cd));
}

/* The activations' side of a block. */
struct activations {
    const int8_t *q;
    const int16_t *sums;
    float d, ds;
};

INLINE struct activations activations_of(const struct mul *m, size_t token, size_t b)
{
    size_t at = token * (m->k / Q_BLOCK) + b;
    return (struct activations){m->xq.q + at * Q_BLOCK, m->xq.sums + 2 * at, m->xq.d[at], m->xq.ds[at]};
}

/* The chain's step: acc and a block's exact sum, less the offset already. */
INLINE vf step(uint32_t type, vf acc, vi sum, const struct scales *s, size_t b, const struct activations *x)
{
    acc = V(fmadd_ps)(V(cvtepi32_ps)(sum), V(mul_ps)(V(loadu_ps)(s->d[b]), V(set1_ps)(x->d)), acc);
    if (has_min(type))
        acc = V(fmadd_ps)(V(loadu_ps)(s->m[b]), V(set1_ps)(x->ds), acc);
    if (type == TYPE_Q2_K) {
        vi least = V(add_epi32)(V(mullo_epi32)(vi_widen_i8(s->n[2 * b]), V(set1_epi32)(-x->sums[0])),
                                V(mullo_epi32)(vi_widen_i8(s->n[2 * b + 1]), V(set1_epi32)(-x->sums[1])));
        acc = V(fmadd_ps)(V(cvtepi32_ps)(least), V(mul_ps)(V(loadu_ps)(s->m[0]), V(set1_ps)(x->d)), acc);
    }
    return acc;
}

/* scale 0 times the sum of items 0..15 and scale 1 times that of 16..31. */
INLINE vi scaled(const struct scales *s, size_t b, vi sum0, vi sum1)
{
    return V(add_epi32)(V(mullo_epi32)(vi_widen_i8(s->s[2 * b]), sum0),
                        V(mullo_epi32)(vi_widen_i8(s->s[2 * b + 1]), sum1));
}

/* ---- few tokens ---- */

INLINE vi sum_block(uint32_t type, const struct items *w, const struct scales *s, size_t b, const struct activations *x)
{
    const vi lo = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)x->q));
    const vi hi = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)(x->q + 16)));
    const vi zero = V(set1_epi32)(0);
    const int offset = offset_of(type);
    vi p[4];
    if (!scales_16_items(type)) {
        for (int j = 0; j < 4; j++)
            p[j] = dot(type, dot(type, zero, w->lo[j], lo), w->hi[j], hi);
        vi sum = fold(p[0], p[1], p[2], p[3]);
        return offset ? V(sub_epi32)(sum, V(set1_epi32)(offset * (x->sums[0] + x->sums[1]))) : sum;
    }
    for (int j = 0; j < 4; j++)
        p[j] = dot(type, zero, w->lo[j], lo);
    vi sum0 = V(sub_epi32)(fold(p[0], p[1], p[2], p[3]), V(set1_epi32)(offset * x->sums[0]));
    for (int j = 0; j < 4; j++)
        p[j] = dot(type, zero, w->hi[j], hi);
    vi sum1 = V(sub_epi32)(fold(p[0], p[1], p[2], p[3]), V(set1_epi32)(offset * x->sums[1]));
    return scaled(s, b, sum0, sum1);
}

/* A panel times T tokens from t on. What stands one or two panels further comes into the second-level cache meanwhile:
 * SmolLM2's generation goes from 155 to 245 tokens/s by it, more than by fetching into the first level. */
INLINE void panel_few(const struct mul *m, uint32_t type, size_t r, size_t t, int T)
{
    const size_t n_blocks = m->k / Q_BLOCK, panel_bytes = WIDTH * m->row_bytes, ahead_bytes = panel_bytes / n_blocks;
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    const uint8_t *ahead = panel + panel_bytes * (panel_bytes < LONG_PANEL ? 2 : 1);
    vf acc[FEW_TOKENS];
    for (int i = 0; i < T; i++)
        acc[i] = V(setzero_ps)();
    for (size_t first = 0; first < n_blocks; first += CHUNK) {
        size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        struct scales s;
        take_scales(type, panel, m->row_bytes, first, n, &s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            for (size_t i = 0; i < ahead_bytes; i += 64)
                _mm_prefetch((const char *)ahead + i, _MM_HINT_T1);
            ahead += ahead_bytes;
            fetch(type, panel, m->row_bytes, first + b, &w);
            for (int i = 0; i < T; i++) {
                struct activations x = activations_of(m, t + (size_t)i, first + b);
                acc[i] = step(type, acc[i], sum_block(type, &w, &s, b, &x), &s, b, &x);
            }
        }
    }
    for (int i = 0; i < T; i++)
        V(storeu_ps)(m->y + (t + (size_t)i) * m->y_stride + r, acc[i]);
}

INLINE void few(const struct mul *m, uint32_t type, size_t r)
{
    switch (m->n_tokens) {
    case 1: panel_few(m, type, r, 0, 1); break;
    case 2: panel_few(m, type, r, 0, 2); break;
    case 3: panel_few(m, type, r, 0, 3); break;
    default: panel_few(m, type, r, 0, 4); break;
    }
}

/* ---- many tokens ---- */

/* A panel's chunk of 256 items, unpacked: w[b][i] holds items 4 i to 4 i + 3 of block b of each row. */
struct chunk {
    uint8_t w[CHUNK][8][4 * WIDTH];
    struct scales s;
};
_Static_assert(2 * sizeof(struct chunk) <= MUL_CHUNK_BYTES, "scratch holds two panels");

/* 4 x 4 words in each lane: register j's word c goes to register c's word j. */
INLINE void transpose_words(const vi v[4], uint8_t (*out)[4 * WIDTH])
{
    vi a = V(unpacklo_epi32)(v[0], v[1]), b = V(unpackhi_epi32)(v[0], v[1]);
    vi c = V(unpacklo_epi32)(v[2], v[3]), d = V(unpackhi_epi32)(v[2], v[3]);
    vi_store(out[0], V(unpacklo_epi64)(a, c));
    vi_store(out[1], V(unpackhi_epi64)(a, c));
    vi_store(out[2], V(unpacklo_epi64)(b, d));
    vi_store(out[3], V(unpackhi_epi64)(b, d));
}

INLINE void unpack_panel(const struct mul *m, uint32_t type, size_t r, struct chunk *out, size_t stride)
{
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    const size_t n_blocks = m->k / Q_BLOCK;
    for (size_t first = 0; first < n_blocks; first += CHUNK, out += stride) {
        size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        take_scales(type, panel, m->row_bytes, first, n, &out->s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch(type, panel, m->row_bytes, first + b, &w);
            transpose_words(w.lo, out->w[b]);
            transpose_words(w.hi, out->w[b] + 4);
        }
    }
}

/* Adds to sums[p][i] the products of words [from, from + n) of block b. */
INLINE void dot_words(uint32_t type, vi *sums, const struct chunk *c, size_t b, const struct activations *x, int from,
                      int n, int P, int T)
{
    for (int i = from; i < from + n; i++) {
        vi w[2];
        for (int p = 0; p < P; p++)
            w[p] = vi_load(c[p].w[b][i]);
        for (int t = 0; t < T; t++) {
            int32_t word;
            memcpy(&word, x[t].q + 4 * i, 4);
            vi q = V(set1_epi32)(word);
            for (int p = 0; p < P; p++)
                sums[p * T + t] = dot(type, sums[p * T + t], w[p], q);
        }
    }
}

INLINE void tile_block(uint32_t type, vf *acc, const struct chunk *c, size_t b, const struct activations *x, int P,
                       int T)
{
    const int offset = -offset_of(type);
    vi sums[2 * TILE_TOKENS], sums1[2 * TILE_TOKENS];
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++) {
            sums[p * T + t] = V(set1_epi32)(offset *
                                            (scales_16_items(type) ? x[t].sums[0] : x[t].sums[0] + x[t].sums[1]));
            sums1[p * T + t] = V(set1_epi32)(offset * x[t].sums[1]);
        }
    dot_words(type, sums, c, b, x, 0, scales_16_items(type) ? 4 : 8, P, T);
    if (scales_16_items(type))
        dot_words(type, sums1, c, b, x, 4, 4, P, T);
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++) {
            vi sum = sums[p * T + t];
            if (scales_16_items(type))
                sum = scaled(&c[p].s, b, sum, sums1[p * T + t]);
            acc[p * T + t] = step(type, acc[p * T + t], sum, &c[p].s, b, &x[t]);
        }
}

/* P unpacked panels times T tokens from t on. Chunks of the panels alternate. */
INLINE void tile(const struct mul *m, uint32_t type, const struct chunk *c, size_t r, size_t t, int P, int T)
{
    const size_t n_blocks = m->k / Q_BLOCK;
    vf acc[2 * TILE_TOKENS];
    for (int i = 0; i < P * T; i++)
        acc[i] = V(setzero_ps)();
    for (size_t first = 0; first < n_blocks; first += CHUNK, c += P) {
        size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        for (size_t b = 0; b < n; b++) {
            struct activations x[TILE_TOKENS];
            for (int i = 0; i < T; i++)
                x[i] = activations_of(m, t + (size_t)i, first + b);
            tile_block(type, acc, c, b, x, P, T);
        }
    }
    for (int p = 0; p < P; p++)
        for (int i = 0; i < T; i++)
            V(storeu_ps)(m->y + (t + (size_t)i) * m->y_stride + r + (size_t)p * WIDTH, acc[p * T + i]);
}

INLINE void many(const struct mul *m, uint32_t type, size_t r, int P)
{
    const size_t most = scales_16_items(type) ? TILE_TOKENS_16 : TILE_TOKENS;
    struct chunk *c = m->scratch;
    size_t t = 0;
    for (int p = 0; p < P; p++)
        unpack_panel(m, type, r + (size_t)p * WIDTH, c + p, (size_t)P);
    for (; t + most <= m->n_tokens; t += most)
        tile(m, type, c, r, t, P, (int)most);
    for (; most > 3 && t + 2 <= m->n_tokens; t += 2)
        tile(m, type, c, r, t, P, 2);
    for (; t < m->n_tokens; t++)
        tile(m, type, c, r, t, P, 1);
}

/* ---- a product ---- */

/* The last panel may overlap the one before it, whose outputs are then computed twice, to the same bits. */
INLINE void product(const struct mul *m, uint32_t type)
{
    size_t r = 0;
    if (m->n_tokens > FEW_TOKENS)
        for (; r + 2 * WIDTH <= m->n_rows; r += 2 * WIDTH)
            many(m, type, r, 2);
    for (; r < m->n_rows; r += WIDTH) {
        if (r + WIDTH > m->n_rows)
            r = m->n_rows - WIDTH;
        if (m->n_tokens > FEW_TOKENS)
            many(m, type, r, 1);
        else
            few(m, type, r);
    }
}

#define PRODUCT(name, type)                     \
    static void mul_##name(const struct mul *m) \
    {                                           \
        if (m->n_rows < WIDTH)                  \
            product_ref(m, type);               \
        else                                    \
            product(m, type);                   \
    }
PRODUCT(q4_0, TYPE_Q4_0)
PRODUCT(q4_1, TYPE_Q4_1)
PRODUCT(q5_0, TYPE_Q5_0)
PRODUCT(q5_1, TYPE_Q5_1)
PRODUCT(q8_0, TYPE_Q8_0)
PRODUCT(q2_k, TYPE_Q2_K)
PRODUCT(q3_k, TYPE_Q3_K)
PRODUCT(q4_k, TYPE_Q4_K)
PRODUCT(q5_k, TYPE_Q5_K)
PRODUCT(q6_k, TYPE_Q6_K)

void LEVELED(products_overlay)(struct kernels *k)
{
    k->mul_q4_0 = mul_q4_0;
    k->mul_q4_1 = mul_q4_1;
    k->mul_q5_0 = mul_q5_0;
    k->mul_q5_1 = mul_q5_1;
    k->mul_q8_0 = mul_q8_0;
    k->mul_q2_k = mul_q2_k;
    k->mul_q3_k = mul_q3_k;
    k->mul_q4_k = mul_q4_k;
    k->mul_q5_k = mul_q5_k;
    k->mul_q6_k = mul_q6_k;
}
