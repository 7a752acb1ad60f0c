/* pack_search.h - a superblock of 256 numbers as codes and scales of fewer bits, with little squared error.
 *
 * A block's scale (and minimum) is found as the field does since llama.cpp's K-quants: a few candidate steps give
 * codes, each set of codes has a best scale by least squares, and the candidate of least error stays. Then the
 * superblock: scales become integers times one factor, each integer the best of three neighbours; the factor (and that
 * of minima) is fitted to all 256, and codes are taken anew. All numbers weigh the same.
 *
 * Numbers stand in 16 lanes of 16: lane l is block l where blocks have 16 items; where they have 32 (`wide`), lanes l
 * and l + 8 are the halves of block l, and hold the same in all that is of a block. No sum crosses lanes but where fold
 * says so, nothing is fused: each level and each machine gives the same bits. */
#ifndef KERNELS_PACK_SEARCH_H
#define KERNELS_PACK_SEARCH_H

#include "kernels/half.h"
#include "kernels/kernels.h"

enum { SUPER = 256, STEPS = 9, ROUNDS = 2 };

/* What becomes of a superblock: number i of block b is d * scale[b] * (codes[i] - middle) - dmin * min[b]. */
struct coded {
    float d, dmin; /* halves */
    int8_t scale[LANES], min[LANES];
    uint8_t codes[SUPER];
};

struct lanes {
    float v[LANES];
};

/* A superblock's numbers. */
struct spread {
    struct lanes item[LANES];
    struct lanes sum, squares; /* of a block */
    bool wide;
};

static inline int blocks_of(const struct spread *s) { return s->wide ? LANES / 2 : LANES; }
static inline float items_of(const struct spread *s) { return s->wide ? 2 * LANES : LANES; } /* of a block */

/* Of a block's codes q and numbers x: the sums of q, q * q and q * x. */
struct sums_of_codes {
    struct lanes q, qq, qx;
};

static inline float least_of(float a, float b) { return a < b ? a : b; }
static inline float most_of(float a, float b) { return a > b ? a : b; }
static inline float size_of(float x) { return most_of(x, 0 - x); }
static inline float nearest(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; } /* halves to even; |x| < 2^22 */
static inline float within(float x, float low, float high) { return most_of(least_of(x, high), low); }
static inline float inverse(float x) { return size_of(x) > 1e-30f ? 1 / x : 0; }
static inline float as_half(float x) { return half_to_float(half_of_float(x)); }
/* Where lane l begins. */
static inline int first_of(bool wide, int l) { return wide ? 32 * (l % 8) + LANES * (l / 8) : LANES * l; }

static inline void fold(struct lanes *a)
{
    for (int l = 0; l < LANES / 2; l++)
        a->v[l] = a->v[l + LANES / 2] = a->v[l] + a->v[l + LANES / 2];
}

static inline void sum_up(struct spread *s)
{
    s->sum = s->squares = (struct lanes){0};
    for (int i = 0; i < LANES; i++)
        for (int l = 0; l < LANES; l++) {
            s->sum.v[l] += s->item[i].v[l];
            s->squares.v[l] += s->item[i].v[l] * s->item[i].v[l];
        }
    if (s->wide) {
        fold(&s->sum);
        fold(&s->squares);
    }
}

static inline void spread_out(struct spread *s, const float *x, bool wide)
{
    s->wide = wide;
    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < LANES; i++)
            s->item[i].v[l] = x[first_of(wide, l) + i];
    sum_up(s);
}

/* Codes are (x + add) * by, rounded, from low to high. */
struct rule {
    struct lanes add, by;
    float low, high;
};

static inline struct sums_of_codes sums_by(const struct spread *s, const struct rule *r)
{
    struct sums_of_codes out = {0};
    for (int i = 0; i < LANES; i++)
        for (int l = 0; l < LANES; l++) {
            const float x = s->item[i].v[l], q = within(nearest((x + r->add.v[l]) * r->by.v[l]), r->low, r->high);
            out.q.v[l] += q;
            out.qq.v[l] += q * q;
            out.qx.v[l] += q * x;
        }
    if (s->wide) {
        fold(&out.q);
        fold(&out.qq);
        fold(&out.qx);
    }
    return out;
}

