/* products.c - products of quantized weights on 64-bit ARM. Compiled for base NEON, dotprod and i8mm: LEVEL names it.
 *
 * The technique is that of x86/products.c with registers of 16 bytes: four rows stand side by side as a panel, and
 * every output is one chain over blocks (struct mul), for one token and for many. A register holds 16 items of one row.
 * Few tokens  products are taken in this form, and the partial sums of four rows fold by pairwise additions. Many
 * tokens two panels are unpacked once into `scratch`, as arm/vector.h wants them for a tile of rows and tokens. */
#include "kernels/arm/vector.h"
#include "kernels/blocks.h"
#include "kernels/overlays.h"
#include <stddef.h>

enum { CHUNK = 8 };      /* blocks whose scales are taken at once; a superblock */
enum { FEW_TOKENS = 4 }; /* up to so many without unpacking */

/* ---- what is known of a type ---- */

INLINE bool has_min(uint32_t type)
{
    return type == TYPE_Q4_1 || type == TYPE_Q5_1 || type == TYPE_Q4_K || type == TYPE_Q5_K;
}
INLINE bool scales_16_items(uint32_t type) { return type == TYPE_Q2_K || type == TYPE_Q3_K || type == TYPE_Q6_K; }
INLINE bool superblocks(uint32_t type) { return type >= TYPE_Q2_K && type <= TYPE_Q6_K; }

/* What is taken off the items that `fetch` gives. */
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

INLINE size_t block_bytes(uint32_t type)
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

/* Row `row` of a panel, at its block b of 32, or at the superblock that holds it. */
INLINE const uint8_t *block_of(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t row, size_t b)
{
    return panel + row * row_bytes + (superblocks(type) ? b / CHUNK : b) * block_bytes(type);
}

/* ---- items ---- */

struct items {
    int8x16_t lo[WIDTH], hi[WIDTH]; /* items 0..15 and 16..31 of each row */
};

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

INLINE void fetch(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, struct items *out)
{
    for (size_t j = 0; j < WIDTH; j++) {
        const uint8_t *p = block_of(type, panel, row_bytes, j, b);
        uint8x16_t lo, hi;
        if (superblocks(type)) {
            lo = fetch_k(type, p, b % CHUNK, 0);
            hi = fetch_k(type, p, b % CHUNK, 16);
        } else {
            fetch_32(type, p, &lo, &hi);
        }
        out->lo[j] = vreinterpretq_s8_u8(lo);
        out->hi[j] = vreinterpretq_s8_u8(hi);
    }
}

/* ---- scales ---- */

struct scales {
    float d[CHUNK][WIDTH];       /* of each block and row, as struct mul's dw */
    float m[CHUNK][WIDTH];       /* minima; Q2_K: m[0] is dmin */
    int32_t s[2 * CHUNK][WIDTH]; /* integer scales of 16 items, where the type has them */
    int32_t n[2 * CHUNK][WIDTH]; /* Q2_K: integer minima of 16 items */
};

