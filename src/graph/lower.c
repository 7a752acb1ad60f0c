/* lower.c - from nodes to steps: views instead of copies, one quantization for all products that read a value, gated
 * units as one step, and the split into body and head. */
#include "base/error.h"
#include "graph/program.h"
#include <string.h>

enum { HEAD_PARTS = 2 };  /* what the head's products read is kept twice as exact: program.h */
enum { LOOK_BACK = 256 }; /* steps searched for a quantization or a table that exists already */

struct lower {
    const struct graph *g;
    struct program *p, *body; /* body: NULL while the body itself is lowered */
    struct arena *arena;
    andiron_error *error;
    andiron_status status;           /* of what went wrong first */
    bool *in_body, *in_head;         /* [n_nodes] */
    bool *fused;                     /* [n_nodes] computed by the node that reads it */
    struct view *views, *body_views; /* [n_nodes] table -1: not computed */
};

static const struct view no_view = {.table = -1};

/* ---- growing ---- */

/* Room for one more item in an array of the arena; the old one stays behind. */
static void *grow(struct lower *l, void *items, size_t n, size_t *capacity, size_t item_bytes)
{
    if (n < *capacity)
        return items;
    size_t more = *capacity ? 2 * *capacity : 256;
    void *grown = arena_alloc(l->arena, more, item_bytes);
    if (!grown) {
        if (!l->status)
            l->status = error_memory(l->error, more * item_bytes, "the steps of a graph");
        return NULL;
    }
    if (n)
        memcpy(grown, items, n * item_bytes);
    *capacity = more;
    return grown;
}

static int32_t add_table(struct lower *l, uint32_t items, uint8_t parts)
{
    struct program *p = l->p;
    struct table *tables = grow(l, p->tables, p->n_tables, &p->table_capacity, sizeof *tables);
    if (!tables)
        return -1;
    p->tables = tables;
    tables[p->n_tables] = (struct table){.items = items, .parts = parts};
    return (int32_t)p->n_tables++;
}

static struct view whole(int32_t table, uint32_t size, uint32_t heads)
{
    return (struct view){table, 0, size, heads, size};
}

/* Append `s`, with an output of `heads` runs of `size` numbers. */
static struct view emit(struct lower *l, struct step s, uint32_t size, uint32_t heads, uint8_t parts)
{
    struct program *p = l->p;
    struct step *steps = grow(l, p->steps, p->n_steps, &p->step_capacity, sizeof *steps);
    int32_t table = steps ? add_table(l, size * heads, parts) : -1;
    if (table < 0)
        return no_view;
    p->steps = steps;
    s.out = whole(table, size, heads);
    steps[p->n_steps++] = s;
    return s.out;
}

/* ---- reading ---- */

static bool run_together(struct view v) { return v.heads == 1 || v.head_stride == v.size; }

static struct view input(struct lower *l, node_id id)
{
    if (l->views[id].table < 0 && l->body && l->in_body[id] && l->body_views[id].table >= 0) {
        struct view v = l->body_views[id];
        l->body->tables[v.table].kept = true;
        struct step s = {.op = STEP_GATHER, .in = {v, no_view, no_view}};
        l->views[id] = emit(l, s, v.size, v.heads, 0);
    }
    return l->views[id];
}

/* The same numbers without gaps; where `alone`, in a table of their own. */
static struct view packed(struct lower *l, struct view v, bool alone)
{
    if (v.table < 0 || (run_together(v) && (!alone || l->p->tables[v.table].items == view_items(v))))
        return v;
    struct step s = {.op = STEP_COPY, .in = {v, no_view, no_view}};
    return emit(l, s, v.size, v.heads, 0);
}

static bool same_numbers(struct view a, struct view b)
{
    bool same = a.table == b.table && a.offset == b.offset && view_items(a) == view_items(b);
    return same && ((run_together(a) && run_together(b)) || (a.size == b.size && a.head_stride == b.head_stride));
}

