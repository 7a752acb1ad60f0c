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
enum { AT_ONCE = 2 * LANES, ROWS_AHEAD = 8 };
enum { PART = 4096, ROWS_APART = 16 }; /* rows_apart's: items of a row at a time, and rows that a part of x stays for */
enum { PAGE = 4096 };
/* That meet one token side by side: on CPUs with AMX a row's chain of multiply-adds takes longer than memory does. */
#if defined(__AMX_TILE__)
enum { ONE_TOKEN_ROWS = 2 };
#else
enum { ONE_TOKEN_ROWS = 1 };
#endif

static inline size_t item_bytes(uint32_t type) { return type == TYPE_F32 ? sizeof(float) : sizeof(uint16_t); }

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

/* Items [i, i + n) of R rows and of T tokens, whose rows begin at `row` and x. */
static inline __attribute__((always_inline)) void add_products(v16 *acc, const struct mul *m, uint32_t type,
                                                               const char *row, const float *x, size_t i, size_t n,
                                                               int R, int T)
{
    v16 v[TILE_TOKENS];
    for (int b = 0; b < T; b++) {
        const float *p = x + (size_t)b * m->k + i;
        v[b] = n == LANES ? v16_load(p) : v16_load_part(p, n);
    }
    for (int a = 0; a < R; a++) {
        const v16 w = load_weights(type, row + (size_t)a * m->row_bytes, i, n);
        for (int b = 0; b < T; b++)
            acc[a * T + b] = v16_fma(w, v[b], acc[a * T + b]);
    }
}

/* Weights of rows that come later come into the second-level cache meanwhile: CPUs by themselves look ahead within a
 * page only, which is about a row. `at`: AT_ONCE items of the first row at hand; of R rows, `ahead` rows later. */
static inline void fetch_ahead(const struct mul *m, uint32_t type, const char *at, size_t ahead, int R)
{
    const size_t bytes = AT_ONCE * item_bytes(type);
    for (size_t a = ahead; a < ahead + (size_t)R; a++)
        for (size_t i = 0; i < bytes; i += 64)
            __builtin_prefetch(at + a * m->row_bytes + i, 0, 2);
}

/* All of items [first, end), while those of R rows `ahead` rows later are fetched; 0: none are. */
static inline __attribute__((always_inline)) void add_columns(v16 *acc, const struct mul *m, uint32_t type,
                                                              const char *row, const float *x, size_t first, size_t end,
                                                              size_t ahead, int R, int T)
{
    size_t i = first;
    for (; i + AT_ONCE <= end; i += AT_ONCE) {
        if (ahead)
            fetch_ahead(m, type, row + i * item_bytes(type), ahead, R);
        add_products(acc, m, type, row, x, i, LANES, R, T);
        add_products(acc, m, type, row, x, i + LANES, LANES, R, T);
    }
    for (; i < end; i += LANES)
        add_products(acc, m, type, row, x, i, end - i < LANES ? end - i : LANES, R, T);
}

/* R rows from r on, T tokens from t on. */
static inline __attribute__((always_inline)) void tile(const struct mul *m, uint32_t type, size_t r, size_t t, int R,
                                                       int T)
{
    v16 acc[TILE_ROWS * TILE_TOKENS];
    const char *row = (const char *)m->w + r * m->row_bytes;
    for (int j = 0; j < R * T; j++)
        acc[j] = v16_set(0);
    add_columns(acc, m, type, row, m->x + t * m->k, 0, m->k, t == 0 && R > 1 ? ROWS_AHEAD : 0, R, T);
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

/* Rows of more than a page meet one token one after the other, by parts whose activations stay in the first-level
 * cache. n: at most ROWS_APART. */
static inline __attribute__((always_inline)) void rows_apart(const struct mul *m, uint32_t type, size_t r, size_t n)
{
    v16 acc[ROWS_APART];
    for (size_t first = 0; first < m->k; first += PART) {
        const size_t end = m->k - first < PART ? m->k : first + PART;
        for (size_t a = 0; a < n; a++) {
            const char *row = (const char *)m->w + (r + a) * m->row_bytes;
            v16 sum = first ? acc[a] : v16_set(0);
            add_columns(&sum, m, type, row, m->x, first, end, 1, 1, 1);
            acc[a] = sum;
            if (end == m->k)
                m->y[r + a] = v16_fold(sum);
        }
    }
}

/* One token meets one row after the other, or two: memory is read fastest where it is asked for one line after the
 * other and nothing else. */
static inline __attribute__((always_inline)) void product(const struct mul *m, uint32_t type)
{
    const bool is_one = m->n_tokens == 1;
    size_t r = 0;
    for (; is_one && ONE_TOKEN_ROWS > 1 && r + ONE_TOKEN_ROWS <= m->n_rows; r += ONE_TOKEN_ROWS)
        rows(m, type, r, ONE_TOKEN_ROWS);
    for (; is_one && ONE_TOKEN_ROWS == 1 && m->row_bytes > PAGE && r < m->n_rows; r += ROWS_APART)
        rows_apart(m, type, r, m->n_rows - r < ROWS_APART ? m->n_rows - r : ROWS_APART);
    for (; !is_one && r + TILE_ROWS <= m->n_rows; r += TILE_ROWS)
        rows(m, type, r, TILE_ROWS);
    for (; r < m->n_rows; r++)
        rows(m, type, r, 1);
}

static void mul_f32(const struct mul *m) { product(m, TYPE_F32); }
void LEVELED(product_f16)(const struct mul *m) { product(m, TYPE_F16); }
void LEVELED(product_bf16)(const struct mul *m) { product(m, TYPE_BF16); }

void LEVELED(float_products_overlay)(struct kernels *k)
{
    k->mul_f32 = mul_f32;
    k->mul_f16 = LEVELED(product_f16);
    k->mul_bf16 = LEVELED(product_bf16);
}
