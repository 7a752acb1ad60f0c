/* amx_fast_products.c - fast_products.c's products (kernels_set_math) with many tokens, by tiles of AMX-BF16.
 *
 * A tile of weights is 32 items of 16 rows: BF16 as they stand in the file, F16 rounded into scratch. Activations are
 * rounded and stand in scratch as pairs of items, a pair of 16 tokens side by side. Two tiles of rows meet two of
 * tokens down their whole length; sums are floats and leave their tiles once. What is beyond the last token is zeros.
 */
#include "kernels/overlays.h"
#include "kernels/x86/amx.h"

enum {
    SIDE = 16, /* rows of a tile */
    STEP = 32, /* items of a row of a tile */
    ROWS = 2 * SIDE,
    GROUP = 2 * SIDE, /* tokens whose pairs stand in scratch */
    FEWEST = 12,      /* tokens, from which on it is faster than the dot product */
};

/* A step's pairs of one tile of tokens. */
struct pairs {
    uint16_t x[SIDE][STEP];
};

/* Scratch: pairs of a group, [step][2], and two panels of rounded weights, [ROWS][k]. */
_Static_assert((GROUP + ROWS) * sizeof(uint16_t) * 256 <= MUL_CHUNK_BYTES, "scratch holds both");

/* tiles[a][b] is sums 2 a + b, of rows 16 a.. and tokens 16 b.. */
#define ROWS_0 4
#define ROWS_1 5
#define PAIRS_0 6
#define PAIRS_1 7
#define TILE_DOT_BF16(sums, w, x) __asm__ volatile("tdpbf16ps " TILE_NAME(x) ", " TILE_NAME(w) ", " TILE_NAME(sums) : :)

/* 16 x 16 words, rows for columns. */
INLINE void transpose_16(vi r[SIDE])
{
    vi a[SIDE];
#pragma GCC unroll 4
    for (int i = 0; i < SIDE; i += 4) {
        const vi x = _mm512_unpacklo_epi32(r[i], r[i + 1]), y = _mm512_unpacklo_epi32(r[i + 2], r[i + 3]);
        const vi z = _mm512_unpackhi_epi32(r[i], r[i + 1]), u = _mm512_unpackhi_epi32(r[i + 2], r[i + 3]);
        a[i] = _mm512_unpacklo_epi64(x, y);
        a[i + 1] = _mm512_unpackhi_epi64(x, y);
        a[i + 2] = _mm512_unpacklo_epi64(z, u);
        a[i + 3] = _mm512_unpackhi_epi64(z, u);
    }
    /* Lane j of a[4 i + c] is rows 4 i.. of column 4 j + c. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const vi x = _mm512_shuffle_i32x4(a[c], a[4 + c], 0x88), y = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0x88);
        const vi z = _mm512_shuffle_i32x4(a[c], a[4 + c], 0xdd), u = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0xdd);
        r[c] = _mm512_shuffle_i32x4(x, y, 0x88);
        r[8 + c] = _mm512_shuffle_i32x4(x, y, 0xdd);
        r[4 + c] = _mm512_shuffle_i32x4(z, u, 0x88);
        r[12 + c] = _mm512_shuffle_i32x4(z, u, 0xdd);
    }
}

INLINE vi rounded(__m512 low, __m512 high) { return (vi)_mm512_cvtne2ps_pbh(high, low); }

/* A tile of tokens, n of which are there, to each other place of `to`. */
static void write_pairs(struct pairs *to, const float *x, size_t n, size_t k)
{
    for (size_t i = 0; i < k; i += STEP, to += 2) {
        vi r[SIDE];
        for (size_t t = 0; t < SIDE; t++)
            r[t] = t < n ? rounded(_mm512_loadu_ps(x + t * k + i), _mm512_loadu_ps(x + t * k + i + SIDE))
                         : _mm512_setzero_si512();
        transpose_16(r);
        for (size_t t = 0; t < SIDE; t++)
            vi_store(to->x[t], r[t]);
    }
}

static void round_weights(uint16_t *to, const char *w, size_t row_bytes, size_t k)
{
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < k; i += STEP) {
            const char *at = w + r * row_bytes + i * sizeof *to;
            vi_store(to + r * k + i, rounded(vf_of_half(at), vf_of_half(at + SIDE * sizeof *to)));
        }
}

