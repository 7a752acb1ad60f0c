/* scans.c - one row of a recurrence, and scores of a page of keys. Compiled once a level: LEVEL names it. What is
 * computed stands at struct scan and struct selective_scan. Numbers of a row of the state are independent of each
 * other, so that a compiler may spread them over any number of lanes. */
#include "kernels/functions.h"
#include "kernels/overlays.h"

/* y += by * x */
static inline void add_times(float *restrict y, const float *restrict x, float by, size_t n)
{
    for (size_t j = 0; j < n; j++)
        y[j] = fmadd(by, x[j], y[j]);
}

static inline void clear(float *y, size_t n)
{
    for (size_t j = 0; j < n; j++)
        y[j] = 0;
}

static void scan(const struct scan *x)
{
    const size_t n = x->dv;
    clear(x->y, n);
    if (x->a) {
        clear(x->u, n);
        for (size_t i = 0; i < x->dk; i++)
            add_times(x->u, x->s + i * n, x->a[i], n);
    }
    for (size_t i = 0; i < x->dk; i++) {
        float *restrict s = x->s + i * n;
        const float decay = x->decay[x->decay_one ? 0 : i];
        if (x->before)
            add_times(x->y, s, x->q[i], n);
        for (size_t j = 0; j < n; j++)
            s[j] *= decay;
        if (x->b)
            add_times(s, x->u, x->b[i], n);
        add_times(s, x->v, x->k[i], n);
        if (!x->before)
            add_times(x->y, s, x->q[i], n);
    }
}

/* For i rising: y[p] = fma(q[i], key p [i], y[p]), from 0. */
static void score_keys(float *y, const float *keys, const float *q, size_t d)
{
    enum { SIDE = 16 }; /* positions side by side */
    for (size_t group = 0; group < KV_PAGE / SIDE; group++, y += SIDE, keys += SIDE * d) {
        clear(y, SIDE);
        for (size_t i = 0; i < d; i++)
            add_times(y, keys + i * SIDE, q[i], SIDE);
    }
}

static void selective_scan(const struct selective_scan *x)
{
    float *restrict y = x->y;
    clear(y, x->n);
    for (size_t i = 0; i < x->n_state; i++) {
        float *restrict s = x->s + i * x->stride;
        const float *restrict A = x->A + i * x->stride;
        for (size_t c = 0; c < x->n; c++) {
            s[c] = fmadd(s[c], exp_f32(x->dt[c] * A[c]), x->B[i] * (x->dt[c] * x->x[c]));
            y[c] = fmadd(x->C[i], s[c], y[c]);
        }
    }
}

void LEVELED(scans_overlay)(struct kernels *k)
{
    k->scan = scan;
    k->score_keys = score_keys;
    k->selective_scan = selective_scan;
}
