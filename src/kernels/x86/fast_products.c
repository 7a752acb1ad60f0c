/* fast_products.c - products that are faster and not of the same bits (kernels_set_math), for CPUs with AVX512-BF16.
 *
 * BF16 and F16 weights with several tokens: activations and F16 weights are rounded to BF16, and vdpbf16ps multiplies
 * and adds pairs of items, item i to lane i / 2 % 16, subnormals as zeros. A tile of rows and tokens shares what it
 * loads; it is always whole: what is beyond the last row is the last row again, what is beyond the last token is zeros,
 * and neither is stored. Rounding runs beside the dots on Zen 4, where a register of weights meets enough tokens. */
#include "kernels/overlays.h"
#include "kernels/v16.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    TILE = 24,        /* sums of a tile: rows times tokens */
    STEP = 2 * LANES, /* items of a register */
    AHEAD = 2,        /* tiles of rows that come into the second-level cache meanwhile */
    FEWEST = 4,       /* tokens: fewer are bound by memory, and keep their bits */
    GROUP = 18,       /* tokens at most whose rounded rows stand in scratch: 36 of its 44 bytes a column */
};
_Static_assert(GROUP * sizeof(uint16_t) * 256 <= MUL_CHUNK_BYTES, "a group's rows are more than the scratch");

static inline size_t steps_of(size_t k) { return (k + STEP - 1) / STEP; }

/* Items of a row's last register. */
static inline __mmask32 last_items(size_t k) { return (__mmask32)(UINT32_MAX >> (STEP - 1 - (k - 1) % STEP)); }

/* One row of activations, rounded; zeros fill its last register. */
static void round_row(__m512bh *out, const float *x, size_t k)
{
    const size_t n = steps_of(k);
    for (size_t i = 0; i + 1 < n; i++, x += STEP)
        out[i] = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + LANES), _mm512_loadu_ps(x));
    const __mmask32 last = last_items(k);
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)last, x);
    const __m512 high = _mm512_maskz_loadu_ps((__mmask16)(last >> LANES), x + LANES);
    out[n - 1] = _mm512_cvtne2ps_pbh(high, low);
}

INLINE __m512bh weights_of(uint32_t type, const char *row, __mmask32 items)
{
    const __m512i w = _mm512_maskz_loadu_epi16(items, row);
    if (type == TYPE_BF16)
        return (__m512bh)w;
    const __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(w));
    return _mm512_cvtne2ps_pbh(_mm512_cvtph_ps(_mm512_extracti64x4_epi64(w, 1)), low);
}

/* T: tokens of a tile. */
INLINE void add_products(uint32_t type, size_t T, __m512 acc[TILE], const char *const rows[TILE], const __m512bh *x,
                         size_t x_stride, size_t i, __mmask32 items)
{
    __m512bh w = {0};
#pragma GCC unroll 24
    for (size_t j = 0; j < TILE; j++) {
        const size_t a = j / T, b = j % T;
        if (b == 0)
            w = weights_of(type, rows[a] + i * STEP * sizeof(uint16_t), items);
        acc[j] = _mm512_dpbf16_ps(acc[j], w, x[b * x_stride + i]);
    }
}

/* Rows from r on, n tokens from t on, whose rounded rows begin at x. */
INLINE void tile(const struct mul *m, uint32_t type, size_t T, size_t r, size_t t, size_t n, const __m512bh *x)
{
    const size_t R = TILE / T, steps = steps_of(m->k), n_rows = m->n_rows - r < R ? m->n_rows - r : R;
    const char *rows[TILE];
    __m512 acc[TILE];
    for (size_t a = 0; a < R; a++)
        rows[a] = (const char *)m->w + (r + (a < n_rows ? a : n_rows - 1)) * m->row_bytes;
#pragma GCC unroll 24
    for (int j = 0; j < TILE; j++)
        acc[j] = _mm512_setzero_ps();
    for (size_t i = 0; i + 1 < steps; i++) {
        for (size_t a = 0; a < R && t == 0; a++)
            __builtin_prefetch(rows[a] + AHEAD * R * m->row_bytes + i * sizeof *x, 0, 2);
        add_products(type, T, acc, rows, x, steps, i, UINT32_MAX);
    }
    add_products(type, T, acc, rows, x, steps, steps - 1, last_items(m->k));
    float sums[TILE];
#pragma GCC unroll 24
    for (int j = 0; j < TILE; j++)
        sums[j] = v16_fold((v16){acc[j]});
    for (size_t a = 0; a < n_rows; a++)
        for (size_t b = 0; b < n; b++)
            m->y[(t + b) * m->y_stride + r + a] = sums[a * T + b];
}

/* All rows and tokens. */
INLINE void product(const struct mul *m, uint32_t type, size_t T)
{
    __m512bh *x = m->scratch;
    const size_t steps = steps_of(m->k), most = GROUP / T * T;
    for (size_t t = 0, n; t < m->n_tokens; t += n) {
        n = m->n_tokens - t < most ? m->n_tokens - t : most;
        for (size_t b = 0; b < n; b++)
            round_row(x + b * steps, m->x + (t + b) * m->k, m->k);
        memset(x + n * steps, 0, (T - 1 - (n - 1) % T) * steps * sizeof *x);
        for (size_t r = 0; r < m->n_rows; r += TILE / T)
            for (size_t b = 0; b < n; b += T)
                tile(m, type, T, r, t + b, n - b < T ? n - b : T, x + b * steps);
    }
}

/* To round F16 weights, a tile needs as many tokens as it can have. */
void LEVELED(fast_f16)(const struct mul *m)
{
    if (m->n_tokens < FEWEST)
        product_f16_avx512(m);
    else
        product(m, TYPE_F16, 8);
}

void LEVELED(fast_bf16)(const struct mul *m)
{
    if (m->n_tokens < FEWEST)
        product_bf16_avx512(m);
    else if (m->n_tokens <= 8)
        product(m, TYPE_BF16, 8);
    else
        product(m, TYPE_BF16, 6);
}

void LEVELED(fast_products_overlay)(struct kernels *k)
{
    k->mul_f16 = LEVELED(fast_f16);
    k->mul_bf16 = LEVELED(fast_bf16);
}
