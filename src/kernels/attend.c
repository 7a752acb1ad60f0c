/* attend.c - attention to a page of the KV cache. Compiled once a level: LEVEL names it. What is computed stands at
 * struct attend; how a page is laid out, above it.
 *
 * A tile of neighbouring queries meets each key and value while it is in a register. The first tile of a page also
 * fetches another page, line by line where it reads this one's: pages are too short for the processor to see a stream.
 * Each size of tile is a function of its own, lest the addresses of all compete for registers. */
#include "kernels/attend_dots.h"
#include "kernels/functions.h"
#include "kernels/overlays.h"

/* Queries of a tile at most, and sums of 16 lanes that fit into registers. */
#if defined(__AVX512F__)
enum { TILE = 8, SUMS = 16 };
#else
enum { TILE = 4, SUMS = 4 };
#endif

/* How many of `most` things that a sum is kept of for each of Q queries are taken at once. */
INLINE int side_by_side(int Q, int most) { return SUMS / Q < most ? SUMS / Q : most; }

INLINE void fetch(const char *p) { __builtin_prefetch(p, 0, 2); } /* into the second-level cache */

/* What the tile that begins with `query` is to fetch from. */
INLINE const char *fetched(const void *next, size_t query) { return query ? NULL : next; }

INLINE v16 load_item(enum kv_type type, const char *p)
{
    if (type == KV_Q8_0)
        return v16_from_i8((const int8_t *)p);
    return type == KV_F16 ? v16_from_half((const uint16_t *)(const void *)p) : v16_load((const float *)(const void *)p);
}

static inline size_t item_bytes(enum kv_type type) { return type == KV_Q8_0 ? 1 : type == KV_F16 ? 2 : 4; }

/* ---- scores ---- */

/* Scaled scores of Q queries with G groups of 16 keys from position `at` on: one chain over dimensions each. */
INLINE void scores_float(float (*s)[KV_PAGE], const struct attend *a, enum kv_type type, size_t query, size_t at, int Q,
                         int G)
{
    const size_t step = LANES * item_bytes(type), group = a->hd_k * step;
    const size_t first = at / LANES * group;
    const char *keys = (const char *)a->k + first;
    const float *q = a->q + query * a->q_stride;
    const char *next = fetched(a->k_next, query);
    v16 acc[SUMS];
    for (int i = 0; i < Q * G; i++)
        acc[i] = v16_set(0);
    for (size_t i = 0, place = 0; i < a->hd_k; i++, place += step) {
        const float *qi = q + i;
        v16 k[4];
        for (int g = 0; g < G; g++)
            k[g] = load_item(type, keys + place + (size_t)g * group);
        for (int g = 0; next && place % 64 == 0 && g < G; g++)
            fetch(next + first + place + (size_t)g * group);
        for (int j = 0; j < Q; j++) {
            const v16 x = v16_set(qi[(size_t)j * a->q_stride]);
            for (int g = 0; g < G; g++)
                acc[j * G + g] = v16_fma(x, k[g], acc[j * G + g]);
        }
    }
    for (int j = 0; j < Q; j++)
        for (int g = 0; g < G; g++)
            v16_store(s[j] + at + g * LANES, v16_mul(acc[j * G + g], v16_set(a->scale)));
}

/* The same with one group of 8-bit keys. */
INLINE void scores_q8(float (*s)[KV_PAGE], const struct attend *a, size_t query, size_t at, int Q)
{
    const size_t n = kv_blocks(a->hd_k), k32 = n * Q_BLOCK, scales = KV_PAGE * k32 + at * n * sizeof(uint16_t);
    const int8_t *keys = (const int8_t *)a->k + at * k32;
    const uint16_t *d = (const uint16_t *)(const void *)((const char *)a->k + scales);
    const char *next = fetched(a->k_next, query);
    v16 acc[TILE], dots[TILE];
    for (int j = 0; j < Q; j++)
        acc[j] = v16_set(0);
    for (size_t b = 0; b < n; b++) {
        const v16 scale = v16_from_half(d + b * LANES);
        for (size_t i = 0; next && i < Q_BLOCK * LANES; i += 64)
            fetch(next + at * k32 + b * Q_BLOCK * LANES + i);
        if (next)
            fetch(next + scales + b * LANES * sizeof *d);
        dots_q8(dots, keys + b * Q_BLOCK * LANES, a->qq.q + query * k32 + b * Q_BLOCK, a->qq.sums + (query * n + b) * 2,
                k32, Q);
        for (int j = 0; j < Q; j++)
            acc[j] = v16_fma(dots[j], v16_mul(scale, v16_set(a->qq.d[(query + (size_t)j) * n + b])), acc[j]);
    }
    for (int j = 0; j < Q; j++)
        v16_store(s[j] + at, v16_mul(acc[j], v16_set(a->scale)));
}

