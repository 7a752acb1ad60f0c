/* bench_kernels.c - see bench_kernels.h. Each figure is the best of several rounds, with operands in cache. */
#include "bench_kernels.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "fill.h"
#include "kernels/pack.h"
#include "kernels/probe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1536, WIDTH = 1536, MOST_TOKENS = 96, HEAD = 128, QUERIES = 8, NUMBERS = 4096 };

/* One set of buffers, large enough for each kernel. */
static struct bench {
    const struct kernels *k;
    float *x, *y, *z, *w;
    uint8_t *weights;
    void *scratch;
    struct q8 q;
    uint32_t type;
    size_t n;
    enum kv_type kv;
    void *keys, *values;
} bench;

static void *zeroed(size_t n, size_t size)
{
    void *p = alloc_zeroed(n, size);
    if (!p)
        abort();
    return p;
}

typedef void (*run_fn)(struct bench *b);

/* Seconds of the fastest of some rounds. */
static double fastest(run_fn run, struct bench *b)
{
    uint64_t best = UINT64_MAX, all = 0;
    for (int round = 0; round < 60 && (round < 5 || all < 60000000); round++) {
        const uint64_t start = clock_ns();
        run(b);
        const uint64_t t = clock_ns() - start;
        best = t < best ? t : best;
        all += t;
    }
    return (double)(best ? best : 1) * 1e-9;
}

/* ---- products ---- */

static void run_product(struct bench *b)
{
    const struct type_info *info = type_info(b->type);
    const struct mul m = {.y = b->y,
                          .y_stride = ROWS,
                          .w = b->weights,
                          .row_bytes = WIDTH / info->block_items * info->block_bytes,
                          .n_rows = ROWS,
                          .k = WIDTH,
                          .x = b->x,
                          .xq = b->q,
                          .n_tokens = b->n,
                          .scratch = b->scratch};
    kernels_mul(b->k, b->type)(&m);
}

static void run_dequantize(struct bench *b) { kernels_dequantize(b->k, b->type)(b->y, b->weights, NUMBERS); }

static void run_pack(struct bench *b) { pack_row(b->k, b->type, b->x, NUMBERS, b->y); }

static void bench_types(struct bench *b)
{
    for (size_t i = 0; i < n_run_types; i++) {
        b->type = run_types[i];
        const struct type_info *info = type_info(b->type);
        const size_t blocks = (size_t)ROWS * WIDTH / info->block_items;
        fill_weights(b->weights, b->type, blocks, RANDOM);
        static const size_t tokens[] = {1, 2, 4, 8, 16, MOST_TOKENS};
        for (size_t j = 0; j < sizeof tokens / sizeof *tokens; j++) {
            b->n = tokens[j];
            const double s = fastest(run_product, b);
            printf("%-7s %-8s %4zu tokens %8.1f G operations/s %7.2f GB/s of weights\n", b->k->cpu, info->name, b->n,
                   2e-9 * ROWS * WIDTH * (double)b->n / s, 1e-9 * (double)blocks * info->block_bytes / s);
        }
        printf("%-7s %-8s  dequantize %8.2f G items/s\n", b->k->cpu, info->name,
               1e-9 * NUMBERS / fastest(run_dequantize, b));
        if (pack_can(b->type))
            printf("%-7s %-8s  pack %8.1f M items/s\n", b->k->cpu, info->name, 1e-6 * NUMBERS / fastest(run_pack, b));
    }
}

/* ---- numbers one by one ---- */

#define NUMBERS_KERNEL(name, ...) \
    static void run_##name(struct bench *b) { b->k->name(__VA_ARGS__); }
NUMBERS_KERNEL(rmsnorm, b->y, b->x, b->w, NUMBERS, 1e-5f)
NUMBERS_KERNEL(layernorm, b->y, b->x, b->w, b->z, NUMBERS, 1e-5f)
NUMBERS_KERNEL(add, b->y, b->x, b->w, NUMBERS)
NUMBERS_KERNEL(mul, b->y, b->x, b->w, NUMBERS)
NUMBERS_KERNEL(shift, b->y, b->x, 0.5f, NUMBERS)
NUMBERS_KERNEL(scale, b->y, b->x, 0.5f, NUMBERS)
NUMBERS_KERNEL(activate, ACT_SILU, b->y, b->x, NUMBERS)
NUMBERS_KERNEL(gate, ACT_SILU, b->y, b->x, b->w, NUMBERS)
NUMBERS_KERNEL(softcap, b->y, b->x, 30.0f, NUMBERS)
NUMBERS_KERNEL(rope_pairs, b->y, b->x, b->w, b->z, NUMBERS / 2)
NUMBERS_KERNEL(rope_halves, b->y, b->x, b->w, b->z, NUMBERS / 2)
NUMBERS_KERNEL(quantize_q8, b->q, b->x, NUMBERS)
NUMBERS_KERNEL(quantize_q8_wide, b->q, b->x, NUMBERS)

