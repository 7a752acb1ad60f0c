/* rules.c - what token-wise ops ask, and what all rules share. */
#include "graph/rules.h"
#include "kernels/kernels.h"
#include <inttypes.h>
#include <stdio.h>

/* ---- rules the ops share ---- */

andiron_status rule_give(const struct check *c, uint32_t n_dims, uint64_t d0, uint64_t d1)
{
    if (d0 > GRAPH_MAX_ITEMS || d1 > GRAPH_MAX_ITEMS || d0 * d1 > GRAPH_MAX_ITEMS)
        return rule_refuse(c, "gives rows of %" PRIu64 " x %" PRIu64 " numbers; expected at most %d", d0, d1,
                           GRAPH_MAX_ITEMS);
    c->node->shape = (struct shape){n_dims, {(uint32_t)d0, (uint32_t)d1, 1, 1}};
    return ANDIRON_OK;
}

/* A vector of `n` float32, or left out. */
andiron_status rule_vector(const struct check *c, size_t i, uint64_t n)
{
    const struct weight *w = rule_weight(c, i);
    char expected[96];
    if (!w)
        return ANDIRON_OK;
    uint64_t items = 1, most = 1; /* below 2^48: check_weight */
    for (uint32_t d = 0; d < w->n_dims; d++) {
        items *= w->dims[d];
        most = w->dims[d] > most ? w->dims[d] : most;
    }
    if (w->type == TYPE_F32 && items == n && most == n)
        return ANDIRON_OK;
    snprintf(expected, sizeof expected, "%s to be F32 [%" PRIu64 "]", c->info->arg[i].name, n);
    return rule_refuse_weight(c, w, expected);
}

andiron_status rule_same(struct check *c)
{
    c->node->shape = rule_shape(c, 0);
    return ANDIRON_OK;
}

andiron_status rule_numbers(const struct check *c, size_t n, const uint8_t (*rules)[2])
{
    for (size_t i = 0; i < n; i++) {
        double x = rule_number(c, rules[i][0]);
        if (rules[i][1] == POSITIVE && !((float)x > 0))
            return rule_refuse_number(c, rules[i][0], "above 0");
        if (rules[i][1] == NOT_NEGATIVE && !(x >= 0))
            return rule_refuse_number(c, rules[i][0], "at least 0");
        if (rules[i][1] == COUNT && !rule_is_count(x, 0))
            return rule_refuse_number(c, rules[i][0], "a whole number from 0 on");
    }
    return ANDIRON_OK;
}

/* ---- each op ---- */

static andiron_status inputs(struct check *c)
{
    if (c->g->n_nodes != (size_t)c->node->op)
        return rule_refuse(c, "expected to be node %d of the graph, got place %zu", (int)c->node->op, c->g->n_nodes);
    return rule_give(c, 1, 1, 1);
}

static andiron_status geometric(struct check *c)
{
    if (!rule_is_count(rule_number(c, 0), 1) || rule_number(c, 0) > 65536)
        return rule_refuse_number(c, 0, "a whole number from 1 to 65536");
    return rule_give(c, 1, (uint64_t)rule_number(c, 0), 1);
}

static andiron_status one_number(struct check *c) { return rule_give(c, 1, 1, 1); }

static andiron_status constant(struct check *c)
{
    const struct weight *w = rule_weight(c, 0);
    struct shape s = {w->n_dims, {1, 1, 1, 1}};
    uint64_t items = 1; /* below 2^48: check_weight */
    for (uint32_t d = 0; d < w->n_dims; d++) {
        s.dims[d] = (uint32_t)w->dims[d];
        items *= w->dims[d];
    }
    if (items > GRAPH_MAX_ITEMS)
        return rule_refuse_weight(c, w, "a tensor of at most 16777216 numbers");
    c->node->shape = s;
    return ANDIRON_OK;
}

/* A vector is a matrix of one row. Rows of quantized types are whole blocks (check_weight), and so a multiple of the 32
 * that their products read at once. */
