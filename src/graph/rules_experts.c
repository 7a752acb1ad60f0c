/* rules_experts.c - what choosing experts and products with one of several matrices ask. */
#include "graph/rules.h"
#include <inttypes.h>
#include <stdio.h>

/* Choosing is quadratic in what a definition says; these bound a row's work, far above any model's. */
enum { MOST_CANDIDATES = 1 << 16, MOST_CHOSEN = 512, MOST_PAIRS = 1 << 20 };

static uint64_t n_heads(struct shape s) { return shape_items(s) / s.dims[0]; }

/* A whole number from 1 to `most`. */
static andiron_status check_count(const struct check *c, size_t i, uint64_t most)
{
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from 1 to %" PRIu64, most);
    return rule_is_count(rule_number(c, i), 1) && rule_number(c, i) <= (double)most
               ? ANDIRON_OK
               : rule_refuse_number(c, i, expected);
}

static uint64_t lesser(uint64_t a, uint64_t b) { return a < b ? a : b; }

static andiron_status check_candidates(const struct check *c)
{
    const size_t items = shape_items(rule_shape(c, 0));
    return items <= MOST_CANDIDATES
               ? ANDIRON_OK
               : rule_refuse(c, "expected x to have at most %d numbers, got %zu", MOST_CANDIDATES, items);
}

andiron_status rules_top(struct check *c)
{
    andiron_status s = check_candidates(c);
    if (!s)
        s = check_count(c, 1, lesser(shape_items(rule_shape(c, 0)), MOST_CHOSEN));
    if (!s)
        s = check_count(c, 2, MOST_CANDIDATES);
    return s ? s : rule_give(c, 1, (uint64_t)rule_number(c, 1), 1);
}

/* As large as floats hold every whole number. */
andiron_status rules_places(struct check *c)
{
    andiron_status s = check_candidates(c);
    if (!s)
        s = check_count(c, 1, 1 << 24);
    return s ? s : rule_give(c, 1, shape_items(rule_shape(c, 0)), 1);
}

/* Argument i comes from `top` over at most n numbers, or from `places`: its places are below n, whatever the numbers
 * are. */
static andiron_status check_places(const struct check *c, size_t i, uint64_t n)
{
    const struct node *from = &c->g->nodes[c->node->arg[i].value];
    if (from->op != OP_top && from->op != OP_places)
        return rule_refuse(c, "expected %s to be what top or places gives, got the value of %s", c->info->arg[i].name,
                           op_infos[from->op].name);
    const size_t by = from->op == OP_top ? (size_t)from->arg[2].number : 1,
                 most = from->op == OP_places ? (size_t)from->arg[1].number
                                              : (shape_items(c->g->nodes[from->arg[0].value].shape) + by - 1) / by;
    return most <= n
               ? ANDIRON_OK
               : rule_refuse(c, "expected places below %" PRIu64 ", got %s of %zu", n, op_infos[from->op].name, most);
}

andiron_status rules_pick(struct check *c)
{
    andiron_status s = check_places(c, 1, shape_items(rule_shape(c, 0)));
    return s ? s : rule_give(c, 1, rule_shape(c, 1).dims[0], 1);
}

andiron_status rules_keep_groups(struct check *c)
{
    const uint64_t items = shape_items(rule_shape(c, 0));
    andiron_status s = check_candidates(c);
    if (!s)
        s = check_count(c, 1, lesser(items, GRAPH_MAX_GROUPS));
    if (!s && items % (uint64_t)rule_number(c, 1))
        s = rule_refuse(c, "expected a number of groups that divides %" PRIu64 ", got %.0f", items, rule_number(c, 1));
    if (!s)
        s = check_count(c, 2, (uint64_t)rule_number(c, 1));
    if (!s)
        s = check_count(c, 3, lesser(items / (uint64_t)rule_number(c, 1), 64));
    return s ? s : rule_same(c);
}

andiron_status rules_experts(struct check *c)
{
    const struct weight *w = rule_weight(c, 2), *bias = rule_weight(c, 3);
    const struct shape x = rule_shape(c, 0), places = rule_shape(c, 1);
    char text[SHAPE_TEXT], expected[160];
    if (w->n_dims > 3)
        return rule_refuse_weight(c, w, "a tensor of 3 dimensions: a matrix for each expert");
    const uint64_t n_experts = w->n_dims == 3 ? w->dims[2] : 1;
    andiron_status s = check_places(c, 1, n_experts);
    if (s)
        return s;
    if (n_experts * places.dims[0] > MOST_PAIRS)
        return rule_refuse(c, "expected at most %d experts times places, got %" PRIu64 " times %" PRIu32, MOST_PAIRS,
                           n_experts, places.dims[0]);
    const bool one = shape_items(x) == w->dims[0], each = x.dims[0] == w->dims[0] && n_heads(x) == places.dims[0];
    snprintf(expected, sizeof expected, "rows of as many numbers as x %s has for an expert", shape_text(x, text));
    if (!one && !each)
        return rule_refuse_weight(c, w, expected);
    if (bias && (bias->type != TYPE_F32 || bias->dims[0] != w->dims[1] ||
                 bias->dims[0] * bias->dims[1] * bias->dims[2] * bias->dims[3] != w->dims[1] * n_experts))
        return rule_refuse_weight(c, bias, "a row of F32 for each expert");
    return rule_give(c, 2, w->dims[1], places.dims[0]);
}

andiron_status rules_mix(struct check *c)
{
    struct shape x = rule_shape(c, 0), b = rule_shape(c, 1);
    char x_text[SHAPE_TEXT], b_text[SHAPE_TEXT];
    if (n_heads(x) != shape_items(b))
        return rule_refuse(c, "expected b to have a number for each head of x %s, got %s", shape_text(x, x_text),
                           shape_text(b, b_text));
    return rule_give(c, 1, x.dims[0], 1);
}

andiron_status rules_head_linear(struct check *c)
{
    const struct weight *w = rule_weight(c, 1);
    struct shape x = rule_shape(c, 0);
    char text[SHAPE_TEXT], expected[160];
    const uint64_t n = n_heads(x);
    snprintf(expected, sizeof expected, "a matrix for each head of x %s", shape_text(x, text));
    if (w->n_dims > 3 || w->n_dims < 2 || w->dims[0] != x.dims[0] || w->dims[1] * w->dims[2] % n ||
        (w->n_dims == 3 && w->dims[2] != n))
        return rule_refuse_weight(c, w, expected);
    return rule_give(c, 2, w->dims[1] * w->dims[2] / n, n);
}
