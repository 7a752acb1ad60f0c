/* lower.h - lowering a graph: what lower.c and lower_ops.c share. */
#ifndef GRAPH_LOWER_H
#define GRAPH_LOWER_H

#include "graph/program.h"

enum { HEAD_PARTS = 2 };  /* what the head's products read is kept twice as exact: program.h */
enum { REFINED = 512 };   /* scores of a row that read the second part */
enum { LOOK_BACK = 256 }; /* steps searched for a quantization or a table that exists already */

struct lower {
    const struct graph *g;
    const struct kernels *kernels;
    struct program *p, *body; /* body: what GATHER reads; NULL: nothing, as in the body itself */
    bool head;                /* the head is lowered */
    struct loop *loops;
    size_t n_loops;
    bool *inside;            /* [n_nodes] of the loop that is lowered, and */
    struct view *loop_views; /* [n_nodes] */
    bool source;             /* the source is lowered */
    struct arena *arena;
    andiron_error *error;
    andiron_status status;           /* of what went wrong first */
    bool *in_body, *in_head;         /* [n_nodes] */
    bool *fused;                     /* [n_nodes] computed by the node that reads it */
    struct view *views, *body_views; /* [n_nodes] no_view: not computed */
    struct view *stored;             /* [n_caches] after the step that stores to it */
};

static const struct view no_view = {.table = -1};
static inline bool run_together(struct view v) { return v.heads == 1 || v.head_stride == v.size; }

/* `heads` runs of `size` numbers that fill a table's rows. */
struct view lower_whole(int32_t table, uint32_t size, uint32_t heads);
/* A step that reads x, and so far nothing else. */
struct step lower_step(enum step_op op, struct view x);
/* Append `s`, with an output of `heads` runs of `size` numbers; a table of so many parts. */
struct view lower_emit(struct lower *l, struct step s, uint32_t size, uint32_t heads, uint8_t parts);
/* The value of a node. */
struct view lower_input(struct lower *l, node_id id);
/* The same numbers without gaps; where `alone`, in a table of their own. */
struct view lower_packed(struct lower *l, struct view v, bool alone);
/* The same numbers, quantized in so many parts, as products with weights of this type read them. */
struct view lower_quantized(struct lower *l, struct view v, uint32_t type, uint8_t parts);
/* Which rows chose which of n_experts. */
struct view lower_sorted(struct lower *l, struct view places, uint32_t n_experts);
enum activation lower_activation(enum op op); /* ACT_NONE: it is none */
/* Store an attend's keys and values. */
void lower_store(struct lower *l, const struct node *attend);
/* What a keep gives: loops.c. */
struct view lower_keep(struct lower *l, const struct node *n);
/* Emit what a node computes. */
struct view lower_node(struct lower *l, const struct node *n);

#endif
