/* kernels.h - arithmetic on plain arrays; knows no model, no threads, no memory.
 *
 * One struct kernels is one way to compute: functions and the sizes they were tuned for. It is built once by overlays
 * from `ref` upward (kernels_choose) and passed down as a constant; nothing else asks which CPU it is on.
 *
 * Every level gives the same bits as `ref`, unless faster products were asked for (kernels_set_math). The order of
 * every sum is part of each kernel's meaning:
 *
 * Floats     element i goes to lane i % 16 by fused multiply-add, lanes fold in halves (v16.h).
 * Products   of quantized weights: one chain an output, block of 32 (or 256) after block, see struct mul.
 * Attention  page after page of 64 positions, see struct attend.
 * Functions  exp, tanh, erf, ... are polynomials by fused multiply-add (functions.h, math.h), never libm's. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "andiron.h"
#include "base/types.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LANES = 16,         /* of a float sum */
    PANEL = 16,         /* rows of a weight matrix that are computed side by side, at most */
    Q_BLOCK = 32,       /* activations share a scale in blocks of this many */
    Q_WIDE = 256,       /* or of this many, where weights do (mul_reads_wide) */
    KV_PAGE = 64,       /* positions in a page of the KV cache */
    KV_HEAD_MAX = 1024, /* numbers of a head that attention has room for */
    LARGEST_MOST = 1024,
};

/* Rows of activations quantized to 8 bits: x[t][i] is about d[t][i / 32] * q[t][i]. k is a multiple of 32. Or of 256,
 * where eight blocks share a scale, which stands in each of their d: for weights whose own scale is of 256 (wide). */
struct q8 {
    int8_t *q;     /* [n][k] in -127..127 */
    float *d;      /* [n][k / 32] scale */
    float *ds;     /* [n][k / 32] scale times the block's sum, rounded once */
    int16_t *sums; /* [n][k / 16] sum of each half block */
};

/* y[t][r] = sum over i of w[r][i] * x[t][i], for n_rows rows of one weight matrix and n_tokens rows of activations.
 *
 * Float weights (F32, F16, BF16) read x: element i to lane i % 16, lanes folded in halves.
 * Quantized weights read xq, and each output is one chain over blocks b of 32 in rising order, starting from 0:
 *     acc = fma(S, dw * xq.d, acc)          S: exact integer, converted to float
 *     acc = fma(m, xq.ds, acc)              only types with a minimum m for each 32: Q4_1 Q5_1 Q4_K Q5_K
 * but where other numbers of a block come in, one step, which spares a product for each token:
 *     acc = fma(fma(S1, dw1, S * dw), xq.d, acc)     scales of 16 each; S and dw of items 0..15, S1 and dw1 of 16..31
 * where, with v the stored integers (Q4_0: nibble - 8, ...; blocks.h):
 *     Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4
 *     Q1_0 Q2_0                           S = sum v * q                     dw = d         m as stored
 *     Q4_K Q5_K                           S = sum v * q                     dw = d * scale m = -(dmin * min)
 *     IQ4_XS IQ1_S IQ2_XXS IQ3_XXS IQ3_S  S = sum v * q                     dw = d * scale
 *     Q6_K NVFP4 IQ2_XS IQ2_S IQ1_M       S, S1 = sum v * q of 16 each      dw, dw1 = d * scale
 * Types that are wide have a scale d for 256, integer scales of 16 at most, and wide xq (docs/decisions/0010): the
 * chain goes over superblocks b of 256, whose sums of 256 products are exact integers below 2^24:
 *     TQ1_0 TQ2_0 Q3_K     acc = fma(S, d * xq.d, acc)                      S = sum scale * v * q
 *     Q2_K                 acc = fma(fma(-M, dmin, S * d), xq.d, acc)       M = sum min * (sums of 16 q)
 * The same for one token and for many, in any slab of rows. */
struct mul {
    float *y;
    size_t y_stride; /* floats from one token's row to the next */
    const void *w;
    size_t row_bytes; /* from one weight row to the next */
    size_t n_rows;    /* any; whole panels of 16 run fastest */
    size_t k;         /* multiple of the type's block */
    const float *x;   /* [n_tokens][k]: float weights */
    struct q8 xq;     /* [n_tokens][k]: quantized weights */
    size_t n_tokens;
    void *scratch; /* mul_scratch_bytes(k), aligned to 64; one for each thread */
};
/* Room for unpacked panels, in chunks of 256 items with their scales, and for what a kernel makes of activations. */
enum { MUL_PANELS = 4, MUL_CHUNK_BYTES = 8192 * MUL_PANELS };
static inline size_t mul_scratch_bytes(size_t k) { return (k + 255) / 256 * MUL_CHUNK_BYTES; }

enum kv_type { KV_F32, KV_F16, KV_Q8_0, KV_TYPES };

/* A page holds KV_PAGE positions of one key/value head. Layout, chosen so that both products run down whole vectors:
 *   keys    F32 F16  [page / 16][hd][16]          16 positions side by side
 *           Q8_0     [page / 16][hd32 / 4][16][4] int8, then scales F16 [page / 16][hd32 / 32][16]
 *   values  F32 F16  [page][hd]
 *           Q8_0     [page][hd32] int8, then scales F16 [page][hd32 / 32]
 * hd32: hd rounded up to 32, the rest zero. Both parts begin on 64 bytes. */
size_t kv_key_page_bytes(enum kv_type type, size_t hd);
size_t kv_value_page_bytes(enum kv_type type, size_t hd);
static inline size_t kv_blocks(size_t hd) { return (hd + Q_BLOCK - 1) / Q_BLOCK; } /* hd32 / 32 */

