/* products.c - products of quantized weights on x86. Compiled for AVX2 and for AVX-512 with VNNI: LEVEL names it.
 *
 * Rows stand side by side: a register holds one number for each of the WIDTH rows of a panel, so that every output is
 * one chain over blocks (struct mul), for one token and for many.
 *
 * A panel's block of 32 is read as 4 + 4 registers: lane i of register j holds 16 items of row 4 i + j, as unsigned
 * bytes (an offset is taken off the sums). One token's products are taken in this form; four registers of partial sums
 * fold to one sum a row by a small tree. For some tokens a block is brought into words, four items of every row beside
 * each other, that stay in registers while all tokens meet them. For many, two panels are unpacked so into `scratch`
 * (tiles.h). */
#include "kernels/x86/products.h"
#include "kernels/x86/bits.h"
#include "kernels/x86/tiles.h"

enum { SOME_TOKENS = 32, KEPT = 2048 /* outputs, so that the first-level cache has room for activations */ };

/* ---- offsets ---- */

/* What is added to the sums of each block of activations, or of its halves, for the offset of items: of few and some
 * tokens computed once, into `scratch`. */
static void write_offsets(const struct mul *m, struct form f)
{
    int32_t *out = m->scratch;
    const int16_t *sums = m->xq.sums;
    const size_t n = m->n_tokens * m->k / Q_BLOCK;
    if (!f.offset)
        return;
    if (f.in_halves)
        for (size_t i = 0; i < 2 * n; i++)
            out[i] = -f.offset * sums[i];
    else
        for (size_t i = 0; i < n; i++)
            out[i] = -f.offset * (sums[2 * i] + sums[2 * i + 1]);
}

/* That of block b of a token, and of its second half. */
INLINE vi offset_at(const struct mul *m, struct form f, size_t t, size_t b, size_t half)
{
    const size_t at = t * (m->k / Q_BLOCK) + b;
    const int32_t *offsets = m->scratch;
    if (!f.offset)
        return V(set1_epi32)(0);
    return V(set1_epi32)(f.in_halves ? offsets[2 * at + half] : offsets[at]);
}

/* ---- one token, or two ---- */

/* A block's products with the activations of token t, from block b on. */
INLINE void step_few(const struct mul *m, struct form f, struct chain *c, const struct items *w, const struct scale *s,
                     size_t t, size_t b)
{
    const struct activations x = activations_of(m, t, b);
    const vi lo = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)x.q));
    const vi hi = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)(x.q + 16)));
    const vi zero = V(set1_epi32)(0);
    vi p[4];
    if (!f.in_halves) {
        for (int j = 0; j < 4; j++)
            p[j] = dot(f, dot(f, zero, w->lo[j], lo), w->hi[j], hi);
        const vi sum = V(add_epi32)(fold(p[0], p[1], p[2], p[3]), offset_at(m, f, t, b, 0));
        step(f, c, sum, zero, s, &x, b);
        return;
    }
    for (int j = 0; j < 4; j++)
        p[j] = dot(f, zero, w->lo[j], lo);
    const vi sum0 = V(add_epi32)(fold(p[0], p[1], p[2], p[3]), offset_at(m, f, t, b, 0));
    for (int j = 0; j < 4; j++)
        p[j] = dot(f, zero, w->hi[j], hi);
    const vi sum1 = V(add_epi32)(fold(p[0], p[1], p[2], p[3]), offset_at(m, f, t, b, 1));
    step(f, c, sum0, sum1, s, &x, b);
}

/* A panel times T tokens. */
INLINE void panel_few(const struct mul *m, uint32_t type, size_t r, int T, bool near)
{
    struct walk k;
    struct chain c[2];
    walk_start(&k, type, m, r);
    for (int i = 0; i < T; i++)
        c[i] = chain_start();
    for (size_t first = 0; first < k.n_blocks; first += CHUNK) {
        const size_t n = walk_take(&k, type, first);
#pragma GCC unroll 8
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch_ahead(type, k.ahead, first, b);
            fetch(type, &k.blocks, b, &w);
            const struct scale s = walk_scale(&k, type, b, near);
            for (int i = 0; i < T; i++)
                step_few(m, form_of(type), &c[i], &w, &s, (size_t)i, first + b);
        }
    }
    for (int i = 0; i < T; i++)
        V(storeu_ps)(m->y + (size_t)i * m->y_stride + r, c[i].acc);
}