static struct view quantized(struct lower *l, struct view v)
{
    struct program *p = l->p;
    for (size_t i = p->n_steps; i-- > 0 && p->n_steps - i <= LOOK_BACK;) {
        const struct step *s = &p->steps[i];
        if (s->op == STEP_QUANTIZE && same_numbers(s->in[0], v))
            return s->out;
    }
    v = packed(l, v, false);
    struct step s = {.op = STEP_QUANTIZE, .in = {v, no_view, no_view}};
    return emit(l, s, view_items(v), 1, l->body ? HEAD_PARTS : 1);
}

/* ---- nodes ---- */

static enum activation activation_of(enum op op)
{
    switch (op) {
    case OP_silu: return ACT_SILU;
    case OP_gelu: return ACT_GELU;
    case OP_gelu_tanh: return ACT_GELU_TANH;
    case OP_gelu_quick: return ACT_GELU_QUICK;
    case OP_relu: return ACT_RELU;
    case OP_relu2: return ACT_RELU2;
    case OP_sigmoid: return ACT_SIGMOID;
    case OP_tanh: return ACT_TANH;
    case OP_exp: return ACT_EXP;
    case OP_softplus: return ACT_SOFTPLUS;
    default: return ACT_NONE;
    }
}

static struct view lower_heads(struct lower *l, const struct node *n)
{
    struct view v = packed(l, input(l, n->arg[0].value), false);
    v.size = n->shape.dims[0];
    v.heads = (uint32_t)(shape_items(n->shape) / n->shape.dims[0]);
    v.head_stride = v.size;
    return v;
}

static struct view lower_slice(struct lower *l, const struct node *n)
{
    struct view v = input(l, n->arg[0].value);
    v.offset += (uint32_t)n->arg[1].number;
    v.size = (uint32_t)n->arg[2].number;
    return v;
}

static struct view lower_linear(struct lower *l, const struct node *n)
{
    const struct weight *w = n->arg[1].weight;
    struct view x = input(l, n->arg[0].value);
    x = mul_reads_q8(w->type) ? quantized(l, x) : packed(l, x, true);
    struct step s = {.op = STEP_LINEAR, .in = {x, no_view, no_view}, .weight = w, .bias = n->arg[2].weight};
    return emit(l, s, (uint32_t)w->dims[1], 1, 0);
}

static struct view lower_norm(struct lower *l, const struct node *n)
{
    struct view x = input(l, n->arg[0].value);
    struct step s = {.op = n->op == OP_rmsnorm ? STEP_RMSNORM : STEP_LAYERNORM,
                     .in = {x, no_view, no_view},
                     .weight = n->arg[1].weight};
    if (n->op == OP_layernorm)
        s.bias = n->arg[2].weight;
    s.number = (float)n->arg[n->op == OP_rmsnorm ? 2 : 3].number;
    return emit(l, s, x.size, x.heads, 0);
}

/* The same rotation may serve every layer. */
static bool same_rope(const struct node *a, const struct node *b)
{
    for (int i = 1; i < OP_MAX_ARGS; i++) {
        bool weight = op_infos[OP_rope].arg[i].kind == ARG_WEIGHT;
        if (op_infos[OP_rope].arg[i].kind == ARG_NONE)
            break;
        if (weight ? a->arg[i].weight != b->arg[i].weight : a->arg[i].number != b->arg[i].number)
            return false;
    }
    return true;
}

static const struct rope *rope_of(struct lower *l, const struct node *n)
{
    struct program *p = l->p;
    for (size_t i = 0; i < p->n_steps && i < LOOK_BACK; i++)
        if (p->steps[i].op == STEP_ROPE_TABLE && same_rope(p->steps[i].rope->node, n))
            return p->steps[i].rope;
    struct rope *r = arena_alloc(l->arena, 1, sizeof *r);
    if (!r || rope_init(r, n, l->arena, l->error)) {
        if (!l->status)
            l->status = error_memory(l->error, sizeof *r, "rotary positions");
        return NULL;
    }
    struct step s = {.op = STEP_ROPE_TABLE, .in = {no_view, no_view, no_view}, .rope = r};
    r->table = emit(l, s, r->dims, 1, 0);
    return r;
}