static inline void take_codes(struct coded *c, const struct spread *s, const struct rule *r)
{
    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < LANES; i++) {
            const float q = nearest((s->item[i].v[l] + r->add.v[l]) * r->by.v[l]);
            c->codes[first_of(s->wide, l) + i] = (uint8_t)(within(q, r->low, r->high) - r->low);
        }
}

/* What a block's numbers may become: x is about d * q - m. */
struct fit {
    struct lanes d, m, error;
};

static inline void take_better(struct fit *best, int l, float d, float m, float error)
{
    const bool better = error < best->error.v[l];
    best->d.v[l] = better ? d : best->d.v[l];
    best->m.v[l] = better ? m : best->m.v[l];
    best->error.v[l] = better ? error : best->error.v[l];
}

static inline float error_of(const struct spread *s, const struct sums_of_codes *c, int l, float d, float m)
{
    const float n = items_of(s);
    return s->squares.v[l] + d * (d * c->qq.v[l] - 2 * c->qx.v[l]) + m * (n * m + 2 * s->sum.v[l]) -
           2 * d * m * c->q.v[l];
}

/* ---- codes from 0 up, above a minimum -m, m >= 0: Q2_K, Q4_K, Q5_K ---- */

/* Least squares for d and m; m is no less than 0. y: the numbers less `least`. */
static inline void fit_codes_above(struct fit *best, const struct spread *y, const struct sums_of_codes *c,
                                   const struct lanes *least)
{
    const float n = items_of(y);
    for (int l = 0; l < LANES; l++) {
        const float q = c->q.v[l], qq = c->qq.v[l], qx = c->qx.v[l], det = n * qq - q * q;
        const float d0 = (n * qx - q * y->sum.v[l]) / det, off0 = (y->sum.v[l] - d0 * q) / n;
        const bool low = off0 <= -least->v[l];
        const float off = low ? off0 : -least->v[l], d = low ? d0 : (qx - off * q) / qq;
        const float error = error_of(y, c, l, d, -off);
        take_better(best, l, d, -(least->v[l] + off), det > 0 ? error : __builtin_inff());
    }
}

static inline void fit_above(struct fit *best, const struct spread *s, float most)
{
    struct lanes least = {0}, largest = s->item[0], unit;
    struct spread y = {.wide = s->wide};
    struct rule rule = {.high = most};
    for (int i = 0; i < LANES; i++)
        for (int l = 0; l < LANES; l++) {
            least.v[l] = least_of(least.v[l], s->item[i].v[l]);
            largest.v[l] = most_of(largest.v[l], s->item[i].v[l]);
        }
    for (int l = 0; s->wide && l < LANES / 2; l++) {
        least.v[l] = least.v[l + LANES / 2] = least_of(least.v[l], least.v[l + LANES / 2]);
        largest.v[l] = largest.v[l + LANES / 2] = most_of(largest.v[l], largest.v[l + LANES / 2]);
    }
    for (int i = 0; i < LANES; i++)
        for (int l = 0; l < LANES; l++)
            y.item[i].v[l] = s->item[i].v[l] - least.v[l];
    sum_up(&y);
    for (int l = 0; l < LANES; l++) {
        unit.v[l] = inverse(largest.v[l] - least.v[l]);
        best->d.v[l] = 0;
        best->m.v[l] = -least.v[l];
        best->error.v[l] = __builtin_inff();
    }
    for (int k = 0; k < STEPS; k++) { /* the range becomes most - 1 to most + 1 steps */
        for (int l = 0; l < LANES; l++)
            rule.by.v[l] = unit.v[l] * (most - 1 + (float)k * 0.25f);
        const struct sums_of_codes c = sums_by(&y, &rule);
        fit_codes_above(best, &y, &c, &least);
    }
}

