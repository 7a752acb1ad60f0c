/* check_products.c - products of every weight type, what they read (quantized activations) and what they mean. */
#include "check.h"
#include <stdio.h>

/* ---- activations ---- */

struct quantizing {
    struct q8 y;
    const float *x;
    size_t k;
};

static void call_quantize(const struct kernels *k, void *arg)
{
    const struct quantizing *q = arg;
    k->quantize_q8(q->y, q->x, q->k);
}

static void call_quantize_wide(const struct kernels *k, void *arg)
{
    const struct quantizing *q = arg;
    k->quantize_q8_wide(q->y, q->x, q->k);
}

static void check_quantize(const struct pair *p, size_t k, enum fill fill, enum side side)
{
    char what[96];
    snprintf(what, sizeof what, "%zu numbers, %s", k, fill_names[fill]);
    float *x = place_floats(SLOT_X, "x", k, side);
    struct quantizing q = {place_q8(1, k, side), x, k};
    fill_floats(x, k, fill);
    fill_q8(q.y, 1, k, ZEROS);
    const struct output out[] = {
        {q.y.q, k}, {q.y.d, k / Q_BLOCK * 4}, {q.y.ds, k / Q_BLOCK * 4}, {q.y.sums, k / 16 * 2}};
    check_call(p, ID_quantize_q8, call_quantize, &q, out, 4, what);
    if (k % Q_WIDE == 0)
        check_call(p, ID_quantize_q8_wide, call_quantize_wide, &q, out, 4, what);
}

/* ---- products and dequantization ---- */

static const enum kernel_id mul_ids[TYPE_LIMIT] = {
    [TYPE_F32] = ID_mul_f32,
    [TYPE_F16] = ID_mul_f16,
    [TYPE_BF16] = ID_mul_bf16,
#define QUANTIZED(name, type) [TYPE_##type] = ID_mul_##name,
#include "kernels/quantized.def"
#undef QUANTIZED
};

static const enum kernel_id dequantize_ids[TYPE_LIMIT] = {
    [TYPE_F32] = ID_dequantize_f32,
    [TYPE_F16] = ID_dequantize_f16,
    [TYPE_BF16] = ID_dequantize_bf16,
#define QUANTIZED(name, type) [TYPE_##type] = ID_dequantize_##name,
#include "kernels/quantized.def"
#undef QUANTIZED
};

struct product {
    uint32_t type;
    struct mul m;
};

static void call_product(const struct kernels *k, void *arg)
{
    const struct product *p = arg;
    kernels_mul(k, p->type)(&p->m);
}

static void call_dequantize(const struct kernels *k, void *arg)
{
    const struct product *p = arg;
    kernels_dequantize(k, p->type)(p->m.y, p->m.w, p->m.k);
}

/* Rows of y stand 3 numbers apart: nobody may write there. */
static struct product place_product(uint32_t type, size_t rows, size_t k, size_t n, enum fill fill, enum side side)
{
    const struct type_info *info = type_info(type);
    const size_t row_blocks = k / info->block_items;
    struct product p = {type, {.y_stride = rows + 3, .n_rows = rows, .k = k, .n_tokens = n}};
    uint8_t *w = guard_place(SLOT_W, "weights", rows * row_blocks * info->block_bytes, side);
    fill_weights(w, type, rows * row_blocks, fill);
    p.m.w = w;
    p.m.row_bytes = row_blocks * info->block_bytes;
    p.m.y = place_floats(SLOT_Y, "y", n * (rows + 3) - 3, side);
    fill_floats(p.m.y, n * (rows + 3) - 3, RANDOM);
    p.m.scratch = guard_place(SLOT_SCRATCH, "scratch", mul_scratch_bytes(k), side);
    if (mul_reads_q8(type)) {
        p.m.xq = place_q8(n, k, side);
        fill_q8(p.m.xq, n, k, fill);
        for (size_t b = 0; mul_reads_wide(type) && b < n * k / Q_BLOCK; b++)
            p.m.xq.d[b] = p.m.xq.d[b / (Q_WIDE / Q_BLOCK) * (Q_WIDE / Q_BLOCK)];
    } else {
        float *x = place_floats(SLOT_X, "x", n * k, side);
        fill_floats(x, n * k, fill == EXTREMES ? RANDOM : fill);
        p.m.x = x;
    }
    return p;
}

