/* hf_unpack.c - packed weights as rows of a type that holds them exactly. Whoever calls has checked every size. */
#include "base/alloc.h"
#include "base/types.h"
#include "engine/hf_packed.h"
#include "kernels/blocks.h"
#include <math.h>

enum { BLOCK = 32, ROWS = 16 /* of a thread at once */ };

static uint32_t word_at(const struct safetensors_tensor *t, uint64_t i)
{
    uint32_t word; /* the file need not be aligned */
    memcpy(&word, (const char *)t->tensor.data + 4 * i, sizeof word);
    return word;
}

/* ---- items ---- */

static float f8_to_float(uint8_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x80) << 24, exponent = x >> 3 & 15, rest = x & 7;
    if (exponent == 15 && rest == 7)
        return NAN; /* E4M3 has no infinity */
    const float size = exponent ? float_of_bits((exponent + 120) << 23 | rest << 20) : (float)rest * 0x1p-9f;
    return float_of_bits(sign | bits_of_float(size));
}

void items_f8(const struct packed *p, uint64_t r, float *q)
{
    const uint8_t *from = (const uint8_t *)p->items->tensor.data + r * p->columns;
    for (uint64_t i = 0; i < p->columns; i++)
        q[i] = f8_to_float(from[i]);
}

static const int8_t codes[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}; /* E2M1, twice */

void items_fp4(const struct packed *p, uint64_t r, float *q)
{
    const uint8_t *from = (const uint8_t *)p->items->tensor.data + r * (p->columns / 2);
    for (uint64_t i = 0; i < p->columns; i++)
        q[i] = (float)codes[from[i / 2] >> i % 2 * 4 & 15];
}

void items_i8(const struct packed *p, uint64_t r, float *q)
{
    const int8_t *from = (const int8_t *)p->items->tensor.data + r * p->columns;
    for (uint64_t i = 0; i < p->columns; i++)
        q[i] = (float)from[i];
}

void items_words(const struct packed *p, uint64_t r, float *q)
{
    const uint64_t per = 32 / p->bits, width = p->items->shape[1];
    const uint32_t mask = (1u << p->bits) - 1;
    for (uint64_t i = 0; i < p->columns; i += per) {
        const uint32_t word = word_at(p->items, r * width + i / per);
        for (uint64_t k = 0; k < per && i + k < p->columns; k++)
            q[i + k] = (float)(word >> k * p->bits & mask);
    }
}

void items_gptq(const struct packed *p, uint64_t r, float *q)
{
    const uint64_t per = 32 / p->bits;
    const uint32_t mask = (1u << p->bits) - 1;
    for (uint64_t i = 0; i < p->columns; i += per) {
        const uint32_t word = word_at(p->items, i / per * p->rows + r);
        for (uint64_t k = 0; k < per; k++)
            q[i + k] = (float)(word >> k * p->bits & mask);
    }
}

/* Where row r's nibble stands in its word: nibbles hold rows 0, 2, 4, 6, 1, 3, 5, 7. */
static uint32_t awq_shift(uint64_t r) { return (uint32_t)(r % 8 / 2 + (r % 2) * 4) * 4; }

void items_awq(const struct packed *p, uint64_t r, float *q)
{
    for (uint64_t i = 0; i < p->columns; i++)
        q[i] = (float)(word_at(p->items, i * (p->rows / 8) + r / 8) >> awq_shift(r) & 15);
}

/* ---- zeros and scales ---- */

static uint64_t scale_index(const struct packed *p, uint64_t r, uint64_t group)
{
    return r / p->row_block * p->scale_row + group * p->scale_group;
}

/* NVFP4's: with a factor for all, which compressed-tensors divides by; half of it, as items are twice their numbers. */
static float scale_of_factor(const struct packed *p, uint64_t i)
{
    const float scale = f8_to_float(((const uint8_t *)p->scales->tensor.data)[i]),
                factor = hf_number(&p->factor->tensor, 0);
    return (p->layout->method == HF_COMPRESSED ? scale / factor : scale * factor) * 0.5f;
}

/* An exponent (E8M0) stands for half a power of two, as items are twice their numbers. */
static float scale_at(const struct packed *p, uint64_t i)
{
    if (p->factor)
        return scale_of_factor(p, i);
    if (p->nested.scales)
        return nested_scale(p, i);
    if (p->scales->tensor.type != SAFETENSORS_U8)
        return hf_number(&p->scales->tensor, i);
    const uint8_t e = ((const uint8_t *)p->scales->tensor.data)[i];
    return float_of_bits(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23);
}

int zero_i8(const struct packed *p, uint64_t r, uint64_t group)
{
    return ((const int8_t *)p->zeros->tensor.data)[scale_index(p, r, group)];
}

int zero_words(const struct packed *p, uint64_t r, uint64_t group)
{
    const uint64_t per = 32 / p->bits;
    return (int)(word_at(p->zeros, r / per * p->n_groups + group) >> r % per * p->bits & ((1u << p->bits) - 1));
}

