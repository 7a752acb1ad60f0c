/* pack.c - numbers as weights of a type. Every rounding is in the order of ggml's, so that the bits are. */
#include "kernels/pack.h"
#include "kernels/blocks.h"

enum { ITEMS = 32 };

static void put_u16(uint8_t out[2], uint16_t x)
{
    out[0] = (uint8_t)x;
    out[1] = (uint8_t)(x >> 8);
}

static void put_half(uint8_t out[2], float x) { put_u16(out, half_of_float(x)); }

static float size_of(float x) { return x > 0 ? x : 0 - x; } /* never -0 */

/* The number that is farthest from 0, the first of equals. */
static float farthest(const float *x)
{
    float best = x[0];
    for (int i = 1; i < ITEMS; i++)
        if (size_of(x[i]) > size_of(best))
            best = x[i];
    return best;
}

static float inverse(float d) { return d != 0 ? 1 / d : 0; }

static uint8_t code_of(float x, uint8_t most) { return x > 0 ? (x < (float)most ? (uint8_t)x : most) : 0; }

/* d, and codes around the middle: 16 of 5 bits or 8 of 4. */
static float codes_around(const float *x, uint8_t middle, uint8_t *codes)
{
    const float d = farthest(x) / -(float)middle, by = inverse(d);
    for (int i = 0; i < ITEMS; i++)
        codes[i] = code_of(x[i] * by + ((float)middle + 0.5f), (uint8_t)(2 * middle - 1));
    return d;
}

/* d and the least number m, and codes from 0 to `most`. */
static float codes_above(const float *x, uint8_t most, uint8_t *codes, float *m)
{
    float least = x[0], largest = x[0];
    for (int i = 1; i < ITEMS; i++) {
        least = x[i] < least ? x[i] : least;
        largest = x[i] > largest ? x[i] : largest;
    }
    const float d = (largest - least) / (float)most, by = inverse(d);
    for (int i = 0; i < ITEMS; i++)
        codes[i] = code_of((x[i] - least) * by + 0.5f, most);
    *m = least;
    return d;
}

static void put_nibbles(uint8_t *qs, const uint8_t *codes)
{
    for (int i = 0; i < ITEMS / 2; i++)
        qs[i] = (uint8_t)((codes[i] & 15) | (codes[i + ITEMS / 2] & 15) << 4);
}

static void put_fifth_bits(uint8_t qh[4], const uint8_t *codes)
{
    memset(qh, 0, 4);
    for (int i = 0; i < ITEMS; i++)
        qh[i / 8] |= (uint8_t)(codes[i] >> 4 << i % 8);
}

static void pack_q4_0(const float *x, void *out)
{
    struct block_q4_0 *b = out;
    uint8_t codes[ITEMS];
    put_half(b->d, codes_around(x, 8, codes));
    put_nibbles(b->qs, codes);
}

static void pack_q4_1(const float *x, void *out)
{
    struct block_q4_1 *b = out;
    uint8_t codes[ITEMS];
    float m;
    put_half(b->d, codes_above(x, 15, codes, &m));
    put_half(b->m, m);
    put_nibbles(b->qs, codes);
}

static void pack_q5_0(const float *x, void *out)
{
    struct block_q5_0 *b = out;
    uint8_t codes[ITEMS];
    put_half(b->d, codes_around(x, 16, codes));
    put_fifth_bits(b->qh, codes);
    put_nibbles(b->qs, codes);
}

static void pack_q5_1(const float *x, void *out)
{
    struct block_q5_1 *b = out;
    uint8_t codes[ITEMS];
    float m;
    put_half(b->d, codes_above(x, 31, codes, &m));
    put_half(b->m, m);
    put_fifth_bits(b->qh, codes);
    put_nibbles(b->qs, codes);
}

/* To the nearest integer, halves away from 0. */
static void pack_q8_0(const float *x, void *out)
{
    struct block_q8_0 *b = out;
    const float d = size_of(farthest(x)) / 127, by = inverse(d);
    put_half(b->d, d);
    for (int i = 0; i < ITEMS; i++) {
        const float size = size_of(x[i] * by);
        const int whole = code_of(size, 127), q = whole + (size - (float)whole >= 0.5f && whole < 127);
        b->qs[i] = (uint8_t)(int8_t)(x[i] * by < 0 ? -q : q);
    }
}

static void pack_f16(const float *x, void *out) { put_half(out, *x); }
static void pack_bf16(const float *x, void *out) { put_u16(out, bf16_of_float(*x)); }
static void pack_f32(const float *x, void *out) { memcpy(out, x, sizeof *x); }

static void (*const packers[TYPE_LIMIT])(const float *x, void *out) = {
    [TYPE_F32] = pack_f32,   [TYPE_F16] = pack_f16,   [TYPE_BF16] = pack_bf16, [TYPE_Q4_0] = pack_q4_0,
    [TYPE_Q4_1] = pack_q4_1, [TYPE_Q5_0] = pack_q5_0, [TYPE_Q5_1] = pack_q5_1, [TYPE_Q8_0] = pack_q8_0,
};

static bool is_k(enum weight_type type) { return type >= TYPE_Q2_K && type <= TYPE_Q6_K; }

bool pack_can(enum weight_type type) { return type < TYPE_LIMIT && (packers[type] || is_k(type)); }

static void pack_k(const struct kernels *k, enum weight_type type, const float *x, size_t n, void *out)
{
    void (*const all[])(void *out, const float *x, size_t n) = {k->pack_q2_k, k->pack_q3_k, k->pack_q4_k, k->pack_q5_k,
                                                                k->pack_q6_k};
    all[type - TYPE_Q2_K](out, x, n);
}

void pack_row(const struct kernels *k, enum weight_type type, const float *x, size_t n, void *out)
{
    if (is_k(type)) {
        pack_k(k, type, x, n, out);
        return;
    }
    const struct type_info *info = type_info(type);
    for (size_t i = 0; i < n / info->block_items; i++)
        packers[type](x + i * info->block_items, (char *)out + i * info->block_bytes);
}