/* 32 rows times one or two tiles of tokens. */
INLINE void meet(const char *w, size_t row_bytes, const struct pairs *x, size_t steps, int T)
{
    TILE_ZERO(0);
    TILE_ZERO(2);
    if (T == 2) {
        TILE_ZERO(1);
        TILE_ZERO(3);
    }
    for (size_t i = 0; i < steps; i++, x += 2) {
        TILE_LOAD(PAIRS_0, x, 64);
        TILE_LOAD(ROWS_0, w + i * 64, row_bytes);
        TILE_DOT_BF16(0, ROWS_0, PAIRS_0);
        TILE_LOAD(ROWS_1, w + SIDE * row_bytes + i * 64, row_bytes);
        TILE_DOT_BF16(2, ROWS_1, PAIRS_0);
        if (T == 2) {
            TILE_LOAD(PAIRS_1, x + 1, 64);
            TILE_DOT_BF16(1, ROWS_0, PAIRS_1);
            TILE_DOT_BF16(3, ROWS_1, PAIRS_1);
        }
    }
}

/* One tile's sums, [row][token], to y. */
static void write_sums(const float sums[SIDE][SIDE], float *y, size_t y_stride, size_t n)
{
    vi r[SIDE];
    for (size_t i = 0; i < SIDE; i++)
        r[i] = vi_load(sums[i]);
    transpose_16(r);
    for (size_t t = 0; t < n; t++)
        vi_store(y + t * y_stride, r[t]);
}

/* Rows from r on with n tokens from t on. */
static void rows_of_group(const struct mul *m, const char *w, size_t row_bytes, size_t r, size_t t, size_t n)
{
    float sums[2][2][SIDE][SIDE] __attribute__((aligned(64)));
    if (n > SIDE) {
        meet(w, row_bytes, m->scratch, m->k / STEP, 2);
        TILE_STORE(1, sums[0][1]);
        TILE_STORE(3, sums[1][1]);
    } else {
        meet(w, row_bytes, m->scratch, m->k / STEP, 1);
    }
    TILE_STORE(0, sums[0][0]);
    TILE_STORE(2, sums[1][0]);
    for (size_t a = 0; a < 2; a++)
        for (size_t b = 0; b * SIDE < n; b++)
            write_sums((const float(*)[SIDE])sums[a][b], m->y + (t + b * SIDE) * m->y_stride + r + a * SIDE,
                       m->y_stride, n - b * SIDE < SIDE ? n - b * SIDE : SIDE);
}

/* The last rows may overlap those before them. */
static void product(const struct mul *m, bool is_f16)
{
    struct tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.rows[i] = SIDE;
        c.row_bytes[i] = 64;
    }
    tiles_begin(&c);
    struct pairs *x = m->scratch;
    uint16_t *weights = (uint16_t *)(void *)(x + m->k / STEP * 2);
    for (size_t t = 0, n; t < m->n_tokens; t += n) {
        n = m->n_tokens - t < GROUP ? m->n_tokens - t : GROUP;
        write_pairs(x, m->x + t * m->k, n < SIDE ? n : SIDE, m->k);
        if (n > SIDE)
            write_pairs(x + 1, m->x + (t + SIDE) * m->k, n - SIDE, m->k);
        for (size_t r = 0; r < m->n_rows; r += ROWS) {
            r = r + ROWS <= m->n_rows ? r : m->n_rows - ROWS;
            const char *w = (const char *)m->w + r * m->row_bytes;
            if (is_f16)
                round_weights(weights, w, m->row_bytes, m->k);
            rows_of_group(m, is_f16 ? (const char *)weights : w, is_f16 ? m->k * sizeof *weights : m->row_bytes, r, t,
                          n);
        }
    }
    tiles_end();
}

static bool fits(const struct mul *m) { return m->n_tokens >= FEWEST && m->n_rows >= ROWS && m->k % STEP == 0; }

static void mul_f16(const struct mul *m)
{
    if (fits(m))
        product(m, true);
    else if (m->n_tokens == 1)
        product_f16_amx(m);
    else
        fast_f16_avx512bf16(m);
}

static void mul_bf16(const struct mul *m)
{
    if (fits(m))
        product(m, false);
    else if (m->n_tokens == 1)
        product_bf16_amx(m);
    else
        fast_bf16_avx512bf16(m);
}

void fast_products_overlay_amx(struct kernels *k)
{
    k->mul_f16 = mul_f16;
    k->mul_bf16 = mul_bf16;
}
