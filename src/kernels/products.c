/* products.c - products of quantized weights in plain C: their meaning. Each output is one chain over blocks of 32, in
 * rising order (struct mul). */
#include "kernels/decode.h"
#include "kernels/functions.h"
#include "kernels/overlays.h"

static int dot16(const int *v, const int8_t *q)
{
    int sum = 0;
    for (int i = 0; i < 16; i++)
        sum += v[i] * q[i];
    return sum;
}

/* What block w adds to a chain; q, d, ds, half_sums are the activations' block. */
static float add_block(float acc, enum sums sums, const struct decoded *w, const int8_t *q, float d, float ds,
                       const int16_t *half_sums)
{
    const int sum0 = w->scale[0] * dot16(w->v, q), sum1 = w->scale[1] * dot16(w->v + 16, q + 16);
    if (sums == SUMS_16)
        return fmadd(fmadd((float)sum1, w->d1, (float)sum0 * w->d), d, acc);
    if (sums == SUMS_SCALED_MIN) {
        const int least = w->min[0] * half_sums[0] + w->min[1] * half_sums[1];
        return fmadd(fmadd((float)-least, w->dmin, (float)(sum0 + sum1) * w->d), d, acc);
    }
    acc = fmadd((float)(sum0 + sum1), w->d * d, acc);
    return sums == SUMS_MIN ? fmadd(w->m, ds, acc) : acc;
}

void product_ref(const struct mul *m, uint32_t type)
{
    const enum sums sums = sums_of(type);
    const size_t n_blocks = m->k / Q_BLOCK;
    const decode_fn decode = decode_of(type);
    for (size_t r = 0; r < m->n_rows; r++) {
        const char *row = (const char *)m->w + r * m->row_bytes;
        for (size_t t = 0; t < m->n_tokens; t++)
            m->y[t * m->y_stride + r] = 0.0f;
        for (size_t b = 0; b < n_blocks; b++) {
            struct decoded w;
            decode(&w, row, b);
            for (size_t t = 0; t < m->n_tokens; t++) {
                float *acc = &m->y[t * m->y_stride + r];
                size_t at = t * n_blocks + b;
                *acc = add_block(*acc, sums, &w, m->xq.q + at * Q_BLOCK, m->xq.d[at], m->xq.ds[at],
                                 m->xq.sums + 2 * at);
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