enum activation {
    ACT_NONE,
    ACT_SILU,
    ACT_GELU,
    ACT_GELU_TANH,
    ACT_GELU_QUICK,
    ACT_RELU,
    ACT_RELU2,
    ACT_SIGMOID,
    ACT_TANH,
    ACT_EXP,
    ACT_SOFTPLUS,
    ACT_LOG,  /* of normal numbers above 0 */
    ACT_SQRT, /* of numbers from 0 on */
    ACT_FLOOR,
    ACT_LIMIT
};

/* Attention of n_q queries over the visible positions of one page of one key/value head. For query j, positions
 * [lo[j], hi[j]) of the page:
 *     s[p] = dot(q, k[p]) * scale      chain over i rising by fma from 0; Q8_0: as a Q8_0 product of quantized q
 *     s[p] = cap * tanh(s[p] / cap)    where cap > 0
 *     s[p] = s[p] + bias[j][p]         where there is a bias
 *     m'   = max(m, max s)             e[p] = exp(s[p] - m')      c = exp(m - m')
 *     l    = fma(l, c, sum of e)       position p to lane p % 16, rising; folded in halves
 *     o[i] = o[i] * c, then o[i] = fma(e[p], v[p][i], o[i]) for p rising; Q8_0: fma(e[p] * scale, v, o[i])
 *     m    = m'
 * Start: m = -INFINITY, l = 0, o = 0; with a sink's score x: m = x, l = 1. The answer is o / l. A query that
 * sees nothing of the page is left alone. With a function of scores e[p] = by(s[p]), c = 1, m and l stay, and the
 * answer is o. */
struct attend {
    const float *q; /* [n_q] rows of q_stride floats, hd_k used: F32, F16 */
    size_t q_stride;
    struct q8 qq; /* [n_q][hd_k rounded up to 32]: Q8_0 */
    size_t n_q;
    size_t hd_k, hd_v;
    const void *k, *v;           /* the page's parts for this head */
    const void *k_next, *v_next; /* those of a page to be fetched into the cache meanwhile; NULL: none */
    const uint8_t *lo, *hi;      /* [n_q] in 0..64 */
    float scale, cap;
    const float *bias;                                                       /* [n_q][KV_PAGE], or NULL */
    float *m, *l;                                                            /* [n_q] */
    void (*activate)(enum activation f, float *y, const float *x, size_t n); /* NULL: softmax */
    enum activation by;
    float *o; /* [n_q] rows of o_stride floats, hd_v used */
    size_t o_stride;
};

/* One row of a linear recurrence of one head, whose state is S [dk][dv]. In this order, i rising:
 *     u[j] = fma(a[i], S[i][j], u[j])                                       where a is given; from 0
 *     order before:  y[j] = fma(q[i], S[i][j], y[j])
 *     S[i][j] = S[i][j] * decay[i]; then fma(b[i], u[j], S[i][j]) where b is given; then fma(k[i], v[j], S[i][j])
 *     order after:   y[j] = fma(q[i], S[i][j], y[j])                        from 0 */
struct scan {
    float *s;                   /* [dk][dv] */
    const float *q, *k, *a, *b; /* [dk]; a and b may be NULL */
    const float *decay;         /* [dk], or one where decay_one */
    const float *v;             /* [dv] */
    float *y, *u;               /* [dv]; u: scratch */
    size_t dk, dv;
    bool decay_one, before;
};

/* One row of Mamba's recurrence for n channels; state S, A are [n_state][stride]. For i rising, from y = 0:
 *     S[i][c] = fma(S[i][c], exp(dt[c] * A[i][c]), B[i] * (dt[c] * x[c]))        y[c] = fma(C[i], S[i][c], y[c]) */
struct selective_scan {
    float *s, *y;
    const float *x, *dt, *A, *B, *C;
    size_t n, n_state, stride;
};

struct kernels {
    const char *cpu; /* level's name */
#define KERNEL(name, result, arguments) result(*name) arguments;
#include "kernels/kernels.def"
#undef KERNEL
};

/* The product for a weight type, or NULL where none exists. */
typedef void (*mul_fn)(const struct mul *m);
mul_fn kernels_mul(const struct kernels *k, uint32_t type);
typedef void (*dequantize_fn)(float *y, const void *w, size_t n);
dequantize_fn kernels_dequantize(const struct kernels *k, uint32_t type);
/* Does this type's product read xq (true) or x (false)? */
bool mul_reads_q8(uint32_t type);
/* Is that xq wide (quantize_q8_wide)? */
bool mul_reads_wide(uint32_t type);

struct probes;

/* Each level overlays the one below it, so a new level starts complete and replaces only what it does better. */
struct level {
    const char *cpu;
    bool (*present)(void);
    void (*overlay)(struct kernels *k);
    void (*fast)(struct kernels *k);  /* what math "fast" puts there; NULL: nothing */
    void (*probes)(struct probes *p); /* probe.h; NULL: those of the level below */
};
extern const struct level kernel_levels[]; /* worst first; ends with cpu == NULL */

/* The best table at or below `cpu` (NULL: any) that this machine can run. An unknown level, or one that this machine
 * lacks, is an ANDIRON_E_ARGUMENT error that lists those it has. */
andiron_status kernels_choose(struct kernels *out, const char *cpu, andiron_error *error);
/* NULL or "exact": the table stays what it is. "fast": products that are quicker on this CPU and not of the same bits
 * (x86/fast_products.c), where it has any for the table's level. Another word is an ANDIRON_E_ARGUMENT error. */
andiron_status kernels_set_math(struct kernels *k, const char *math, andiron_error *error);

#endif
