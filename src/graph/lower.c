/* lower.c - from nodes to steps: views instead of copies, one quantization for all products that read a value, gated
 * units as one step, and the split into source, body and head. */
#include "graph/lower.h"
#include "base/error.h"
#include <string.h>

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

struct view lower_whole(int32_t table, uint32_t size, uint32_t heads)
{
    return (struct view){table, 0, size, heads, size, NULL};
}

struct step lower_step(enum step_op op, struct view x)
{
    struct step s = {.op = op, .in = {x}};
    for (int i = 1; i < STEP_INPUTS; i++)
        s.in[i] = no_view;
    return s;
}

struct view lower_emit(struct lower *l, struct step s, uint32_t size, uint32_t heads, uint8_t parts)
{
    struct program *p = l->p;
    struct step *steps = grow(l, p->steps, p->n_steps, &p->step_capacity, sizeof *steps);
    int32_t table = steps ? add_table(l, size * heads, parts) : -1;
    if (table < 0)
        return no_view;
    p->steps = steps;
    s.out = lower_whole(table, size, heads);
    steps[p->n_steps++] = s;
    return s.out;
}

/* ---- reading ---- */

struct view lower_input(struct lower *l, node_id id)
{
    if (!view_given(l->views[id]) && l->body && (!l->head || l->in_body[id]) && view_given(l->body_views[id])) {
        struct view v = l->body_views[id];
        if (v.table >= 0 && l->head)
            l->body->tables[v.table].kept = true;
        l->views[id] = v.constant ? v : lower_emit(l, lower_step(STEP_GATHER, v), v.size, v.heads, 0);
    }
    return l->views[id];
}

/* The same numbers without gaps; where `alone`, in a table of their own. */
struct view lower_packed(struct lower *l, struct view v, bool alone)
{
    if (!view_given(v) ||
        (run_together(v) && (!alone || (v.table >= 0 && l->p->tables[v.table].items == view_items(v)))))
        return v;
    return lower_emit(l, lower_step(STEP_COPY, v), v.size, v.heads, 0);
}

static bool same_numbers(struct view a, struct view b)
{
    bool same = a.table == b.table && a.constant == b.constant && a.offset == b.offset &&
                view_items(a) == view_items(b);
    return same && ((run_together(a) && run_together(b)) || (a.size == b.size && a.head_stride == b.head_stride));
}

struct view lower_quantized(struct lower *l, struct view v, uint32_t type, uint8_t parts)
{
    struct program *p = l->p;
    const bool wide = mul_reads_wide(type);
    for (size_t i = p->n_steps; i-- > 0 && p->n_steps - i <= LOOK_BACK;) {
        const struct step *s = &p->steps[i];
        if (s->op != STEP_QUANTIZE || !same_numbers(s->in[0], v))
            continue;
        const struct table *t = &p->tables[s->out.table];
        if (t->parts == parts && t->wide == wide)
            return s->out;
    }
    v = lower_packed(l, v, false);
    v = lower_emit(l, lower_step(STEP_QUANTIZE, v), view_items(v), 1, parts);
    if (v.table >= 0)
        p->tables[v.table].wide = wide;
    return v;
}

struct view lower_sorted(struct lower *l, struct view places, uint32_t n_experts)
{
    struct program *p = l->p;
    for (size_t i = p->n_steps; i-- > 0 && p->n_steps - i <= LOOK_BACK;)
        if (p->steps[i].op == STEP_SORT && same_numbers(p->steps[i].in[0], places))
            return p->steps[i].out;
    struct step s = lower_step(STEP_SORT, places);
    s.n_matrices = n_experts;
    return lower_emit(l, s, sort_items(view_items(places)), 1, 0);
}

/* ---- parts ---- */

static bool sees_source(const struct node *n) { return n->op == OP_attend && graph_sees(n) == SEES_SOURCE; }

/* Mark everything that the marked nodes read, through nodes that `skip` does not hold; keys and values of a source are
 * not read but lie in a cache. */
static void mark_inputs(const struct graph *g, bool *marked, const bool *skip)
{
    for (size_t i = g->n_nodes; i-- > 0;) {
        const struct op_info *info = &op_infos[g->nodes[i].op];
        if (!marked[i] || (skip && skip[i]))
            continue;
        for (int a = 0; a < OP_MAX_ARGS && info->arg[a].kind != ARG_NONE; a++)
            if (info->arg[a].kind == ARG_VALUE && g->nodes[i].arg[a].value >= 0 &&
                !(sees_source(&g->nodes[i]) && (a == ATTEND_K || a == ATTEND_V)))
                marked[g->nodes[i].arg[a].value] = true;
    }
}

