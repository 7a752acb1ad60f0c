/* check_values.c - kernels that go over numbers one by one. */
#include "check.h"
#include <stdio.h>

struct values {
    float *y;
    const float *x, *w, *b;
    size_t n;
    enum activation f;
};

#define VALUE(name, ...)                                        \
    static void call_##name(const struct kernels *k, void *arg) \
    {                                                           \
        const struct values *v = arg;                           \
        k->name(__VA_ARGS__);                                   \
    }
VALUE(add, v->y, v->x, v->w, v->n)
VALUE(mul, v->y, v->x, v->w, v->n)
VALUE(divide, v->y, v->x, v->w, v->n)
VALUE(muladd, v->y, v->x, v->w, v->n)
VALUE(axpy, v->y, v->x, 0.3f, v->n)
VALUE(clamp, v->y, v->x, -0.4f, 0.7f, v->n)
VALUE(l2norm, v->y, v->x, v->n, 1e-5f)
VALUE(softmax, v->y, v->x, v->n)
VALUE(shift, v->y, v->x, 0.3f, v->n)
VALUE(scale, v->y, v->x, 0.3f, v->n)
VALUE(softcap, v->y, v->x, 5.0f, v->n)
VALUE(activate, v->f, v->y, v->x, v->n)
VALUE(gate, v->f, v->y, v->x, v->w, v->n)
VALUE(rmsnorm, v->y, v->x, v->w, v->n, 1e-5f)
VALUE(rope_pairs, v->y, v->x, v->w, v->b, v->n / 2)
VALUE(rope_halves, v->y, v->x, v->w, v->b, v->n / 2)

/* A sum of extremes may overflow, to NaN in the end, whose sign is nobody's: CPUs and their emulators differ. */
static void call_layernorm(const struct kernels *k, void *arg)
{
    const struct values *v = arg;
    k->layernorm(v->y, v->x, v->w, v->b, v->n, 1e-5f);
    for (size_t i = 0; i < v->n; i++)
        v->y[i] = v->y[i] == v->y[i] ? v->y[i] : __builtin_nanf("");
}

static void call_max_index(const struct kernels *k, void *arg)
{
    const struct values *v = arg;
    v->y[0] = (float)k->max_index(v->x, v->n);
}

/* Their indices as floats, and how many they are. */
static void call_largest(const struct kernels *k, void *arg)
{
    const struct values *v = arg;
    uint32_t at[LARGEST_MOST];
    const size_t n = k->largest(at, v->x, v->n, v->n / 3 + 1);
    for (size_t i = 0; i < n; i++)
        v->y[i] = (float)at[i];
    v->y[v->n - 1] = (float)n;
}

static void call_sum(const struct kernels *k, void *arg)
{
    const struct values *v = arg;
    v->y[0] = k->sum(v->x, v->n);
}

static void call_rope_in_place(const struct kernels *k, void *arg)
{
    const struct values *v = arg;
    k->rope_halves(v->y, v->y, v->w, v->b, v->n / 2);
}

static void call_add_in_place(const struct kernels *k, void *arg)
{
    const struct values *v = arg;
    k->add(v->y, v->y, v->w, v->n);
}

static const struct row {
    enum kernel_id id;
    call_fn call;
    bool finite; /* no infinities: the sum would be NaN, whose sign is nobody's */
    bool functions;
    bool even;
} rows[] = {
    {ID_add, call_add, false, false, false},
    {ID_add, call_add_in_place, false, false, false},
    {ID_mul, call_mul, false, false, false},
    {ID_divide, call_divide, true, false, false},
    {ID_muladd, call_muladd, true, false, false},
    {ID_axpy, call_axpy, false, false, false},
    {ID_clamp, call_clamp, false, false, false},
    {ID_sum, call_sum, true, false, false},
    {ID_l2norm, call_l2norm, true, false, false},
    {ID_softmax, call_softmax, true, false, false},
    {ID_shift, call_shift, false, false, false},
    {ID_scale, call_scale, false, false, false},
    {ID_softcap, call_softcap, false, false, false},
    {ID_activate, call_activate, false, true, false},
    {ID_gate, call_gate, false, true, false},
    {ID_rmsnorm, call_rmsnorm, true, false, false},
    {ID_layernorm, call_layernorm, true, false, false},
    {ID_rope_pairs, call_rope_pairs, true, false, true},
    {ID_rope_halves, call_rope_halves, true, false, true},
    {ID_rope_halves, call_rope_in_place, true, false, true},
    {ID_max_index, call_max_index, false, false, false},
    {ID_largest, call_largest, false, false, false},
};

static void check_row(const struct pair *p, const struct row *row, size_t n, enum fill fill, enum side side)
{
    char what[96];
    float *x = place_floats(SLOT_X, "x", n, side), *w = place_floats(SLOT_W, "w", n, side),
          *b = place_floats(SLOT_B, "b", n, side), *y = place_floats(SLOT_Y, "y", n, side);
    if (fill == RANDOM && !row->finite)
        fill_special(x, n);
    else
        fill_floats(x, n, fill);
    fill_floats(w, n, fill == EXTREMES ? RANDOM : fill);
    fill_floats(b, n, fill == EXTREMES ? RANDOM : fill);
    fill_floats(y, n, RANDOM);
    struct values v = {y, x, w, b, n, ACT_NONE};
    const struct output out = {y, n * sizeof *y};
    for (int f = 0; f < (row->functions ? ACT_LIMIT : 1); f++) {
        v.f = (enum activation)f;
        snprintf(what, sizeof what, "%zu numbers, %s, function %d, buffers at %s", n, fill_names[fill], f,
                 side == AT_END ? "a page's end" : "a page's start");
        check_call(p, row->id, row->call, &v, &out, 1, what);
    }
    if (row->id == ID_rmsnorm || row->id == ID_layernorm) {
        v.w = NULL;
        v.b = NULL;
        check_call(p, row->id, row->call, &v, &out, 1, "without weights or bias");
    }
}

void check_values(const struct pair *p)
{
    static const size_t lengths[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  12, 15,  16,  17,  20,  24,  31,   32,  33,
                                     40, 47, 48, 49, 63, 64, 65, 80, 96, 97, 100, 127, 128, 129, 255, 1000, 1536};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++)
            for (int fill = 0; fill < N_FILLS; fill++)
                for (int side = 0; side < N_SIDES; side++)
                    if (!rows[i].even || lengths[j] % 2 == 0)
                        check_row(p, &rows[i], lengths[j], (enum fill)fill, (enum side)side);
}
