/* check_kernels.c - every kernel of every level this machine has against `ref`, bit for bit, on random shapes and
 * values.
 *
 *     check_kernels            test
 *     check_kernels --bench    operations a second of each product, on one thread */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "kernels/decode.h"
#include "kernels/kernels.h"

enum { MAX_K = 2048, MAX_ROWS = 100, MAX_TOKENS = 20, MAX_HD = 256 };

static struct random rng;
static int n_failed;

static float *floats(size_t n)
{
    float *x = alloc_zeroed(n + 1, sizeof *x);
    if (!x)
        abort();
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(random_unit(&rng) * 2 - 1) * (random_below(&rng, 50) ? 1.0f : 30.0f);
    return x;
}

static void expect_same(const char *level, const char *kernel, const char *what, const void *a, const void *b, size_t n)
{
    if (!memcmp(a, b, n))
        return;
    printf("%s: %s differs from ref: %s\n", level, kernel, what);
    n_failed++;
}

/* ---- values one by one ---- */

static void check_unary(const struct kernels *ref, const struct kernels *k, size_t n)
{
    char what[64];
    float *x = floats(2 * n + 2), *w = floats(2 * n + 2), *b = floats(2 * n + 2), *y0 = floats(2 * n + 2),
          *y1 = floats(2 * n + 2);
    float special[] = {0.0f,   -0.0f, __builtin_inff(), -__builtin_inff(), 1e-42f, -100.0f, 100.0f, 88.5f, -87.4f,
                       0.625f, 4.0f};
    for (size_t i = 0; i < sizeof special / sizeof *special && n > 40; i++)
        x[random_below(&rng, n)] = special[i];
    snprintf(what, sizeof what, "n = %zu", n);
#define BOTH(name, ...)                      \
    memset(y0, 0, (2 * n + 2) * sizeof *y0); \
    memset(y1, 0, (2 * n + 2) * sizeof *y1); \
    {                                        \
        float *y = y0;                       \
        ref->name(__VA_ARGS__);              \
    }                                        \
    {                                        \
        float *y = y1;                       \
        k->name(__VA_ARGS__);                \
    }                                        \
    expect_same(k->cpu, #name, what, y0, y1, (2 * n + 1) * sizeof *y0)
    BOTH(add, y, x, w, n);
    BOTH(mul, y, x, w, n);
    BOTH(shift, y, x, 0.3f, n);
    BOTH(scale, y, x, 0.3f, n);
    BOTH(softcap, y, x, 5.0f, n);
    BOTH(rope_pairs, y, x, w, b, n);
    BOTH(rope_halves, y, x, w, b, n);
    for (int f = 0; f < ACT_LIMIT; f++) {
        snprintf(what, sizeof what, "n = %zu, function %d", n, f);
        BOTH(activate, (enum activation)f, y, x, n);
        BOTH(gate, (enum activation)f, y, x, w, n);
    }
    if (n > 40)
        for (size_t i = 0; i < n; i++)
            x[i] = w[i] * 3;
    BOTH(rmsnorm, y, x, w, n, 1e-5f);
    BOTH(rmsnorm, y, x, NULL, n, 1e-5f);
    BOTH(layernorm, y, x, w, b, n, 1e-5f);
    BOTH(layernorm, y, x, w, NULL, n, 1e-5f);
    memcpy(y0, x, n * sizeof *x);
    memcpy(y1, x, n * sizeof *x);
    ref->rope_halves(y0, y0, w, b, n / 2);
    k->rope_halves(y1, y1, w, b, n / 2);
    expect_same(k->cpu, "rope_halves", "in place", y0, y1, n * sizeof *y0);
    if (ref->max_index(x, n) != k->max_index(x, n))
        expect_same(k->cpu, "max_index", what, "a", "b", 1);
    alloc_free(x);
    alloc_free(w);
    alloc_free(b);
    alloc_free(y0);
    alloc_free(y1);
}

/* ---- products ---- */

static struct q8 new_q8(size_t n, size_t k)
{
    return (struct q8){alloc_zeroed(n, k), alloc_zeroed(n * (k / 32), 4), alloc_zeroed(n * (k / 32), 4),
                       alloc_zeroed(n * (k / 16), 2)};
}

static void free_q8(struct q8 x)
{
    alloc_free(x.q);
    alloc_free(x.d);
    alloc_free(x.ds);
    alloc_free(x.sums);
}

static void quantize(const struct kernels *k, struct q8 to, const float *x, size_t n, size_t width)
{
    for (size_t t = 0; t < n; t++)
        k->quantize_q8(
            (struct q8){to.q + t * width, to.d + t * width / 32, to.ds + t * width / 32, to.sums + t * width / 16},
            x + t * width, width);
}

/* Random bytes, with every half-precision scale made finite: exponents 8 to 15 of 31. */
static void *random_weights(uint32_t type, size_t rows, size_t k)
{
    const struct type_info *info = type_info(type);
    size_t n = rows * k / info->block_items * info->block_bytes;
    uint8_t *w = alloc_zeroed(n, 1);
    if (!w)
        abort();
    for (size_t i = 0; i < n; i++)
        w[i] = (uint8_t)random_u64(&rng);
    if (type == TYPE_F32) {
        for (size_t i = 0; i < rows * k; i++)
            ((float *)(void *)w)[i] = (float)random_unit(&rng) - 0.5f;
        return w;
    }
    /* Where scales stand in a block; IQ1_M's highest bits are its last byte's. Others are bytes, all of them finite. */
    static const int halves[TYPE_LIMIT][2] = {
        [TYPE_Q4_0] = {0, -1},   [TYPE_Q4_1] = {0, 2},     [TYPE_Q5_0] = {0, -1},    [TYPE_Q5_1] = {0, 2},
        [TYPE_Q8_0] = {0, -1},   [TYPE_Q2_K] = {80, 82},   [TYPE_Q3_K] = {108, -1},  [TYPE_Q4_K] = {0, 2},
        [TYPE_Q5_K] = {0, 2},    [TYPE_Q6_K] = {208, -1},  [TYPE_F16] = {0, -1},     [TYPE_BF16] = {0, -1},
        [TYPE_IQ4_NL] = {0, -1}, [TYPE_IQ4_XS] = {0, -1},  [TYPE_MXFP4] = {-1, -1},  [TYPE_NVFP4] = {-1, -1},
        [TYPE_Q1_0] = {0, -1},   [TYPE_Q2_0] = {0, -1},    [TYPE_TQ1_0] = {52, -1},  [TYPE_TQ2_0] = {64, -1},
        [TYPE_IQ1_S] = {0, -1},  [TYPE_IQ1_M] = {54, -1},  [TYPE_IQ2_XXS] = {0, -1}, [TYPE_IQ2_XS] = {0, -1},
        [TYPE_IQ2_S] = {0, -1},  [TYPE_IQ3_XXS] = {0, -1}, [TYPE_IQ3_S] = {0, -1},
    };
    for (size_t i = 0; i < n; i += info->block_bytes) {
        if (type == TYPE_MXFP4)
            w[i] = (uint8_t)(100 + w[i] % 40);
        for (int j = 0; j < 2; j++)
            if (halves[type][j] >= 0) {
                uint8_t *high = w + i + halves[type][j] + 1;
                *high = (uint8_t)((*high & 0x9f) | 0x20);
            }
    }
    return w;
}

static const uint32_t types[] = {
    TYPE_F32,
    TYPE_F16,
    TYPE_BF16,
#define QUANTIZED(name, type) TYPE_##type,
#include "kernels/quantized.def"
#undef QUANTIZED
};
enum { N_TYPES = sizeof types / sizeof *types };

static void check_product(const struct kernels *ref, const struct kernels *k, uint32_t type, size_t rows, size_t width,
                          size_t n)
{
    char what[96];
    const struct type_info *info = type_info(type);
    snprintf(what, sizeof what, "%s, %zu rows of %zu, %zu tokens", info->name, rows, width, n);
    float *x = floats(n * width), *y0 = floats(n * (rows + 3)), *y1 = floats(n * (rows + 3));
    memcpy(y1, y0, n * (rows + 3) * sizeof *y0);
    void *w = random_weights(type, rows, width), *scratch = alloc_zeroed(mul_scratch_bytes(width), 1);
    struct q8 q0 = {0}, q1 = {0};
    struct mul m = {.y_stride = rows + 3,
                    .w = w,
                    .row_bytes = width / info->block_items * info->block_bytes,
                    .n_rows = rows,
                    .k = width,
                    .n_tokens = n,
                    .scratch = scratch,
                    .x = x};
    if (mul_reads_q8(type)) {
        q0 = new_q8(n, width);
        q1 = new_q8(n, width);
        quantize(ref, q0, x, n, width);
        quantize(k, q1, x, n, width);
        expect_same(k->cpu, "quantize_q8", what, q0.q, q1.q, n * width);
        expect_same(k->cpu, "quantize_q8 d", what, q0.d, q1.d, n * width / 32 * 4);
        expect_same(k->cpu, "quantize_q8 ds", what, q0.ds, q1.ds, n * width / 32 * 4);
        expect_same(k->cpu, "quantize_q8 sums", what, q0.sums, q1.sums, n * width / 16 * 2);
    }
    m.xq = q0;
    m.y = y0;
    kernels_mul(ref, type)(&m);
    m.xq = q1;
    m.y = y1;
    kernels_mul(k, type)(&m);
    expect_same(k->cpu, "mul", what, y0, y1, n * (rows + 3) * sizeof *y0);
    free_q8(q0);
    free_q8(q1);
    alloc_free(x);
    alloc_free(y0);
    alloc_free(y1);
    alloc_free(w);
    alloc_free(scratch);
}

/* A product against the same sum in double over dequantized weights: is the reference itself right? */
static void check_meaning(const struct kernels *k, uint32_t type)
{
    enum { ROWS = 17, WIDTH = 512 };
    const struct type_info *info = type_info(type);
    float *x = floats(WIDTH), y[ROWS], row[WIDTH];
    char *w = random_weights(type, ROWS, WIDTH);
    void *scratch = alloc_zeroed(mul_scratch_bytes(WIDTH), 1);
    struct q8 q = new_q8(1, WIDTH);
    k->quantize_q8(q, x, WIDTH);
    struct mul m = {.y = y,
                    .y_stride = ROWS,
                    .w = w,
                    .row_bytes = WIDTH / info->block_items * info->block_bytes,
                    .n_rows = ROWS,
                    .k = WIDTH,
                    .n_tokens = 1,
                    .scratch = scratch,
                    .x = x,
                    .xq = q};
    kernels_mul(k, type)(&m);
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0, size = 0;
        kernels_dequantize(k, type)(row, w + r * m.row_bytes, WIDTH);
        for (size_t i = 0; i < WIDTH; i++) {
            double v = mul_reads_q8(type) ? (double)q.d[i / 32] * q.q[i] : (double)x[i];
            sum += v * (double)row[i];
            size += v * v * (double)row[i] * (double)row[i];
        }
        double off = (double)y[r] - sum;
        if (!(off * off <= size * 1e-9)) {
            printf("%s: product of %s is off by %g of %g\n", k->cpu, info->name, off, sum);
            n_failed++;
        }
    }
    free_q8(q);
    alloc_free(x);
    alloc_free(w);
    alloc_free(scratch);
}