static void check_product(const struct pair *pair, uint32_t type, size_t rows, size_t k, size_t n, enum fill fill,
                          enum side side)
{
    char what[128];
    struct product p = place_product(type, rows, k, n, fill, side);
    snprintf(what, sizeof what, "%zu rows of %zu, %zu tokens, %s, buffers at %s", rows, k, n, fill_names[fill],
             side == AT_END ? "a page's end" : "a page's start");
    const struct output out = {p.m.y, (n * (rows + 3) - 3) * sizeof(float)};
    check_call(pair, mul_ids[type], call_product, &p, &out, 1, what);
}

static void check_dequantize(const struct pair *pair, uint32_t type, size_t k, enum fill fill, enum side side)
{
    char what[96];
    struct product p = place_product(type, 1, k, 1, fill, side);
    snprintf(what, sizeof what, "%zu items, %s", k, fill_names[fill]);
    p.m.y = place_floats(SLOT_Y, "y", k, side);
    fill_floats(p.m.y, k, RANDOM);
    const struct output out = {p.m.y, k * sizeof(float)};
    check_call(pair, dequantize_ids[type], call_dequantize, &p, &out, 1, what);
}

/* A product against the same sum in double over dequantized weights: is what all levels agree on right? */
static void check_meaning(const struct kernels *k, uint32_t type)
{
    enum { ROWS = 17, WIDTH = 512 };
    float row[WIDTH];
    struct product p = place_product(type, ROWS, WIDTH, 1, RANDOM, AT_END);
    if (!check_run(k, mul_ids[type], call_product, &p, "17 rows of 512"))
        return;
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0, size = 0;
        kernels_dequantize(k, type)(row, (const char *)p.m.w + r * p.m.row_bytes, WIDTH);
        for (size_t i = 0; i < WIDTH; i++) {
            double v = mul_reads_q8(type) ? (double)p.m.xq.d[i / 32] * p.m.xq.q[i] : (double)p.m.x[i];
            sum += v * (double)row[i];
            size += v * v * (double)row[i] * (double)row[i];
        }
        double off = (double)p.m.y[r] - sum;
        if (!(off * off <= size * 1e-9))
            check_fail(k, mul_ids[type], "17 rows of 512", "is not the sum of the products");
    }
}

/* Sides take turns over the grid of shapes; what no other shape asks is asked on both. */
static void check_type(const struct pair *p, uint32_t type)
{
    static const size_t rows[] = {1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 65};
    static const size_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 25, 33};
    static const size_t blocks[] = {1, 2, 3, 5, 8, 9};
    const size_t block = type_info(type)->block_items, unit = block < Q_BLOCK ? Q_BLOCK : block;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            const bool turn = (r + t) % 2;
            const size_t k = unit * blocks[fill_below(unit > 128 ? 3 : sizeof blocks / sizeof *blocks)];
            check_product(p, type, rows[r], k, tokens[t], RANDOM, turn ? AT_START : AT_END);
            check_product(p, type, rows[r], k, tokens[t], (enum fill)(ZEROS + (r + t) % 3), turn ? AT_END : AT_START);
        }
    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++)
        for (int i = 0; i < N_FILLS * N_SIDES; i++) {
            const enum fill fill = (enum fill)(i / N_SIDES);
            const enum side side = (enum side)(i % N_SIDES);
            check_dequantize(p, type, unit * blocks[b], fill, side);
            check_product(p, type, 33, unit * blocks[b], 7, fill, side);
            check_product(p, type, 33, unit * blocks[b], 1, fill, side);
        }
    for (size_t k = 1; k < 80 && !mul_reads_q8(type); k++)
        check_product(p, type, 9, k, 5, RANDOM, k % 2 ? AT_START : AT_END);
}

void check_products(const struct pair *p)
{
    for (size_t k = Q_BLOCK; k <= 16 * Q_BLOCK; k += Q_BLOCK)
        for (int i = 0; i < N_FILLS * N_SIDES; i++)
            check_quantize(p, k, (enum fill)(i / N_SIDES), (enum side)(i % N_SIDES));
    for (size_t i = 0; i < n_run_types; i++) {
        check_type(p, run_types[i]);
        check_meaning(p->k, run_types[i]);
    }
}