/* Everything that keys and values of the source need. */
static void mark_source(const struct graph *g, bool *marked)
{
    for (size_t i = g->n_nodes; i-- > 0;) {
        const union arg *arg = g->nodes[i].arg;
        for (int a = ATTEND_K; a <= ATTEND_V && sees_source(&g->nodes[i]); a++)
            if (arg[a].value >= 0)
                marked[arg[a].value] = true;
    }
    mark_inputs(g, marked, NULL);
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
            if (lower_activation(g->nodes[x].op) != ACT_NONE && n_readers[x] == 1 && l->in_body[x] == l->in_body[i]) {
                l->fused[x] = true;
                break;
            }
        }
    }
}

static void lower_part(struct lower *l, struct program *p, const bool *wanted, const bool *skip)
{
    l->p = p;
    for (size_t i = 0; i < l->g->n_nodes; i++)
        l->views[i] = no_view;
    for (size_t i = 0; i < l->g->n_caches; i++)
        l->stored[i] = no_view;
    for (size_t i = 0; i < l->g->n_nodes && !l->status; i++) {
        const struct node *n = &l->g->nodes[i];
        if (l->source && sees_source(n) && n->arg[ATTEND_K].value >= 0)
            lower_store(l, n);
        if (wanted[i] && !l->fused[i] && n->loop < 0 && !(skip && skip[i]))
            l->views[i] = lower_node(l, n);
    }
    l->source = false;
}

static void swap_views(struct lower *l)
{
    struct view *views = l->views;
    l->views = l->body_views;
    l->body_views = views;
}

/* Memory for as many nodes, caches and loops as there are. */
static bool take_memory(struct lower *l)
{
    const size_t n = l->g->n_nodes;
    l->loops = arena_alloc(l->arena, l->g->n_loops + 1, sizeof *l->loops);
    l->inside = arena_alloc(l->arena, n, 1);
    l->in_body = arena_alloc(l->arena, n, 1);
    l->in_head = arena_alloc(l->arena, n, 1);
    l->fused = arena_alloc(l->arena, n, 1);
    l->views = arena_alloc(l->arena, n, sizeof *l->views);
    l->body_views = arena_alloc(l->arena, n, sizeof *l->body_views);
    l->loop_views = arena_alloc(l->arena, n, sizeof *l->loop_views);
    l->stored = arena_alloc(l->arena, l->g->n_caches + 1, sizeof *l->stored);
    return l->loops && l->inside && l->in_body && l->in_head && l->fused && l->views && l->body_views &&
           l->loop_views && l->stored;
}

andiron_status lower_graph(const struct graph *g, const struct kernels *kernels, struct plan *p, andiron_error *error)
{
    const size_t n = g->n_nodes;
    struct arena *arena = &p->arena;
    struct lower l = {.g = g, .kernels = kernels, .arena = arena, .error = error, .source = g->reads_source};
    bool *in_source = arena_alloc(arena, n, 1);
    uint32_t *n_readers = arena_alloc(arena, n, sizeof *n_readers);
    if (!take_memory(&l) || !in_source || !n_readers)
        return error_memory(error, n * sizeof *l.views, "lowering a graph");
    p->loops = l.loops;
    mark_source(g, in_source);
    for (size_t i = 0; i < n; i++)
        l.in_body[i] = !in_source[i] && graph_spans_rows(g, &g->nodes[i]);
    mark_inputs(g, l.in_body, NULL);
    l.in_head[g->output] = true;
    mark_inputs(g, l.in_head, l.in_body);
    mark_gates(&l, n_readers);
    lower_part(&l, &p->source, in_source, NULL);
    lower_part(&l, &p->body, l.in_body, NULL);
    swap_views(&l);
    p->n_loops = l.n_loops;
    p->head.of = l.body = &p->body;
    l.head = true;
    lower_part(&l, &p->head, l.in_head, l.in_body);
    if (!l.status) {
        p->head.output = lower_packed(&l, lower_input(&l, g->output), true);
        if (p->head.output.table >= 0)
            p->head.tables[p->head.output.table].kept = true;
    }
    return l.status;
}
