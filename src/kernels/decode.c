/* decode.c - quantized blocks of evenly spaced numbers as plain ones (others: decode_codes.c), and dequantization.
 * Formats are drawn in blocks.h. */
#include "kernels/decode.h"
#include "kernels/blocks.h"
#include "kernels/overlays.h"

static void decode_nibbles(int *v, const uint8_t *qs, int less)
{
    for (int i = 0; i < 16; i++) {
        v[i] = (qs[i] & 15) - less;
        v[i + 16] = (qs[i] >> 4) - less;
    }
}

static void add_fifth_bits(int *v, const uint8_t *qh)
{
    for (int i = 0; i < Q_BLOCK; i++)
        v[i] += (qh[i / 8] >> (i % 8) & 1) << 4;
}

void decode_q4_0(struct decoded *out, const void *row, size_t b)
{
    const struct block_q4_0 *w = (const struct block_q4_0 *)row + b;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    decode_nibbles(out->v, w->qs, 8);
}

void decode_q4_1(struct decoded *out, const void *row, size_t b)
{
    const struct block_q4_1 *w = (const struct block_q4_1 *)row + b;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}, .m = load_half(w->m)};
    decode_nibbles(out->v, w->qs, 0);
}

void decode_q5_0(struct decoded *out, const void *row, size_t b)
{
    const struct block_q5_0 *w = (const struct block_q5_0 *)row + b;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    decode_nibbles(out->v, w->qs, 16);
    add_fifth_bits(out->v, w->qh);
}

void decode_q5_1(struct decoded *out, const void *row, size_t b)
{
    const struct block_q5_1 *w = (const struct block_q5_1 *)row + b;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}, .m = load_half(w->m)};
    decode_nibbles(out->v, w->qs, 0);
    add_fifth_bits(out->v, w->qh);
}

void decode_q8_0(struct decoded *out, const void *row, size_t b)
{
    const struct block_q8_0 *w = (const struct block_q8_0 *)row + b;
    *out = (struct decoded){.d = load_half(w->d), .scale = {1, 1}};
    for (int i = 0; i < Q_BLOCK; i++)
        out->v[i] = (int8_t)w->qs[i];
}

void decode_q2_k(struct decoded *out, const void *row, size_t b)
{
    const struct block_q2_k *w = (const struct block_q2_k *)row + b / 8;
    size_t j = b % 8;
    *out = (struct decoded){.d = load_half(w->d), .dmin = load_half(w->dmin)};
    for (size_t half = 0; half < 2; half++) {
        out->scale[half] = w->scales[2 * j + half] & 15;
        out->min[half] = w->scales[2 * j + half] >> 4;
    }
    for (size_t i = 0; i < Q_BLOCK; i++)
        out->v[i] = w->qs[32 * (j / 4) + i] >> (2 * (j % 4)) & 3;
}

void decode_q3_k(struct decoded *out, const void *row, size_t b)
{
    const struct block_q3_k *w = (const struct block_q3_k *)row + b / 8;
    size_t j = b % 8;
    int8_t scales[16];
    k3_scales(scales, w->scales);
    *out = (struct decoded){.d = load_half(w->d), .scale = {scales[2 * j], scales[2 * j + 1]}};
    for (size_t i = 0; i < Q_BLOCK; i++)
        out->v[i] = (w->qs[32 * (j / 4) + i] >> (2 * (j % 4)) & 3) + ((w->hmask[i] >> j & 1) << 2) - 4;
}

static void decode_k4(struct decoded *out, const uint8_t *d, const uint8_t *dmin, const uint8_t *packed,
                      const uint8_t *qs, size_t j)
{
    uint8_t scales[16];
    k4_scales(scales, packed);
    *out = (struct decoded){
        .d = load_half(d) * (float)scales[j], .scale = {1, 1}, .m = -(load_half(dmin) * (float)scales[8 + j])};
    for (size_t i = 0; i < Q_BLOCK; i++)
        out->v[i] = qs[32 * (j / 2) + i] >> (4 * (j % 2)) & 15;
}

void decode_q4_k(struct decoded *out, const void *row, size_t b)
{
    const struct block_q4_k *w = (const struct block_q4_k *)row + b / 8;
    decode_k4(out, w->d, w->dmin, w->scales, w->qs, b % 8);
}

void decode_q5_k(struct decoded *out, const void *row, size_t b)
{
    const struct block_q5_k *w = (const struct block_q5_k *)row + b / 8;
    decode_k4(out, w->d, w->dmin, w->scales, w->qs, b % 8);
    for (size_t i = 0; i < Q_BLOCK; i++)
        out->v[i] += (w->qh[i] >> (b % 8) & 1) << 4;
}

void decode_q6_k(struct decoded *out, const void *row, size_t b)
{
    const struct block_q6_k *w = (const struct block_q6_k *)row + b / 8;
    size_t j = b % 8, half = j / 4, at = j % 4;
    *out = (struct decoded){.d = load_half(w->d) * (float)(int8_t)w->scales[2 * j],
                            .d1 = load_half(w->d) * (float)(int8_t)w->scales[2 * j + 1],
                            .scale = {1, 1}};
    for (size_t i = 0; i < Q_BLOCK; i++) {
        int low = w->ql[64 * half + 32 * (at % 2) + i] >> (4 * (at / 2)) & 15;
        out->v[i] = (low | (w->qh[32 * half + i] >> (2 * at) & 3) << 4) - 32;
    }
}

decode_fn decode_of(uint32_t type)
{
    static const decode_fn all[TYPE_LIMIT] = {
#define QUANTIZED(name, type) [TYPE_##type] = decode_##name,
#include "kernels/quantized.def"
#undef QUANTIZED
    };
    return type < TYPE_LIMIT ? all[type] : NULL;
}

/* n: a multiple of the type's block. Nothing is added where a type has no minimum, so that -0 stays what it is. */
static void dequantize(uint32_t type, float *y, const void *w, size_t n)
{
    const decode_fn decode = decode_of(type);
    const enum sums sums = sums_of(type);
    for (size_t b = 0; b < n / Q_BLOCK; b++) {
        struct decoded block;
        decode(&block, w, b);
        for (size_t i = 0; i < Q_BLOCK; i++) {
            const size_t half = i / 16;
            const float d = sums == SUMS_16 && half ? block.d1 : block.d;
            float value = d * (float)block.scale[half] * (float)block.v[i];
            if (sums == SUMS_MIN)
                value += block.m;
            else if (sums == SUMS_WIDE_MIN)
                value -= block.dmin * (float)block.min[half];
            y[b * Q_BLOCK + i] = value;
        }
    }
}

static void dequantize_f32(float *y, const void *w, size_t n) { memcpy(y, w, n * sizeof *y); }

static void dequantize_f16(float *y, const void *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = load_half((const uint8_t *)w + 2 * i);
}

static void dequantize_bf16(float *y, const void *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = bf16_to_float(load_u16((const uint8_t *)w + 2 * i));
}

#define QUANTIZED(name, type) \
    static void dequantize_##name(float *y, const void *w, size_t n) { dequantize(TYPE_##type, y, w, n); }
#include "kernels/quantized.def"
#undef QUANTIZED

void dequantize_overlay(struct kernels *k)
{
    k->dequantize_f32 = dequantize_f32;
    k->dequantize_f16 = dequantize_f16;
    k->dequantize_bf16 = dequantize_bf16;
#define QUANTIZED(name, type) k->dequantize_##name = dequantize_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
}
