/* attend.c - the KV cache's pages: storing into them and attending to them. Compiled once a level: LEVEL names it.
 * What is computed stands at struct attend; how a page is laid out, above it. */
#include "kernels/functions.h"
#include "kernels/overlays.h"
#include "kernels/v16.h"

/* Queries side by side; 16 dims of values side by side. */
#if defined(LEVEL_NEON)
#include "kernels/arm/vector.h"
enum { TILE = 4, CHUNKS = 1, CHUNKS_Q8 = 1 }; /* four registers each, of 32 */
#else
enum { TILE = 4, CHUNKS = 4, CHUNKS_Q8 = 2 };
#endif

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/* ---- storing ---- */

/* `page`: positions 16 side by side, dimension after dimension. */
static void kv_store_f32(void *k_page, void *v_page, size_t slot, const float *k, const float *v, size_t hd_k,
                         size_t hd_v)
{
    float *to = (float *)k_page + slot / LANES * LANES * hd_k + slot % LANES;
    for (size_t i = 0; i < hd_k; i++)
        to[i * LANES] = k[i];
    memcpy((float *)v_page + slot * hd_v, v, hd_v * sizeof *v);
}

static void to_half(uint16_t *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v16_to_half(y + i, v16_load(x + i));
    for (; i < n; i++)
        y[i] = half_of_float(x[i]);
}

static void kv_store_f16(void *k_page, void *v_page, size_t slot, const float *k, const float *v, size_t hd_k,
                         size_t hd_v)
{
    uint16_t *to = (uint16_t *)k_page + slot / LANES * LANES * hd_k + slot % LANES;
    for (size_t i = 0; i < hd_k; i += LANES) {
        uint16_t part[LANES];
        size_t n = hd_k - i < LANES ? hd_k - i : LANES;
        to_half(part, k + i, n);
        for (size_t j = 0; j < n; j++)
            to[(i + j) * LANES] = part[j];
    }
    to_half((uint16_t *)v_page + slot * hd_v, v, hd_v);
}

/* One block of up to 32 numbers to int8 with a half-precision scale; `step` between items. */
static uint16_t store_block(int8_t *q, size_t quad_step, const float *x, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of_float(x[i]) & 0x7fffffff;
        most = bits > most ? bits : most;
    }
    float largest = float_of_bits(most);
    bool broken = most >= 0x7f800000;
    float by = broken || largest < 0x1p-100f ? 0.0f : 127.0f / largest;
    for (size_t i = 0; i < Q_BLOCK; i++) {
        float scaled = i < n && !broken ? x[i] * by : 0.0f;
        q[i / 4 * quad_step + i % 4] = (int8_t)(bits_of_float(scaled + 0x1.8p+23f) - 0x4b400000);
    }
    return broken ? 0x7e00 : half_of_float(largest / 127.0f);
}

static void kv_store_q8_0(void *k_page, void *v_page, size_t slot, const float *k, const float *v, size_t hd_k,
                          size_t hd_v)
{
    const size_t k32 = round_up(hd_k, Q_BLOCK), v32 = round_up(hd_v, Q_BLOCK), group = slot / LANES,
                 lane = slot % LANES;
    int8_t *kq = (int8_t *)k_page + group * LANES * k32 + lane * 4;
    uint16_t *kd = (uint16_t *)(void *)((int8_t *)k_page + KV_PAGE * k32) + group * LANES * (k32 / Q_BLOCK) + lane;
    int8_t *vq = (int8_t *)v_page + slot * v32;
    uint16_t *vd = (uint16_t *)(void *)((int8_t *)v_page + KV_PAGE * v32) + slot * (v32 / Q_BLOCK);
    for (size_t b = 0; b < k32 / Q_BLOCK; b++) {
        size_t n = hd_k - b * Q_BLOCK < Q_BLOCK ? hd_k - b * Q_BLOCK : Q_BLOCK;
        kd[b * LANES] = store_block(kq + b * Q_BLOCK * LANES, 4 * LANES, k + b * Q_BLOCK, n);
    }
    for (size_t b = 0; b < v32 / Q_BLOCK; b++) {
        size_t n = hd_v - b * Q_BLOCK < Q_BLOCK ? hd_v - b * Q_BLOCK : Q_BLOCK;
        vd[b] = store_block(vq + b * Q_BLOCK, 4, v + b * Q_BLOCK, n);
    }
}