static andiron_status linear(struct check *c)
{
    const struct weight *w = rule_weight(c, 1);
    size_t items = shape_items(rule_shape(c, 0));
    char text[SHAPE_TEXT], expected[160];
    const bool deep = w->n_dims == 3;
    const uint64_t columns = deep ? w->dims[0] * w->dims[1] : w->dims[0], rows = deep ? w->dims[2] : w->dims[1];
    andiron_status s = ANDIRON_OK;
    if (w->n_dims > 3 || (deep && type_info(w->type)->block_items > 1))
        return rule_refuse_weight(c, w, "a matrix of at most 2 dimensions, or 3 where its type has no blocks");
    if (columns != items) {
        snprintf(expected, sizeof expected, "rows of %zu numbers, as many as x %s has", items,
                 shape_text(rule_shape(c, 0), text));
        s = rule_refuse_weight(c, w, expected);
    }
    if (!s)
        s = rule_vector(c, 2, rows);
    return s ? s : rule_give(c, 1, rows, 1);
}

static andiron_status norm(struct check *c, size_t eps)
{
    if (rule_number(c, eps) < 0)
        return rule_refuse_number(c, eps, "at least 0");
    andiron_status s = rule_vector(c, 1, rule_shape(c, 0).dims[0]);
    return s ? s : rule_same(c);
}

static andiron_status rmsnorm(struct check *c) { return norm(c, 2); }

static andiron_status layernorm(struct check *c)
{
    andiron_status s = rule_vector(c, 2, rule_shape(c, 0).dims[0]);
    return s ? s : norm(c, 3);
}

static andiron_status heads(struct check *c)
{
    size_t items = shape_items(rule_shape(c, 0));
    char text[SHAPE_TEXT];
    if (!rule_is_count(rule_number(c, 1), 1))
        return rule_refuse_number(c, 1, "a whole number from 1 on");
    uint64_t n = (uint64_t)rule_number(c, 1);
    if (items % n)
        return rule_refuse(c, "expected a number of heads that divides x %s, got %" PRIu64,
                           shape_text(rule_shape(c, 0), text), n);
    return rule_give(c, 2, items / n, n);
}

static andiron_status sum(struct check *c)
{
    c->node->shape = rule_shape(c, 0);
    c->node->shape.dims[0] = 1;
    return ANDIRON_OK;
}

static andiron_status l2norm(struct check *c)
{
    return (float)rule_number(c, 1) > 0 ? rule_same(c) : rule_refuse_number(c, 1, "above 0");
}

static uint64_t n_heads(struct shape s) { return shape_items(s) / s.dims[0]; }

static andiron_status concat(struct check *c)
{
    struct shape a = rule_shape(c, 0), b = rule_shape(c, 1);
    char a_text[SHAPE_TEXT], b_text[SHAPE_TEXT];
    if (n_heads(a) != n_heads(b))
        return rule_refuse(c, "expected a and b to have one number of heads, got %s and %s", shape_text(a, a_text),
                           shape_text(b, b_text));
    return rule_give(c, a.n_dims == 1 && b.n_dims == 1 ? 1 : 2, (uint64_t)a.dims[0] + b.dims[0], n_heads(a));
}

static andiron_status repeat(struct check *c)
{
    struct shape x = rule_shape(c, 0);
    if (!rule_is_count(rule_number(c, 1), 1))
        return rule_refuse_number(c, 1, "a whole number from 1 on");
    return rule_give(c, 2, x.dims[0], n_heads(x) * (uint64_t)rule_number(c, 1));
}

/* Each of the numbers that are read is within x: counts and steps are bounded before they are multiplied. */
static andiron_status arrange(struct check *c)
{
    enum { X, START, N0 };
    const double items = (double)shape_items(rule_shape(c, X));
    double last = rule_number(c, START), n = 1;
    for (size_t i = START; i <= N0 + 5; i++)
        if (!rule_is_count(rule_number(c, i), 0))
            return rule_refuse_number(c, i, "a whole number from 0 on");
    for (size_t i = N0; i <= N0 + 4; i += 2) {
        if (rule_number(c, i) < 1 || rule_number(c, i) > GRAPH_MAX_ITEMS)
            return rule_refuse_number(c, i, "a whole number from 1 to 16777216");
        last += (rule_number(c, i) - 1) * rule_number(c, i + 1);
        n *= rule_number(c, i);
    }
    if (last >= items)
        return rule_refuse(c, "reads number %.0f of x, which has %.0f", last, items);
    if (n > GRAPH_MAX_ITEMS)
        return rule_refuse(c, "gives %.0f numbers; expected at most %d", n, GRAPH_MAX_ITEMS);
    return rule_give(c, 2, (uint64_t)rule_number(c, N0), (uint64_t)(rule_number(c, N0 + 2) * rule_number(c, N0 + 4)));
}