/* Those of the groups [from, to). */
INLINE void scores(float (*s)[KV_PAGE], const struct attend *a, enum kv_type type, size_t query, size_t from, size_t to,
                   int Q)
{
    const int G = side_by_side(Q, KV_PAGE / LANES);
    size_t at = from;
    for (; type == KV_Q8_0 && at < to; at += LANES)
        scores_q8(s, a, query, at, Q);
    for (; at + (size_t)G * LANES <= to; at += (size_t)G * LANES)
        scores_float(s, a, type, query, at, Q, G);
    for (; at < to; at += LANES)
        scores_float(s, a, type, query, at, Q, 1);
}

/* ---- softmax of a page ---- */

/* Scores of the groups [from, to) capped and biased; those outside [lo, hi) become nothing. Returns the largest. */
INLINE float prepare(float *s, const float *bias, size_t lo, size_t hi, size_t from, size_t to, float cap)
{
    v16 most = v16_set(-__builtin_inff());
    for (size_t p = from; p < to && cap > 0; p++)
        s[p] = cap * tanh_f32(s[p] / cap);
    for (size_t p = from; p < to && bias; p++)
        s[p] += bias[p];
    for (size_t p = from; p < lo; p++)
        s[p] = -__builtin_inff();
    for (size_t p = hi; p < to; p++)
        s[p] = -__builtin_inff();
    for (size_t p = from; p < to; p += LANES)
        most = v16_max(v16_load(s + p), most);
    return v16_fold_max(most);
}

/* Q queries' scores to weights, merged into m and l. c: what the outputs so far are to be multiplied with, 1 for a
 * query that sees nothing. */
INLINE void softmax(float (*s)[KV_PAGE], float *c, const struct attend *a, size_t query, size_t from, size_t to, int Q)
{
    const uint8_t *lo = a->lo + query, *hi = a->hi + query;
    float best[TILE], *m = a->m + query, *l = a->l + query;
    for (int j = 0; j < Q; j++) {
        const float *bias = a->bias ? a->bias + (query + (size_t)j) * KV_PAGE : NULL;
        const float largest = prepare(s[j], bias, lo[j], hi[j], from, to, a->cap);
        best[j] = largest > m[j] ? largest : m[j];
    }
    for (int j = 0; j < Q; j++)
        for (size_t p = from; p < to; p += LANES)
            for (size_t i = 0; i < LANES; i++)
                s[j][p + i] = exp_falling_f32(s[j][p + i] - best[j]);
    for (int j = 0; j < Q; j++)
        c[j] = exp_falling_f32(m[j] - best[j]);
    for (int j = 0; j < Q; j++) {
        v16 sum = v16_set(0);
        for (size_t p = from; p < to; p += LANES)
            sum = v16_add(sum, v16_load(s[j] + p));
        if (lo[j] < hi[j]) {
            l[j] = fmadd(l[j], c[j], v16_fold(sum));
            m[j] = best[j];
        } else {
            c[j] = 1;
        }
    }
}

/* The same where a function makes weights of scores, each for itself. */
INLINE void weigh(float (*s)[KV_PAGE], float *c, const struct attend *a, size_t query, size_t from, size_t to, int Q)
{
    for (int j = 0; j < Q; j++) {
        const size_t at = query + (size_t)j, lo = a->lo[at], hi = a->hi[at];
        prepare(s[j], a->bias ? a->bias + at * KV_PAGE : NULL, lo, hi, from, to, a->cap);
        a->activate(a->by, s[j] + from, s[j] + from, to - from);
        for (size_t p = from; p < to; p++)
            s[j][p] = p < lo || p >= hi ? 0 : s[j][p];
        c[j] = 1;
    }
}

/* ---- weighted sums of values ---- */

/* A page's values and what they are added to. */
struct values {
    const char *v;
    size_t row;                    /* bytes from one position to the next */
    const float (*scale)[KV_PAGE]; /* Q8_0: [hd32 / 32] */
};

/* Weights times the values' scales of the same block. */
INLINE void scale_weights(float (*out)[KV_PAGE], float (*e)[KV_PAGE], const float *scale, size_t from, size_t to, int Q)
{
    for (int j = 0; j < Q; j++)
        for (size_t p = from / LANES * LANES; p < to; p += LANES)
            v16_store(out[j] + p, v16_mul(v16_load(e[j] + p), v16_load(scale + p)));
}

