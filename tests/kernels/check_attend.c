/* check_attend.c - keys and values into pages, and attention over two of them. */
#include "check.h"
#include <stdio.h>
#include <string.h>

enum { PAGES = 2 };

static const enum kernel_id store_ids[KV_TYPES] = {ID_kv_store_f32, ID_kv_store_f16, ID_kv_store_q8_0};
static const enum kernel_id attend_ids[KV_TYPES] = {ID_attend_f32, ID_attend_f16, ID_attend_q8_0};

struct storing {
    enum kv_type type;
    void *keys, *values; /* pages */
    size_t slot;
    const float *k, *v;
    size_t hd_k, hd_v;
};

static void call_store(const struct kernels *k, void *arg)
{
    const struct storing *s = arg;
    void (*const store[KV_TYPES])(void *, void *, size_t, const float *, const float *, size_t,
                                  size_t) = {k->kv_store_f32, k->kv_store_f16, k->kv_store_q8_0};
    store[s->type](s->keys, s->values, s->slot, s->k, s->v, s->hd_k, s->hd_v);
}

struct attending {
    enum kv_type type;
    struct attend a;
};

static void call_attend(const struct kernels *k, void *arg)
{
    const struct attending *at = arg;
    void (*const attend[KV_TYPES])(const struct attend *) = {k->attend_f32, k->attend_f16, k->attend_q8_0};
    struct attend a = at->a;
    a.activate = a.by ? k->activate : NULL;
    attend[at->type](&a);
}

static void fill_page(const struct pair *p, struct storing *s, enum fill fill, const char *what, enum side side)
{
    float *k = place_floats(SLOT_X, "key", s->hd_k, side), *v = place_floats(SLOT_B, "value", s->hd_v, side);
    s->k = k;
    s->v = v;
    const struct output out[] = {{s->keys, kv_key_page_bytes(s->type, s->hd_k)},
                                 {s->values, kv_value_page_bytes(s->type, s->hd_v)}};
    for (s->slot = 0; s->slot < KV_PAGE; s->slot++) {
        fill_floats(k, s->hd_k, fill);
        fill_floats(v, s->hd_v, fill);
        check_call(p, store_ids[s->type], call_store, s, out, 2, what);
    }
}

/* Positions that a query sees: often all. */
static void random_views(uint8_t *lo, uint8_t *hi, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        lo[j] = (uint8_t)(fill_below(3) ? 0 : fill_below(KV_PAGE + 1));
        hi[j] = (uint8_t)(fill_below(3) ? KV_PAGE : fill_below(KV_PAGE + 1));
    }
}

static void check_shape(const struct pair *p, enum kv_type type, size_t hd_k, size_t hd_v, size_t n_q, enum fill fill,
                        enum side side)
{
    char what[128];
    snprintf(what, sizeof what, "heads of %zu and %zu, %zu queries, %s, buffers at %s", hd_k, hd_v, n_q,
             fill_names[fill], side == AT_END ? "a page's end" : "a page's start");
    const size_t hd32 = (hd_k + 31) / 32 * 32, kb = kv_key_page_bytes(type, hd_k), vb = kv_value_page_bytes(type, hd_v);
    float *m = place_floats(SLOT_M, "m", n_q, side), *l = place_floats(SLOT_L, "l", n_q, side);
    float *o = place_floats(SLOT_O, "o", n_q * hd_v, side), *q = place_floats(SLOT_D, "q", n_q * hd32, side);
    struct storing s = {
        type, guard_place(SLOT_W, "keys", kb, side), guard_place(SLOT_Y, "values", vb, side), 0, NULL, NULL, hd_k,
        hd_v};
    memset(s.keys, 0, kb);
    memset(s.values, 0, vb);
    memset(q, 0, n_q * hd32 * sizeof *q);
    for (size_t j = 0; j < n_q; j++)
        fill_floats(q + j * hd32, hd_k, fill);
    memset(o, 0, n_q * hd_v * sizeof *o);
    for (size_t j = 0; j < n_q; j++)
        l[j] = 0.0f, m[j] = -__builtin_inff();
    uint8_t *lo = guard_place(SLOT_SCRATCH, "lo", n_q, side), *hi = guard_place(SLOT_SUMS, "hi", n_q, side);
    for (int page = 0; page < PAGES; page++) {
        fill_page(p, &s, fill, what, side);
        random_views(lo, hi, n_q);
        struct attending a = {type,
                              {.q = q,
                               .q_stride = hd32,
                               .n_q = n_q,
                               .hd_k = hd_k,
                               .hd_v = hd_v,
                               .k = s.keys,
                               .v = s.values,
                               .k_next = page ? NULL : s.keys,
                               .v_next = page ? NULL : s.values,
                               .lo = lo,
                               .hi = hi,
                               .scale = 0.3f,
                               .cap = fill_below(2) ? 5.0f : 0.0f,
                               .m = m,
                               .l = l,
                               .o = o,
                               .o_stride = hd_v,
                               .by = fill_below(2) ? ACT_NONE : (enum activation)fill_below(ACT_LOG)}};
        static int8_t quants[16 * 256];
        static float d[16 * 8], ds[16 * 8];
        static int16_t sums[16 * 16];
        static float bias[16 * KV_PAGE];
        fill_floats(bias, 16 * KV_PAGE, RANDOM);
        a.a.bias = fill_below(3) ? NULL : bias;
        a.a.qq = (struct q8){quants, d, ds, sums};
        fill_q8(a.a.qq, n_q, hd32, fill);
        const struct output out[] = {{m, n_q * 4}, {l, n_q * 4}, {o, n_q * hd_v * 4}};
        check_call(p, attend_ids[type], call_attend, &a, out, 3, what);
    }
}

void check_attention(const struct pair *p)
{
    static const size_t heads[] = {64, 80, 96, 128, 256, 40, 20, 8};
    enum { N_HEADS = sizeof heads / sizeof *heads };
    for (int type = 0; type < KV_TYPES; type++)
        for (size_t i = 0; i < N_HEADS; i++)
            for (int side = 0; side < N_SIDES; side++) {
                const size_t other = heads[fill_below(N_HEADS)];
                check_shape(p, (enum kv_type)type, heads[i], heads[i], 1 + fill_below(14), RANDOM, (enum side)side);
                check_shape(p, (enum kv_type)type, heads[i], other, 1 + fill_below(14), RANDOM, (enum side)side);
                check_shape(p, (enum kv_type)type, heads[i], other, 1 + fill_below(5), ZEROS, (enum side)side);
                check_shape(p, (enum kv_type)type, other, heads[i], 1 + fill_below(5), ONES, (enum side)side);
            }
}