static andiron_status flat(struct check *c) { return rule_give(c, 1, shape_items(rule_shape(c, 0)), 1); }

static andiron_status slice(struct check *c)
{
    struct shape x = rule_shape(c, 0);
    char text[SHAPE_TEXT];
    if (!rule_is_count(rule_number(c, 1), 0))
        return rule_refuse_number(c, 1, "a whole number from 0 on");
    if (!rule_is_count(rule_number(c, 2), 1))
        return rule_refuse_number(c, 2, "a whole number from 1 on");
    if (rule_number(c, 1) + rule_number(c, 2) > (double)x.dims[0])
        return rule_refuse(c,
                           "expected start + n to be at most %" PRIu32 ", the first dimension of x %s, got %.0f + %.0f",
                           x.dims[0], shape_text(x, text), rule_number(c, 1), rule_number(c, 2));
    c->node->shape = x;
    c->node->shape.dims[0] = (uint32_t)rule_number(c, 2);
    return ANDIRON_OK;
}

/* add, mul and div: b has a's shape, or is one row for all of a's heads, or a number for each, or for all. */
static andiron_status with_b(struct check *c)
{
    char a_text[SHAPE_TEXT], b_text[SHAPE_TEXT];
    if (c->node->arg[1].value == -1)
        return rule_same(c);
    if (rule_number(c, 2) != c->info->arg[2].fallback)
        return rule_refuse(c, "expected b or a number, got both");
    struct shape a = rule_shape(c, 0), b = rule_shape(c, 1);
    bool row = b.dims[0] == a.dims[0] || b.dims[0] == 1, one = n_heads(a) == 1;
    if (!row || (n_heads(b) != n_heads(a) && n_heads(b) != 1))
        return one ? rule_refuse(c, "expected b to be [%" PRIu32 "] or [1], got %s", a.dims[0], shape_text(b, b_text))
                   : rule_refuse(c, "expected b to be %s, [%" PRIu32 "], [1, %" PRIu64 "] or [1], got %s",
                                 shape_text(a, a_text), a.dims[0], n_heads(a), shape_text(b, b_text));
    return rule_same(c);
}

static andiron_status clamp(struct check *c)
{
    return rule_number(c, 1) <= rule_number(c, 2) ? rule_same(c) : rule_refuse_number(c, 2, "at least what low is");
}

static andiron_status softcap(struct check *c)
{
    return (float)rule_number(c, 1) > 0 ? rule_same(c) : rule_refuse_number(c, 1, "above 0");
}

const rule_fn op_rules[OP_LIMIT] = {
    [OP_tokens] = inputs,
    [OP_positions] = inputs,
    [OP_remainder] = rules_remainder,
    [OP_replace] = rules_replace,
    [OP_numbers] = one_number,
    [OP_place_of] = rules_place_of,
    [OP_constant] = constant,
    [OP_geometric] = geometric,
    [OP_embed] = rules_embed,
    [OP_ngrams] = rules_ngrams,
    [OP_linear] = linear,
    [OP_rmsnorm] = rmsnorm,
    [OP_layernorm] = layernorm,
    [OP_groupnorm] = rules_groupnorm,
    [OP_fourier] = rules_fourier,
    [OP_l2norm] = l2norm,
    [OP_sum] = sum,
    [OP_heads] = heads,
    [OP_flat] = flat,
    [OP_slice] = slice,
    [OP_concat] = concat,
    [OP_repeat] = repeat,
    [OP_arrange] = arrange,
    [OP_rope] = rules_rope,
    [OP_attend] = rules_attend,
    [OP_choose] = rules_choose,
    [OP_head_linear] = rules_head_linear,
    [OP_top] = rules_top,
    [OP_places] = rules_places,
    [OP_pick] = rules_pick,
    [OP_keep_groups] = rules_keep_groups,
    [OP_experts] = rules_experts,
    [OP_mix] = rules_mix,
    [OP_carry] = rules_carry,
    [OP_keep] = rules_keep,
    [OP_peak] = rules_peak,
    [OP_around] = rules_around,
    [OP_conv] = rules_conv,
    [OP_scan] = rules_scan,
    [OP_selective_scan] = rules_selective_scan,
    [OP_add] = with_b,
    [OP_mul] = with_b,
    [OP_div] = with_b,
    [OP_clamp] = clamp,
    [OP_softcap] = softcap,
}; /* the rest: elementwise */
