/* loops.c - what lies between a carry and its keep: lowered to a program of its own, and run row after row.
 *
 * The program reads rows of the one around it by GATHER, as the head does. The first rows of all sessions run together,
 * then the second ones: each as it would alone. */
#include "graph/lower.h"
#include <string.h>

enum { CARRY, X, Y };

/* Marks what x and y are made of, back to the carry. */
static void mark(const struct graph *g, const struct node *keep, bool *inside)
{
    const node_id carry = keep->arg[CARRY].value;
    memset(inside + carry, 0, (size_t)(keep - g->nodes) - (size_t)carry);
    inside[carry] = inside[keep->arg[X].value] = true;
    if (keep->arg[Y].value >= 0)
        inside[keep->arg[Y].value] = true;
    for (size_t i = (size_t)(keep - g->nodes); i-- > (size_t)carry;)
        for (int a = 0; inside[i] && a < OP_MAX_ARGS && op_infos[g->nodes[i].op].arg[a].kind != ARG_NONE; a++) {
            const node_id v = op_infos[g->nodes[i].op].arg[a].kind == ARG_VALUE ? g->nodes[i].arg[a].value : -1;
            if (v >= 0 && g->nodes[v].loop == carry)
                inside[v] = true;
        }
}

static void lower_inside(struct lower *l, const struct node *keep, struct loop *loop)
{
    const node_id carry = keep->arg[CARRY].value, y = keep->arg[Y].value, end = (node_id)(keep - l->g->nodes);
    for (size_t i = 0; i < l->g->n_nodes; i++)
        l->views[i] = no_view;
    for (node_id i = carry; i < end && !l->status; i++)
        if (l->inside[i] && !l->fused[i])
            l->views[i] = lower_node(l, &l->g->nodes[i]);
    loop->state = l->g->nodes[carry].state;
    loop->kept = lower_packed(l, lower_input(l, keep->arg[X].value), false);
    loop->program.output = y < 0 ? loop->kept : lower_packed(l, lower_input(l, y), false);
    if (loop->kept.table >= 0 && loop->program.output.table >= 0)
        loop->program.tables[loop->kept.table].kept = loop->program.tables[loop->program.output.table].kept = true;
}

struct view lower_keep(struct lower *l, const struct node *n)
{
    struct loop *loop = &l->loops[l->n_loops++];
    struct program *around = l->p;
    struct view *views = l->views, *body_views = l->body_views;
    struct step s = lower_step(STEP_LOOP, no_view);
    s.loop = loop;
    mark(l->g, n, l->inside);
    loop->program.of = l->body = around;
    l->p = &loop->program;
    l->body_views = views;
    l->views = l->loop_views;
    lower_inside(l, n, loop);
    l->p = around;
    l->views = views;
    l->body_views = body_views;
    l->body = NULL;
    return lower_emit(l, s, n->shape.dims[0], (uint32_t)(shape_items(n->shape) / n->shape.dims[0]), 0);
}

/* Rows `which` [n] of the program around it. */
static void run_turn(const struct run *r, const struct step *s, size_t n)
{
    struct plan *p = r->plan;
    const struct loop *loop = s->loop;
    const struct run own = {p, &loop->program, n, 0};
    run_phases(&own, 0, loop->program.n_phases);
    for (size_t i = 0; i < n; i++) {
        const size_t row = p->which[i];
        memcpy(p->rows[row].state + loop->state, run_row(&own, loop->kept, i, 0),
               view_items(loop->kept) * sizeof(float));
        memcpy(run_row(r, s->out, row, 0), run_row(&own, loop->program.output, i, 0),
               view_items(s->out) * sizeof(float));
    }
}

void loop_run(const struct run *r, const struct step *s)
{
    struct plan *p = r->plan;
    uint32_t longest = 0;
    for (size_t i = 0; i < p->n_runs; i++)
        longest = p->runs[i].n > longest ? p->runs[i].n : longest;
    p->which = p->turn;
    for (uint32_t turn = 0; turn < longest; turn++)
        for (size_t i = 0, n = 0; i < p->n_runs; i++) {
            if (p->runs[i].n > turn)
                p->turn[n++] = p->runs[i].first + turn;
            if (n == s->loop->program.max_rows || (n && i + 1 == p->n_runs)) {
                run_turn(r, s, n);
                n = 0;
            }
        }
}
