/* products.c - products of quantized weights on 64-bit ARM. Compiled for base NEON, dotprod and i8mm: LEVEL names it.
 *
 * The technique is that of x86/products.c with registers of 16 bytes: four rows stand side by side as a panel, and
 * every output is one chain over blocks (struct mul), for one token and for many. A register holds 16 items of one row.
 * Few tokens  products are taken in this form, and the partial sums of four rows fold by pairwise additions. Many
 * tokens two panels are unpacked once into `scratch`, as arm/vector.h wants them for a tile of rows and tokens. */
#include "kernels/arm/fetch.h"
#include "kernels/arm/scales.h"
#include "kernels/overlays.h"

enum { FEW_TOKENS = 4 }; /* up to so many without unpacking */

/* ---- sums ---- */

/* A block's exact sum; of types whose sums are apart that of items 0..15, and of 16..31. */
struct sums_4 {
    int32x4_t first, second;
};

/* An output's chain; of wide types also what its superblock's blocks have added up to. */
struct chain {
    float32x4_t acc;
    int32x4_t sum, least;
};
INLINE struct chain chain_start(void) { return (struct chain){vdupq_n_f32(0), vdupq_n_s32(0), vdupq_n_s32(0)}; }

/* Block b of eight of a wide type's superblock; both such types here have scales of 16. */
INLINE void step_wide(uint32_t type, struct chain *c, struct sums_4 sums, const struct scales *s, size_t b,
                      const struct activations *x)
{
    c->sum = vmlaq_s32(c->sum, vld1q_s32(s->s[2 * b]), sums.first);
    c->sum = vmlaq_s32(c->sum, vld1q_s32(s->s[2 * b + 1]), sums.second);
    if (sums_of(type) == SUMS_WIDE_MIN) {
        c->least = vmlaq_n_s32(c->least, vld1q_s32(s->n[2 * b]), -x->sums[0]);
        c->least = vmlaq_n_s32(c->least, vld1q_s32(s->n[2 * b + 1]), -x->sums[1]);
    }
    if (b < CHUNK - 1)
        return;
    const float32x4_t d = vld1q_f32(s->d[b]), sum = vcvtq_f32_s32(c->sum), acc = c->acc;
    const float32x4_t least = vcvtq_f32_s32(c->least);
    *c = chain_start();
    c->acc = sums_of(type) == SUMS_WIDE_MIN
                 ? vfmaq_n_f32(acc, vfmaq_f32(vmulq_f32(sum, d), least, vld1q_f32(s->m[0])), x->d)
                 : vfmaq_f32(acc, sum, vmulq_n_f32(d, x->d));
}

/* The chain's step, by block b of eight. */
INLINE void step(uint32_t type, struct chain *c, struct sums_4 sums, const struct scales *s, size_t b,
                 const struct activations *x)
{
    if (is_wide(sums_of(type))) {
        step_wide(type, c, sums, s, b, x);
        return;
    }
    const float32x4_t d = vld1q_f32(s->d[b]), first = vcvtq_f32_s32(sums.first);
    if (sums_of(type) == SUMS_16) {
        const float32x4_t both = vfmaq_f32(vmulq_f32(first, d), vcvtq_f32_s32(sums.second), vld1q_f32(s->m[b]));
        c->acc = vfmaq_n_f32(c->acc, both, x->d);
        return;
    }
    c->acc = vfmaq_f32(c->acc, first, vmulq_n_f32(d, x->d));
    if (sums_of(type) == SUMS_MIN)
        c->acc = vfmaq_n_f32(c->acc, vld1q_f32(s->m[b]), x->ds);
}

/* ---- few tokens ---- */

INLINE struct sums_4 sum_block(uint32_t type, const struct items *w, const struct activations *x)
{
    const int8x16_t lo = vld1q_s8(x->q), hi = vld1q_s8(x->q + 16);
    const int32x4_t zero = vdupq_n_s32(0);
    const int offset = offset_of(type);
    int32x4_t p[WIDTH];
    if (!sums_apart(type)) {
        for (int j = 0; j < WIDTH; j++)
            p[j] = dot_32(type != TYPE_Q8_0, w->lo[j], w->hi[j], lo, hi);
        const int32x4_t sum = fold(p);
        return (struct sums_4){offset ? vsubq_s32(sum, vdupq_n_s32(offset * (x->sums[0] + x->sums[1]))) : sum, zero};
    }
    for (int j = 0; j < WIDTH; j++)
        p[j] = dot_16(zero, w->lo[j], lo);
    const int32x4_t sum0 = vsubq_s32(fold(p), vdupq_n_s32(offset * x->sums[0]));
    for (int j = 0; j < WIDTH; j++)
        p[j] = dot_16(zero, w->hi[j], hi);
    return (struct sums_4){sum0, vsubq_s32(fold(p), vdupq_n_s32(offset * x->sums[1]))};
}