/* A panel times one token, of types that has_bits. */
INLINE void panel_bits(const struct mul *m, uint32_t type, size_t r, bool near)
{
    const struct form f = form_of(type);
    struct walk k;
    struct chain c = chain_start();
    walk_start(&k, type, m, r);
    for (size_t first = 0; first < k.n_blocks; first += CHUNK) {
        walk_take(&k, type, first);
#pragma GCC unroll 8
        for (size_t b = 0; b < CHUNK; b++) {
            const struct activations x = activations_of(m, 0, first + b);
            fetch_ahead(type, k.ahead, first, b);
            read_raw(type, block_at(type, k.blocks.panel, first), k.blocks.row_bytes, b, true, k.blocks.raw);
            const struct scale s = walk_scale(&k, type, b, near);
            vi sum = dot_half(type, offset_at(m, f, 0, first + b, 0), k.blocks.raw, b, 0, x.q);
            const vi sum1 = dot_half(type, f.in_halves ? offset_at(m, f, 0, first + b, 1) : sum, k.blocks.raw, b, 1,
                                     x.q);
            step(f, &c, f.in_halves ? sum : sum1, sum1, &s, &x, b);
        }
    }
    V(storeu_ps)(m->y + r, c.acc);
}

/* One token of Q8_0 goes by panels of 8 rows: while a core follows 16 of them it asks for less of memory than it could
 * (52 to 58 GB/s of 66, with 8 rows 63 to 66), and of other types arithmetic is what takes the time. */
INLINE bool wants_8_rows(uint32_t type, size_t n_tokens) { return WIDTH > 8 && type == TYPE_Q8_0 && n_tokens == 1; }

/* Two tokens gain by words only where these come at little cost, one only where its halves would be folded apart. */
INLINE bool are_few(uint32_t type, size_t n_tokens)
{
    return (n_tokens == 1 && type != TYPE_Q6_K && (type != TYPE_Q2_K || has_bits(type))) ||
           (n_tokens == 2 && !has_raw_words(type));
}

INLINE void few_of(const struct mul *m, uint32_t type, size_t r, bool near)
{
    if (has_bits(type))
        panel_bits(m, type, r, near);
    else if (are_few(type, 2) && m->n_tokens == 2)
        panel_few(m, type, r, 2, near);
    else if (!wants_8_rows(type, 1))
        panel_few(m, type, r, 1, near);
}

/* Two copies of the code, where both are of use: a test for each block costs 2 %. */
INLINE void few(const struct mul *m, uint32_t type, size_t r, bool near)
{
    if (gains_near(type) && near)
        few_of(m, type, r, true);
    else
        few_of(m, type, r, false);
}

/* ---- some tokens ---- */

/* A block's products, as words, with the activations of token t, from block b on. Two chains of dots hide their latency
 * better than one. */
INLINE void step_words(const struct mul *m, struct form f, struct chain *c, const vi w[8], const struct scale *s,
                       size_t t, size_t b)
{
    const struct activations x = activations_of(m, t, b);
    vi sum[2] = {offset_at(m, f, t, b, 0), f.in_halves ? offset_at(m, f, t, b, 1) : V(set1_epi32)(0)};
    for (int i = 0; i < 8; i++) {
        int32_t word;
        memcpy(&word, x.q + 4 * i, 4);
        sum[i / 4] = dot(f, sum[i / 4], w[i], V(set1_epi32)(word));
    }
    step(f, c, f.in_halves ? sum[0] : V(add_epi32)(sum[0], sum[1]), sum[1], s, &x, b);
}

/* A panel times some tokens, whose sums stand in memory: storing them costs less than the dots beside it. */
INLINE void panel_some(const struct mul *m, uint32_t type, size_t r)
{
    struct walk k;
    struct chain c[SOME_TOKENS];
    walk_start(&k, type, m, r);
    for (size_t t = 0; t < m->n_tokens; t++)
        c[t] = chain_start();
    for (size_t first = 0; first < k.n_blocks; first += CHUNK) {
        const size_t n = walk_take(&k, type, first);
#pragma GCC unroll 8
        for (size_t b = 0; b < n; b++) {
            vi w[8];
            fetch_ahead(type, k.ahead, first, b);
            fetch_words(type, &k.blocks, b, w);
            const struct scale s = walk_scale(&k, type, b, false);
            for (size_t t = 0; t < m->n_tokens; t++)
                step_words(m, form_of(type), &c[t], w, &s, t, first + b);
        }
    }
    for (size_t t = 0; t < m->n_tokens; t++)
        V(storeu_ps)(m->y + t * m->y_stride + r, c[t].acc);
}

/* ---- a product ---- */