static inline struct rule rule_above(const struct coded *c, const struct lanes *scale, const struct lanes *min,
                                     float most)
{
    struct rule r = {.high = most};
    for (int l = 0; l < LANES; l++) {
        r.add.v[l] = c->dmin * min->v[l];
        r.by.v[l] = inverse(c->d * scale->v[l]);
    }
    return r;
}

/* A block's d and m are integers here, of c's d and dmin. */
static inline struct sums_of_codes try_above(struct fit *best, const struct coded *c, const struct spread *s,
                                             const struct lanes *scale, const struct lanes *min, float most)
{
    const struct rule r = rule_above(c, scale, min, most);
    const struct sums_of_codes sums = sums_by(s, &r);
    for (int l = 0; l < LANES; l++)
        take_better(best, l, scale->v[l], min->v[l], error_of(s, &sums, l, c->d * scale->v[l], c->dmin * min->v[l]));
    return sums;
}

/* Each of three scales with the rounded minimum, and with the one that suits its codes. */
static inline struct fit choose_above(const struct fit *fit, const struct coded *c, const struct spread *s, float most,
                                      float limit)
{
    struct fit best;
    const float n = items_of(s), by = inverse(c->d), by_min = inverse(c->dmin);
    for (int l = 0; l < LANES; l++)
        best.error.v[l] = __builtin_inff();
    for (int k = -1; k <= 1; k++) {
        struct lanes scale, min;
        for (int l = 0; l < LANES; l++) {
            scale.v[l] = within(nearest(fit->d.v[l] * by) + (float)k, 0, limit);
            min.v[l] = within(nearest(fit->m.v[l] * by_min), 0, limit);
        }
        const struct sums_of_codes sums = try_above(&best, c, s, &scale, &min, most);
        for (int l = 0; l < LANES; l++) {
            const float m = (c->d * scale.v[l] * sums.q.v[l] - s->sum.v[l]) / n;
            min.v[l] = within(nearest(m * by_min), 0, limit);
        }
        try_above(&best, c, s, &scale, &min, most);
    }
    return best;
}

/* d and dmin by least squares over all blocks, their integers and codes as they are. */
static inline void fit_factors_above(struct coded *c, const struct spread *s, const struct fit *fit, float most)
{
    const struct rule r = rule_above(c, &fit->d, &fit->m, most);
    const struct sums_of_codes sums = sums_by(s, &r);
    float dd = 0, dm = 0, mm = 0, dx = 0, mx = 0;
    for (int l = 0; l < blocks_of(s); l++) {
        const float scale = fit->d.v[l], min = fit->m.v[l];
        dd += scale * scale * sums.qq.v[l];
        dm += scale * min * sums.q.v[l];
        mm += min * min * items_of(s);
        dx += scale * sums.qx.v[l];
        mx += min * s->sum.v[l];
    }
    const float det = dd * mm - dm * dm;
    const bool both = det > 1e-6f * dd * mm;
    const float d = both ? (dx * mm - mx * dm) / det : c->d, m = both ? (dx * dm - mx * dd) / det : c->dmin;
    if (d > 0 && m >= 0) {
        c->d = as_half(mm > 0 || dd == 0 ? d : dx / dd);
        c->dmin = as_half(m);
    }
}

static inline void code_above(struct coded *c, const float *x, bool wide, float most, float limit)
{
    struct spread s;
    struct fit fit, chosen;
    float d = 0, m = 0;
    spread_out(&s, x, wide);
    fit_above(&fit, &s, most);
    for (int l = 0; l < LANES; l++) {
        d = most_of(d, fit.d.v[l]);
        m = most_of(m, fit.m.v[l]);
    }
    c->d = as_half(d / limit);
    c->dmin = as_half(m / limit);
    for (int round = 0; round < ROUNDS; round++) {
        chosen = choose_above(&fit, c, &s, most, limit);
        fit_factors_above(c, &s, &chosen, most);
    }
    const struct rule r = rule_above(c, &chosen.d, &chosen.m, most);
    take_codes(c, &s, &r);
    for (int l = 0; l < blocks_of(&s); l++) {
        c->scale[l] = (int8_t)chosen.d.v[l];
        c->min[l] = (int8_t)chosen.m.v[l];
    }
}