/* Add positions [from, to), each times its weight, to dims [i, i + 16 C) of Q queries' outputs times c: one chain over
 * positions each. */
INLINE void add_values(const struct attend *a, const struct values *x, enum kv_type type, float (*e)[KV_PAGE],
                       const float *c, size_t query, size_t from, size_t to, size_t i, int Q, int C)
{
    float scaled[TILE][KV_PAGE];
    if (type == KV_Q8_0) { /* all C within one block */
        scale_weights(scaled, e, x->scale[i / Q_BLOCK], from, to, Q);
        e = scaled;
    }
    v16 acc[SUMS];
    float *o = a->o + query * a->o_stride + i;
    const char *next = i == 0 ? fetched(a->v_next, query) : NULL;
    for (int j = 0; j < Q; j++)
        for (int k = 0; k < C; k++)
            acc[j * C + k] = v16_mul(v16_load(o + (size_t)j * a->o_stride + k * LANES), v16_set(c[j]));
    for (size_t p = from; p < to; p++) {
        v16 v[4];
        for (int k = 0; k < C; k++)
            v[k] = load_item(type, x->v + p * x->row + (i + (size_t)k * LANES) * item_bytes(type));
        for (size_t line = 0; next && line < x->row; line += 64)
            fetch(next + p * x->row + line);
        for (int j = 0; j < Q; j++)
            for (int k = 0; k < C; k++)
                acc[j * C + k] = v16_fma(v16_set(e[j][p]), v[k], acc[j * C + k]);
    }
    for (int j = 0; j < Q; j++)
        for (int k = 0; k < C; k++)
            v16_store(o + (size_t)j * a->o_stride + k * LANES, acc[j * C + k]);
}

/* The last dims where hd is no multiple of 16. */
static void add_tail(const struct attend *a, const struct values *x, enum kv_type type, const float *e, float c,
                     size_t query, size_t from, size_t to, size_t i, size_t n)
{
    for (size_t d = i; d < n; d++) {
        float *o = a->o + query * a->o_stride + d;
        *o = *o * c;
        for (size_t p = from; p < to; p++) {
            const void *v = x->v + p * x->row + d * item_bytes(type);
            if (type == KV_Q8_0)
                *o = fmadd(e[p] * x->scale[d / Q_BLOCK][p], (float)*(const int8_t *)v, *o);
            else
                *o = fmadd(e[p], type == KV_F16 ? half_to_float(*(const uint16_t *)v) : *(const float *)v, *o);
        }
    }
}

/* The same for all dims. */
INLINE void add_range(const struct attend *a, const struct values *x, enum kv_type type, float (*e)[KV_PAGE],
                      const float *c, size_t query, size_t from, size_t to, int Q)
{
    const int C = side_by_side(Q, type == KV_Q8_0 ? 2 : 4);
    const size_t hd = a->hd_v;
    size_t i = 0;
    if (from >= to)
        return;
    for (; i + (size_t)C * LANES <= hd; i += (size_t)C * LANES)
        add_values(a, x, type, e, c, query, from, to, i, Q, C);
    for (; i + LANES <= hd; i += LANES)
        add_values(a, x, type, e, c, query, from, to, i, Q, 1);
    for (int j = 0; j < Q && i < hd; j++)
        add_tail(a, x, type, e[j], c[j], query + (size_t)j, from, to, i, hd);
}

/* ---- a page ---- */

/* Positions that some of a tile's queries see, and those that all see; from >= to: none. */
struct seen {
    size_t from, to, all_from, all_to;
};

INLINE struct seen positions_seen(const struct attend *a, size_t query, int Q)
{
    struct seen x = {KV_PAGE, 0, 0, KV_PAGE};
    for (size_t at = query; at < query + (size_t)Q; at++) {
        size_t lo = a->lo[at], hi = a->hi[at];
        if (lo < hi) {
            x.from = lo < x.from ? lo : x.from;
            x.to = hi > x.to ? hi : x.to;
        }
        x.all_from = lo > x.all_from ? lo : x.all_from;
        x.all_to = hi < x.all_to ? hi : x.all_to;
    }
    if (x.all_from > x.all_to)
        x.all_from = x.all_to = KV_PAGE; /* nothing is seen by all: everything is added before */
    return x;
}

