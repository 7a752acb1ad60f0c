/* products.c - products of quantized weights on x86. Compiled for AVX2 and for AVX-512 with VNNI: LEVEL names it.
 *
 * Rows stand side by side: a register holds one number for each of the WIDTH rows of a panel, so that every output is
 * one chain over blocks (struct mul), for one token and for many.
 *
 * A panel's block of 32 is read as 4 + 4 registers: lane i of register j holds 16 items of row 4 i + j, as unsigned
 * bytes (an offset is taken off the sums). Few tokens  products are taken in this form; four registers of partial sums
 * fold to one sum a row by a small tree. Many tokens two panels are unpacked once into `scratch`, four items of every
 * row beside each other, and a tile of rows and tokens needs no folding; types whose sums are alike share its code. */
#include "kernels/overlays.h"
#include "kernels/x86/books.h"
#include "kernels/x86/fetch.h"
#include "kernels/x86/scales.h"
#include "kernels/x86/types.h"

enum { SOME_TOKENS = 32 }; /* up to so many each chunk is met by all of them at once */
enum { LONG_PANEL = 32 << 10 };
#if defined(__AVX512F__)
enum { TILE_TOKENS = 6, TILE_TOKENS_16 = 4 }; /* the latter for scales of 16 items, which need more registers */
#else
enum { TILE_TOKENS = 2, TILE_TOKENS_16 = 1 };
#endif

/* ---- blocks of a panel ---- */

/* Eight blocks of a panel; items where they come from a code book. */
struct eight {
    const uint8_t *panel;
    size_t row_bytes, first; /* first: a multiple of CHUNK */
    vi raw[RAW][4];
    struct book book;
};

/* n of them, of a panel that begins at `panel`. */
INLINE void take(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t first, size_t n, struct eight *out,
                 struct scales *s)
{
    const uint8_t *p = block_at(type, panel, first);
    out->panel = panel;
    out->row_bytes = row_bytes;
    out->first = first;
    if (has_raw(type))
        read_raw(type, p, row_bytes, out->raw);
    if (has_grid(type)) {
        open_book(type, p, row_bytes, &out->book);
        scales_of_book(type, p, row_bytes, &out->book, s);
    } else if (block_length(type) < CHUNK) {
        scales_first(type, p, row_bytes, n, s);
    } else if (type == TYPE_TQ1_0 || type == TYPE_TQ2_0) {
        scales_last(type, p, row_bytes, s);
    } else if (type == TYPE_IQ4_XS) {
        scales_iq4_xs(p, row_bytes, s);
    } else if (sums_apart(sums_of(type))) {
        scales_of_16(type, p, row_bytes, s);
    } else {
        scales_k4(p, row_bytes, s);
    }
}

/* Items of block b of the eight. */
INLINE void fetch(uint32_t type, struct eight *from, size_t b, struct items *out)
{
    if (has_grid(type)) {
        read_book(type, &from->book, b, out);
        return;
    }
    for (size_t j = 0; j < 4; j++) {
        if (has_raw(type)) {
            out->lo[j] = fetch_raw(type, from->raw, j, b, 0);
            out->hi[j] = fetch_raw(type, from->raw, j, b, 1);
            continue;
        }
        const uint8_t *row = from->panel + j * from->row_bytes;
        fetch_row(type, block_at(type, row, from->first + b), 4 * from->row_bytes, b, &out->lo[j], &out->hi[j]);
    }
}

/* ---- sums ---- */

/* How a type's blocks are summed; constant where it is inlined, but for `offset` in tiles. */
struct form {
    enum sums sums;
    bool is_signed; /* signed_bytes */
    int offset;
};

INLINE struct form form_of(uint32_t type) { return (struct form){sums_of(type), signed_bytes(type), offset_of(type)}; }

