/* scale.c - factors of weights whose own numbers are too coarse for them (NVFP4): NAME.scale is one number for a
 * product's weight, and one for each expert of experts'. */
#include "arch/expand.h"

enum { LINEAR_W = 1, LINEAR_BIAS, EXPERTS_PLACES = 1, EXPERTS_W, EXPERTS_BIAS };

static andiron_status add(const struct arguments *a, struct node n, struct value *out)
{
    return add_node(a->x, a->f, a->e->line, &n, out);
}

static andiron_status constant(const struct arguments *a, const struct weight *w, struct value *out)
{
    struct node n = empty_node(OP_constant);
    n.arg[0].weight = w;
    return add(a, n, out);
}

static andiron_status with(const struct arguments *a, enum op op, node_id by, struct value *out)
{
    struct node n = empty_node(op);
    n.arg[0].value = out->node;
    n.arg[1].value = by;
    return add(a, n, out);
}

static const struct weight *scale_of(const struct arguments *a, const struct node *of, struct span stem)
{
    const struct weight *w = of->arg[of->op == OP_experts ? EXPERTS_W : LINEAR_W].weight;
    const uint64_t n = of->op == OP_experts ? w->dims[2] : 1;
    const struct weight *scale = stem.n ? stem_weight(a->x, stem, ".scale") : NULL;
    return scale && scale->n_dims == 1 && scale->dims[0] == n ? scale : NULL;
}

/* Numbers of the experts at hand, as one for each column of what they give. */
static andiron_status of_chosen(const struct arguments *a, const struct node *of, struct value *factors)
{
    struct node pick = empty_node(OP_pick), heads = empty_node(OP_heads);
    pick.arg[0].value = factors->node;
    pick.arg[1] = of->arg[EXPERTS_PLACES];
    andiron_status s = add(a, pick, factors);
    if (s)
        return s;
    heads.arg[0].value = factors->node;
    heads.arg[1].number = (double)shape_items(a->x->g->nodes[factors->node].shape);
    return add(a, heads, factors);
}

andiron_status add_scaled(const struct arguments *a, struct node *node, struct span stem, struct value *out)
{
    const bool experts = node->op == OP_experts;
    const struct weight *scale = node->op == OP_linear || experts ? scale_of(a, node, stem) : NULL;
    if (!scale)
        return add(a, *node, out);
    const int bias_at = experts ? EXPERTS_BIAS : LINEAR_BIAS;
    const struct weight *bias = node->arg[bias_at].weight;
    struct value factors, added;
    if (experts && bias)
        return expand_error(a->x, a->f, a->e->line, "experts with a scale and a bias are not supported (%.100s)",
                            scale->name);
    node->arg[bias_at].weight = NULL;
    andiron_status s = add(a, *node, out);
    if (!s)
        s = constant(a, scale, &factors);
    if (!s && experts)
        s = of_chosen(a, node, &factors);
    if (!s)
        s = with(a, OP_mul, factors.node, out);
    if (!s && bias)
        s = constant(a, bias, &added);
    return s || !bias ? s : with(a, OP_add, added.node, out);
}