/* ---- scores ---- */

#define INLINE static inline __attribute__((always_inline))

/* Scores of Q queries (rows `step` apart) with 16 keys: one chain over dimensions each. */
INLINE void scores_16(float (*s)[KV_PAGE], size_t at, const float *q, size_t step, const void *keys, size_t hd,
                      bool half, int Q)
{
    v16 acc[TILE];
    for (int j = 0; j < Q; j++)
        acc[j] = v16_set(0);
    for (size_t i = 0; i < hd; i++) {
        v16 k = half ? v16_from_half((const uint16_t *)keys + i * LANES) : v16_load((const float *)keys + i * LANES);
        for (int j = 0; j < Q; j++)
            acc[j] = v16_fma(v16_set(q[(size_t)j * step + i]), k, acc[j]);
    }
    for (int j = 0; j < Q; j++)
        v16_store(s[j] + at, acc[j]);
}

/* Exact sums of 32 products for 16 keys: keys [8][16][4], q [32]. */
INLINE v16 dot_q8(const int8_t *keys, const int8_t *q)
{
#if defined(__AVX512VNNI__)
    __m512i sum = _mm512_setzero_si512(), offset = sum; /* dpbusd wants one side unsigned: q + 128 */
    for (int i = 0; i < 8; i++) {
        int32_t quad;
        memcpy(&quad, q + 4 * i, 4);
        __m512i k = _mm512_loadu_si512(keys + 64 * i);
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(_mm512_set1_epi32(quad), _mm512_set1_epi8(-128)), k);
        offset = _mm512_dpbusd_epi32(offset, _mm512_set1_epi8(-128), k);
    }
    return (v16){_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, offset))};
#elif defined(__AVX2__)
    __m256i lo = _mm256_setzero_si256(), hi = lo, ones = _mm256_set1_epi16(1);
    for (int i = 0; i < 8; i++) {
        int32_t quad;
        memcpy(&quad, q + 4 * i, 4);
        __m256i x = _mm256_set1_epi32(quad), positive = _mm256_abs_epi8(x);
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(keys + 64 * i));
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(keys + 64 * i + 32));
        lo = _mm256_add_epi32(lo, _mm256_madd_epi16(_mm256_maddubs_epi16(positive, _mm256_sign_epi8(a, x)), ones));
        hi = _mm256_add_epi32(hi, _mm256_madd_epi16(_mm256_maddubs_epi16(positive, _mm256_sign_epi8(b, x)), ones));
    }
    return (v16){_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)};
#elif defined(LEVEL_NEON)
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (int half = 0; half < 2; half++) {
        const int8x16_t x = vld1q_s8(q + 16 * half);
        for (int i = 0; i < 4; i++) {
            const int8_t *four = keys + 256 * half + 16 * i; /* keys */
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four), x, 0);
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four + 64), x, 1);
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four + 128), x, 2);
            sum[i] = DOT_WORD(sum[i], vld1q_s8(four + 192), x, 3);
        }
    }
    return (v16){vcvtq_f32_s32(sum[0]), vcvtq_f32_s32(sum[1]), vcvtq_f32_s32(sum[2]), vcvtq_f32_s32(sum[3])};
#else
    v16 r;
    for (int lane = 0; lane < LANES; lane++) {
        int sum = 0;
        for (int i = 0; i < Q_BLOCK; i++)
            sum += keys[i / 4 * 64 + lane * 4 + i % 4] * q[i];
        r.v[lane] = (float)sum;
    }
    return r;
#endif
}

static void scores_q8(float *s, const struct attend *a, size_t query, size_t group)
{
    const size_t k32 = round_up(a->hd_k, Q_BLOCK), n = k32 / Q_BLOCK;
    const int8_t *keys = (const int8_t *)a->k + group * LANES * k32;
    const uint16_t *d = (const uint16_t *)(const void *)((const int8_t *)a->k + KV_PAGE * k32) + group * LANES * n;
    v16 acc = v16_set(0);
    for (size_t b = 0; b < n; b++) {
        v16 by = v16_mul(v16_from_half(d + b * LANES), v16_set(a->qq.d[query * n + b]));
        acc = v16_fma(dot_q8(keys + b * Q_BLOCK * LANES, a->qq.q + query * k32 + b * Q_BLOCK), by, acc);
    }
    v16_store(s, acc);
}