INLINE vi dot(struct form f, vi sum, vi w, vi x)
{
#if !defined(__AVX512F__)
    if (f.is_signed)
        return vi_dot(sum, V(abs_epi8)(w), V(sign_epi8)(x, w));
#endif
    (void)f;
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

INLINE vf vf_of_i8(const int8_t *p) { return V(cvtepi32_ps)(vi_widen_i8(p)); }

/* a[0] times x0 and a[1] times x1, of small integers. Floats hold all of these exactly (the largest are Q6_K's, 128 *
 * 32 * 127 * 32 < 2^24), at half the cost of 32-bit products. That a zero may be -0 is not seen: no chain (struct mul)
 * ever reaches -0, since it begins with 0 and adds multiples of the least float. */
INLINE vf two_products(const int8_t (*a)[WIDTH], vf x0, vf x1)
{
    return V(fmadd_ps)(vf_of_i8(a[1]), x1, V(mul_ps)(vf_of_i8(a[0]), x0));
}

/* The chain's step: acc and a block's exact sum, less the offset already; or its halves' where sums_apart. */
INLINE vf step(enum sums sums, vf acc, vi sum, vi sum1, const struct scales *s, size_t b, const struct activations *x)
{
    const vf d = V(mul_ps)(V(loadu_ps)(s->d[b]), V(set1_ps)(x->d)), first = V(cvtepi32_ps)(sum);
    if (!sums_apart(sums)) {
        acc = V(fmadd_ps)(first, d, acc);
        return sums == SUMS_MIN ? V(fmadd_ps)(V(loadu_ps)(s->m[b]), V(set1_ps)(x->ds), acc) : acc;
    }
    const vf second = V(cvtepi32_ps)(sum1);
    if (sums == SUMS_STEPS) {
        acc = V(fmadd_ps)(first, d, acc);
        return V(fmadd_ps)(second, V(mul_ps)(V(loadu_ps)(s->m[b]), V(set1_ps)(x->d)), acc);
    }
    acc = V(fmadd_ps)(two_products(&s->s[2 * b], first, second), d, acc);
    if (sums == SUMS_16_MIN) {
        const vf least = two_products(&s->n[2 * b], V(set1_ps)((float)-x->sums[0]), V(set1_ps)((float)-x->sums[1]));
        acc = V(fmadd_ps)(least, V(mul_ps)(V(loadu_ps)(s->m[0]), V(set1_ps)(x->d)), acc);
    }
    return acc;
}

/* ---- one token ---- */

INLINE vf step_one(struct form f, vf acc, const struct items *w, const struct scales *s, size_t b,
                   const struct activations *x)
{
    const vi lo = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)x->q));
    const vi hi = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)(x->q + 16)));
    const vi zero = V(set1_epi32)(0);
    vi p[4];
    if (!sums_apart(f.sums)) {
        for (int j = 0; j < 4; j++)
            p[j] = dot(f, dot(f, zero, w->lo[j], lo), w->hi[j], hi);
        vi sum = fold(p[0], p[1], p[2], p[3]);
        if (f.offset)
            sum = V(sub_epi32)(sum, V(set1_epi32)(f.offset * (x->sums[0] + x->sums[1])));
        return step(f.sums, acc, sum, zero, s, b, x);
    }
    for (int j = 0; j < 4; j++)
        p[j] = dot(f, zero, w->lo[j], lo);
    vi sum0 = V(sub_epi32)(fold(p[0], p[1], p[2], p[3]), V(set1_epi32)(f.offset * x->sums[0]));
    for (int j = 0; j < 4; j++)
        p[j] = dot(f, zero, w->hi[j], hi);
    vi sum1 = V(sub_epi32)(fold(p[0], p[1], p[2], p[3]), V(set1_epi32)(f.offset * x->sums[1]));
    return step(f.sums, acc, sum0, sum1, s, b, x);
}

/* What stands `panels` further comes into the second-level cache while a block is worked on: SmolLM2's generation goes
 * from 155 to 245 tokens/s by it, more than by fetching into the first level. */
INLINE void fetch_ahead(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)at + i, _MM_HINT_T1);
}

/* A panel times one token. */
INLINE void panel_one(const struct mul *m, uint32_t type, size_t r)
{
    const size_t n_blocks = m->k / Q_BLOCK, panel_bytes = WIDTH * m->row_bytes, ahead_bytes = panel_bytes / n_blocks;
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    const uint8_t *ahead = panel + panel_bytes * (panel_bytes < LONG_PANEL ? 2 : 1);
    vf acc = V(setzero_ps)();
    for (size_t first = 0; first < n_blocks; first += CHUNK) {
        size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        struct eight blocks;
        struct scales s;
        take(type, panel, m->row_bytes, first, n, &blocks, &s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch_ahead(ahead, ahead_bytes);
            ahead += ahead_bytes;
            fetch(type, &blocks, b, &w);
            struct activations x = activations_of(m, 0, first + b);
            acc = step_one(form_of(type), acc, &w, &s, b, &x);
        }
    }
    V(storeu_ps)(m->y + r, acc);
}