/* Version 1 writes zeros less 1; 1 is added to the whole word, as GPTQModel does: it wraps as its writer's did. */
int zero_gptq(const struct packed *p, uint64_t r, uint64_t group)
{
    const uint64_t per = 32 / p->bits;
    const uint32_t word = word_at(p->zeros, group * (p->rows / per) + r / per) + p->plus;
    return (int)(word >> r % per * p->bits & ((1u << p->bits) - 1));
}

int zero_awq(const struct packed *p, uint64_t r, uint64_t group)
{
    return (int)(word_at(p->zeros, group * (p->rows / 8) + r / 8) >> awq_shift(r) & 15);
}

static int zero_at(const struct packed *p, uint64_t r, uint64_t group)
{
    return p->zeros && p->layout->zero ? p->layout->zero(p, r, group) : p->zero;
}

static uint64_t group_of(const struct packed *p, uint64_t column)
{
    return p->index ? word_at(p->index, column) : column / p->column_block;
}

/* ---- the type ---- */

static uint64_t n_scales(const struct packed *p) { return (p->rows + p->row_block - 1) / p->row_block * p->n_groups; }

/* Are all scales halves, as block types have them? */
static bool scales_are_halves(const struct packed *p)
{
    bool all = true;
    for (uint64_t i = 0; i < n_scales(p) && all; i++) {
        const float x = scale_at(p, i);
        all = isfinite(x) && half_to_float(half_of_float(x)) == x;
    }
    return all;
}

/* Are all scales powers of two, so that a product with an FP8 number has 4 bits and is a BF16? */
static bool scales_are_powers(const struct packed *p)
{
    bool all = true;
    for (uint64_t i = 0; i < n_scales(p) && all; i++) {
        const uint32_t bits = bits_of_float(scale_at(p, i)), exponent = bits >> 23 & 255;
        all = (bits & 0x7fffff) == 0 && exponent > 127 - 100 && exponent < 127 + 100;
    }
    return all;
}

/* Does each run of 32 columns have one scale? */
static bool blocks_are_whole(const struct packed *p)
{
    bool all = p->columns % BLOCK == 0;
    for (uint64_t i = 0; i < p->columns && all; i++)
        all = group_of(p, i) == group_of(p, i - i % BLOCK);
    return all;
}

/* The least and the greatest of all zeros. */
static void range_of_zeros(const struct packed *p, int *low, int *high)
{
    *low = *high = zero_at(p, 0, 0);
    for (uint64_t r = 0; r < p->rows && p->zeros; r++)
        for (uint64_t g = 0; g < p->n_groups; g++) {
            const int z = zero_at(p, r, g);
            *low = z < *low ? z : *low;
            *high = z > *high ? z : *high;
        }
}

enum weight_type packed_type(const struct packed *p)
{
    static const enum weight_type blocks[] = {TYPE_Q4_0, TYPE_Q5_0, TYPE_Q8_0};
    static const int from[] = {-8, -16, -128};
    if (p->layout->method == HF_BNB || p->factor)
        return p->rounds;
    if (p->layout->type == SAFETENSORS_F8_E4M3)
        return scales_are_powers(p) ? TYPE_BF16 : TYPE_F32;
    if (p->layout->type == SAFETENSORS_U8)
        return blocks_are_whole(p) ? TYPE_MXFP4 : TYPE_F32;
    if (!blocks_are_whole(p) || !scales_are_halves(p))
        return TYPE_F32;
    int low, high;
    range_of_zeros(p, &low, &high);
    const int least = (p->layout->type == PACKED_I8 ? -128 : 0) - high;
    const int most = (p->layout->type == PACKED_I8 ? 127 : (1 << p->bits) - 1) - low;
    for (size_t i = 0; i < 3; i++)
        if (least >= from[i] && most < -from[i])
            return blocks[i];
    return TYPE_F32;
}

/* ---- rows ---- */

/* A row in work: items less their zeros, and the scale of each column. */
struct row {
    float *q, *scales;
    float *group_scales;
    int *group_zeros;
    float by; /* what products are multiplied by again */
    enum weight_type rounds;
};

static float number(const struct row *row, uint64_t i)
{
    const float x = row->q[i] * row->scales[i] * row->by;
    return row->rounds == TYPE_F32    ? x
           : row->rounds == TYPE_BF16 ? bf16_to_float(bf16_of_float(x))
                                      : half_to_float(half_of_float(x));
}

static uint8_t *put_half(uint8_t *out, float x)
{
    const uint16_t half = half_of_float(x);
    memcpy(out, &half, sizeof half);
    return out + 2;
}

static void put_q8_0(const float *q, float scale, uint8_t *out)
{
    out = put_half(out, scale);
    for (size_t i = 0; i < BLOCK; i++)
        out[i] = (uint8_t)(int8_t)q[i];
}

