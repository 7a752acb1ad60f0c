/* graph.h - what a model computes, as a list of nodes.
 *
 * A graph is built once per model, through graph_add, by whoever knows the architecture (src/arch). Nodes stand in the
 * order of computation: a node reads only nodes before it. Every node's value is a table of T rows, one for each token
 * of the step; a shape is that of one row. Ops are token-wise; only `attend` looks, through the batch, at other rows.
 * One graph therefore serves prompt, generation and any mix of sessions.
 *
 * The ops, their arguments and what they compute stand in ops.def. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "andiron.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/span.h"
#include "base/types.h"

/* A tensor of the model file as the graph sees it. dims[0] runs fastest; a matrix has dims[1] rows of dims[0]. */
struct weight {
    const char *name;
    uint32_t type; /* enum weight_type */
    uint32_t n_dims;
    uint64_t dims[4];
    const void *data;
    size_t row_bytes;
    const void *const *parts; /* [dims[2]] each matrix, where they do not stand one behind the other; NULL: at data */
};

/* Of one row's value: dims[0] runs fastest. Heads of attention: [head size, heads]. */
struct shape {
    uint32_t n_dims;  /* 1 to 4 */
    uint32_t dims[4]; /* unused ones are 1 */
};
static inline size_t shape_items(struct shape s) { return (size_t)s.dims[0] * s.dims[1] * s.dims[2] * s.dims[3]; }

enum op {
#define OP(name, doc, ...) OP_##name,
#include "graph/ops.def"
#undef OP
    OP_LIMIT
};

enum arg_kind {
    ARG_NONE,
    ARG_VALUE,  /* a node's value */
    ARG_WEIGHT, /* a tensor of the file */
    ARG_NUMBER,
    ARG_CHOICE, /* one of some words; stored as a number: the word's place in `choices` */
    ARG_CACHE,  /* a layer's KV cache; stored as a number: which cache */
    ARG_LIST,   /* whole numbers; in the language the key of the metadata that holds them */
};

enum { OP_MAX_ARGS = 25 };

struct op_arg {
    const char *name;
    enum arg_kind kind;
    bool optional;
    double fallback;     /* number or choice used when it is not given */
    const char *choices; /* ARG_CHOICE: "pairs halves" */
    /* ARG_WEIGHT: in the language a weight argument is a stem such as blk.0.attn_q; this is what is put behind it
     * (".weight"). An argument with `same_stem` takes no place in a call: it is looked up with the stem of the weight
     * argument before it (".bias") and left out when the file has none. */
    const char *suffix;
    bool same_stem;
};

struct op_info {
    const char *name;
    const char *doc;
    struct op_arg arg[OP_MAX_ARGS]; /* ends at ARG_NONE */
};
/* All ops, in enum order. */
extern const struct op_info op_infos[OP_LIMIT];
/* The op of that name, or NULL. */
const struct op_info *op_find(struct span name);

/* Places of attend's arguments in ops.def. */
enum {
    ATTEND_Q,
    ATTEND_K,
    ATTEND_V,
    ATTEND_CACHE,
    ATTEND_SCALE,
    ATTEND_WINDOW,
    ATTEND_CAP,
    ATTEND_SEES,
    ATTEND_WINDOW_STYLE,
    ATTEND_SINKS,
    ATTEND_ALIBI,
    ATTEND_RELATIVE,
    ATTEND_ONLY,
    ATTEND_ONLY_SPAN,
    ATTEND_NEAR,
    ATTEND_EVERY,
    ATTEND_OPEN,
    ATTEND_JOINS,
    ATTEND_NEAR_KEYS,
    ATTEND_NEAR_AT,
    ATTEND_BY,
    ATTEND_ALIBI_BY,
    ATTEND_BEGIN,
    ATTEND_REACH
};

typedef int32_t node_id; /* place in the graph; -1: none */

/* Whole numbers that a double cannot hold; they live as long as the graph. */
struct wholes {
    const uint64_t *at;
    size_t n;
};

union arg {
    node_id value;               /* -1: left out */
    const struct weight *weight; /* NULL: left out */
    double number;               /* NUMBER, CHOICE, CACHE */
    const struct wholes *list;   /* NULL: left out */
};

struct node {
    enum op op;
    union arg arg[OP_MAX_ARGS]; /* by the op's places */
    struct shape shape;
    node_id loop;      /* the carry that its value is made of, before that is kept; -1: none */
    size_t state;      /* where its state begins among the session's floats, for ops that have one; choose: its cache */
    const char *label; /* what the definition called it, or "" */
    int32_t layer;     /* -1: outside of layers */
    const char *file;  /* of the definition that made it, for errors */
    uint32_t line;
};

/* A layer's KV cache, declared by its attend node; or the keys of a choose node, with values of no size. */
struct cache {
    uint32_t n_heads, hd_k, hd_v;
};

struct graph {
    struct node *nodes;
    size_t n_nodes, capacity;
    struct cache *caches;
    size_t n_caches, cache_capacity;
    size_t n_loops;    /* carry nodes */
    size_t n_state;    /* floats of a session's state: what ops keep of all rows before */
    bool whole_texts;  /* some row sees rows after it: a text must come in one step */
    bool reads_source; /* some attend sees the source: a text that is read before */
    node_id output;    /* the logits: [n_vocab] */
    uint32_t n_ctx_train;
    uint32_t n_begin; /* rows before each text, whatever their token is: their numbers are those of their positions */
    bool embeds;      /* the output is a vector that stands for the text, not scores */
    uint32_t n_positions_max; /* rows of the smallest table that positions pick from; 0: no limit */
    struct arena *arena;      /* borrowed: nodes, names */
};

enum {
    GRAPH_MAX_NODES = 1 << 17,
    GRAPH_MAX_CACHES = 4096,
    GRAPH_MAX_LOOPS = 4096,
    GRAPH_MAX_ITEMS = 1 << 24,
    GRAPH_MAX_STATE = 1 << 28,
    GRAPH_MAX_GROUPS = 1024
};

/* An empty graph in `arena`, which must outlive it. */
andiron_status graph_init(struct graph *g, struct arena *arena, andiron_error *error);

/* Check the arguments of `node` (op, arg, label, layer, file and line are set by the caller; left-out optional
 * arguments hold -1, NULL or the fallback), compute its shape and append it. Errors are one sentence that begins with
 * file:line and names the op, the shapes met and what was expected. */
andiron_status graph_add(struct graph *g, const struct node *node, node_id *out, andiron_error *error);

/* Floats of state that a node of `g` keeps for each session; 0: it looks at one row only, or at a cache. */
uint64_t graph_state_items(const struct graph *g, const struct node *n);

/* A row depends on other rows of its text. */
bool graph_spans_rows(const struct graph *g, const struct node *n);

enum { SEES_BEFORE, SEES_ALL, SEES_SOURCE };                     /* attend's choice */
enum { WINDOW_BACK, WINDOW_CHUNKS, WINDOW_BOTH, WINDOW_MIDDLE }; /* its window_style */
int graph_sees(const struct node *attend);

/* Print the graph for a person: one line a node with op, arguments, shape, weight types; totals at the end. */
bool graph_print(const struct graph *g, struct buffer *out);

#endif
