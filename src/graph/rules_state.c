/* rules_state.c - what ops with a state ask. */
#include "graph/rules.h"
#include <inttypes.h>
#include <stdio.h>

static uint64_t n_heads(struct shape s) { return shape_items(s) / s.dims[0]; }

/* F32 [d0, d1], whatever ones follow. */
static andiron_status check_matrix_f32(const struct check *c, size_t i, uint64_t d0, uint64_t d1)
{
    const struct weight *w = rule_weight(c, i);
    char expected[96];
    snprintf(expected, sizeof expected, "%s to be F32 [%" PRIu64 ", %" PRIu64 "]", c->info->arg[i].name, d0, d1);
    bool same = w->dims[0] == d0 && w->type == TYPE_F32;
    uint64_t rest = 1; /* below 2^24: check_weight */
    for (uint32_t d = 1; d < w->n_dims; d++)
        rest *= w->dims[d];
    return same && rest == d1 ? ANDIRON_OK : rule_refuse_weight(c, w, expected);
}

andiron_status rules_carry(struct check *c)
{
    if (!rule_is_count(rule_number(c, 0), 1) || rule_number(c, 0) > GRAPH_MAX_ITEMS)
        return rule_refuse_number(c, 0, "a whole number from 1 on, as many as a row may have");
    if (c->g->n_loops >= GRAPH_MAX_LOOPS)
        return rule_refuse(c, "expected at most %d of them in a graph, got one more", GRAPH_MAX_LOOPS);
    return rule_give(c, 1, (uint64_t)rule_number(c, 0), 1);
}

enum { KEEP_CARRY, KEEP_X, KEEP_Y };

andiron_status rules_keep(struct check *c)
{
    const node_id carry = c->node->arg[KEEP_CARRY].value, y = c->node->arg[KEEP_Y].value;
    if (c->g->nodes[carry].op != OP_carry)
        return rule_refuse(c, "expected a carry, got the value of %s", op_infos[c->g->nodes[carry].op].name);
    for (size_t i = (size_t)carry; i < c->g->n_nodes; i++)
        if (c->g->nodes[i].op == OP_keep && c->g->nodes[i].arg[KEEP_CARRY].value == carry)
            return rule_refuse(c, "expected a carry that is kept once");
    if (shape_items(rule_shape(c, KEEP_X)) != shape_items(c->g->nodes[carry].shape))
        return rule_refuse(c, "expected x to have as many numbers as the carry");
    if (c->g->nodes[c->node->arg[KEEP_X].value].loop != carry || (y >= 0 && c->g->nodes[y].loop != carry))
        return rule_refuse(c, "expected what is made of the carry");
    c->node->shape = rule_shape(c, y >= 0 ? KEEP_Y : KEEP_X);
    return ANDIRON_OK;
}

static bool looks_at_others(const struct check *c)
{
    const enum op op = c->node->op;
    return op == OP_choose || (op != OP_carry && op != OP_keep && graph_spans_rows(c->g, c->node));
}

andiron_status rules_loop(struct check *c)
{
    struct node *n = c->node;
    n->loop = n->op == OP_carry ? (node_id)c->g->n_nodes : -1;
    for (size_t i = 0; i < OP_MAX_ARGS && c->info->arg[i].kind != ARG_NONE; i++) {
        if (c->info->arg[i].kind != ARG_VALUE || n->arg[i].value < 0 || c->g->nodes[n->arg[i].value].loop < 0)
            continue;
        const node_id loop = c->g->nodes[n->arg[i].value].loop;
        if (n->loop >= 0 && n->loop != loop)
            return rule_refuse(c, "expected values that are made of one carry, got two");
        n->loop = loop;
    }
    if (n->loop >= 0 && looks_at_others(c))
        return rule_refuse(c, "looks at other rows, as nothing may that is made of a carry");
    n->loop = n->op == OP_keep ? -1 : n->loop;
    return ANDIRON_OK;
}

andiron_status rules_peak(struct check *c)
{
    c->node->shape = rule_shape(c, 0);
    if (shape_items(rule_shape(c, 1)) != shape_items(c->node->shape))
        return rule_refuse(c, "expected decay to have as many numbers as x");
    return ANDIRON_OK;
}

andiron_status rules_groupnorm(struct check *c)
{
    enum { WEIGHT = 1, BIAS, GROUPS, EPS };
    const size_t d = shape_items(rule_shape(c, 0));
    if (!rule_is_count(rule_number(c, GROUPS), 1) || d % (size_t)rule_number(c, GROUPS))
        return rule_refuse_number(c, GROUPS, "a number that divides those of x");
    if (rule_number(c, EPS) < 0)
        return rule_refuse_number(c, EPS, "at least 0");
    andiron_status s = rule_vector(c, WEIGHT, d);
    if (!s)
        s = rule_vector(c, BIAS, d);
    return s ? s : rule_same(c);
}

andiron_status rules_fourier(struct check *c)
{
    if (shape_items(rule_shape(c, 1)) != shape_items(rule_shape(c, 0)))
        return rule_refuse(c, "expected b to have as many numbers as a");
    return rule_same(c);
}

