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

/* What block w adds to a chain; q, d, ds are the activations' block. */
static float add_block(float acc, const struct decoded *w, bool has_min, const int8_t *q, float d, float ds)
{
    int sum = w->scale[0] * dot16(w->v, q) + w->scale[1] * dot16(w->v + 16, q + 16);
    acc = fmadd((float)sum, w->d * d, acc);
    if (has_min)
        acc = fmadd(w->m, ds, acc);
    return acc;
}

static float add_q2_k_min(float acc, const struct decoded *w, const int16_t *sums, float d)
{
    int least = w->min[0] * sums[0] + w->min[1] * sums[1];
    return fmadd((float)-least, w->dmin * d, acc);
}

void product_ref(const struct mul *m, uint32_t type)
{
    const bool has_min = type == TYPE_Q4_1 || type == TYPE_Q5_1 || type == TYPE_Q4_K || type == TYPE_Q5_K;
    const size_t n_blocks = m->k / Q_BLOCK;
    decode_fn decode = decode_of(type);
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
                *acc = add_block(*acc, &w, has_min, m->xq.q + at * Q_BLOCK, m->xq.d[at], m->xq.ds[at]);
                if (type == TYPE_Q2_K)
                    *acc = add_q2_k_min(*acc, &w, m->xq.sums + 2 * at, m->xq.d[at]);
            }
        }
    }
}

#define PRODUCT(name, type) \
    static void mul_##name(const struct mul *m) { product_ref(m, type); }
PRODUCT(q4_0, TYPE_Q4_0)
PRODUCT(q4_1, TYPE_Q4_1)
PRODUCT(q5_0, TYPE_Q5_0)
PRODUCT(q5_1, TYPE_Q5_1)
PRODUCT(q8_0, TYPE_Q8_0)
PRODUCT(q2_k, TYPE_Q2_K)
PRODUCT(q3_k, TYPE_Q3_K)
PRODUCT(q4_k, TYPE_Q4_K)
PRODUCT(q5_k, TYPE_Q5_K)
PRODUCT(q6_k, TYPE_Q6_K)

void products_overlay_ref(struct kernels *k)
{
    k->mul_q4_0 = mul_q4_0;
    k->mul_q4_1 = mul_q4_1;
    k->mul_q5_0 = mul_q5_0;
    k->mul_q5_1 = mul_q5_1;
    k->mul_q8_0 = mul_q8_0;
    k->mul_q2_k = mul_q2_k;
    k->mul_q3_k = mul_q3_k;
    k->mul_q4_k = mul_q4_k;
    k->mul_q5_k = mul_q5_k;
    k->mul_q6_k = mul_q6_k;
}