INLINE void scores(float (*s)[KV_PAGE], const struct attend *a, enum kv_type type, size_t query, size_t from, size_t to,
                   int Q)
{
    for (size_t at = from / LANES * LANES; at < to; at += LANES) {
        size_t item = type == KV_F16 ? 2 : 4;
        if (type == KV_Q8_0)
            for (int j = 0; j < Q; j++)
                scores_q8(s[j] + at, a, query + (size_t)j, at / LANES);
        else
            scores_16(s, at, a->q + query * a->q_stride, a->q_stride, (const char *)a->k + at * a->hd_k * item, a->hd_k,
                      type == KV_F16, Q);
    }
}

/* ---- softmax of one query's page ---- */

/* Scores of the groups [from, to) scaled and capped; those outside [lo, hi) become nothing. Returns the largest. */
static float prepare(float *s, size_t lo, size_t hi, size_t from, size_t to, float scale, float cap)
{
    float most[LANES];
    for (int i = 0; i < LANES; i++)
        most[i] = -__builtin_inff();
    for (size_t p = from; p < to; p++)
        s[p] = s[p] * scale;
    for (size_t p = from; p < to && cap > 0; p++)
        s[p] = cap * tanh_f32(s[p] / cap);
    for (size_t p = from; p < lo; p++)
        s[p] = -__builtin_inff();
    for (size_t p = hi; p < to; p++)
        s[p] = -__builtin_inff();
    for (size_t p = from; p < to; p += LANES)
        for (size_t i = 0; i < LANES; i++)
            most[i] = s[p + i] > most[i] ? s[p + i] : most[i];
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            most[i] = most[i + half] > most[i] ? most[i + half] : most[i];
    return most[0];
}

/* Prepared scores, `largest` of them the largest, to weights; merges into m and l. Returns what the output so far is to
 * be multiplied with. */
static float softmax(float *s, size_t from, size_t to, float largest, float *m, float *l)
{
    float best = largest > *m ? largest : *m;
    for (size_t p = from; p < to; p++)
        s[p] = exp_f32(s[p] - best);
    v16 sum = v16_set(0);
    for (size_t p = from; p < to; p += LANES)
        sum = v16_add(sum, v16_load(s + p));
    float c = exp_f32(*m - best);
    *l = fmadd(*l, c, v16_fold(sum));
    *m = best;
    return c;
}

/* ---- weighted sums of values ---- */

struct values {
    const void *v;
    size_t hd;             /* numbers from one position to the next */
    const uint16_t *scale; /* Q8_0: [page][hd / 32] */
    float *o;
    size_t o_stride;
};

INLINE v16 load_values(const struct values *x, enum kv_type type, size_t p, size_t i)
{
    if (type == KV_Q8_0)
        return v16_from_i8((const int8_t *)x->v + p * x->hd + i);
    return type == KV_F16 ? v16_from_half((const uint16_t *)x->v + p * x->hd + i)
                          : v16_load((const float *)x->v + p * x->hd + i);
}

/* Add positions [from, to) to dims [i, i + 16 C) of Q queries' outputs: one chain over positions each. */
INLINE void add_values(const struct values *x, enum kv_type type, float (*e)[KV_PAGE], size_t query, size_t from,
                       size_t to, size_t i, int Q, int C)
{
    v16 acc[TILE * CHUNKS];
    for (int j = 0; j < Q; j++)
        for (int c = 0; c < C; c++)
            acc[j * C + c] = v16_load(x->o + (query + (size_t)j) * x->o_stride + i + (size_t)c * LANES);
    for (size_t p = from; p < to; p++) {
        v16 v[CHUNKS];
        for (int c = 0; c < C; c++)
            v[c] = load_values(x, type, p, i + (size_t)c * LANES);
        for (int j = 0; j < Q; j++) {
            float by = e[j][p];
            if (type == KV_Q8_0) /* C is at most 2 then, and all in one block */
                by *= half_to_float(x->scale[p * (x->hd / Q_BLOCK) + i / Q_BLOCK]);
            v16 b = v16_set(by);
            for (int c = 0; c < C; c++)
                acc[j * C + c] = v16_fma(b, v[c], acc[j * C + c]);
        }
    }
    for (int j = 0; j < Q; j++)
        for (int c = 0; c < C; c++)
            v16_store(x->o + (query + (size_t)j) * x->o_stride + i + (size_t)c * LANES, acc[j * C + c]);
}

