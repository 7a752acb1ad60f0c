/* products.c - products of quantized weights on x86. Compiled for AVX2 and for AVX-512 with VNNI: LEVEL names it.
 *
 * Rows stand side by side: a register holds one number for each of the WIDTH rows of a panel, so that every output is
 * one chain over blocks (struct mul), for one token and for many.
 *
 * A panel's block of 32 is read as 4 + 4 registers: lane i of register j holds 16 items of row 4 i + j, as unsigned
 * bytes (an offset is taken off the sums). Few tokens' products are taken in this form; four registers of partial sums
 * fold to one sum a row by a small tree. For several tokens two panels are unpacked once into `scratch`, four items of
 * every row beside each other (tiles.h). */
#include "kernels/overlays.h"
#include "kernels/x86/tiles.h"

enum { SOME_TOKENS = 32 }; /* up to so many each chunk is met by all of them at once */
enum { LONG_PANEL = 32 << 10 };

/* ---- one token, or two ---- */

INLINE vf step_few(struct form f, vf acc, const struct items *w, const struct scales *s, size_t b,
                   const struct activations *x)
{
    const vi lo = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)x->q));
    const vi hi = vi_lanes(_mm_loadu_si128((const __m128i *)(const void *)(x->q + 16)));
    const vi zero = V(set1_epi32)(0);
    vi p[4];
    if (!in_halves(f)) {
        for (int j = 0; j < 4; j++)
            p[j] = dot(f, dot(f, zero, w->lo[j], lo), w->hi[j], hi);
        vi sum = fold(p[0], p[1], p[2], p[3]);
        if (f.offset)
            sum = V(sub_epi32)(sum, V(set1_epi32)(f.offset * (x->sums[0] + x->sums[1])));
        return step(f, acc, sum, zero, s, b, x);
    }
    for (int j = 0; j < 4; j++)
        p[j] = dot(f, zero, w->lo[j], lo);
    vi sum0 = V(sub_epi32)(fold(p[0], p[1], p[2], p[3]), V(set1_epi32)(f.offset * x->sums[0]));
    for (int j = 0; j < 4; j++)
        p[j] = dot(f, zero, w->hi[j], hi);
    vi sum1 = V(sub_epi32)(fold(p[0], p[1], p[2], p[3]), V(set1_epi32)(f.offset * x->sums[1]));
    return step(f, acc, sum0, sum1, s, b, x);
}

/* A panel times T tokens. */
INLINE void panel_few(const struct mul *m, uint32_t type, size_t r, int T)
{
    const size_t n_blocks = m->k / Q_BLOCK, panel_bytes = WIDTH * m->row_bytes;
    const uint8_t *panel = (const uint8_t *)m->w + r * m->row_bytes;
    struct ahead ahead = {panel + panel_bytes * (panel_bytes < LONG_PANEL ? 2 : 1), panel_bytes / n_blocks, 0, 64};
    vf acc[2];
    for (int i = 0; i < T; i++)
        acc[i] = V(setzero_ps)();
    for (size_t first = 0; first < n_blocks; first += CHUNK) {
        size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        struct eight blocks;
        struct scales s;
        take(type, panel, m->row_bytes, first, n, &blocks, &s);
        for (size_t b = 0; b < n; b++) {
            struct items w;
            fetch_due(&ahead, 1);
            fetch(type, &blocks, b, &w);
            for (int i = 0; i < T; i++) {
                const struct activations x = activations_of(m, (size_t)i, first + b);
                acc[i] = step_few(form_of(type), acc[i], &w, &s, b, &x);
            }
        }
    }
    for (int i = 0; i < T; i++)
        V(storeu_ps)(m->y + (size_t)i * m->y_stride + r, acc[i]);
}

/* Two tokens gain by words only where these come at little cost. */
INLINE bool are_few(uint32_t type, size_t n_tokens) { return n_tokens == 1 || (n_tokens == 2 && !has_raw_words(type)); }

INLINE void few(const struct mul *m, uint32_t type, size_t r)
{
    if (are_few(type, 2) && m->n_tokens == 2)
        panel_few(m, type, r, 2);
    else
        panel_few(m, type, r, 1);
}

/* ---- a product ---- */

/* What is compiled for each type. */
struct typed {
    uint32_t type;
    void (*few)(const struct mul *m, size_t r);
    void (*unpack)(const struct mul *m, size_t r, size_t from, size_t to, struct chunk *out, size_t stride,
                   struct ahead *ahead);
};

/* Some tokens meet each chunk as soon as it is unpacked, while the first-level cache has it and memory delivers the
 * next; many meet whole panels, so that a tile's sums stay in registers. */
static void panels_several(const struct mul *m, const struct typed *typed, size_t r, int P)
{
    const size_t n_blocks = m->k / Q_BLOCK, pass = m->n_tokens <= SOME_TOKENS ? CHUNK : n_blocks;
    const struct form one = form_of(typed->type), f = form_of_many(typed->type, one, m->n_tokens);
    struct chunk *c = m->scratch;
    const size_t bytes = (size_t)P * WIDTH * m->row_bytes;
    struct ahead ahead = {(const uint8_t *)m->w + r * m->row_bytes + bytes, bytes / (size_t)P / n_blocks, 0,
                          64 * (m->n_tokens + UNPACKING)};
    for (size_t from = 0; from < n_blocks; from += pass) {
        const size_t to = n_blocks - from < pass ? n_blocks : from + pass;
        for (int p = 0; p < P; p++)
            typed->unpack(m, r + (size_t)p * WIDTH, from, to, c + p, (size_t)P, &ahead);
        for (size_t first = from; f.is_scaled && first < to; first += CHUNK)
            for (size_t p = 0; p < (size_t)P; p++)
                scale_items(c + (first - from) / CHUNK * (size_t)P + p, one.offset, f);
        tiles(m, f, &ahead, r, from, to, P);
    }
}

/* The last panel may overlap the one before it, whose outputs are then computed twice, to the same bits. */
static void product(const struct mul *m, const struct typed *typed)
{
    if (m->n_rows < WIDTH) {
        product_ref(m, typed->type);
        return;
    }
    size_t r = 0;
    if (!are_few(typed->type, m->n_tokens))
        for (; r + 2 * WIDTH <= m->n_rows; r += 2 * WIDTH)
            panels_several(m, typed, r, 2);
    for (; r < m->n_rows; r += WIDTH) {
        if (r + WIDTH > m->n_rows)
            r = m->n_rows - WIDTH;
        if (are_few(typed->type, m->n_tokens))
            typed->few(m, r);
        else
            panels_several(m, typed, r, 1);
    }
}

#define QUANTIZED(name, type)                                                                                        \
    static void few_##name(const struct mul *m, size_t r) { few(m, TYPE_##type, r); }                                \
    static void unpack_##name(const struct mul *m, size_t r, size_t from, size_t to, struct chunk *c, size_t stride, \
                              struct ahead *ahead)                                                                   \
    {                                                                                                                \
        unpack_panel(m, TYPE_##type, r, from, to, c, stride, ahead);                                                 \
    }                                                                                                                \
    static void mul_##name(const struct mul *m)                                                                      \
    {                                                                                                                \
        static const struct typed typed = {TYPE_##type, few_##name, unpack_##name};                                  \
        product(m, &typed);                                                                                          \
    }
#include "kernels/quantized.def"
#undef QUANTIZED

void LEVELED(products_overlay)(struct kernels *k)
{
#define QUANTIZED(name, type) k->mul_##name = mul_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
}
