/* check_scans.c - rows of recurrences. */
#include "check.h"
#include <stdio.h>

static void call_scan(const struct kernels *k, void *arg) { k->scan(arg); }
static void call_selective_scan(const struct kernels *k, void *arg) { k->selective_scan(arg); }

static float *filled(int slot, const char *name, size_t n, enum side side)
{
    float *x = place_floats(slot, name, n, side);
    fill_floats(x, n, RANDOM);
    return x;
}

static void check_scan(const struct pair *p, size_t dk, size_t dv, bool delta, bool before, enum side side)
{
    char what[96];
    snprintf(what, sizeof what, "a state of %zu x %zu%s, %s", dk, dv, delta ? " with a and b" : "",
             before ? "read before" : "read after");
    struct scan x = {
        .s = filled(SLOT_O, "state", dk * dv, side),
        .q = filled(SLOT_Q, "q", dk, side),
        .k = filled(SLOT_X, "k", dk, side),
        .a = delta ? filled(SLOT_D, "a", dk, side) : NULL,
        .b = delta ? filled(SLOT_B, "b", dk, side) : NULL,
        .decay = filled(SLOT_W, "decay", delta ? dk : 1, side),
        .v = filled(SLOT_M, "v", dv, side),
        .y = filled(SLOT_Y, "y", dv, side),
        .u = filled(SLOT_SCRATCH, "u", dv, side),
        .dk = dk,
        .dv = dv,
        .decay_one = !delta,
        .before = before,
    };
    const struct output out[] = {{x.s, dk * dv * sizeof *x.s}, {x.y, dv * sizeof *x.y}};
    check_call(p, ID_scan, call_scan, &x, out, 2, what);
}

static void check_selective(const struct pair *p, size_t n, size_t n_state, enum side side)
{
    char what[96];
    snprintf(what, sizeof what, "%zu channels of %zu numbers", n, n_state);
    struct selective_scan x = {
        .s = filled(SLOT_O, "state", n * n_state, side),
        .y = filled(SLOT_Y, "y", n, side),
        .x = filled(SLOT_X, "x", n, side),
        .dt = filled(SLOT_D, "dt", n, side),
        .A = filled(SLOT_W, "A", n * n_state, side),
        .B = filled(SLOT_B, "B", n_state, side),
        .C = filled(SLOT_Q, "C", n_state, side),
        .n = n,
        .n_state = n_state,
        .stride = n,
    };
    const struct output out[] = {{x.s, n * n_state * sizeof *x.s}, {x.y, n * sizeof *x.y}};
    check_call(p, ID_selective_scan, call_selective_scan, &x, out, 2, what);
}

struct score {
    float *y, *keys, *q;
    size_t d;
};

static void call_score_keys(const struct kernels *k, void *arg)
{
    const struct score *x = arg;
    k->score_keys(x->y, x->keys, x->q, x->d);
}

static void check_score_keys(const struct pair *p, size_t d, enum side side)
{
    char what[96];
    snprintf(what, sizeof what, "keys of %zu numbers", d);
    struct score x = {
        .y = filled(SLOT_Y, "y", KV_PAGE, side),
        .keys = filled(SLOT_X, "keys", KV_PAGE * d, side),
        .q = filled(SLOT_Q, "q", d, side),
        .d = d,
    };
    const struct output out = {x.y, KV_PAGE * sizeof *x.y};
    check_call(p, ID_score_keys, call_score_keys, &x, &out, 1, what);
}

void check_scans(const struct pair *p)
{
    static const size_t sizes[] = {1, 2, 3, 8, 15, 16, 17, 31, 64, 100, 128};
    enum { N = sizeof sizes / sizeof *sizes };
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            for (int side = 0; side < N_SIDES; side++) {
                if (j == 0)
                    check_score_keys(p, sizes[i], (enum side)side);
                for (int kind = 0; kind < 4; kind++)
                    check_scan(p, sizes[i], sizes[j], kind & 1, kind & 2, (enum side)side);
                check_selective(p, sizes[i], sizes[j], (enum side)side);
            }
}