static struct view lower_rope(struct lower *l, const struct node *n)
{
    const struct rope *r = rope_of(l, n);
    if (!r)
        return no_view;
    struct view x = input(l, n->arg[0].value);
    struct step s = {.op = STEP_ROPE, .in = {x, r->table, no_view}, .rope = r};
    return emit(l, s, x.size, x.heads, 0);
}

static struct view lower_attend(struct lower *l, const struct node *n)
{
    struct view q = input(l, n->arg[0].value), k = input(l, n->arg[1].value), v = input(l, n->arg[2].value);
    struct step store = {.op = STEP_STORE, .in = {k, v, no_view}, .node = n};
    struct view stored = emit(l, store, 0, 0, 0);
    struct step s = {.op = STEP_ATTEND, .in = {q, stored, no_view}, .node = n};
    return emit(l, s, v.size, q.heads, 0);
}

static struct view lower_binary(struct lower *l, const struct node *n)
{
    const bool add = n->op == OP_add;
    node_id a = n->arg[0].value, b = n->arg[1].value;
    if (b >= 0 && (l->fused[a] || l->fused[b])) {
        const struct node *f = &l->g->nodes[l->fused[a] ? a : b];
        struct view x = packed(l, input(l, f->arg[0].value), false),
                    up = packed(l, input(l, l->fused[a] ? b : a), false);
        struct step s = {.op = STEP_GATE, .in = {x, up, no_view}, .function = activation_of(f->op)};
        return emit(l, s, n->shape.dims[0], view_items(x) / n->shape.dims[0], 0);
    }
    struct step s = {.op = add ? STEP_ADD : STEP_MUL, .in = {packed(l, input(l, a), false), no_view, no_view}};
    if (b >= 0) {
        s.in[1] = packed(l, input(l, b), false);
    } else {
        s.op = add ? STEP_SHIFT : STEP_SCALE;
        s.number = (float)n->arg[2].number;
    }
    return emit(l, s, s.in[0].size, s.in[0].heads, 0);
}

static struct view lower_function(struct lower *l, const struct node *n)
{
    struct view x = packed(l, input(l, n->arg[0].value), false);
    struct step s = {.op = STEP_ACTIVATE, .in = {x, no_view, no_view}, .function = activation_of(n->op)};
    if (n->op == OP_softcap) {
        s.op = STEP_SOFTCAP;
        s.number = (float)n->arg[1].number;
    }
    return emit(l, s, x.size, x.heads, 0);
}

static struct view lower_node(struct lower *l, const struct node *n)
{
    struct view v;
    switch (n->op) {
    case OP_tokens:
    case OP_positions: return no_view;
    case OP_embed: {
        struct step s = {.op = STEP_EMBED,
                         .in = {no_view, no_view, no_view},
                         .weight = n->arg[1].weight,
                         .node = &l->g->nodes[n->arg[0].value]};
        return emit(l, s, (uint32_t)n->arg[1].weight->dims[0], 1, 0);
    }
    case OP_linear: return lower_linear(l, n);
    case OP_rmsnorm:
    case OP_layernorm: return lower_norm(l, n);
    case OP_heads: return lower_heads(l, n);
    case OP_flat:
        v = packed(l, input(l, n->arg[0].value), false);
        return (struct view){v.table, v.offset, view_items(v), 1, view_items(v)};
    case OP_slice: return lower_slice(l, n);
    case OP_rope: return lower_rope(l, n);
    case OP_attend: return lower_attend(l, n);
    case OP_add:
    case OP_mul: return lower_binary(l, n);
    default: return lower_function(l, n);
    }
}

/* ---- parts ---- */

