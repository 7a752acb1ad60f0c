/* pack_k.c - numbers as Q2_K to Q6_K: what pack_search.h found, as blocks.h draws it. Compiled once a level. */
#include "kernels/blocks.h"
#include "kernels/overlays.h"
#include "kernels/pack_search.h"

static inline void put_half(uint8_t out[2], float x)
{
    const uint16_t half = half_of_float(x);
    out[0] = (uint8_t)half;
    out[1] = (uint8_t)(half >> 8);
}

/* Two bits of each code from bit `from` up, four blocks in a byte. */
static inline void put_pairs(uint8_t qs[64], const uint8_t *codes, int from)
{
    for (int i = 0; i < 64; i++) {
        qs[i] = 0;
        for (int b = 0; b < 4; b++)
            qs[i] |= (uint8_t)((codes[128 * (i / 32) + 32 * b + i % 32] >> from & 3) << 2 * b);
    }
}

/* Bit `from` of each code, eight blocks in a byte. */
static inline void put_bits(uint8_t qh[32], const uint8_t *codes, int from)
{
    for (int i = 0; i < 32; i++) {
        qh[i] = 0;
        for (int b = 0; b < 8; b++)
            qh[i] |= (uint8_t)((codes[32 * b + i] >> from & 1) << b);
    }
}

/* The low four bits of two runs of codes. */
static inline void put_nibbles(uint8_t *qs, const uint8_t *low, const uint8_t *high, int n)
{
    for (int i = 0; i < n; i++)
        qs[i] = (uint8_t)((low[i] & 15) | (high[i] & 15) << 4);
}

static inline void put_q2_k(struct block_q2_k *out, const float *x)
{
    struct coded c;
    code_above(&c, x, false, 3, 15);
    for (int b = 0; b < 16; b++)
        out->scales[b] = (uint8_t)(c.scale[b] | c.min[b] << 4);
    put_pairs(out->qs, c.codes, 0);
    put_half(out->d, c.d);
    put_half(out->dmin, c.dmin);
}

static inline void put_q3_k(struct block_q3_k *out, const float *x)
{
    struct coded c;
    code_around(&c, x, 4, 32);
    memset(out->scales, 0, sizeof out->scales);
    for (int b = 0; b < 16; b++) {
        const int scale = c.scale[b] + 32;
        out->scales[b % 8] |= (uint8_t)((scale & 15) << 4 * (b / 8));
        out->scales[8 + b % 4] |= (uint8_t)(scale >> 4 << 2 * (b / 4));
    }
    put_bits(out->hmask, c.codes, 2);
    put_pairs(out->qs, c.codes, 0);
    put_half(out->d, c.d);
}

/* The other way round of k4_scales. */
static inline void put_scales(uint8_t out[12], const struct coded *c)
{
    for (int b = 0; b < 4; b++) {
        const int scale = c->scale[b + 4], min = c->min[b + 4];
        out[b] = (uint8_t)(c->scale[b] | scale >> 4 << 6);
        out[b + 4] = (uint8_t)(c->min[b] | min >> 4 << 6);
        out[b + 8] = (uint8_t)((scale & 15) | (min & 15) << 4);
    }
}

static inline void put_q4_k(struct block_q4_k *out, const float *x)
{
    struct coded c;
    code_above(&c, x, true, 15, 63);
    put_half(out->d, c.d);
    put_half(out->dmin, c.dmin);
    put_scales(out->scales, &c);
    for (int j = 0; j < 4; j++)
        put_nibbles(out->qs + 32 * j, c.codes + 64 * j, c.codes + 64 * j + 32, 32);
}

static inline void put_q5_k(struct block_q5_k *out, const float *x)
{
    struct coded c;
    code_above(&c, x, true, 31, 63);
    put_half(out->d, c.d);
    put_half(out->dmin, c.dmin);
    put_scales(out->scales, &c);
    put_bits(out->qh, c.codes, 4);
    for (int j = 0; j < 4; j++)
        put_nibbles(out->qs + 32 * j, c.codes + 64 * j, c.codes + 64 * j + 32, 32);
}

static inline void put_q6_k(struct block_q6_k *out, const float *x)
{
    struct coded c;
    code_around(&c, x, 32, 128);
    for (int h = 0; h < 2; h++)
        put_nibbles(out->ql + 64 * h, c.codes + 128 * h, c.codes + 128 * h + 64, 64);
    put_pairs(out->qh, c.codes, 4);
    memcpy(out->scales, c.scale, sizeof out->scales);
    put_half(out->d, c.d);
}

#define PACK(name)                                               \
    static void pack_##name(void *out, const float *x, size_t n) \
    {                                                            \
        struct block_##name *block = out;                        \
        for (size_t b = 0; b < n / SUPER; b++)                   \
            put_##name(&block[b], x + b * SUPER);                \
    }
PACK(q2_k)
PACK(q3_k)
PACK(q4_k)
PACK(q5_k)
PACK(q6_k)

void LEVELED(pack_k_overlay)(struct kernels *k)
{
    k->pack_q2_k = pack_q2_k;
    k->pack_q3_k = pack_q3_k;
    k->pack_q4_k = pack_q4_k;
    k->pack_q5_k = pack_q5_k;
    k->pack_q6_k = pack_q6_k;
}