andiron_status rules_around(struct check *c)
{
    enum { BEFORE = 1, AFTER, MOST = 64 };
    for (size_t i = BEFORE; i <= AFTER; i++)
        if (!rule_is_count(rule_number(c, i), 0) || rule_number(c, i) > MOST)
            return rule_refuse_number(c, i, "a whole number from 0 to 64");
    return rule_give(c, 2, (uint64_t)(rule_number(c, BEFORE) + 1 + rule_number(c, AFTER)),
                     shape_items(rule_shape(c, 0)));
}

andiron_status rules_conv(struct check *c)
{
    enum { STEP = 3, AHEAD };
    const uint64_t d = shape_items(rule_shape(c, 0)), taps = rule_weight(c, 1)->dims[0];
    if (taps > 129)
        return rule_refuse_weight(c, rule_weight(c, 1), "at most 129 taps");
    if (!rule_is_count(rule_number(c, STEP), 1) || rule_number(c, STEP) > 64)
        return rule_refuse_number(c, STEP, "a whole number from 1 to 64");
    if (!rule_is_count(rule_number(c, AHEAD), 0) || rule_number(c, AHEAD) > 64)
        return rule_refuse_number(c, AHEAD, "a whole number from 0 to 64");
    andiron_status s = check_matrix_f32(c, 1, taps, d);
    if (!s)
        s = rule_vector(c, 2, d);
    return s ? s : rule_give(c, 1, d, 1);
}

enum { SCAN_Q, SCAN_K, SCAN_V, SCAN_DECAY, SCAN_A, SCAN_B, SCAN_ORDER, SCAN_STEPS };

static andiron_status check_steps(const struct check *c)
{
    enum { MOST = 16 };
    const double steps = rule_number(c, SCAN_STEPS);
    return rule_is_count(steps, 1) && steps <= MOST && (steps == 1 || rule_number(c, SCAN_ORDER) == 0)
               ? ANDIRON_OK
               : rule_refuse_number(c, SCAN_STEPS, "a whole number from 1 to 16, and 1 with order: \"before\"");
}

/* Are q, k, a and b of one size, k, a and b with n heads for each of q's? */
static bool same_keys(const struct check *c, uint64_t n)
{
    const struct shape q = rule_shape(c, SCAN_Q), k = rule_shape(c, SCAN_K);
    bool same = q.dims[0] == k.dims[0] && n_heads(q) * n == n_heads(k);
    for (size_t i = SCAN_A; i <= SCAN_B && c->node->arg[SCAN_A].value >= 0; i++)
        same = same && rule_shape(c, i).dims[0] == k.dims[0] && n_heads(rule_shape(c, i)) == n_heads(k);
    return same;
}

andiron_status rules_scan(struct check *c)
{
    const struct shape q = rule_shape(c, SCAN_Q), k = rule_shape(c, SCAN_K), v = rule_shape(c, SCAN_V),
                       decay = rule_shape(c, SCAN_DECAY);
    char q_text[SHAPE_TEXT], k_text[SHAPE_TEXT], v_text[SHAPE_TEXT], d_text[SHAPE_TEXT];
    const char *expected = NULL;
    if ((c->node->arg[SCAN_A].value < 0) != (c->node->arg[SCAN_B].value < 0))
        return rule_refuse(c, "expected both a and b, or neither");
    andiron_status s = check_steps(c);
    if (s)
        return s;
    const uint64_t n = (uint64_t)rule_number(c, SCAN_STEPS);
    if (!same_keys(c, n))
        expected = n > 1 ? "k, a and b to be as q, so many steps for each head" : "q, k, a and b to be of one shape";
    else if (n_heads(v) % n_heads(k))
        expected = "v to have a multiple of k's heads";
    else if (n_heads(decay) != n_heads(v) || (decay.dims[0] != 1 && decay.dims[0] != k.dims[0]))
        expected = "decay to be [1, v's heads] or [k's head size, v's heads]";
    else if (k.dims[0] > 1024 || v.dims[0] > 1024)
        expected = "heads of at most 1024 numbers";
    if (expected)
        return rule_refuse(c, "expected %s, got q %s, k %s, v %s, decay %s", expected, shape_text(q, q_text),
                           shape_text(k, k_text), shape_text(v, v_text), shape_text(decay, d_text));
    return rule_give(c, 2, v.dims[0], n_heads(v) / n);
}

andiron_status rules_selective_scan(struct check *c)
{
    const uint64_t d = shape_items(rule_shape(c, 0)), n = rule_weight(c, 2)->dims[0];
    if (shape_items(rule_shape(c, 1)) != d)
        return rule_refuse(c, "expected dt to have as many numbers as x");
    if (shape_items(rule_shape(c, 3)) != n || shape_items(rule_shape(c, 4)) != n)
        return rule_refuse(c, "expected B and C to have %" PRIu64 " numbers, as rows of A have", n);
    andiron_status s = check_matrix_f32(c, 2, n, d);
    return s ? s : rule_give(c, 1, d, 1);
}
