/* test_graph.c - building graphs: each op used rightly gives its shape, used wrongly gives a sentence. */
#include "bench.h"

#include "base/alloc.h"
#include <float.h>
#include <math.h>
#include <stdio.h>

/* ---- the table of ops ---- */

static void ops_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < OP_LIMIT; i++) {
        assert_non_null(op_infos[i].doc);
        assert_ptr_equal(op_find(span_of(op_infos[i].name)), &op_infos[i]);
        size_t n = 0;
        while (n < OP_MAX_ARGS && op_infos[i].arg[n].kind != ARG_NONE)
            assert_non_null(op_infos[i].arg[n++].name);
        assert_true(n < OP_MAX_ARGS);
        for (size_t a = 0; a < n; a++)
            assert_int_equal(op_infos[i].arg[a].kind == ARG_CHOICE, op_infos[i].arg[a].choices != NULL);
    }
    assert_ptr_equal(op_find(span_of("rope")), &op_infos[OP_rope]);
    assert_null(op_find(span_of("rop")));
    assert_null(op_find(span_of("ropes")));
    assert_null(op_find((struct span){NULL, 0}));
}

static void a_new_graph_holds_its_inputs(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    assert_int_equal(b.g.n_nodes, 2);
    assert_int_equal(b.g.nodes[0].op, OP_tokens);
    assert_int_equal(b.g.nodes[1].op, OP_positions);
    assert_int_equal(b.g.output, -1);
    assert_int_equal(b.g.n_positions_max, 0);
    refused(&b, blank(OP_tokens), "expected to be node 0");
    refused(&b, blank(OP_positions), "expected to be node 1");
    struct node n = blank(OP_silu);
    n.op = (enum op)OP_LIMIT;
    refused(&b, n, "expected an op below");
    n.op = (enum op) - 1;
    refused(&b, n, "expected an op below");
    end(&b);
}

static void values_must_exist(void **state)
{
    (void)state;
    struct bench b;
    struct weight table;
    begin(&b);
    node_id x = row(&b, &table, 8);
    refused(&b, unary(OP_silu, -1), "expected a value for x, got none");
    refused(&b, unary(OP_silu, -2), "no node of this graph");
    refused(&b, unary(OP_silu, x + 1), "no node of this graph");
    refused(&b, unary(OP_silu, INT32_MAX), "no node of this graph");
    refused(&b, unary(OP_silu, 0), "expected x to be numbers, got tokens");
    refused(&b, unary(OP_silu, 1), "expected x to be numbers, got positions");
    refused(&b, with_value(unary(OP_add, x), 1, 99), "no node of this graph");
    end(&b);
}

/* ---- ops with tensors ---- */

static void embed(void **state)
{
    (void)state;
    struct bench b;
    struct weight table = tensor(TYPE_Q4_K, 256, 1000), few = tensor(TYPE_F16, 256, 64),
                  fewer = tensor(TYPE_F32, 256, 32);
    begin(&b);
    struct node tokens = unary(OP_embed, 0), positions = unary(OP_embed, 1);
    assert_shape(&b, added(&b, with_weight(tokens, 1, &table)), 1, 256, 1);
    assert_int_equal(b.g.n_positions_max, 0);
    assert_shape(&b, added(&b, with_weight(positions, 1, &few)), 1, 256, 1);
    assert_int_equal(b.g.n_positions_max, 64);
    added(&b, with_weight(positions, 1, &fewer));
    added(&b, with_weight(positions, 1, &table));
    assert_int_equal(b.g.n_positions_max, 32);
    refused(&b, with_weight(unary(OP_embed, 2), 1, &table),
            "expected ids to be tokens or positions, got the value of embed");
    refused(&b, tokens, "expected a tensor for table, got none");
    table.n_dims = 1;
    refused(&b, with_weight(tokens, 1, &table), "a matrix of 2 dimensions");
    end(&b);
}

static struct node hashed(const struct weight *table, const struct wholes *by, const struct wholes *sizes,
                          const struct wholes *offsets)
{
    struct node n = with_weight(unary(OP_ngrams, 0), 1, table);
    n.arg[2].list = by;
    n.arg[3].list = sizes;
    n.arg[4].list = offsets;
    return with_number(n, 5, 3);
}

