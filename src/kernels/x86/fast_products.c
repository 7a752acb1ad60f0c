/* fast_products.c - products that are faster and not of the same bits (kernels_set_math), for CPUs with AVX512-BF16.
 *
 * BF16 weights with several tokens: activations are rounded to BF16, and vdpbf16ps multiplies and adds pairs of items,
 * item i to lane i / 2 % 16, subnormals as zeros. A tile of rows and tokens shares what it loads; it is always whole:
 * what is beyond the last row is the last row again, what is beyond the last token is zeros, and neither is stored. */
#include "kernels/overlays.h"
#include "kernels/v16.h"

enum {
    TILE_ROWS = 6,
    TILE_TOKENS = 4,
    TILE = TILE_ROWS * TILE_TOKENS,
    GROUP = 5 * TILE_TOKENS, /* tokens whose rounded rows stand in scratch: 40 of its 44 bytes a column */
    STEP = 2 * LANES,        /* items of a register */
    ROWS_AHEAD = 8,          /* what comes into the second-level cache meanwhile, as in float_products.c */
    FEWEST = 4,              /* tokens: fewer are bound by memory, and keep their bits */
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

static inline __attribute__((always_inline)) void add_products(__m512 acc[TILE], const char *const rows[TILE_ROWS],
                                                               const __m512bh *x, size_t x_stride, size_t i,
                                                               __mmask32 items)
{
#pragma GCC unroll 6
    for (size_t a = 0; a < TILE_ROWS; a++) {
        const __m512bh w = (__m512bh)_mm512_maskz_loadu_epi16(items, rows[a] + i * STEP * sizeof(uint16_t));
#pragma GCC unroll 4
        for (size_t b = 0; b < TILE_TOKENS; b++)
            acc[a * TILE_TOKENS + b] = _mm512_dpbf16_ps(acc[a * TILE_TOKENS + b], w, x[b * x_stride + i]);
    }
}

/* Rows from r on, n tokens from t on, whose rounded rows begin at x. */
static void tile(const struct mul *m, size_t r, size_t t, size_t n, const __m512bh *x)
{
    const size_t steps = steps_of(m->k), n_rows = m->n_rows - r < TILE_ROWS ? m->n_rows - r : TILE_ROWS;
    const char *rows[TILE_ROWS];
    __m512 acc[TILE];
    for (size_t a = 0; a < TILE_ROWS; a++)
        rows[a] = (const char *)m->w + (r + (a < n_rows ? a : n_rows - 1)) * m->row_bytes;
#pragma GCC unroll 24
    for (int j = 0; j < TILE; j++)
        acc[j] = _mm512_setzero_ps();
    for (size_t i = 0; i + 1 < steps; i++) {
        for (int a = 0; a < TILE_ROWS && t == 0; a++)
            __builtin_prefetch(rows[a] + ROWS_AHEAD * m->row_bytes + i * sizeof *x, 0, 2);
        add_products(acc, rows, x, steps, i, UINT32_MAX);
    }
    add_products(acc, rows, x, steps, steps - 1, last_items(m->k));
    float sums[TILE];
#pragma GCC unroll 24
    for (int j = 0; j < TILE; j++)
        sums[j] = v16_fold((v16){acc[j]});
    for (size_t a = 0; a < n_rows; a++)
        for (size_t b = 0; b < n; b++)
            m->y[(t + b) * m->y_stride + r + a] = sums[a * TILE_TOKENS + b];
}

/* n tokens from t on, with all rows. */
static void group(const struct mul *m, size_t t, size_t n)
{
    __m512bh *x = m->scratch;
    const size_t steps = steps_of(m->k), whole = (n + TILE_TOKENS - 1) / TILE_TOKENS * TILE_TOKENS;
    for (size_t b = 0; b < n; b++)
        round_row(x + b * steps, m->x + (t + b) * m->k, m->k);
    memset(x + n * steps, 0, (whole - n) * steps * sizeof *x);
    for (size_t r = 0; r < m->n_rows; r += TILE_ROWS)
        for (size_t b = 0; b < n; b += TILE_TOKENS)
            tile(m, r, t + b, n - b < TILE_TOKENS ? n - b : TILE_TOKENS, x + b * steps);
}

static void mul_bf16(const struct mul *m)
{
    if (m->n_tokens < FEWEST) {
        product_bf16_avx512(m);
        return;
    }
    for (size_t t = 0; t < m->n_tokens; t += GROUP)
        group(m, t, m->n_tokens - t < GROUP ? m->n_tokens - t : GROUP);
}

void LEVELED(fast_products_overlay)(struct kernels *k) { k->mul_bf16 = mul_bf16; }
