/* float_products.c - products of F32, F16 and BF16 weights. Compiled once a level: LEVEL names it.
 *
 * Each output: item i goes to lane i % 16 by fused multiply-add, the lanes fold in halves. A tile of rows and tokens
 * shares what it loads. */
#include "kernels/overlays.h"
#include "kernels/v16.h"

#if defined(__AVX512F__)
enum { TILE_ROWS = 4, TILE_TOKENS = 4 };
#else
enum { TILE_ROWS = 2, TILE_TOKENS = 2 };
#endif

static inline __attribute__((always_inline)) v16 load_weights(uint32_t type, const char *row, size_t i, size_t n)
{
    if (type == TYPE_F32)
        return n == LANES ? v16_load((const float *)(const void *)row + i)
                          : v16_load_part((const float *)(const void *)row + i, n);
    uint16_t part[LANES] = {0};
    const uint16_t *p = (const uint16_t *)(const void *)row + i;
    if (n < LANES) {
        memcpy(part, p, n * sizeof *p);
        p = part;
    }
    return type == TYPE_F16 ? v16_from_half(p) : v16_from_bf16(p);
}

/* R rows from r on, T tokens from t on. */
static inline __attribute__((always_inline)) void tile(const struct mul *m, uint32_t type, size_t r, size_t t, int R,
                                                       int T)
{
    v16 acc[TILE_ROWS * TILE_TOKENS];
    const char *row = (const char *)m->w + r * m->row_bytes;
    for (int i = 0; i < R * T; i++)
        acc[i] = v16_set(0);
    for (size_t i = 0; i < m->k; i += LANES) {
        size_t n = m->k - i < LANES ? m->k - i : LANES;
        v16 x[TILE_TOKENS];
        for (int b = 0; b < T; b++) {
            const float *p = m->x + (t + (size_t)b) * m->k + i;
            x[b] = n == LANES ? v16_load(p) : v16_load_part(p, n);
        }
        for (int a = 0; a < R; a++) {
            v16 w = load_weights(type, row + (size_t)a * m->row_bytes, i, n);
            for (int b = 0; b < T; b++)
                acc[a * T + b] = v16_fma(w, x[b], acc[a * T + b]);
        }
    }
    for (int a = 0; a < R; a++)
        for (int b = 0; b < T; b++)
            m->y[(t + (size_t)b) * m->y_stride + r + (size_t)a] = v16_fold(acc[a * T + b]);
}

static inline __attribute__((always_inline)) void rows(const struct mul *m, uint32_t type, size_t r, int R)
{
    size_t t = 0;
    for (; t + TILE_TOKENS <= m->n_tokens; t += TILE_TOKENS)
        tile(m, type, r, t, R, TILE_TOKENS);
    for (; t < m->n_tokens; t++)
        tile(m, type, r, t, R, 1);
}

static inline __attribute__((always_inline)) void product(const struct mul *m, uint32_t type)
{
    size_t r = 0;
    for (; r + TILE_ROWS <= m->n_rows; r += TILE_ROWS)
        rows(m, type, r, TILE_ROWS);
    for (; r < m->n_rows; r++)
        rows(m, type, r, 1);
}

static void mul_f32(const struct mul *m) { product(m, TYPE_F32); }
static void mul_f16(const struct mul *m) { product(m, TYPE_F16); }
static void mul_bf16(const struct mul *m) { product(m, TYPE_BF16); }

void LEVELED(float_products_overlay)(struct kernels *k)
{
    k->mul_f32 = mul_f32;
    k->mul_f16 = mul_f16;
    k->mul_bf16 = mul_bf16;
}
