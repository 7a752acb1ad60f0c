/* bench.h - small words to build graphs with, in tests. */
#ifndef TESTS_GRAPH_BENCH_H
#define TESTS_GRAPH_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "graph/graph.h"

struct bench {
    struct arena arena;
    struct graph g;
    andiron_error error;
};

static inline void begin(struct bench *b)
{
    *b = (struct bench){0};
    arena_init(&b->arena, 80 << 20);
    assert_int_equal(graph_init(&b->g, &b->arena, &b->error), ANDIRON_OK);
}

static inline void end(struct bench *b) { arena_reset(&b->arena); }

/* A node of `op` with everything optional left out. */
static inline struct node blank(enum op op)
{
    struct node n = {.op = op, .layer = -1, .file = "my.arch", .line = 7};
    for (size_t i = 0; (unsigned)op < OP_LIMIT && i < OP_MAX_ARGS; i++) {
        const struct op_arg *arg = &op_infos[op].arg[i];
        if (arg->kind == ARG_VALUE)
            n.arg[i].value = -1;
        else if (arg->kind == ARG_WEIGHT)
            n.arg[i].weight = NULL;
        else
            n.arg[i].number = arg->fallback;
    }
    return n;
}

static inline struct weight tensor(uint32_t type, uint64_t d0, uint64_t d1)
{
    return (struct weight){
        .name = "blk.0.some.weight", .type = type, .n_dims = d1 ? 2 : 1, .dims = {d0, d1 ? d1 : 1, 1, 1}};
}

static inline node_id added(struct bench *b, struct node n)
{
    node_id id = -1;
    andiron_status s = graph_add(&b->g, &n, &id, &b->error);
    if (s)
        print_error("%s\n", b->error.text);
    assert_int_equal(s, ANDIRON_OK);
    assert_int_equal(id, (node_id)b->g.n_nodes - 1);
    return id;
}

/* Refused with a sentence that begins with the place and holds `words`; the graph stays as it was. */
static inline void refused(struct bench *b, struct node n, const char *words)
{
    node_id id = -5;
    size_t n_nodes = b->g.n_nodes, n_caches = b->g.n_caches;
    andiron_status s = graph_add(&b->g, &n, &id, &b->error);
    if (s == ANDIRON_OK || strncmp(b->error.text, "my.arch:7: ", 11) || !strstr(b->error.text, words))
        print_error("got %d \"%s\" where \"%s\" was expected\n", s, b->error.text, words);
    assert_true(s == ANDIRON_E_FORMAT || s == ANDIRON_E_SUPPORT);
    assert_int_equal(b->error.status, s);
    assert_memory_equal(b->error.text, "my.arch:7: ", 11);
    assert_non_null(strstr(b->error.text, words));
    assert_int_equal(id, -5);
    assert_int_equal(b->g.n_nodes, n_nodes);
    assert_int_equal(b->g.n_caches, n_caches);
    assert_int_equal(graph_add(&b->g, &n, &id, NULL), s); /* nobody has to listen */
}

static inline void assert_shape(const struct bench *b, node_id id, uint32_t n_dims, uint32_t d0, uint32_t d1)
{
    struct shape s = b->g.nodes[id].shape;
    assert_int_equal(s.n_dims, n_dims);
    assert_int_equal(s.dims[0], d0);
    assert_int_equal(s.dims[1], d1);
    assert_int_equal(s.dims[2], 1);
    assert_int_equal(s.dims[3], 1);
}

static inline struct node unary(enum op op, node_id x)
{
    struct node n = blank(op);
    n.arg[0].value = x;
    return n;
}

static inline struct node with_number(struct node n, size_t i, double x)
{
    n.arg[i].number = x;
    return n;
}

static inline struct node with_weight(struct node n, size_t i, const struct weight *w)
{
    n.arg[i].weight = w;
    return n;
}

static inline struct node with_value(struct node n, size_t i, node_id v)
{
    n.arg[i].value = v;
    return n;
}

/* A value [d] from the tokens. The table must outlive the graph. */
static inline node_id row(struct bench *b, struct weight *table, uint64_t d)
{
    *table = tensor(TYPE_F32, d, 11);
    return added(b, with_weight(unary(OP_embed, 0), 1, table));
}

static inline node_id heads_of(struct bench *b, struct weight *table, uint64_t hd, uint64_t n)
{
    return added(b, with_number(unary(OP_heads, row(b, table, hd * n)), 1, (double)n));
}

#endif