static void ngrams(void **state)
{
    (void)state;
    static const uint64_t by[] = {UINT64_MAX, 1, 7, 9}, sizes[] = {5, 1, 1000, 7}, offsets[] = {0, 994, 0, 993},
                          zero[] = {5, 0}, far[] = {0, UINT64_MAX}, late[] = {996, 0};
    const struct wholes three = {by, 3}, two = {by, 2}, one = {by, 1}, four = {sizes, 4}, pair = {sizes, 2},
                        starts = {offsets, 4}, first = {offsets, 2}, none = {zero, 2}, beyond = {far, 2},
                        last = {late, 2}, nothing = {by, 0};
    struct bench b;
    struct weight table = tensor(TYPE_Q8_0, 32, 1000), wide = tensor(TYPE_F16, 32, UINT32_MAX), line = table;
    begin(&b);
    assert_shape(&b, added(&b, hashed(&table, &three, &four, &starts)), 2, 32, 4);
    assert_shape(&b, added(&b, hashed(&wide, &two, &pair, &first)), 2, 32, 2); /* more rows than other tables have */
    refused(&b, with_value(hashed(&table, &three, &four, &starts), 0, 1),
            "expected ids to be tokens, got the value of positions");
    refused(&b, with_value(hashed(&table, &three, &four, &starts), 0, 2), "got the value of ngrams");
    refused(&b, hashed(&table, NULL, &four, &starts), "expected whole numbers for multipliers, got none");
    refused(&b, hashed(&table, &three, &nothing, &starts), "expected whole numbers for sizes, got none");
    refused(&b, hashed(&table, &one, &four, &starts), "expected 2 to 16 multipliers, got 1");
    refused(&b, hashed(&table, &three, &four, &first), "2 times as many sizes, 1024 at most, and as many offsets");
    refused(&b, hashed(&table, &two, &none, &first), "the 0 rows of head 1 from 994 on to be within the table's 1000");
    refused(&b, hashed(&table, &two, &pair, &beyond), "rows of head 1 from 18446744073709551615 on to be within");
    refused(&b, hashed(&table, &two, &pair, &last), "the 5 rows of head 0 from 996 on to be within");
    refused(&b, with_number(hashed(&table, &two, &pair, &first), 5, -1), "expected end to be a token");
    refused(&b, with_number(hashed(&table, &two, &pair, &first), 5, 0x1p200), "expected end to be a finite number");
    line.n_dims = 1;
    refused(&b, hashed(&line, &two, &pair, &first), "a matrix of 2 dimensions");
    wide.dims[1]++;
    refused(&b, hashed(&wide, &two, &pair, &first), "at most 4294967295 rows");
    struct buffer out;
    buffer_init(&out, 1 << 16);
    assert_true(graph_print(&b.g, &out));
    assert_non_null(strstr(out.data, "multipliers: 3 numbers, sizes: 4 numbers, offsets: 4 numbers, end: 3)"));
    buffer_reset(&out);
    end(&b);
}

