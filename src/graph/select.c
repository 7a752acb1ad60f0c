/* select.c - choosing the largest of a row's numbers, and putting what was chosen together. */
#include "graph/program.h"
#include <string.h>

/* Places of the `wanted` largest numbers, by insertion: few are wanted. NaN is below everything; of equals the first
 * wins. */
static void top(const float *x, size_t n, float *out, size_t wanted)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const float a = x[i] == x[i] ? x[i] : -__builtin_inff();
        size_t at = kept < wanted ? kept : wanted;
        for (; at > 0; at--) {
            const float other = x[(size_t)out[at - 1]];
            if (!(a > (other == other ? other : -__builtin_inff())))
                break;
            if (at < wanted)
                out[at] = out[at - 1];
        }
        if (at < wanted) {
            out[at] = (float)i;
            kept += kept < wanted;
        }
    }
}

/* NaN is the first place. */
static void cut_to_places(const float *x, size_t n, float *out, float last)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] > 0 ? (float)(uint32_t)(x[i] < last ? x[i] : last) : 0;
}

/* How much a group counts: its `best` largest numbers together. */
static float group_score(const float *x, size_t n, size_t best)
{
    float sum = 0, last = __builtin_inff();
    for (size_t taken = 0; taken < best;) { /* the next smaller value, as often as it stands there */
        float next = -__builtin_inff();
        size_t times = 0;
        for (size_t i = 0; i < n; i++)
            if (x[i] < last && x[i] > next)
                next = x[i];
        for (size_t i = 0; i < n; i++)
            times += x[i] == next;
        if (times == 0)
            break;
        for (; times > 0 && taken < best; times--, taken++)
            sum += next;
        last = next;
    }
    return sum;
}

static void keep_groups(const struct step *s, const float *x, float *out)
{
    enum { GROUPS = 1, KEPT, BEST };
    const size_t groups = (size_t)s->node->arg[GROUPS].number, kept = (size_t)s->node->arg[KEPT].number,
                 best = (size_t)s->node->arg[BEST].number, n = view_items(s->in[0]), each = n / groups;
    float score[GRAPH_MAX_GROUPS];
    for (size_t g = 0; g < groups; g++)
        score[g] = group_score(x + g * each, each, best);
    /* a group is kept if fewer than `kept` others count more, or as much and stand before it */
    for (size_t g = 0; g < groups; g++) {
        size_t above = 0;
        for (size_t h = 0; h < groups && above < kept; h++)
            above += score[h] > score[g] || (score[h] == score[g] && h < g);
        for (size_t i = 0; i < each; i++)
            out[g * each + i] = above < kept ? x[g * each + i] : -__builtin_inff();
    }
}

/* From the first on: x0 * b0, then fma(xi, bi, sum). */
static void mix(const struct kernels *k, const struct step *s, const float *x, const float *b, float *out)
{
    const size_t n = s->in[0].size;
    k->scale(out, x, b[0], n);
    for (size_t i = 1; i < s->in[0].heads; i++)
        k->axpy(out, x + i * n, b[i], n);
}

enum { TOP_BY = 2 }; /* its place among top's arguments */

void run_selection(const struct run *r, const struct step *s, const float *a, const float *b, float *out)
{
    switch (s->op) {
    case STEP_TOP:
        top(a, view_items(s->in[0]), out, view_items(s->out));
        for (size_t i = 0, by = (size_t)s->node->arg[TOP_BY].number; by > 1 && i < view_items(s->out); i++)
            out[i] = (float)((size_t)out[i] / by);
        break;
    case STEP_PLACES: cut_to_places(a, view_items(s->out), out, (float)(s->node->arg[1].number - 1)); break;
    case STEP_PICK:
        for (size_t i = 0; i < view_items(s->out); i++)
            out[i] = a[(size_t)b[i]];
        break;
    case STEP_KEEP_GROUPS: keep_groups(s, a, out); break;
    default: mix(r->plan->kernels, s, a, b, out); break;
    }
}

/* ---- which rows chose which expert ---- */

/* The table of STEP_SORT holds, for n rows with k places each and g groups, one for each expert that was chosen:
 *     order [n * k] uint32    row * k + place, those of one expert together, in rising order
 *     start [n * k + 1]       where in `order` each group begins; all after the last group: n * k
 *     expert [n * k]          of each group */
void experts_sort(const struct run *r, const struct step *s)
{
    const size_t k = view_items(s->in[0]), n = r->n * k;
    uint32_t *order = (uint32_t *)(void *)run_row(r, s->out, 0, 0), *start = order + n, *expert = start + n + 1;
    size_t at = 0, groups = 0;
    for (uint32_t e = 0; e < s->n_matrices && at < n; e++) {
        const size_t first = at;
        for (size_t row = 0; row < r->n; row++) {
            const float *places = run_row(r, s->in[0], row, 0);
            for (size_t i = 0; i < k; i++)
                if (places[i] == (float)e)
                    order[at++] = (uint32_t)(row * k + i);
        }
        if (at > first) {
            start[groups] = (uint32_t)first;
            expert[groups++] = e;
        }
    }
    for (size_t g = groups; g <= n; g++)
        start[g] = (uint32_t)at;
}
