/* products.c - products of quantized weights in plain C: their meaning. Each output is one chain over blocks of 32, or
 * of 256, in rising order (struct mul). */
#include "kernels/decode.h"
#include "kernels/functions.h"
#include "kernels/overlays.h"

enum { WIDE = Q_WIDE / Q_BLOCK /* blocks that share a scale */ };

static int dot16(const int *v, const int8_t *q)
{
    int sum = 0;
    for (int i = 0; i < 16; i++)
        sum += v[i] * q[i];
    return sum;
}

/* What block b of a row adds to the chain of token t. */
static float add_block(float acc, enum sums sums, const struct decoded *w, const struct mul *m, size_t t, size_t b)
{
    const size_t at = t * (m->k / Q_BLOCK) + b;
    const int8_t *q = m->xq.q + at * Q_BLOCK;
    const float d = m->xq.d[at];
    const int sum0 = dot16(w->v, q), sum1 = dot16(w->v + 16, q + 16);
    if (sums == SUMS_16)
        return fmadd(fmadd((float)sum1, w->d1, (float)sum0 * w->d), d, acc);
    acc = fmadd((float)(sum0 + sum1), w->d * d, acc);
    return sums == SUMS_MIN ? fmadd(w->m, m->xq.ds[at], acc) : acc;
}

/* What the superblock of eight blocks from b on adds. */
static float add_superblock(float acc, enum sums sums, const struct decoded w[WIDE], const struct mul *m, size_t t,
                            size_t b)
{
    const size_t at = t * (m->k / Q_BLOCK) + b;
    const float d = m->xq.d[at];
    int sum = 0, least = 0;
    for (size_t half = 0; half < 2 * WIDE; half++) {
        const struct decoded *v = &w[half / 2];
        sum += v->scale[half % 2] * dot16(v->v + half % 2 * 16, m->xq.q + at * Q_BLOCK + half * 16);
        least += sums == SUMS_WIDE_MIN ? v->min[half % 2] * m->xq.sums[2 * at + half] : 0;
    }
    if (sums == SUMS_WIDE_MIN)
        return fmadd(fmadd((float)-least, w->dmin, (float)sum * w->d), d, acc);
    return fmadd((float)sum, w->d * d, acc);
}

void product_ref(const struct mul *m, uint32_t type)
{
    const enum sums sums = sums_of(type);
    const size_t n_blocks = m->k / Q_BLOCK, step = is_wide(sums) ? WIDE : 1;
    const decode_fn decode = decode_of(type);
    for (size_t r = 0; r < m->n_rows; r++) {
        const char *row = (const char *)m->w + r * m->row_bytes;
        for (size_t t = 0; t < m->n_tokens; t++)
            m->y[t * m->y_stride + r] = 0.0f;
        for (size_t b = 0; b < n_blocks; b += step) {
            struct decoded w[WIDE];
            for (size_t i = 0; i < step; i++)
                decode(&w[i], row, b + i);
            for (size_t t = 0; t < m->n_tokens; t++) {
                float *acc = &m->y[t * m->y_stride + r];
                *acc = is_wide(sums) ? add_superblock(*acc, sums, w, m, t, b) : add_block(*acc, sums, w, m, t, b);
            }
        }
    }
}

#define QUANTIZED(name, type) \
    static void mul_##name(const struct mul *m) { product_ref(m, TYPE_##type); }
#include "kernels/quantized.def"
#undef QUANTIZED

void products_overlay_ref(struct kernels *k)
{
#define QUANTIZED(name, type) k->mul_##name = mul_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
}