static void tensors_must_be_usable(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    struct node n = unary(OP_embed, 0);
    static const struct {
        uint32_t type, n_dims;
        uint64_t d0, d1;
        const char *words;
    } bad[] = {
        {TYPE_F32, 0, 8, 8, "1 to 4 dimensions"},
        {TYPE_F32, 5, 8, 8, "1 to 4 dimensions"},
        {TYPE_F32, 2, 0, 8, "at most"},
        {TYPE_F32, 2, 8, 0, "at most"},
        {TYPE_F32, 2, GRAPH_MAX_ITEMS + 1, 8, "at most"},
        {TYPE_F32, 2, 8, GRAPH_MAX_ITEMS + 1, "at most"},
        {TYPE_F32, 2, 8, UINT64_MAX, "at most"},
        {TYPE_F32, 4, 8, 1 << 20, "at most"}, /* the rows of all dimensions together */
        {27, 2, 8, 8, "a type that this build can compute with, got \"blk.0.some.weight\" I64 [8, 8]"},
        {63, 2, 8, 8, "of unknown type"},
        {UINT32_MAX, 2, 8, 8, "of unknown type"},
        {TYPE_Q4_0, 2, 33, 8, "whole blocks"},
        {TYPE_Q6_K, 2, 32, 8, "whole blocks"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct weight w = {.name = "blk.0.some.weight",
                           .type = bad[i].type,
                           .n_dims = bad[i].n_dims,
                           .dims = {bad[i].d0, bad[i].d1, 1 << 20, 1}};
        refused(&b, with_weight(n, 1, &w), bad[i].words);
    }
    struct weight w = {.type = 27, .n_dims = 2, .dims = {8, 8, 1, 1}};
    n.arg[1].weight = &w;
    assert_int_equal(graph_add(&b.g, &n, NULL, &b.error), ANDIRON_E_SUPPORT); /* well formed, but not here */
    end(&b);
}

static void linear(void **state)
{
    (void)state;
    struct bench b;
    struct weight table, w = tensor(TYPE_Q4_0, 64, 10), f = tensor(TYPE_F16, 7, 3), bias = tensor(TYPE_F32, 10, 0),
                         half = tensor(TYPE_F16, 10, 0), shorter = tensor(TYPE_F32, 9, 0),
                         flat = tensor(TYPE_F32, 64, 0);
    begin(&b);
    struct node n = unary(OP_linear, row(&b, &table, 64));
    assert_shape(&b, added(&b, with_weight(n, 1, &w)), 1, 10, 1);
    assert_shape(&b, added(&b, with_weight(with_weight(n, 1, &w), 2, &bias)), 1, 10, 1);
    struct weight table2, table3;
    struct node of_heads = unary(OP_linear, heads_of(&b, &table2, 16, 4));
    assert_shape(&b, added(&b, with_weight(of_heads, 1, &w)), 1, 10, 1); /* x is flattened */
    struct node small = unary(OP_linear, row(&b, &table3, 7));
    assert_shape(&b, added(&b, with_weight(small, 1, &f)), 1, 3, 1); /* floats need no blocks */
    refused(&b, with_weight(small, 1, &w),
            "rows of 7 numbers, as many as x [7] has, got \"blk.0.some.weight\" Q4_0 [64, 10]");
    refused(&b, n, "expected a tensor for weight, got none");
    assert_shape(&b, added(&b, with_weight(n, 1, &flat)), 1, 1, 1); /* one row */
    flat.n_dims = 4;
    refused(&b, with_weight(n, 1, &flat), "a matrix of at most 2 dimensions");
    refused(&b, with_weight(with_weight(n, 1, &w), 2, &half), "bias to be F32 [10]");
    refused(&b, with_weight(with_weight(n, 1, &w), 2, &shorter), "bias to be F32 [10]");
    end(&b);
}

static void norms(void **state)
{
    (void)state;
    struct bench b;
    struct weight table, w = tensor(TYPE_F32, 16, 0), whole = tensor(TYPE_F32, 64, 0), half = tensor(TYPE_F16, 16, 0),
                         rows = tensor(TYPE_F32, 16, 4);
    begin(&b);
    node_id x = heads_of(&b, &table, 16, 4);
    struct node rms = with_number(with_weight(unary(OP_rmsnorm, x), 1, &w), 2, 1e-5);
    struct node layer = with_number(with_weight(unary(OP_layernorm, x), 1, &w), 3, 0);
    assert_shape(&b, added(&b, rms), 2, 16, 4);
    assert_shape(&b, added(&b, with_weight(rms, 1, NULL)), 2, 16, 4);
    assert_shape(&b, added(&b, layer), 2, 16, 4);
    assert_shape(&b, added(&b, with_weight(layer, 2, &w)), 2, 16, 4);
    assert_shape(&b, added(&b, with_weight(layer, 1, NULL)), 2, 16, 4);
    refused(&b, with_weight(rms, 1, &whole), "weight to be F32 [16], got \"blk.0.some.weight\" F32 [64]");
    refused(&b, with_weight(rms, 1, &half), "weight to be F32 [16], got \"blk.0.some.weight\" F16 [16]");
    refused(&b, with_weight(rms, 1, &rows), "weight to be F32 [16]");
    refused(&b, with_weight(layer, 2, &whole), "bias to be F32 [16]");
    refused(&b, with_weight(layer, 1, &whole), "weight to be F32 [16]");
    refused(&b, with_number(rms, 2, -1e-9), "expected eps to be at least 0");
    refused(&b, with_number(layer, 3, -1), "expected eps to be at least 0");
    end(&b);
}

/* ---- views ---- */

static void views(void **state)
{
    (void)state;
    struct bench b;
    struct weight table;
    begin(&b);
    node_id x = row(&b, &table, 48);
    node_id h = added(&b, with_number(unary(OP_heads, x), 1, 3));
    assert_shape(&b, h, 2, 16, 3);
    assert_shape(&b, added(&b, with_number(unary(OP_heads, h), 1, 1)), 2, 48, 1);
    assert_shape(&b, added(&b, unary(OP_flat, h)), 1, 48, 1);
    refused(&b, with_number(unary(OP_heads, x), 1, 5), "divides x [48], got 5");
    refused(&b, with_number(unary(OP_heads, x), 1, 96), "divides x [48]");
    static const double no_counts[] = {0, -1, 2.5, 1e300, 4294967296.0};
    for (size_t i = 0; i < sizeof no_counts / sizeof *no_counts; i++)
        refused(&b, with_number(unary(OP_heads, x), 1, no_counts[i]), "expected n to be");
    struct node s = with_number(with_number(unary(OP_slice, h), 1, 4), 2, 12);
    assert_shape(&b, added(&b, s), 2, 12, 3);
    refused(&b, with_number(s, 2, 13), "start + n to be at most 16");
    refused(&b, with_number(s, 1, 5), "start + n to be at most 16");
    refused(&b, with_number(s, 1, 4294967295.0), "start + n to be at most 16");
    refused(&b, with_number(s, 1, -1), "expected start to be a whole number");
    refused(&b, with_number(s, 1, 0.5), "expected start to be a whole number");
    refused(&b, with_number(s, 2, 0), "expected n to be a whole number from 1");
    refused(&b, with_number(s, 2, 1.5), "expected n to be a whole number from 1");
    struct node a = with_number(with_number(with_number(unary(OP_arrange, x), 1, 1), 2, 12), 3, 4); /* 1, 5, ... 45 */
    assert_shape(&b, added(&b, a), 2, 12, 1);
    refused(&b, with_number(a, 1, 4), "reads number 48 of x, which has 48");
    refused(&b, with_number(a, 2, 13), "reads number 49 of x");
    refused(&b, with_number(with_number(a, 6, 16777216), 7, 0), "gives 201326592 numbers");
    refused(&b, with_number(with_number(a, 6, 16777216), 7, 4294967295.0), "of x, which has 48");
    refused(&b, with_number(a, 4, 0), "expected n1 to be a whole number from 1");
    refused(&b, with_number(a, 3, -1), "expected step0 to be a whole number");
    end(&b);
}

/* ---- positions and attention ---- */

enum { DIMS = 1, BASE, STYLE, FACTORS, FACTORS_LONG, LINEAR, YARN, ORIGINAL, FAST, SLOW, MAGNITUDE, BACK };

static void rope(void **state)
{
    (void)state;
    struct bench b;
    struct weight table, f = tensor(TYPE_F32, 8, 0), few = tensor(TYPE_F32, 7, 0), half = tensor(TYPE_F16, 8, 0),
                         more = tensor(TYPE_F32, 16, 0);
    begin(&b);
    struct node n = with_number(with_number(unary(OP_rope, heads_of(&b, &table, 16, 4)), DIMS, 16), BASE, 10000);
    assert_shape(&b, added(&b, n), 2, 16, 4);
    assert_shape(&b, added(&b, with_number(with_number(n, DIMS, 8), STYLE, 1)), 2, 16, 4);
    added(&b, with_weight(n, FACTORS, &f));
    added(&b, with_number(with_weight(with_weight(n, FACTORS, &f), FACTORS_LONG, &f), ORIGINAL, 4096));
    added(&b, with_number(with_number(n, YARN, 4), ORIGINAL, 4096));
    added(&b, with_weight(n, FACTORS, &more));
    refused(&b, with_weight(n, FACTORS, &few), "factors to be F32 [8]");
    refused(&b, with_weight(n, FACTORS, &half), "factors to be F32 [8]");
    refused(&b, with_number(with_weight(n, FACTORS_LONG, &few), ORIGINAL, 4096), "factors_long to be F32 [8]");
    refused(&b, with_weight(n, FACTORS_LONG, &f), "expected original_context to be given");
    refused(&b, with_number(n, YARN, 4), "expected original_context to be given");
    static const struct {
        size_t i;
        double x;
        const char *words;
    } bad[] = {
        {DIMS, 0, "dims to be even, from 2"},
        {DIMS, 15, "dims to be even"},
        {DIMS, 18, "from 2 to 16"},
        {DIMS, 2.5, "dims to be a whole number"},
        {DIMS, -2, "dims to be a whole"},
        {BASE, 0, "base to be above 0"},
        {BASE, -1, "base to be above 0"},
        {BASE, 1e-60, "base to be above 0"},
        {BASE, 1e60, "base to be a finite number"},
        {STYLE, 2, "one of: pairs halves"},
        {STYLE, -1, "one of: pairs halves"},
        {STYLE, 0.5, "one of: pairs halves"},
        {LINEAR, 0, "linear to be above 0"},
        {YARN, -1, "yarn to be at least 0"},
        {ORIGINAL, 0.5, "original_context to be a"},
        {FAST, 0, "beta_fast to be above 0"},
        {SLOW, 0, "beta_slow to be above 0"},
        {MAGNITUDE, -1, "magnitude to be at least 0"},
        {BACK, -1, "back to be a whole number"},
        {BACK, 0.5, "back to be a whole number"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(&b, with_number(n, bad[i].i, bad[i].x), bad[i].words);
    end(&b);
}

static struct node attention(node_id q, node_id k, node_id v, double cache)
{
    struct node n = with_number(with_value(with_value(unary(OP_attend, q), 1, k), 2, v), 3, cache);
    return with_number(with_value(n, 12, -1), 13, 1); /* only, only_span */
}

static struct node choice(node_id q, node_id k, node_id weights, double n, double span)
{
    return with_number(with_number(with_value(with_value(unary(OP_choose, q), 1, k), 2, weights), 3, n), 4, span);
}

static void attend(void **state)
{
    (void)state;
    struct bench b;
    struct weight t[9];
    begin(&b);
    node_id q = heads_of(&b, &t[0], 16, 6), k = heads_of(&b, &t[1], 16, 2), v = heads_of(&b, &t[2], 24, 2);
    node_id k3 = heads_of(&b, &t[3], 16, 3), k4 = heads_of(&b, &t[4], 16, 4), k12 = heads_of(&b, &t[5], 12, 2);
    node_id big = heads_of(&b, &t[6], 1032, 2), v4 = heads_of(&b, &t[7], 24, 4), line = row(&b, &t[8], 96);
    assert_shape(&b, added(&b, with_number(attention(q, k, v, 0), 5, 512)), 2, 24, 6);
    assert_int_equal(b.g.n_caches, 1);
    assert_int_equal(b.g.caches[0].n_heads, 2);
    assert_int_equal(b.g.caches[0].hd_k, 16);
    assert_int_equal(b.g.caches[0].hd_v, 24);
    added(&b, attention(q, k, v, 1));
    struct node n = attention(q, k, v, 2);
    refused(&b, attention(q, k, v, 0), "got cache 0, which the attend of my.arch:7 has");
    refused(&b, attention(q, k, v, 3), "expected cache to be 2, the next one, got 3");
    refused(&b, attention(q, k, v, -1), "expected cache to be 2");
    refused(&b, attention(q, k, v, 0.5), "expected cache to be 2");
    refused(&b, attention(q, k3, v, 2), "k and v to have one number of heads");
    refused(&b, attention(q, k4, v4, 2), "a multiple of k's heads, got q [16, 6], k [16, 4], v [24, 4]");
    refused(&b, attention(q, k12, v, 2), "q and k to have one head size");
    refused(&b, attention(q, k, big, 2), "at most 1024");
    refused(&b, attention(big, big, v, 2), "at most 1024");
    refused(&b, attention(line, k, v, 2), "to be heads");
    refused(&b, attention(q, line, v, 2), "to be heads");
    refused(&b, attention(q, k, line, 2), "to be heads");
    refused(&b, with_number(n, 4, -1), "scale to be at least 0");
    refused(&b, with_number(n, 5, -1), "window to be a whole number");
    refused(&b, with_number(n, 5, 1.5), "window to be a whole number");
    refused(&b, with_number(n, 5, 4294967296.0), "window to be a whole number");
    refused(&b, with_number(with_number(n, 5, 4), 7, SEES_SOURCE), "\"both\" or \"middle\", where the source is seen");
    refused(&b, with_number(n, 6, -1), "cap to be at least 0");
    refused(&b, with_value(n, 14, v), "near to have 6 heads, as q has, got [24, 2]");
    added(&b, with_value(n, 14, q));
    const struct weight even = tensor(TYPE_F32, 8, 0), odd = tensor(TYPE_F32, 9, 0);
    struct node keys = with_value(attention(q, k, v, 3), 18, q);
    refused(&b, keys, "expected sees: \"all\" beside near_keys");
    keys = with_number(keys, 7, 1);
    refused(&b, with_value(keys, 18, v), "near_keys to have 6 heads, as q has, got [24, 2]");
    refused(&b, with_weight(keys, 19, &even), "near_at to be F32 [2 m + 1]");
    added(&b, with_weight(keys, 19, &odd));
    end(&b);
}

static void attends_join(void **state)
{
    (void)state;
    enum { SINKS = 9, EVERY = 15, OPEN, JOINS, BY = ATTEND_BY };
    struct bench b;
    struct weight t[3], sinks = tensor(TYPE_F32, 6, 0);
    begin(&b);
    node_id q = heads_of(&b, &t[0], 16, 6), k = heads_of(&b, &t[1], 16, 2), v = heads_of(&b, &t[2], 24, 2);
    node_id open = added(&b, with_weight(with_number(attention(q, k, v, 0), OPEN, 1), SINKS, &sinks));
    assert_shape(&b, open, 2, 26, 6);
    struct node n = with_number(with_value(attention(q, k, v, 1), JOINS, open), EVERY, 4);
    refused(&b, with_weight(n, SINKS, &sinks), "expected no sinks beside joins");
    refused(&b, with_value(n, JOINS, q), "joins to be [26, 6], got [16, 6]");
    refused(&b, with_value(with_value(n, 1, k), 2, k), "joins to be [18, 6], got [26, 6]");
    refused(&b, with_number(n, EVERY, 0), "every to be a whole number from 1");
    refused(&b, with_number(n, EVERY, 2.5), "every to be a whole number from 1");
    refused(&b, with_number(n, OPEN, 2), "open to be 0 or 1");
    refused(&b, with_number(n, ATTEND_BEGIN, -1), "begin");
    refused(&b, with_number(with_number(n, ATTEND_BEGIN, 1), ATTEND_SEES, SEES_ALL), "expected no begin where all of");
    refused(&b, with_value(n, ATTEND_REACH, q), "expected reach to be one number, got [16, 6]");
    const node_id one = heads_of(&b, &t[2], 1, 1);
    refused(&b, with_number(with_value(n, ATTEND_REACH, one), ATTEND_SEES, SEES_ALL), "expected no reach where all of");
    refused(&b, with_number(n, BY, 1), "expected by to be softmax, where sinks, only, every, open or joins is given");
    assert_shape(&b, added(&b, with_number(attention(q, k, v, 1), BY, 1)), 2, 24, 6);
    n = with_number(with_value(attention(q, k, v, 2), JOINS, open), EVERY, 4);
    node_id closed = added(&b, n);
    assert_shape(&b, closed, 2, 24, 6);
    refused(&b, with_value(attention(q, k, v, 3), JOINS, closed), "joins to be [26, 6], got [24, 6]");
    end(&b);
}

static void scans_in_steps(void **state)
{
    (void)state;
    enum { ORDER = 6, STEPS };
    struct bench b;
    struct weight t[4];
    begin(&b);
    node_id q = heads_of(&b, &t[0], 8, 2), k = heads_of(&b, &t[1], 8, 4), v = heads_of(&b, &t[2], 6, 4),
            decay = heads_of(&b, &t[3], 1, 4);
    struct node n = unary(OP_scan, q);
    n.arg[1].value = k, n.arg[2].value = v, n.arg[3].value = decay;
    n.arg[4].value = n.arg[5].value = -1;
    n = with_number(n, STEPS, 2);
    assert_shape(&b, added(&b, n), 2, 6, 2);
    refused(&b, with_number(n, STEPS, 1), "expected q, k, a and b to be of one shape");
    refused(&b, with_number(n, STEPS, 3), "k, a and b to be as q, so many steps for each head");
    refused(&b, with_number(n, STEPS, 17), "a whole number from 1 to 16");
    refused(&b, with_number(n, ORDER, 1), "and 1 with order");
    end(&b);
}

static void peak(void **state)
{
    (void)state;
    struct bench b;
    struct weight t[3];
    begin(&b);
    node_id x = heads_of(&b, &t[0], 4, 2), decay = row(&b, &t[1], 8), six = row(&b, &t[2], 6);
    assert_shape(&b, added(&b, with_value(unary(OP_peak, x), 1, decay)), 2, 4, 2);
    assert_int_equal(b.g.n_state, 8);
    refused(&b, with_value(unary(OP_peak, x), 1, six), "decay to have as many numbers as x");
    end(&b);
}

static void loops(void **state)
{
    (void)state;
    struct bench b;
    struct weight t[3];
    begin(&b);
    node_id x = row(&b, &t[0], 6), six = row(&b, &t[1], 6), four = row(&b, &t[2], 4);
    const struct node carry = with_number(blank(OP_carry), 0, 6);
    refused(&b, with_number(carry, 0, 0), "n to be a whole number from 1 on, as many as a row may have, got 0");
    node_id first = added(&b, carry), second = added(&b, carry);
    assert_int_equal(b.g.n_state, 12);
    node_id h = added(&b, unary(OP_tanh, first)), sum = added(&b, with_value(unary(OP_add, h), 1, x));
    node_id part = added(&b, with_number(with_number(unary(OP_slice, sum), 1, 0), 2, 4));
    refused(&b, with_value(unary(OP_add, second), 1, sum), "made of one carry, got two");
    refused(&b, unary(OP_previous, sum), "looks at other rows");
    struct node keep = with_value(with_value(unary(OP_keep, first), 1, sum), 2, part);
    refused(&b, with_value(keep, 1, part), "x to have as many numbers as the carry");
    refused(&b, with_value(keep, 1, six), "expected what is made of the carry");
    refused(&b, with_value(keep, 2, four), "expected what is made of the carry");
    refused(&b, with_value(keep, 0, six), "expected a carry, got the value of");
    node_id kept = added(&b, keep);
    assert_shape(&b, kept, 1, 4, 1);
    refused(&b, keep, "expected a carry that is kept once");
    added(&b, unary(OP_previous, kept));
    end(&b);
}

static void conv(void **state)
{
    (void)state;
    struct bench b;
    struct weight t, w = tensor(TYPE_F32, 4, 8), many = tensor(TYPE_F32, 130, 8);
    begin(&b);
    struct node n = with_weight(unary(OP_conv, row(&b, &t, 8)), 1, &w);
    assert_shape(&b, added(&b, n), 1, 8, 1);
    assert_int_equal(b.g.n_state, 24); /* rows before: 3 */
    added(&b, with_number(n, 3, 3));
    assert_int_equal(b.g.n_state, 24 + 72); /* 9 */
    refused(&b, with_number(n, 3, 0), "step to be a whole number from 1 to 64");
    refused(&b, with_number(n, 3, 65), "step to be a whole number from 1 to 64");
    refused(&b, with_number(n, 3, 1.5), "step to be a whole number from 1 to 64");
    refused(&b, with_weight(n, 1, &many), "at most 129 taps");
    end(&b);
}

static void choose(void **state)
{
    (void)state;
    struct bench b;
    struct weight t[6];
    begin(&b);
    node_id q = heads_of(&b, &t[0], 16, 6), k = heads_of(&b, &t[1], 16, 2), key = row(&b, &t[2], 16),
            six = row(&b, &t[3], 6), four = row(&b, &t[4], 4), two = heads_of(&b, &t[5], 16, 2);
    node_id chosen = added(&b, choice(q, key, six, 8, 1)), spans = added(&b, choice(two, key, -1, 3, 4));
    assert_shape(&b, chosen, 2, 8, 1);
    assert_shape(&b, spans, 2, 3, 2);
    assert_int_equal(b.g.n_caches, 2); /* keys of each */
    struct node n = with_value(attention(q, k, k, 2), 12, chosen);
    refused(&b, with_number(n, 13, 4), "only_span to be the span that choose has");
    refused(&b, with_value(n, 12, four), "only to be what choose gave, got the value of");
    added(&b, n);
    added(&b, with_number(with_value(attention(q, k, k, 3), 12, spans), 13, 4));
    refused(&b, with_value(attention(q, q, q, 4), 12, spans), "only_span");
    refused(&b, with_number(with_value(attention(q, q, q, 4), 12, spans), 13, 4),
            "only to have 1 or 6 heads, got [3, 2]");
    refused(&b, choice(q, k, six, 8, 1), "expected q [d, heads] and k [d]");
    refused(&b, choice(q, four, six, 8, 1), "expected q [d, heads] and k [d]");
    refused(&b, choice(q, key, four, 8, 1), "a weight for each of 6 heads, got [4]");
    refused(&b, choice(q, key, six, 0, 1), "n to be a whole number from 1 to 1048576");
    refused(&b, choice(q, key, six, 1048577, 1), "n to be a whole number from 1 to 1048576");
    assert_shape(&b, added(&b, with_number(choice(q, key, six, 2, 4), 6, 1)), 2, 2, 1); /* by the last */
    refused(&b, with_number(choice(q, key, six, 1, 4), 6, 1), "n to be at least 2, one of them for the row's own");
    refused(&b, with_number(choice(q, key, six, 2, 4), 6, 2), "by to be one of: largest last");
    refused(&b, choice(q, key, six, 8, 0.5), "span to be a whole number from 1 to 65536");
    end(&b);
}

static void caches_have_a_limit(void **state)
{
    (void)state;
    struct bench b;
    struct weight t;
    begin(&b);
    node_id h = heads_of(&b, &t, 4, 2);
    for (int i = 0; i < GRAPH_MAX_CACHES; i++)
        added(&b, attention(h, h, h, i));
    refused(&b, attention(h, h, h, GRAPH_MAX_CACHES), "at most 4096 caches");
    end(&b);
}

/* ---- elementwise ---- */

static void add_and_mul(void **state)
{
    (void)state;
    struct bench b;
    struct weight t[4];
    begin(&b);
    node_id h = heads_of(&b, &t[0], 16, 4), one = row(&b, &t[1], 16), line = row(&b, &t[2], 64),
            four = row(&b, &t[3], 4);
    static const enum op ops[] = {OP_add, OP_mul};
    for (size_t i = 0; i < 2; i++) {
        struct node n = unary(ops[i], h);
        assert_shape(&b, added(&b, with_value(n, 1, h)), 2, 16, 4);
        assert_shape(&b, added(&b, with_value(n, 1, one)), 2, 16, 4);
        assert_shape(&b, added(&b, with_number(n, 2, 0.5)), 2, 16, 4);
        refused(&b, with_value(n, 1, line), "expected b to be [16, 4], [16], [1, 4] or [1], got [64]");
        refused(&b, with_value(n, 1, four), "expected b to be");
        refused(&b, with_value(unary(ops[i], one), 1, h), "expected b to be [16] or [1], got [16, 4]");
        refused(&b, with_number(with_value(n, 1, h), 2, 3), "got both");
    }
    end(&b);
}

static void elementwise(void **state)
{
    (void)state;
    struct bench b;
    struct weight t;
    begin(&b);
    node_id h = heads_of(&b, &t, 16, 4);
    static const enum op ops[] = {OP_silu,  OP_gelu,    OP_gelu_tanh, OP_gelu_quick, OP_relu,
                                  OP_relu2, OP_sigmoid, OP_tanh,      OP_exp,        OP_softplus};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        assert_shape(&b, added(&b, unary(ops[i], h)), 2, 16, 4);
    assert_shape(&b, added(&b, with_number(unary(OP_softcap, h), 1, 30)), 2, 16, 4);
    refused(&b, with_number(unary(OP_softcap, h), 1, 0), "cap to be above 0");
    refused(&b, with_number(unary(OP_softcap, h), 1, -3), "cap to be above 0");
    refused(&b, with_number(unary(OP_softcap, h), 1, 1e-50), "cap to be above 0"); /* zero as a float */
    end(&b);
}

/* No number of any op may be infinite, NaN, or infinite once it is a float. */
static void numbers_must_be_finite(void **state)
{
    (void)state;
    struct bench b;
    struct weight t, w = tensor(TYPE_F32, 16, 0);
    begin(&b);
    node_id h = heads_of(&b, &t, 16, 4);
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 2.0 * (double)FLT_MAX, -DBL_MAX};
    size_t n_tried = 0;
    for (int op = OP_rmsnorm; op < OP_LIMIT; op++) {
        struct node n = blank((enum op)op);
        for (size_t i = 0; i < OP_MAX_ARGS; i++) {
            const struct op_arg *arg = &op_infos[op].arg[i];
            if (arg->kind == ARG_VALUE)
                n.arg[i].value = h;
            if (arg->kind == ARG_WEIGHT && !arg->optional)
                n.arg[i].weight = &w;
        }
        for (size_t i = 0; i < OP_MAX_ARGS; i++) {
            enum arg_kind kind = op_infos[op].arg[i].kind;
            for (size_t x = 0; x < 5 && (kind == ARG_NUMBER || kind == ARG_CACHE || kind == ARG_CHOICE); x++, n_tried++)
                refused(&b, with_number(n, i, bad[x]), kind == ARG_CHOICE ? "one of" : "a finite number");
        }
    }
    assert_true(n_tried > 100);
    end(&b);
}

static void rows_have_a_limit(void **state)
{
    (void)state;
    struct bench b;
    struct weight t[2], w = tensor(TYPE_F32, 4, GRAPH_MAX_ITEMS), wider = tensor(TYPE_F32, 1024, 1024);
    begin(&b);
    assert_shape(&b, added(&b, with_weight(unary(OP_linear, row(&b, &t[0], 4)), 1, &w)), 1, GRAPH_MAX_ITEMS, 1);
    node_id q = added(&b, with_number(unary(OP_heads, row(&b, &wider, 65536)), 1, 65536));
    node_id v = heads_of(&b, &t[1], 1024, 1);
    node_id k = heads_of(&b, &t[0], 1, 1);
    refused(&b, attention(q, k, v, 0), "gives rows of 1024 x 65536 numbers; expected at most 16777216");
    end(&b);
}

/* ---- growth, memory, printing ---- */

static void nodes_grow_and_end(void **state)
{
    (void)state;
    struct bench b;
    struct weight t;
    begin(&b);
    node_id x = row(&b, &t, 8);
    struct node n = unary(OP_silu, x);
    while (b.g.n_nodes < GRAPH_MAX_NODES) {
        n.arg[0].value = (node_id)b.g.n_nodes - 1;
        assert_int_equal(graph_add(&b.g, &n, NULL, &b.error), ANDIRON_OK);
    }
    for (size_t i = 3; i < GRAPH_MAX_NODES; i++)
        assert_int_equal(b.g.nodes[i].arg[0].value, i - 1);
    refused(&b, n, "at most 131072 nodes");
    end(&b);
}

static void an_arena_may_be_too_small(void **state)
{
    (void)state;
    struct arena arena;
    struct graph g;
    andiron_error error = {0};
    arena_init(&arena, 100);
    assert_int_equal(graph_init(&g, &arena, &error), ANDIRON_E_MEMORY);
    assert_int_equal(error.status, ANDIRON_E_MEMORY);
    arena_reset(&arena);
}

/* A small model; the number of layers makes both lists grow. */
static andiron_status build(struct graph *g, struct arena *arena, struct weight w[3], andiron_error *error)
{
    w[0] = tensor(TYPE_Q8_0, 64, 11);
    w[1] = tensor(TYPE_F32, 64, 0);
    w[2] = tensor(TYPE_Q4_0, 64, 64);
    andiron_status s = graph_init(g, arena, error);
    node_id x = 0;
    if (!s)
        s = graph_add(g, &(struct node){.op = OP_embed, .arg = {{.value = 0}, {.weight = &w[0]}}, .layer = -1}, &x,
                      error);
    for (int l = 0; l < 100 && !s; l++) {
        node_id n = 0, a = 0;
        struct node norm = with_number(with_weight(unary(OP_rmsnorm, x), 1, &w[1]), 2, 1e-5);
        norm.layer = l, norm.label = "n\033[2J";
        s = graph_add(g, &norm, &n, error);
        if (!s)
            s = graph_add(g, &(struct node){.op = OP_linear, .arg = {{.value = n}, {.weight = &w[2]}}, .layer = l}, &n,
                          error);
        if (!s)
            s = graph_add(g, &(struct node){.op = OP_heads, .arg = {{.value = n}, {.number = 4}}}, &n, error);
        struct node rope = with_number(with_number(with_number(unary(OP_rope, n), DIMS, 16), BASE, 10000), STYLE, 1);
        if (!s)
            s = graph_add(g, &rope, &n, error);
        struct node attend = with_number(attention(n, n, n, l), 5, l % 2 ? 32 : 0);
        if (!s)
            s = graph_add(g, &attend, &a, error);
        struct node flat = unary(OP_flat, a);
        if (!s)
            s = graph_add(g, &flat, &x, error);
    }
    struct node head = unary(OP_linear, x);
    head.arg[1].weight = &w[0]; /* tied */
    return s ? s : graph_add(g, &head, &g->output, error);
}

static void printing_tells_everything(void **state)
{
    (void)state;
    struct bench b = {0};
    struct weight w[3];
    struct buffer out;
    arena_init(&b.arena, 64 << 20);
    assert_int_equal(build(&b.g, &b.arena, w, &b.error), ANDIRON_OK);
    w[2].name = "bad\033[2Jname";
    buffer_init(&out, 1 << 20);
    assert_true(graph_print(&b.g, &out));
    assert_non_null(strstr(out.data, "%0     [1]                tokens  # tokens\n"));
    assert_non_null(strstr(out.data, "%2     [64]               embed(%0, blk.0.some.weight Q8_0 [64, 11])\n"));
    assert_non_null(strstr(out.data, "rmsnorm(%2, blk.0.some.weight F32 [64], eps: 1e-05)  # n?[2J layer 0\n"));
    assert_non_null(strstr(out.data, "linear(%3, bad?[2Jname Q4_0 [64, 64])  # layer 0\n"));
    assert_non_null(strstr(out.data, "rope(%5, dims: 16, base: 10000, style: halves)\n"));
    assert_non_null(strstr(out.data, "attend(%6, %6, %6, cache: 0)"));
    assert_non_null(strstr(out.data, "cache: 1, window: 32)"));
    assert_null(strchr(out.data, '\033'));
    char output[32];
    snprintf(output, sizeof output, "\noutput %%%d\n", b.g.output);
    assert_non_null(strstr(out.data, output));
    /* the tied table counts once: 64 * 11 + 64 + 64 * 64 numbers */
    assert_non_null(strstr(out.data, "604 nodes, 100 caches, 3 tensors of 0.00 M numbers"));
    assert_non_null(strstr(out.data, "caches   12800 numbers a position, 50 with a window"));
    buffer_reset(&out);
    buffer_init(&out, 100);
    assert_false(graph_print(&b.g, &out)); /* a full buffer is told */
    buffer_reset(&out);
    arena_reset(&b.arena);
}

static void failing_allocations(void **state)
{
    (void)state;
    andiron_status s = ANDIRON_E_MEMORY;
    bool printed = false;
    int64_t n = 0;
    for (; (s || !printed) && n < 1000; n++) {
        struct bench b = {0};
        struct weight w[3];
        struct buffer out;
        arena_init(&b.arena, 64 << 20);
        buffer_init(&out, 1 << 20);
        alloc_fail_after(n);
        s = build(&b.g, &b.arena, w, &b.error);
        printed = s == ANDIRON_OK && graph_print(&b.g, &out);
        alloc_fail_after(-1);
        assert_true(s == ANDIRON_OK || s == ANDIRON_E_MEMORY);
        assert_int_equal(s == ANDIRON_OK, b.error.status == ANDIRON_OK);
        buffer_reset(&out);
        arena_reset(&b.arena);
    }
    assert_true(n > 5 && n < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_are_found),
        cmocka_unit_test(a_new_graph_holds_its_inputs),
        cmocka_unit_test(values_must_exist),
        cmocka_unit_test(embed),
        cmocka_unit_test(ngrams),
        cmocka_unit_test(tensors_must_be_usable),
        cmocka_unit_test(linear),
        cmocka_unit_test(norms),
        cmocka_unit_test(views),
        cmocka_unit_test(rope),
        cmocka_unit_test(attend),
        cmocka_unit_test(attends_join),
        cmocka_unit_test(scans_in_steps),
        cmocka_unit_test(peak),
        cmocka_unit_test(loops),
        cmocka_unit_test(conv),
        cmocka_unit_test(choose),
        cmocka_unit_test(caches_have_a_limit),
        cmocka_unit_test(add_and_mul),
        cmocka_unit_test(elementwise),
        cmocka_unit_test(numbers_must_be_finite),
        cmocka_unit_test(rows_have_a_limit),
        cmocka_unit_test(nodes_grow_and_end),
        cmocka_unit_test(an_arena_may_be_too_small),
        cmocka_unit_test(printing_tells_everything),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