/* P panels times many tokens. */
static void panels_many(const struct mul *m, const struct typed *typed, size_t r, int P)
{
    const struct form f = form_of_many(typed->type);
    struct chunk *c = m->scratch;
    for (int p = 0; p < P; p++)
        for (size_t i = 0; i < chunks_of(m->k); i++) {
            const size_t row = r + (size_t)p * WIDTH;
            typed->unpack(&(struct unpacking){m, row, i, ahead_of(m, row, (size_t)P), false, 0}, c + i * (size_t)P + p);
        }
    for (size_t i = 0; can_scale(typed->type) && i < m->k / Q_BLOCK / CHUNK * (size_t)P; i++)
        scale_items(c + i, offset_of(typed->type), f);
    tiles(m, f, r, P);
}

static void panels_of_one_form(const struct mul *m, const struct typed *typed, bool near)
{
    for (size_t r = 0; r < m->n_rows; r += WIDTH) {
        if (r + WIDTH > m->n_rows)
            r = m->n_rows - WIDTH;
        if (are_few(typed->type, m->n_tokens))
            typed->few(m, r, near);
        else
            typed->some(m, r);
    }
}

/* n numbers, at least WIDTH. Compilers make `rep movs` of a memcpy, which takes longer than the few lines it copies. */
INLINE void copy_row(float *to, const float *from, size_t n)
{
    for (size_t i = 0; i + WIDTH < n; i += WIDTH)
        V(storeu_ps)(to + i, V(loadu_ps)(from + i));
    V(storeu_ps)(to + n - WIDTH, V(loadu_ps)(from + n - WIDTH));
}

/* Few and some tokens. Outputs are kept until there are many: a line that another core has read has to be called back
 * before a store to it is done, and until then no word of scales that was copied can be loaded again. */
static void panels_kept(const struct mul *m, const struct typed *typed, bool near)
{
    float y[KEPT];
    const size_t stride = KEPT / m->n_tokens / WIDTH * WIDTH;
    write_offsets(m, form_of(typed->type));
    for (size_t r = 0, n; r < m->n_rows; r += n) {
        r = m->n_rows - r < WIDTH ? m->n_rows - WIDTH : r;
        n = m->n_rows - r < stride ? m->n_rows - r : stride;
        struct mul part = *m;
        part.w = (const uint8_t *)m->w + r * m->row_bytes;
        part.n_rows = n;
        part.y = y;
        part.y_stride = stride;
        panels_of_one_form(&part, typed, near);
        for (size_t t = 0; t < m->n_tokens; t++)
            copy_row(m->y + t * m->y_stride + r, y + t * stride, n);
    }
}

static void panels_of_many(const struct mul *m, const struct typed *typed)
{
    size_t r = 0;
    for (; r + 2 * WIDTH <= m->n_rows; r += 2 * WIDTH)
        panels_many(m, typed, r, 2);
    for (; r < m->n_rows; r += WIDTH)
        panels_many(m, typed, r + WIDTH > m->n_rows ? m->n_rows - WIDTH : r, 1);
}

/* The last panel may overlap the one before it, whose outputs are then computed twice, to the same bits. */
void LEVELED(product)(const struct mul *m, const struct typed *typed, bool near)
{
    if (m->n_rows < WIDTH)
        product_ref(m, typed->type);
    else if (wants_8_rows(typed->type, m->n_tokens))
        mul_q8_0_avx2(m);
    else if (m->n_tokens > SOME_TOKENS)
        panels_of_many(m, typed);
    else
        panels_kept(m, typed, near);
}

#define QUANTIZED(name, type)                                                                                  \
    static void few_##name(const struct mul *m, size_t r, bool near) { few(m, TYPE_##type, r, near); }         \
    static void some_##name(const struct mul *m, size_t r) { panel_some(m, TYPE_##type, r); }                  \
    static void unpack_##name(const struct unpacking *u, struct chunk *c) { unpack_chunk(u, TYPE_##type, c); } \
    const struct typed LEVELED(typed_##name) = {TYPE_##type, few_##name, some_##name, unpack_##name};          \
    static void mul_##name(const struct mul *m) { LEVELED(product)(m, &LEVELED(typed_##name), false); }
#include "kernels/quantized.def"
#undef QUANTIZED

#if !defined(__AVX512F__)
void LEVELED(mul_q8_0)(const struct mul *m) { mul_q8_0(m); }
#endif

void LEVELED(products_overlay)(struct kernels *k)
{
#define QUANTIZED(name, type) k->mul_##name = mul_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
}
