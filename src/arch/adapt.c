/* adapt.c - what low-rank adapters add to products (Hu et al. 2021): scale * B (A x), beside the weight's own. */
#include "arch/expand.h"
#include <inttypes.h>

enum { LINEAR_X, LINEAR_W };
enum { EMBED_IDS, EMBED_TABLE };
enum { EXPERTS_X, EXPERTS_PLACES, EXPERTS_W };

static andiron_status refuse(const struct arguments *a, const struct weight *w, const char *why)
{
    return expand_error(a->x, a->f, a->e->line, "the adapter of \"%.100s\" %s", w->name ? w->name : "", why);
}

static andiron_status add(const struct arguments *a, struct node n, struct value *out)
{
    return add_node(a->x, a->f, a->e->line, &n, out);
}

/* A x: of a table the row of each token; of experts the same ones. */
static andiron_status narrow(const struct arguments *a, const struct node *of, const struct weight *m,
                             struct value *out)
{
    struct node n = *of;
    n.arg[of->op == OP_experts ? EXPERTS_W : LINEAR_W].weight = m;
    if (of->op == OP_linear)
        n.arg[LINEAR_W + 1].weight = NULL; /* the bias is there already */
    if (of->op == OP_experts)
        n.arg[EXPERTS_W + 1].weight = NULL;
    return add(a, n, out);
}

static andiron_status widen(const struct arguments *a, const struct node *of, const struct weight *m, struct value *v)
{
    struct node n = empty_node(of->op == OP_experts ? OP_experts : OP_linear);
    n.arg[LINEAR_X].value = v->node;
    if (of->op == OP_experts)
        n.arg[EXPERTS_PLACES] = of->arg[EXPERTS_PLACES];
    n.arg[of->op == OP_experts ? EXPERTS_W : LINEAR_W].weight = m;
    return add(a, n, v);
}

/* Is it a table's, which also gives the scores? As PEFT has it, only the rows that are read are adapted. */
static bool is_of_table(const struct arch_adapter *adapter, const struct weight *w)
{
    return adapter->a->dims[0] == adapter->b->dims[0] && adapter->a->dims[1] == w->dims[1] &&
           adapter->b->dims[1] == w->dims[0];
}

static andiron_status add_one(const struct arguments *a, const struct node *of, const struct weight *w,
                              const struct arch_adapter *adapter, struct value *out)
{
    struct value v;
    const uint64_t n = of->op == OP_embed ? w->dims[0] : w->dims[1];
    const bool narrows = of->op != OP_linear || adapter->a->dims[0] == w->dims[0];
    if (!narrows && is_of_table(adapter, w))
        return ANDIRON_OK;
    if (!narrows || adapter->b->n_dims < 2 || adapter->b->dims[1] != n)
        return refuse(a, w, "is of another model: its matrices are of other sizes");
    andiron_status s = narrow(a, of, adapter->a, &v);
    if (!s)
        s = widen(a, of, adapter->b, &v);
    struct node scaled = empty_node(OP_mul), sum = empty_node(OP_add);
    scaled.arg[0].value = v.node;
    scaled.arg[2].number = adapter->scale;
    if (!s)
        s = add(a, scaled, &v);
    sum.arg[0].value = out->node;
    sum.arg[1].value = v.node;
    return s ? s : add(a, sum, out);
}

andiron_status add_adapters(const struct arguments *a, const struct node *of, struct value *out)
{
    const struct arch_source *source = a->x->source;
    const bool takes = of->op == OP_linear || of->op == OP_embed || of->op == OP_experts;
    struct arch_adapter adapter;
    andiron_status s = ANDIRON_OK;
    if (!takes || !source->adapter)
        return ANDIRON_OK;
    const struct weight *w = of->arg[of->op == OP_experts ? EXPERTS_W : LINEAR_W].weight;
    for (size_t i = 0; !s && source->adapter(source->user, w, i, &adapter); i++)
        if (adapter.a)
            s = add_one(a, of, w, &adapter, out);
    return s;
}