/* The half-precision number `at` bytes behind the block of each row. */
INLINE float32x4_t halves_of_rows(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, size_t at)
{
    uint64_t all = 0;
    for (size_t j = 0; j < WIDTH; j++)
        all |= (uint64_t)load_u16(block_of(type, panel, row_bytes, j, b) + at) << 16 * j;
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

INLINE void scales_k4(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, struct scales *out)
{
    const float32x4_t d = halves_of_rows(type, panel, row_bytes, b, 0);
    const float32x4_t dmin = vnegq_f32(halves_of_rows(type, panel, row_bytes, b, 2));
    int8x16_t packed[WIDTH];
    for (size_t j = 0; j < WIDTH; j++)
        packed[j] = unpack_k4(block_of(type, panel, row_bytes, j, b) + 4);
    widen_rows(packed, out->s);
    for (size_t i = 0; i < CHUNK; i++) {
        vst1q_f32(out->d[i], vmulq_f32(d, vcvtq_f32_s32(vld1q_s32(out->s[i]))));
        vst1q_f32(out->m[i], vmulq_f32(dmin, vcvtq_f32_s32(vld1q_s32(out->s[CHUNK + i]))));
    }
}

INLINE void scales_of_16(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, struct scales *out)
{
    const size_t d_at = type == TYPE_Q2_K ? offsetof(struct block_q2_k, d) : block_bytes(type) - 2;
    const float32x4_t d = halves_of_rows(type, panel, row_bytes, b, d_at);
    int8x16_t s[WIDTH], n[WIDTH];
    for (size_t j = 0; j < WIDTH; j++) {
        const uint8_t *p = block_of(type, panel, row_bytes, j, b);
        if (type == TYPE_Q2_K) {
            const uint8x16_t both = vld1q_u8(p);
            s[j] = vreinterpretq_s8_u8(low_bits(both, 4));
            n[j] = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
        } else if (type == TYPE_Q3_K) {
            int8_t unpacked[16];
            k3_scales(unpacked, p + offsetof(struct block_q3_k, scales));
            s[j] = vld1q_s8(unpacked);
        } else {
            s[j] = vreinterpretq_s8_u8(vld1q_u8(p + offsetof(struct block_q6_k, scales)));
        }
    }
    widen_rows(s, out->s);
    if (type == TYPE_Q2_K) {
        widen_rows(n, out->n);
        vst1q_f32(out->m[0], halves_of_rows(type, panel, row_bytes, b, d_at + 2));
    }
    for (size_t i = 0; i < CHUNK; i++)
        vst1q_f32(out->d[i], d);
}

/* Of the n blocks from b on; b is a multiple of CHUNK. */
INLINE void take_scales(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t b, size_t n, struct scales *out)
{
    if (superblocks(type)) {
        if (scales_16_items(type))
            scales_of_16(type, panel, row_bytes, b, out);
        else
            scales_k4(type, panel, row_bytes, b, out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        vst1q_f32(out->d[i], halves_of_rows(type, panel, row_bytes, b + i, 0));
        if (has_min(type))
            vst1q_f32(out->m[i], halves_of_rows(type, panel, row_bytes, b + i, 2));
    }
}

/* ---- sums ---- */

/* The activations' side of a block. */
struct activations {
    const int8_t *q;
    const int16_t *sums;
    float d, ds;
};

INLINE struct activations activations_of(const struct mul *m, size_t token, size_t b)
{
    const size_t at = token * (m->k / Q_BLOCK) + b;
    return (struct activations){m->xq.q + at * Q_BLOCK, m->xq.sums + 2 * at, m->xq.d[at], m->xq.ds[at]};
}

/* The chain's step: acc and a block's exact sum. */
INLINE float32x4_t step(uint32_t type, float32x4_t acc, int32x4_t sum, const struct scales *s, size_t b,
                        const struct activations *x)
{
    acc = vfmaq_f32(acc, vcvtq_f32_s32(sum), vmulq_n_f32(vld1q_f32(s->d[b]), x->d));
    if (has_min(type))
        acc = vfmaq_n_f32(acc, vld1q_f32(s->m[b]), x->ds);
    if (type == TYPE_Q2_K) {
        const int32x4_t least = vmlaq_n_s32(vmulq_n_s32(vld1q_s32(s->n[2 * b]), -x->sums[0]),
                                            vld1q_s32(s->n[2 * b + 1]), -x->sums[1]);
        acc = vfmaq_f32(acc, vcvtq_f32_s32(least), vmulq_n_f32(vld1q_f32(s->m[0]), x->d));
    }
    return acc;
}

/* scale 0 times the sum of items 0..15 and scale 1 times that of 16..31. */
INLINE int32x4_t scaled(const struct scales *s, size_t b, int32x4_t sum0, int32x4_t sum1)
{
    return vmlaq_s32(vmulq_s32(vld1q_s32(s->s[2 * b]), sum0), vld1q_s32(s->s[2 * b + 1]), sum1);
}

/* ---- few tokens ---- */

INLINE int32x4_t sum_block(uint32_t type, const struct items *w, const struct scales *s, size_t b,
                           const struct activations *x)
{
    const int8x16_t lo = vld1q_s8(x->q), hi = vld1q_s8(x->q + 16);
    const int32x4_t zero = vdupq_n_s32(0);
    const int offset = offset_of(type);
    int32x4_t p[WIDTH];
    if (!scales_16_items(type)) {
        for (int j = 0; j < WIDTH; j++)
            p[j] = dot_32(type != TYPE_Q8_0, w->lo[j], w->hi[j], lo, hi);
        return offset ? vsubq_s32(fold(p), vdupq_n_s32(offset * (x->sums[0] + x->sums[1]))) : fold(p);
    }
    for (int j = 0; j < WIDTH; j++)
        p[j] = dot_16(zero, w->lo[j], lo);
    const int32x4_t sum0 = vsubq_s32(fold(p), vdupq_n_s32(offset * x->sums[0]));
    for (int j = 0; j < WIDTH; j++)
        p[j] = dot_16(zero, w->hi[j], hi);
    return scaled(s, b, sum0, vsubq_s32(fold(p), vdupq_n_s32(offset * x->sums[1])));
}

/* A panel times T tokens from the first on. */
INLINE void panel_few(const struct mul *m, uint32_t type, size_t r, int T)
{
    const size_t n_blocks = m->k / Q_BLOCK;
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    float32x4_t acc[FEW_TOKENS];
    for (int i = 0; i < T; i++)
        acc[i] = vdupq_n_f32(0);
    for (size_t first = 0; first < n_blocks; first += CHUNK) {
        const size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        struct scales s;
        take_scales(type, panel, m->row_bytes, first, n, &s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch(type, panel, m->row_bytes, first + b, &w);
            for (int i = 0; i < T; i++) {
                const struct activations x = activations_of(m, (size_t)i, first + b);
                acc[i] = step(type, acc[i], sum_block(type, &w, &s, b, &x), &s, b, &x);
            }
        }
    }
    for (int i = 0; i < T; i++)
        vst1q_f32(m->y + (size_t)i * m->y_stride + r, acc[i]);
}

INLINE void few(const struct mul *m, uint32_t type, size_t r)
{
    switch (m->n_tokens) {
    case 1: panel_few(m, type, r, 1); break;
    case 2: panel_few(m, type, r, 2); break;
    case 3: panel_few(m, type, r, 3); break;
    case 4: panel_few(m, type, r, 4); break;
    default: break; /* 0: nothing to compute */
    }
}

/* ---- many tokens ---- */

/* A panel's chunk of 256 items, unpacked and less their offset. */
struct chunk {
    int8_t w[CHUNK][TILE_BYTES];
    struct scales s;
};
_Static_assert(TILE_PANELS * sizeof(struct chunk) <= MUL_CHUNK_BYTES, "scratch holds a tile's panels");

INLINE void unpack_panel(const struct mul *m, uint32_t type, size_t r, struct chunk *out, size_t stride)
{
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    const size_t n_blocks = m->k / Q_BLOCK;
    const int8x16_t offset = vdupq_n_s8((int8_t)offset_of(type));
    for (size_t first = 0; first < n_blocks; first += CHUNK, out += stride) {
        const size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        take_scales(type, panel, m->row_bytes, first, n, &out->s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch(type, panel, m->row_bytes, first + b, &w);
            for (int j = 0; j < WIDTH; j++) {
                w.lo[j] = vsubq_s8(w.lo[j], offset);
                w.hi[j] = vsubq_s8(w.hi[j], offset);
            }
            store_half(out->w[b], w.lo);
            store_half(out->w[b] + HALF_BYTES, w.hi);
        }
    }
}

/* The exact sums of block b of P panels and T tokens. */
INLINE void sum_tile(uint32_t type, int32x4_t *sums, const struct chunk *c, size_t b, const struct activations *x,
                     int P, int T)
{
    const int8_t *w[TILE_PANELS], *q[TILE_TOKENS];
    for (int p = 0; p < P; p++)
        w[p] = c[p].w[b];
    for (int t = 0; t < T; t++)
        q[t] = x[t].q;
    if (!scales_16_items(type)) {
        dot_tile(sums, w, q, type != TYPE_Q8_0, 2, P, T);
        return;
    }
    int32x4_t sums1[TILE_PANELS * TILE_TOKENS];
    dot_tile(sums, w, q, true, 1, P, T);
    for (int p = 0; p < P; p++)
        w[p] += HALF_BYTES;
    for (int t = 0; t < T; t++)
        q[t] += 16;
    dot_tile(sums1, w, q, true, 1, P, T);
    for (int i = 0; i < P * T; i++)
        sums[i] = scaled(&c[i / T].s, b, sums[i], sums1[i]);
}

/* P unpacked panels, whose chunks alternate, times T tokens from t on. */
INLINE void tile(const struct mul *m, uint32_t type, size_t r, size_t t, int P, int T)
{
    const struct chunk *c = m->scratch;
    const size_t n_blocks = m->k / Q_BLOCK;
    float32x4_t acc[TILE_PANELS * TILE_TOKENS];
    for (int i = 0; i < P * T; i++)
        acc[i] = vdupq_n_f32(0);
    for (size_t first = 0; first < n_blocks; first += CHUNK, c += P) {
        const size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        for (size_t b = 0; b < n; b++) {
            struct activations x[TILE_TOKENS];
            int32x4_t sums[TILE_PANELS * TILE_TOKENS];
            for (int i = 0; i < T; i++)
                x[i] = activations_of(m, t + (size_t)i, first + b);
            sum_tile(type, sums, c, b, x, P, T);
            for (int i = 0; i < P * T; i++)
                acc[i] = step(type, acc[i], sums[i], &c[i / T].s, b, &x[i % T]);
        }
    }
    for (int i = 0; i < P * T; i++)
        vst1q_f32(m->y + (t + (size_t)(i % T)) * m->y_stride + r + (size_t)(i / T) * WIDTH, acc[i]);
}

/* The last tile may overlap the one before it, whose outputs are then computed twice, to the same bits. */
INLINE void many(const struct mul *m, uint32_t type, size_t r, int P)
{
    size_t t = 0;
    for (int p = 0; p < P; p++)
        unpack_panel(m, type, r + (size_t)p * WIDTH, (struct chunk *)m->scratch + p, (size_t)P);
    for (; t + TILE_TOKENS <= m->n_tokens; t += TILE_TOKENS)
        tile(m, type, r, t, P, TILE_TOKENS);
    if (t < m->n_tokens && m->n_tokens - t <= 2)
        tile(m, type, r, m->n_tokens - 2, P, 2);
    else if (t < m->n_tokens)
        tile(m, type, r, m->n_tokens - TILE_TOKENS, P, TILE_TOKENS);
}

/* ---- a product ---- */

/* The last panel may overlap the one before it likewise. */
INLINE void product(const struct mul *m, uint32_t type)
{
    size_t r = 0;
    if (m->n_tokens > FEW_TOKENS)
        for (; r + TILE_PANELS * WIDTH <= m->n_rows; r += TILE_PANELS * WIDTH)
            many(m, type, r, TILE_PANELS);
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