/* The last dims where hd is no multiple of 16. */
static void add_tail(const struct values *x, enum kv_type type, const float *e, size_t query, size_t from, size_t to,
                     size_t i, size_t n)
{
    for (size_t d = i; d < n; d++) {
        float *o = x->o + query * x->o_stride + d;
        for (size_t p = from; p < to; p++) {
            size_t at = p * x->hd + d;
            if (type == KV_Q8_0)
                *o = fmadd(e[p] * half_to_float(x->scale[at / Q_BLOCK]), (float)((const int8_t *)x->v)[at], *o);
            else
                *o = fmadd(
                    e[p], type == KV_F16 ? half_to_float(((const uint16_t *)x->v)[at]) : ((const float *)x->v)[at], *o);
        }
    }
}

INLINE void add_range(const struct values *x, enum kv_type type, float (*e)[KV_PAGE], size_t query, size_t from,
                      size_t to, size_t hd, int Q)
{
    size_t i = 0;
    if (from >= to)
        return;
    for (; type != KV_Q8_0 && i + CHUNKS * LANES <= hd; i += CHUNKS * LANES)
        add_values(x, type, e, query, from, to, i, Q, CHUNKS);
    for (; type == KV_Q8_0 && i + CHUNKS_Q8 * LANES <= hd; i += CHUNKS_Q8 * LANES)
        add_values(x, type, e, query, from, to, i, Q, CHUNKS_Q8);
    for (; i + LANES <= hd; i += LANES)
        add_values(x, type, e, query, from, to, i, Q, 1);
    for (int j = 0; j < Q && i < hd; j++)
        add_tail(x, type, e[j], query + (size_t)j, from, to, i, hd);
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
    float s[TILE][KV_PAGE];
    const struct seen seen = positions_seen(a, query, Q);
    if (seen.from >= seen.to)
        return;
    scores(s, a, type, query, seen.from, seen.to, Q);
    const size_t from = seen.from / LANES * LANES, to = round_up(seen.to, LANES);
    for (size_t j = 0; j < (size_t)Q; j++) {
        size_t at = query + j, lo = a->lo[at], hi = a->hi[at];
        if (lo >= hi)
            continue;
        float largest = prepare(s[j], lo, hi, from, to, a->scale, a->cap);
        float c = softmax(s[j], from, to, largest, &a->m[at], &a->l[at]);
        float *o = a->o + at * a->o_stride;
        for (size_t i = 0; i < a->hd_v; i++)
            o[i] = o[i] * c;
        add_range(x, type, &s[j], at, lo, hi < seen.all_from ? hi : seen.all_from, a->hd_v, 1);
    }
    add_range(x, type, s, query, seen.all_from, seen.all_to, a->hd_v, Q);
    for (size_t j = 0; j < (size_t)Q; j++) {
        const size_t lo = a->lo[query + j], hi = a->hi[query + j];
        add_range(x, type, &s[j], query + j, seen.all_to > lo ? seen.all_to : lo, lo < hi ? hi : 0, a->hd_v, 1);
    }
}

INLINE void attend_page(const struct attend *a, enum kv_type type)
{
    size_t hd = type == KV_Q8_0 ? round_up(a->hd_v, Q_BLOCK) : a->hd_v, query = 0;
    struct values x = {a->v, hd, (const uint16_t *)(const void *)((const char *)a->v + KV_PAGE * hd), a->o,
                       a->o_stride};
    for (; query + TILE <= a->n_q; query += TILE)
        attend_tile(a, type, &x, query, TILE);
    if (query + 3 <= a->n_q) {
        attend_tile(a, type, &x, query, 3);
        query += 3;
    }
    for (; query < a->n_q; query++)
        attend_tile(a, type, &x, query, 1);
}

static void attend_f32(const struct attend *a) { attend_page(a, KV_F32); }
static void attend_f16(const struct attend *a) { attend_page(a, KV_F16); }
static void attend_q8_0(const struct attend *a) { attend_page(a, KV_Q8_0); }

void LEVELED(attend_overlay)(struct kernels *k)
{
    k->kv_store_f32 = kv_store_f32;
    k->kv_store_f16 = kv_store_f16;
    k->kv_store_q8_0 = kv_store_q8_0;
    k->attend_f32 = attend_f32;
    k->attend_f16 = attend_f16;
    k->attend_q8_0 = attend_q8_0;
}