/* ---- codes around 0, scales of either sign: Q3_K, Q6_K ---- */

/* The number farthest from 0 goes to either end of the codes, or near it. */
static inline void fit_around(struct fit *best, const struct spread *s, float middle)
{
    struct lanes far = {0};
    struct rule rule = {.low = -middle, .high = middle - 1};
    for (int i = 0; i < LANES; i++)
        for (int l = 0; l < LANES; l++)
            far.v[l] = size_of(s->item[i].v[l]) > size_of(far.v[l]) ? s->item[i].v[l] : far.v[l];
    *best = (struct fit){.error = s->squares};
    for (int k = 0; k < 2 * STEPS; k++) {
        const float end = k % 2 ? middle - 1 : -middle, step = (float)(k / 2) * 0.25f - 1.25f;
        for (int l = 0; l < LANES; l++)
            rule.by.v[l] = inverse(far.v[l]) * (end + (k % 2 ? step : -step));
        const struct sums_of_codes c = sums_by(s, &rule);
        for (int l = 0; l < LANES; l++) {
            const float d = c.qx.v[l] / c.qq.v[l];
            take_better(best, l, d, 0, c.qq.v[l] > 0 ? s->squares.v[l] - d * c.qx.v[l] : __builtin_inff());
        }
    }
}

static inline struct rule rule_around(const struct coded *c, const struct lanes *scale, float middle)
{
    struct rule r = {.low = -middle, .high = middle - 1};
    for (int l = 0; l < LANES; l++)
        r.by.v[l] = inverse(c->d * scale->v[l]);
    return r;
}

static inline struct fit choose_around(const struct fit *fit, const struct coded *c, const struct spread *s,
                                       float middle, float limit)
{
    struct fit best;
    const float by = inverse(c->d);
    for (int l = 0; l < LANES; l++)
        best.error.v[l] = __builtin_inff();
    for (int k = -1; k <= 1; k++) {
        struct lanes scale;
        for (int l = 0; l < LANES; l++)
            scale.v[l] = within(nearest(fit->d.v[l] * by) + (float)k, -limit, limit - 1);
        const struct rule r = rule_around(c, &scale, middle);
        const struct sums_of_codes sums = sums_by(s, &r);
        for (int l = 0; l < LANES; l++)
            take_better(&best, l, scale.v[l], 0, error_of(s, &sums, l, c->d * scale.v[l], 0));
    }
    return best;
}

static inline void fit_factor_around(struct coded *c, const struct spread *s, const struct fit *fit, float middle)
{
    const struct rule r = rule_around(c, &fit->d, middle);
    const struct sums_of_codes sums = sums_by(s, &r);
    float dd = 0, dx = 0;
    for (int l = 0; l < LANES; l++) {
        dd += fit->d.v[l] * fit->d.v[l] * sums.qq.v[l];
        dx += fit->d.v[l] * sums.qx.v[l];
    }
    c->d = dd > 0 ? as_half(dx / dd) : c->d;
}

static inline void code_around(struct coded *c, const float *x, float middle, float limit)
{
    struct spread s;
    struct fit fit, chosen;
    float far = 0;
    spread_out(&s, x, false);
    fit_around(&fit, &s, middle);
    for (int l = 0; l < LANES; l++)
        far = size_of(fit.d.v[l]) > size_of(far) ? fit.d.v[l] : far;
    c->d = as_half(far / -limit);
    for (int round = 0; round < ROUNDS; round++) {
        chosen = choose_around(&fit, c, &s, middle, limit);
        fit_factor_around(c, &s, &chosen, middle);
    }
    const struct rule r = rule_around(c, &chosen.d, middle);
    take_codes(c, &s, &r);
    for (int l = 0; l < LANES; l++)
        c->scale[l] = (int8_t)chosen.d.v[l];
}

#endif