/* ---- several tokens ---- */

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

/* Blocks [from, to) of a panel. */
INLINE void unpack_panel(const struct mul *m, uint32_t type, size_t r, size_t from, size_t to, struct chunk *out,
                         size_t stride)
{
    const size_t panel_bytes = WIDTH * m->row_bytes, ahead_bytes = panel_bytes / (m->k / Q_BLOCK);
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    const uint8_t *ahead = panel + 2 * panel_bytes + from * ahead_bytes;
    for (size_t first = from; first < to; first += CHUNK, out += stride) {
        size_t n = to - first < CHUNK ? to - first : CHUNK;
        struct eight blocks;
        take(type, panel, m->row_bytes, first, n, &blocks, &out->s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch_ahead(ahead, ahead_bytes);
            ahead += ahead_bytes;
            fetch(type, &blocks, b, &w);
            transpose_words(w.lo, out->w[b]);
            transpose_words(w.hi, out->w[b] + 4);
        }
    }
}

/* Adds to sums[p][i] the products of words [from, from + n) of block b. */
INLINE void dot_words(struct form f, vi *sums, const struct chunk *c, size_t b, const struct activations *x, int from,
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
                sums[p * T + t] = dot(f, sums[p * T + t], w[p], q);
        }
    }
}

INLINE void tile_block(struct form f, vf *acc, const struct chunk *c, size_t b, const struct activations *x, int P,
                       int T)
{
    const bool apart = sums_apart(f.sums);
    vi sums[2 * TILE_TOKENS], sums1[2 * TILE_TOKENS];
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++) {
            const int first = apart ? x[t].sums[0] : x[t].sums[0] + x[t].sums[1];
            sums[p * T + t] = V(set1_epi32)(-f.offset * first);
            sums1[p * T + t] = V(set1_epi32)(-f.offset * x[t].sums[1]);
        }
    dot_words(f, sums, c, b, x, 0, apart ? 4 : 8, P, T);
    if (apart)
        dot_words(f, sums1, c, b, x, 4, 4, P, T);
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++)
            acc[p * T + t] = step(f.sums, acc[p * T + t], sums[p * T + t], sums1[p * T + t], &c[p].s, b, &x[t]);
}

/* Blocks [from, to) of P unpacked panels times T tokens from t on, added to what y has of the blocks before. Chunks of
 * the panels alternate. */
INLINE void tile(const struct mul *m, struct form f, size_t r, size_t from, size_t to, size_t t, int P, int T)
{
    const struct chunk *c = m->scratch;
    float *y = m->y + t * m->y_stride + r;
    vf acc[2 * TILE_TOKENS];
    for (int p = 0; p < P; p++)
        for (int i = 0; i < T; i++)
            acc[p * T + i] = from ? V(loadu_ps)(y + (size_t)i * m->y_stride + (size_t)p * WIDTH) : V(setzero_ps)();
    for (size_t first = from; first < to; first += CHUNK, c += P) {
        size_t n = to - first < CHUNK ? to - first : CHUNK;
        for (size_t b = 0; b < n; b++) {
            struct activations x[TILE_TOKENS];
            for (int i = 0; i < T; i++)
                x[i] = activations_of(m, t + (size_t)i, first + b);
            tile_block(f, acc, c, b, x, P, T);
        }
    }
    for (int p = 0; p < P; p++)
        for (int i = 0; i < T; i++)
            V(storeu_ps)(y + (size_t)i * m->y_stride + (size_t)p * WIDTH, acc[p * T + i]);
}

/* The next tile's tokens when n are left: 7 are 4 + 3, 8 are 4 + 4. */
INLINE size_t tile_tokens(size_t n, size_t most)
{
    if (n > most + 2 || n == most)
        return most;
    return n >= 4 && n != 5 && most > 3 ? 4 : n >= 3 && most > 3 ? 3 : n >= 2 && most > 1 ? 2 : 1;
}