static void check_products(const struct kernels *ref, const struct kernels *k)
{
    for (int i = 0; i < N_TYPES; i++) {
        check_meaning(k, types[i]);
        const size_t unit = type_info(types[i])->block_items < 32 ? 32 : type_info(types[i])->block_items;
        for (int round = 0; round < 30; round++) {
            size_t width = unit * (1 + random_below(&rng, unit > 64 ? 3 : 20));
            check_product(ref, k, types[i], 1 + random_below(&rng, MAX_ROWS), width,
                          1 + random_below(&rng, MAX_TOKENS));
        }
        if (!mul_reads_q8(types[i]))
            check_product(ref, k, types[i], 9, 77, 5);
    }
}

/* ---- attention ---- */

typedef void (*store_fn)(void *, void *, size_t, const float *, const float *, size_t, size_t);
typedef void (*attend_fn)(const struct attend *);

static void check_attend(const struct kernels *ref, const struct kernels *k, enum kv_type type, size_t hd_k,
                         size_t hd_v, size_t n_q)
{
    char what[96];
    snprintf(what, sizeof what, "cache type %d, heads of %zu and %zu, %zu queries", type, hd_k, hd_v, n_q);
    store_fn store[2][KV_TYPES] = {{ref->kv_store_f32, ref->kv_store_f16, ref->kv_store_q8_0},
                                   {k->kv_store_f32, k->kv_store_f16, k->kv_store_q8_0}};
    attend_fn attend[2][KV_TYPES] = {{ref->attend_f32, ref->attend_f16, ref->attend_q8_0},
                                     {k->attend_f32, k->attend_f16, k->attend_q8_0}};
    size_t hd32 = (hd_k + 31) / 32 * 32, kb = kv_key_page_bytes(type, hd_k), vb = kv_value_page_bytes(type, hd_v);
    float *keys = floats(2 * KV_PAGE * hd_k), *values = floats(2 * KV_PAGE * hd_v), *q = alloc_zeroed(n_q * hd32, 4);
    uint8_t lo[2][64], hi[2][64];
    char *pages[2];
    float *out[2];
    struct q8 qq = new_q8(n_q, hd32);
    for (size_t j = 0; j < n_q; j++)
        for (size_t i = 0; i < hd_k; i++)
            q[j * hd32 + i] = (float)random_unit(&rng) - 0.5f;
    quantize(ref, qq, q, n_q, hd32);
    for (size_t j = 0; j < n_q; j++)
        for (int page = 0; page < 2; page++) {
            lo[page][j] = (uint8_t)(random_below(&rng, 3) ? 0 : random_below(&rng, 65));
            hi[page][j] = (uint8_t)(random_below(&rng, 3) ? 64 : random_below(&rng, 65));
        }
    float cap = random_below(&rng, 2) ? 5.0f : 0.0f;
    for (int side = 0; side < 2; side++) {
        pages[side] = alloc_zeroed(2 * (kb + vb), 1);
        out[side] = alloc_zeroed(n_q * (hd_v + 2), 4);
        float *l = out[side], *mo = l + n_q, *o = mo + n_q;
        for (size_t j = 0; j < n_q; j++)
            mo[j] = -__builtin_inff();
        for (size_t page = 0; page < 2; page++) {
            char *at = pages[side] + page * (kb + vb);
            for (size_t p = 0; p < KV_PAGE; p++)
                store[side][type](at, at + kb, p, keys + (page * KV_PAGE + p) * hd_k,
                                  values + (page * KV_PAGE + p) * hd_v, hd_k, hd_v);
            struct attend a = {.q = q,
                               .q_stride = hd32,
                               .qq = qq,
                               .n_q = n_q,
                               .hd_k = hd_k,
                               .hd_v = hd_v,
                               .k = at,
                               .v = at + kb,
                               .lo = lo[page],
                               .hi = hi[page],
                               .scale = 0.3f,
                               .cap = cap,
                               .m = mo,
                               .l = l,
                               .o = o,
                               .o_stride = hd_v};
            attend[side][type](&a);
        }
    }
    expect_same(k->cpu, "kv_store", what, pages[0], pages[1], 2 * (kb + vb));
    expect_same(k->cpu, "attend", what, out[0], out[1], n_q * (hd_v + 2) * 4);
    for (int side = 0; side < 2; side++) {
        alloc_free(pages[side]);
        alloc_free(out[side]);
    }
    free_q8(qq);
    alloc_free(keys);
    alloc_free(values);
    alloc_free(q);
}