static void run_max_index(struct bench *b) { b->y[0] = (float)b->k->max_index(b->x, NUMBERS); }

static void run_largest(struct bench *b)
{
    uint32_t at[64];
    b->y[0] = (float)b->k->largest(at, b->x, NUMBERS, 64);
}

static void bench_numbers(struct bench *b)
{
    static const struct {
        const char *name;
        run_fn run;
    } rows[] = {
        {"rmsnorm", run_rmsnorm},
        {"layernorm", run_layernorm},
        {"add", run_add},
        {"mul", run_mul},
        {"shift", run_shift},
        {"scale", run_scale},
        {"activate", run_activate},
        {"gate", run_gate},
        {"softcap", run_softcap},
        {"rope_pairs", run_rope_pairs},
        {"rope_halves", run_rope_halves},
        {"quantize_q8", run_quantize_q8},
        {"quantize_q8_wide", run_quantize_q8_wide},
        {"max_index", run_max_index},
        {"largest", run_largest},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-7s %-12s %8.2f G numbers/s\n", b->k->cpu, rows[i].name, 1e-9 * NUMBERS / fastest(rows[i].run, b));
}

/* ---- attention ---- */

static void run_store(struct bench *b)
{
    void (*const store[KV_TYPES])(void *, void *, size_t, const float *, const float *, size_t,
                                  size_t) = {b->k->kv_store_f32, b->k->kv_store_f16, b->k->kv_store_q8_0};
    for (size_t p = 0; p < KV_PAGE; p++)
        store[b->kv](b->keys, b->values, p, b->x + p * HEAD, b->w + p * HEAD, HEAD, HEAD);
}

static void run_attend(struct bench *b)
{
    void (*const attend[KV_TYPES])(const struct attend *) = {b->k->attend_f32, b->k->attend_f16, b->k->attend_q8_0};
    static const uint8_t lo[QUERIES];
    static uint8_t hi[QUERIES];
    float m[QUERIES], l[QUERIES] = {0};
    for (int j = 0; j < QUERIES; j++)
        hi[j] = KV_PAGE, m[j] = -__builtin_inff();
    attend[b->kv](&(struct attend){.q = b->x,
                                   .q_stride = HEAD,
                                   .qq = b->q,
                                   .n_q = QUERIES,
                                   .hd_k = HEAD,
                                   .hd_v = HEAD,
                                   .k = b->keys,
                                   .v = b->values,
                                   .lo = lo,
                                   .hi = hi,
                                   .scale = 0.1f,
                                   .m = m,
                                   .l = l,
                                   .o = b->y,
                                   .o_stride = HEAD});
}

static void bench_attention(struct bench *b)
{
    static const char *const names[KV_TYPES] = {"f32", "f16", "q8_0"};
    for (int kv = 0; kv < KV_TYPES; kv++) {
        b->kv = (enum kv_type)kv;
        printf("%-7s kv_store_%-5s %8.2f G numbers/s\n", b->k->cpu, names[kv],
               1e-9 * 2 * HEAD * KV_PAGE / fastest(run_store, b));
        printf("%-7s attend_%-5s %8.1f G operations/s, %d queries\n", b->k->cpu, names[kv],
               1e-9 * 4 * HEAD * KV_PAGE * QUERIES / fastest(run_attend, b), QUERIES);
    }
}

void bench_kernels(const struct kernels *k)
{
    struct bench *b = &bench;
    if (!b->x) {
        const size_t n = (size_t)MOST_TOKENS * WIDTH;
        b->x = zeroed(n, 4), b->y = zeroed(n, 4), b->z = zeroed(n, 4), b->w = zeroed(n, 4);
        b->weights = zeroed((size_t)ROWS * WIDTH, 4);
        b->scratch = zeroed(mul_scratch_bytes(WIDTH), 1);
        b->q = (struct q8){zeroed(n, 1), zeroed(n / Q_BLOCK, 4), zeroed(n / Q_BLOCK, 4), zeroed(n / 16, 2)};
        b->keys = zeroed(kv_key_page_bytes(KV_F32, HEAD), 1);
        b->values = zeroed(kv_value_page_bytes(KV_F32, HEAD), 1);
        fill_floats(b->x, n, RANDOM);
        fill_floats(b->w, n, RANDOM);
        fill_floats(b->z, n, RANDOM);
    }
    b->k = k;
    const struct probes probes = probes_for(k->cpu);
    int32_t sink = 0;
    for (int round = 0; round < 3 && probes.int8; round++) {
        const uint64_t start = clock_ns();
        const double operations = probes.int8(200000, &sink);
        printf("%-7s roof of 8-bit products %8.1f G operations/s\n", k->cpu, operations / (double)(clock_ns() - start));
    }
    fill_q8(b->q, MOST_TOKENS, WIDTH, RANDOM);
    bench_types(b);
    bench_numbers(b);
    bench_attention(b);
}