/* Q neighbouring queries. What all of them see is added side by side, what only some see one by one. */
INLINE void attend_tile(const struct attend *a, enum kv_type type, const struct values *x, size_t query, int Q)
{
    float s[TILE][KV_PAGE], c[TILE];
    const struct seen seen = positions_seen(a, query, Q);
    if (seen.from >= seen.to)
        return;
    const size_t from = seen.from / LANES * LANES, to = (seen.to + LANES - 1) / LANES * LANES;
    scores(s, a, type, query, from, to, Q);
    if (a->activate)
        weigh(s, c, a, query, from, to, Q);
    else
        softmax(s, c, a, query, from, to, Q);
    const bool alike = seen.from == seen.all_from && seen.to == seen.all_to;
    for (size_t j = 0; j < (size_t)Q && !alike; j++) {
        const size_t lo = a->lo[query + j], hi = a->hi[query + j];
        for (size_t i = 0; i < a->hd_v; i++)
            a->o[(query + j) * a->o_stride + i] *= c[j];
        c[j] = 1;
        add_range(a, x, type, &s[j], &c[j], query + j, lo, hi < seen.all_from ? hi : seen.all_from, 1);
    }
    add_range(a, x, type, s, c, query, seen.all_from, seen.all_to, Q);
    for (size_t j = 0; j < (size_t)Q && !alike; j++) {
        const size_t lo = a->lo[query + j], hi = a->hi[query + j];
        add_range(a, x, type, &s[j], &c[j], query + j, seen.all_to > lo ? seen.all_to : lo, lo < hi ? hi : 0, 1);
    }
}

enum { MOST_BLOCKS = KV_HEAD_MAX / Q_BLOCK };

INLINE void turn(float (*scale)[KV_PAGE], const float *all, size_t n)
{
    for (size_t b = 0; b < n; b++)
        for (size_t p = 0; p < KV_PAGE; p++)
            scale[b][p] = all[p * n + b];
}

/* Scales of a Q8_0 page's values, those of a block side by side. */
static void take_scales(float (*scale)[KV_PAGE], const struct attend *a, size_t n)
{
    float all[MOST_BLOCKS * KV_PAGE];
    const size_t values = KV_PAGE * n * Q_BLOCK;
    const uint16_t *d = (const uint16_t *)(const void *)((const char *)a->v + values);
    for (size_t at = 0; at < KV_PAGE * n; at += LANES) {
        v16_store(all + at, v16_from_half(d + at));
        if (a->v_next)
            fetch((const char *)a->v_next + values + at * sizeof *d);
    }
    if (n == 2) /* by shuffles then */
        turn(scale, all, 2);
    else if (n == 4)
        turn(scale, all, 4);
    else
        turn(scale, all, n);
}

typedef void (*tile_fn)(const struct attend *a, const struct values *x, size_t query);

/* tiles: of the most queries, 1, 2, 3, 4. */
INLINE void attend_page(const struct attend *a, enum kv_type type, const tile_fn *tiles)
{
    float scale[MOST_BLOCKS][KV_PAGE];
    const size_t n = kv_blocks(a->hd_v), row = type == KV_Q8_0 ? n * Q_BLOCK : a->hd_v * item_bytes(type);
    const struct values x = {a->v, row, (const float(*)[KV_PAGE])scale};
    if (type == KV_Q8_0)
        take_scales(scale, a, n);
    for (size_t query = 0, left = a->n_q, Q; left > 0; query += Q, left -= Q) {
        Q = left >= TILE ? TILE : left < 4 ? left : 4;
        tiles[Q == TILE ? 0 : Q](a, &x, query);
    }
}

#define TILE_OF(type, name, Q)                                                                  \
    static void tile_##name##_##Q(const struct attend *a, const struct values *x, size_t query) \
    {                                                                                           \
        attend_tile(a, type, x, query, Q);                                                      \
    }
#define ATTEND_OF(type, name)                                                                                  \
    TILE_OF(type, name, 1)                                                                                     \
    TILE_OF(type, name, 2)                                                                                     \
    TILE_OF(type, name, 3)                                                                                     \
    TILE_OF(type, name, 4)                                                                                     \
    TILE_OF(type, name, TILE)                                                                                  \
    static void attend_##name(const struct attend *a)                                                          \
    {                                                                                                          \
        static const tile_fn tiles[] = {tile_##name##_TILE, tile_##name##_1, tile_##name##_2, tile_##name##_3, \
                                        tile_##name##_4};                                                      \
        attend_page(a, type, tiles);                                                                           \
    }

ATTEND_OF(KV_F32, f32)
ATTEND_OF(KV_F16, f16)
ATTEND_OF(KV_Q8_0, q8_0)

void LEVELED(attend_overlay)(struct kernels *k)
{
    k->attend_f32 = attend_f32;
    k->attend_f16 = attend_f16;
    k->attend_q8_0 = attend_q8_0;
}