/* Mark everything that the marked nodes read, through nodes that `skip` does not hold. */
static void mark_inputs(const struct graph *g, bool *marked, const bool *skip)
{
    for (size_t i = g->n_nodes; i-- > 0;) {
        const struct op_info *info = &op_infos[g->nodes[i].op];
        if (!marked[i] || (skip && skip[i]))
            continue;
        for (int a = 0; a < OP_MAX_ARGS && info->arg[a].kind != ARG_NONE; a++)
            if (info->arg[a].kind == ARG_VALUE && g->nodes[i].arg[a].value >= 0)
                marked[g->nodes[i].arg[a].value] = true;
    }
}

static void count_readers(const struct graph *g, uint32_t *n_readers)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct op_info *info = &op_infos[g->nodes[i].op];
        for (int a = 0; a < OP_MAX_ARGS && info->arg[a].kind != ARG_NONE; a++)
            if (info->arg[a].kind == ARG_VALUE && g->nodes[i].arg[a].value >= 0)
                n_readers[g->nodes[i].arg[a].value]++;
    }
    n_readers[g->output]++;
}

/* A product of two values, one of them an activation that nothing else reads: a gated unit. */
static void mark_gates(struct lower *l, uint32_t *n_readers)
{
    const struct graph *g = l->g;
    count_readers(g, n_readers);
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct node *n = &g->nodes[i];
        if (n->op != OP_mul || n->arg[1].value < 0)
            continue;
        node_id a = n->arg[0].value, b = n->arg[1].value;
        if (a == b || shape_items(g->nodes[a].shape) != shape_items(g->nodes[b].shape))
            continue;
        for (int side = 0; side < 2; side++) {
            node_id x = side ? b : a;
            if (activation_of(g->nodes[x].op) != ACT_NONE && n_readers[x] == 1 && l->in_body[x] == l->in_body[i]) {
                l->fused[x] = true;
                break;
            }
        }
    }
}

static void lower_part(struct lower *l, const bool *wanted, const bool *skip)
{
    for (size_t i = 0; i < l->g->n_nodes; i++)
        l->views[i] = no_view;
    for (size_t i = 0; i < l->g->n_nodes && !l->status; i++)
        if (wanted[i] && !l->fused[i] && !(skip && skip[i]))
            l->views[i] = lower_node(l, &l->g->nodes[i]);
}

andiron_status lower_graph(const struct graph *g, struct program *body, struct program *head, struct arena *arena,
                           andiron_error *error)
{
    const size_t n = g->n_nodes;
    struct lower l = {.g = g, .p = body, .arena = arena, .error = error};
    l.in_body = arena_alloc(arena, n, 1);
    l.in_head = arena_alloc(arena, n, 1);
    l.fused = arena_alloc(arena, n, 1);
    l.views = arena_alloc(arena, n, sizeof *l.views);
    l.body_views = arena_alloc(arena, n, sizeof *l.body_views);
    uint32_t *n_readers = arena_alloc(arena, n, sizeof *n_readers);
    if (!l.in_body || !l.in_head || !l.fused || !l.views || !l.body_views || !n_readers)
        return error_memory(error, n * sizeof *l.views, "lowering a graph");
    for (size_t i = 0; i < n; i++)
        l.in_body[i] = g->nodes[i].op == OP_attend;
    mark_inputs(g, l.in_body, NULL);
    l.in_head[g->output] = true;
    mark_inputs(g, l.in_head, l.in_body);
    mark_gates(&l, n_readers);
    lower_part(&l, l.in_body, NULL);
    struct view *body_views = l.views;
    l.views = l.body_views;
    l.body_views = body_views;
    l.p = head;
    l.body = body;
    lower_part(&l, l.in_head, l.in_body);
    if (!l.status) {
        head->output = packed(&l, input(&l, g->output), true);
        if (head->output.table >= 0)
            head->tables[head->output.table].kept = true;
    }
    return l.status;
}