static void check_level(const struct kernels *ref, const struct kernels *k)
{
    static const size_t heads[] = {64, 80, 96, 128, 256, 40, 20, 8};
    for (size_t n = 1; n < 200; n += 1 + n / 6)
        check_unary(ref, k, n);
    check_unary(ref, k, 1536);
    check_products(ref, k);
    for (int round = 0; round < 60; round++)
        check_attend(ref, k, (enum kv_type)(round % KV_TYPES), heads[random_below(&rng, 8)],
                     heads[random_below(&rng, 8)], 1 + random_below(&rng, 14));
}

/* ---- speed ---- */

static void bench_product(const struct kernels *k, uint32_t type, size_t n)
{
    enum { ROWS = 1536, WIDTH = 1536 };
    const struct type_info *info = type_info(type);
    void *w = random_weights(type, ROWS, WIDTH), *scratch = alloc_zeroed(mul_scratch_bytes(WIDTH), 1);
    float *x = floats(n * WIDTH), *y = floats(n * ROWS);
    struct q8 q = new_q8(n, WIDTH);
    quantize(k, q, x, n, WIDTH);
    struct mul m = {.y = y,
                    .y_stride = ROWS,
                    .w = w,
                    .row_bytes = WIDTH / info->block_items * info->block_bytes,
                    .n_rows = ROWS,
                    .k = WIDTH,
                    .n_tokens = n,
                    .scratch = scratch,
                    .x = x,
                    .xq = q};
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < (n > 1 ? 7 : 40); round++) {
        uint64_t start = clock_ns();
        kernels_mul(k, type)(&m);
        uint64_t t = clock_ns() - start;
        best = t < best ? t : best;
    }
    double g = 2.0 * ROWS * WIDTH * (double)n / (double)best;
    printf("%-7s %-5s %4zu tokens %8.1f G operations/s %7.2f GB/s of weights\n", k->cpu, info->name, n, g,
           (double)m.row_bytes * ROWS / (double)best);
    free_q8(q);
    alloc_free(w);
    alloc_free(scratch);
    alloc_free(x);
    alloc_free(y);
}

int main(int argc, char **argv)
{
    struct kernels ref, k;
    andiron_error e;
    random_init(&rng, 1);
    if (kernels_choose(&ref, "ref", &e))
        return 1;
    for (const struct level *l = kernel_levels; l->cpu; l++) {
        if (!l->present()) {
            printf("%s: not on this machine\n", l->cpu);
            continue;
        }
        if (kernels_choose(&k, l->cpu, &e))
            return 1;
        if (argc > 1 && !strcmp(argv[1], "--bench")) {
            for (int i = 0; i < N_TYPES && strcmp(l->cpu, "ref"); i++) {
                bench_product(&k, types[i], 1);
                bench_product(&k, types[i], 96);
            }
            continue;
        }
        int before = n_failed;
        check_level(&ref, &k);
        printf("%s: %s\n", l->cpu, n_failed == before ? "same bits as ref" : "DIFFERS");
    }
    return n_failed != 0;
}