/* All tokens. */
INLINE void tiles_of(const struct mul *m, struct form f, size_t r, size_t from, size_t to, int P)
{
    const size_t most = sums_apart(f.sums) ? TILE_TOKENS_16 : TILE_TOKENS;
    for (size_t t = 0, n; t < m->n_tokens; t += n) {
        n = tile_tokens(m->n_tokens - t, most);
        if (most > 4 && n == most)
            tile(m, f, r, from, to, t, P, (int)most);
        else if (most > 3 && n == 4)
            tile(m, f, r, from, to, t, P, 4);
        else if (most > 3 && n == 3)
            tile(m, f, r, from, to, t, P, 3);
        else if (most > 1 && n == 2)
            tile(m, f, r, from, to, t, P, 2);
        else
            tile(m, f, r, from, to, t, P, 1);
    }
}

#define TILES(name, sums, is_signed, offset)                                                                          \
    static __attribute__((noinline)) void name(const struct mul *m, int any, size_t r, size_t from, size_t to, int P) \
    {                                                                                                                 \
        const struct form f = {sums, is_signed, offset};                                                              \
        (void)any;                                                                                                    \
        if (P == 2)                                                                                                   \
            tiles_of(m, f, r, from, to, 2);                                                                           \
        else                                                                                                          \
            tiles_of(m, f, r, from, to, 1);                                                                           \
    }
TILES(tiles_plain, SUMS_PLAIN, false, any)
TILES(tiles_min, SUMS_MIN, false, 0)
TILES(tiles_16, SUMS_16, false, any)
TILES(tiles_16_min, SUMS_16_MIN, false, 0)
TILES(tiles_steps, SUMS_STEPS, false, any)
#if !defined(__AVX512F__)
TILES(tiles_signed, SUMS_PLAIN, true, 0)
#endif

INLINE void tiles(const struct mul *m, struct form f, size_t r, size_t from, size_t to, int P)
{
#if !defined(__AVX512F__)
    if (f.is_signed) {
        tiles_signed(m, 0, r, from, to, P);
        return;
    }
#endif
    switch (f.sums) {
    case SUMS_PLAIN: tiles_plain(m, f.offset, r, from, to, P); break;
    case SUMS_MIN: tiles_min(m, 0, r, from, to, P); break;
    case SUMS_16: tiles_16(m, f.offset, r, from, to, P); break;
    case SUMS_16_MIN: tiles_16_min(m, 0, r, from, to, P); break;
    case SUMS_STEPS: tiles_steps(m, f.offset, r, from, to, P); break;
    }
}

/* Some tokens meet each chunk as soon as it is unpacked, while the first-level cache has it and memory delivers the
 * next; many meet whole panels, so that a tile's sums stay in registers. */
INLINE void panels_several(const struct mul *m, uint32_t type, size_t r, int P)
{
    const size_t n_blocks = m->k / Q_BLOCK, pass = m->n_tokens <= SOME_TOKENS ? CHUNK : n_blocks;
    struct chunk *c = m->scratch;
    for (size_t from = 0; from < n_blocks; from += pass) {
        const size_t to = n_blocks - from < pass ? n_blocks : from + pass;
        for (int p = 0; p < P; p++)
            unpack_panel(m, type, r + (size_t)p * WIDTH, from, to, c + p, (size_t)P);
        tiles(m, form_of(type), r, from, to, P);
    }
}

/* ---- a product ---- */

/* The last panel may overlap the one before it, whose outputs are then computed twice, to the same bits. */
INLINE void product(const struct mul *m, uint32_t type)
{
    if (m->n_rows < WIDTH) {
        product_ref(m, type);
        return;
    }
    size_t r = 0;
    if (m->n_tokens > 1)
        for (; r + 2 * WIDTH <= m->n_rows; r += 2 * WIDTH)
            panels_several(m, type, r, 2);
    for (; r < m->n_rows; r += WIDTH) {
        if (r + WIDTH > m->n_rows)
            r = m->n_rows - WIDTH;
        if (m->n_tokens > 1)
            panels_several(m, type, r, 1);
        else
            panel_one(m, type, r);
    }
}

#define QUANTIZED(name, type) \
    static void mul_##name(const struct mul *m) { product(m, TYPE_##type); }
#include "kernels/quantized.def"
#undef QUANTIZED

void LEVELED(products_overlay)(struct kernels *k)
{
#define QUANTIZED(name, type) k->mul_##name = mul_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
}