/* A panel times T tokens from the first on. */
INLINE void panel_few(const struct mul *m, uint32_t type, size_t r, int T)
{
    const size_t n_blocks = m->k / Q_BLOCK;
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    struct chain c[FEW_TOKENS];
    for (int i = 0; i < T; i++)
        c[i] = chain_start();
    for (size_t first = 0; first < n_blocks; first += CHUNK) {
        const size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        struct scales s;
        take_scales(type, panel, m->row_bytes, first, n, &s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch(type, panel, m->row_bytes, first + b, &w);
            for (int i = 0; i < T; i++) {
                const struct activations x = activations_of(m, (size_t)i, first + b);
                step(type, &c[i], sum_block(type, &w, &x), &s, b, &x);
            }
        }
    }
    for (int i = 0; i < T; i++)
        vst1q_f32(m->y + (size_t)i * m->y_stride + r, c[i].acc);
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

/* The exact sums of block b of P panels and T tokens; in sums1 those of items 16..31 where they are apart. */
INLINE void sum_tile(uint32_t type, int32x4_t *sums, int32x4_t *sums1, const struct chunk *c, size_t b,
                     const struct activations *x, int P, int T)
{
    const int8_t *w[TILE_PANELS], *q[TILE_TOKENS];
    for (int p = 0; p < P; p++)
        w[p] = c[p].w[b];
    for (int t = 0; t < T; t++)
        q[t] = x[t].q;
    if (!sums_apart(type)) {
        dot_tile(sums, w, q, type != TYPE_Q8_0, 2, P, T);
        return;
    }
    dot_tile(sums, w, q, true, 1, P, T);
    for (int p = 0; p < P; p++)
        w[p] += HALF_BYTES;
    for (int t = 0; t < T; t++)
        q[t] += 16;
    dot_tile(sums1, w, q, true, 1, P, T);
}

/* P unpacked panels, whose chunks alternate, times T tokens from t on. */
INLINE void tile(const struct mul *m, uint32_t type, size_t r, size_t t, int P, int T)
{
    const struct chunk *c = m->scratch;
    const size_t n_blocks = m->k / Q_BLOCK;
    struct chain chains[TILE_PANELS * TILE_TOKENS];
    for (int i = 0; i < P * T; i++)
        chains[i] = chain_start();
    for (size_t first = 0; first < n_blocks; first += CHUNK, c += P) {
        const size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        for (size_t b = 0; b < n; b++) {
            struct activations x[TILE_TOKENS];
            int32x4_t sums[TILE_PANELS * TILE_TOKENS], sums1[TILE_PANELS * TILE_TOKENS];
            for (int i = 0; i < T; i++)
                x[i] = activations_of(m, t + (size_t)i, first + b);
            sum_tile(type, sums, sums1, c, b, x, P, T);
            for (int i = 0; i < P * T; i++)
                step(type, &chains[i], (struct sums_4){sums[i], sums1[i]}, &c[i / T].s, b, &x[i % T]);
        }
    }
    for (int i = 0; i < P * T; i++)
        vst1q_f32(m->y + (t + (size_t)(i % T)) * m->y_stride + r + (size_t)(i / T) * WIDTH, chains[i].acc);
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
    if (m->n_rows < WIDTH) {
        product_ref(m, type);
        return;
    }
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

/* The types that are taken here; the others stay as the level below has them. */
#define EACH_TYPE(f)                                                                                                \
    f(q4_0, Q4_0) f(q4_1, Q4_1) f(q5_0, Q5_0) f(q5_1, Q5_1) f(q8_0, Q8_0) f(q2_k, Q2_K) f(q3_k, Q3_K) f(q4_k, Q4_K) \
        f(q5_k, Q5_K) f(q6_k, Q6_K)

#define PRODUCT(name, type) \
    static void mul_##name(const struct mul *m) { product(m, TYPE_##type); }
EACH_TYPE(PRODUCT)

void LEVELED(products_overlay)(struct kernels *k)
{
#define SET(name, type) k->mul_##name = mul_##name;
    EACH_TYPE(SET)
}