/* Nibbles of 16 items beside those of the other 16; of five bits the fifth stands apart. */
static void put_nibbles(const float *q, float scale, bool five, uint8_t *out)
{
    const int offset = five ? 16 : 8;
    uint32_t fifths = 0, x[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) {
        x[i] = (uint32_t)((int)q[i] + offset) & 31;
        fifths |= x[i] >> 4 << i;
    }
    out = put_half(out, scale);
    if (five)
        memcpy(out, &fifths, sizeof fifths);
    out += five ? sizeof fifths : 0;
    for (size_t i = 0; i < BLOCK / 2; i++)
        out[i] = (uint8_t)((x[i] & 15) | (x[i + BLOCK / 2] & 15) << 4);
}

static void put_mxfp4(const float *q, float scale, uint8_t *out)
{
    const uint32_t bits = bits_of_float(scale);
    uint8_t x[BLOCK];
    *out++ = (uint8_t)(bits >> 23 ? (bits >> 23) + 1 : bits > 0x200000);
    for (size_t i = 0; i < BLOCK; i++)
        for (x[i] = q[i] < 0 ? 8 : 0; x[i] < 15 && codes[x[i]] != (int)q[i];)
            x[i]++;
    for (size_t i = 0; i < BLOCK / 2; i++)
        out[i] = (uint8_t)(x[i] | x[i + BLOCK / 2] << 4);
}

static void put_f32(const struct row *row, uint64_t n, uint8_t *out)
{
    for (uint64_t i = 0; i < n; i++) {
        const float x = number(row, i);
        memcpy(out + 4 * i, &x, sizeof x);
    }
}

static void put_16(const struct row *row, uint64_t n, enum weight_type type, uint8_t *out)
{
    for (uint64_t i = 0; i < n; i++) {
        const float x = number(row, i);
        const uint16_t bits = type == TYPE_F16 ? half_of_float(x) : bf16_of_float(x);
        memcpy(out + 2 * i, &bits, sizeof bits);
    }
}

static void put_row(const struct row *row, uint64_t n, enum weight_type type, uint8_t *out)
{
    if (type == TYPE_F32) {
        put_f32(row, n, out);
        return;
    }
    if (type == TYPE_BF16 || type == TYPE_F16) {
        put_16(row, n, type, out);
        return;
    }
    const size_t bytes = type_info(type)->block_bytes;
    for (uint64_t i = 0; i < n; i += BLOCK, out += bytes) {
        if (type == TYPE_Q8_0)
            put_q8_0(row->q + i, row->scales[i], out);
        else if (type == TYPE_MXFP4)
            put_mxfp4(row->q + i, row->scales[i], out);
        else
            put_nibbles(row->q + i, row->scales[i], type == TYPE_Q5_0, out);
    }
}

static void read_row(const struct packed *p, uint64_t r, const struct row *row)
{
    for (uint64_t g = 0; g < p->n_groups; g++) {
        row->group_scales[g] = scale_at(p, scale_index(p, r, g));
        row->group_zeros[g] = zero_at(p, r, g);
    }
    p->layout->row(p, r, row->q);
    for (uint64_t i = 0, g = 0, left = 0; i < p->columns; i++, left--) {
        if (p->index || left == 0) {
            g = group_of(p, i);
            left = p->column_block;
        }
        row->q[i] -= (float)row->group_zeros[g];
        row->scales[i] = row->group_scales[g];
    }
}

uint64_t packed_bytes(const struct packed *p, enum weight_type type)
{
    const struct type_info *info = type_info(type);
    return p->rows * type_bytes(info, p->columns);
}

struct job {
    const struct packed *p;
    enum weight_type type;
    uint8_t *out;
    float *room; /* [threads] of room_floats */
};

/* What one thread works in, in whole lines of the cache. */
static uint64_t room_floats(const struct packed *p) { return (2 * (p->columns + p->n_groups) + 15) / 16 * 16; }

static void run_rows(void *context, size_t phase, uint32_t chunk, int thread)
{
    (void)phase;
    const struct job *job = context;
    const struct packed *p = job->p;
    const uint64_t bytes = packed_bytes(p, job->type) / p->rows, first = (uint64_t)chunk * ROWS;
    float *room = job->room + (uint64_t)thread * room_floats(p);
    const struct row row = {room,
                            room + p->columns,
                            room + 2 * p->columns,
                            (int *)(void *)(room + 2 * p->columns + p->n_groups),
                            p->layout->method == HF_BNB && !p->group ? 7.874015718698502e-3f : 1, /* 1 / 127 */
                            p->rounds};
    for (uint64_t r = first; r < first + ROWS && r < p->rows; r++) {
        read_row(p, r, &row);
        put_row(&row, p->columns, job->type, job->out + r * bytes);
    }
}

bool packed_unpack(const struct packed *p, enum weight_type type, struct pool *pool, void *out)
{
    const uint32_t n_chunks = (uint32_t)((p->rows + ROWS - 1) / ROWS);
    struct job job = {p, type, out, alloc_zeroed((size_t)pool_threads(pool) * room_floats(p), sizeof(float))};
    if (!job.room)
        return false;
    pool_run(pool, &(struct work){&job, 1, &n_chunks, run_rows});
    alloc_free(job.room);
    return true;
}
