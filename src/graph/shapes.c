/* shapes.c - what each op asks of its arguments, and the shape it gives.
 *
 * A definition may come from an untrusted file, and so may the tensors: whatever runs a graph relies on what is checked
 * here and checks nothing again. First every argument by its kind, then each op's own rules. */
#include "graph/shapes.h"
#include "base/error.h"
#include "kernels/kernels.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

struct check {
    const struct graph *g;
    struct node *node;
    const struct op_info *info;
    andiron_error *error;
};

char *shape_text(struct shape s, char out[SHAPE_TEXT])
{
    int n = snprintf(out, SHAPE_TEXT, "[%" PRIu32, s.dims[0]);
    for (uint32_t d = 1; d < s.n_dims && d < 4; d++)
        n += snprintf(out + n, (size_t)(SHAPE_TEXT - n), ", %" PRIu32, s.dims[d]);
    snprintf(out + n, (size_t)(SHAPE_TEXT - n), "]");
    return out;
}

/* ---- saying no ---- */

static andiron_status refuse(const struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static andiron_status refuse(const struct check *c, const char *format, ...)
{
    char why[384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    const struct node *n = c->node;
    return error_set(c->error, ANDIRON_E_FORMAT, "%.80s:%" PRIu32 ": %s: %s", n->file ? n->file : "graph", n->line,
                     c->info ? c->info->name : "op", why);
}

static andiron_status refuse_weight(const struct check *c, const struct weight *w, const char *expected)
{
    char dims[SHAPE_TEXT * 2] = "";
    const struct type_info *type = type_info(w->type);
    for (uint32_t d = 0, n = 0; d < w->n_dims && d < 4; d++)
        n += (uint32_t)snprintf(dims + n, sizeof dims - n, "%s%" PRIu64, d ? ", " : "", w->dims[d]);
    return refuse(c, "expected %s, got \"%.100s\" %s [%s]", expected, w->name ? w->name : "",
                  type ? type->name : "of unknown type", dims);
}

static andiron_status refuse_number(const struct check *c, size_t i, const char *expected)
{
    return refuse(c, "expected %s to be %s, got %g", c->info->arg[i].name, expected, c->node->arg[i].number);
}

/* ---- every argument, by its kind ---- */

static double number(const struct check *c, size_t i) { return c->node->arg[i].number; }
static const struct weight *weight(const struct check *c, size_t i) { return c->node->arg[i].weight; }
static struct shape shape(const struct check *c, size_t i) { return c->g->nodes[c->node->arg[i].value].shape; }

static andiron_status check_value(const struct check *c, size_t i)
{
    const struct op_arg *arg = &c->info->arg[i];
    node_id v = c->node->arg[i].value;
    if (v == -1 && arg->optional)
        return ANDIRON_OK;
    if (v < 0 || (size_t)v >= c->g->n_nodes)
        return refuse(c, "expected a value for %s, got %s", arg->name, v == -1 ? "none" : "no node of this graph");
    bool ids = c->g->nodes[v].op == OP_tokens || c->g->nodes[v].op == OP_positions;
    if (ids != (c->node->op == OP_embed))
        return refuse(c,
                      ids ? "expected %s to be numbers, got %s; put them through embed"
                          : "expected %s to be tokens or positions, got the value of %s",
                      arg->name, op_infos[c->g->nodes[v].op].name);
    return ANDIRON_OK;
}

/* A tensor that kernels can read: known type, whole blocks, sizes that fit what a plan counts with. */
static andiron_status check_weight(const struct check *c, size_t i)
{
    const struct weight *w = weight(c, i);
    if (!w && c->info->arg[i].optional)
        return ANDIRON_OK;
    if (!w)
        return refuse(c, "expected a tensor for %s, got none", c->info->arg[i].name);
    if (w->n_dims < 1 || w->n_dims > 4)
        return refuse_weight(c, w, "a tensor of 1 to 4 dimensions");
    uint64_t rows = 1;
    for (uint32_t d = 0; d < w->n_dims; d++) {
        if (w->dims[d] < 1 || w->dims[d] > GRAPH_MAX_ITEMS || (d && (rows *= w->dims[d]) > GRAPH_MAX_ITEMS))
            return refuse_weight(c, w, "a tensor of at most 16777216 rows of 1 to 16777216 numbers");
    }
    const struct type_info *type = type_info(w->type);
    if (!type || !type->runs) {
        refuse_weight(c, w, "a tensor of a type that this build can compute with");
        if (c->error)
            c->error->status = ANDIRON_E_SUPPORT;
        return ANDIRON_E_SUPPORT;
    }
    if (w->dims[0] % type->block_items)
        return refuse_weight(c, w, "rows that are whole blocks of the tensor's type");
    return ANDIRON_OK;
}

static bool is_count(double x, double least) { return x >= least && x <= UINT32_MAX && x == (double)(uint32_t)x; }

static size_t n_words(const char *words)
{
    size_t n = *words != 0;
    for (; *words; words++)
        n += *words == ' ';
    return n;
}

static andiron_status check_argument(const struct check *c, size_t i)
{
    const struct op_arg *arg = &c->info->arg[i];
    double x;
    switch (arg->kind) {
    case ARG_VALUE: return check_value(c, i);
    case ARG_WEIGHT: return check_weight(c, i);
    case ARG_CHOICE:
        x = number(c, i);
        return is_count(x, 0) && x < (double)n_words(arg->choices)
                   ? ANDIRON_OK
                   : refuse(c, "expected %s to be one of: %s", arg->name, arg->choices);
    default: /* kernels compute in float: what is finite must stay so there */
        x = number(c, i);
        return isfinite(x) && fabs(x) <= (double)FLT_MAX ? ANDIRON_OK : refuse_number(c, i, "a finite number");
    }
}

/* ---- rules the ops share ---- */

static andiron_status give(const struct check *c, uint32_t n_dims, uint64_t d0, uint64_t d1)
{
    if (d0 > GRAPH_MAX_ITEMS || d1 > GRAPH_MAX_ITEMS || d0 * d1 > GRAPH_MAX_ITEMS)
        return refuse(c, "gives rows of %" PRIu64 " x %" PRIu64 " numbers; expected at most %d", d0, d1,
                      GRAPH_MAX_ITEMS);
    c->node->shape = (struct shape){n_dims, {(uint32_t)d0, (uint32_t)d1, 1, 1}};
    return ANDIRON_OK;
}

/* A vector of `n` float32, or left out. */
static andiron_status check_vector(const struct check *c, size_t i, uint64_t n)
{
    const struct weight *w = weight(c, i);
    char expected[96];
    if (!w)
        return ANDIRON_OK;
    bool one_row = w->dims[0] == n;
    for (uint32_t d = 1; d < w->n_dims; d++)
        one_row = one_row && w->dims[d] == 1;
    if (w->type == TYPE_F32 && one_row)
        return ANDIRON_OK;
    snprintf(expected, sizeof expected, "%s to be F32 [%" PRIu64 "]", c->info->arg[i].name, n);
    return refuse_weight(c, w, expected);
}

static andiron_status check_table(const struct check *c, size_t i)
{
    return weight(c, i)->n_dims == 2 ? ANDIRON_OK : refuse_weight(c, weight(c, i), "a matrix of 2 dimensions");
}

static andiron_status same_shape(struct check *c)
{
    c->node->shape = shape(c, 0);
    return ANDIRON_OK;
}

/* ---- each op ---- */

static andiron_status inputs(struct check *c)
{
    if (c->g->n_nodes != (size_t)c->node->op)
        return refuse(c, "expected to be node %d of the graph, got place %zu", (int)c->node->op, c->g->n_nodes);
    return give(c, 1, 1, 1);
}

static andiron_status embed(struct check *c)
{
    andiron_status s = check_table(c, 1);
    return s ? s : give(c, 1, weight(c, 1)->dims[0], 1);
}

/* Rows of quantized types are whole blocks (check_weight), and so a multiple of the 32 that their products read at
 * once. */
static andiron_status linear(struct check *c)
{
    const struct weight *w = weight(c, 1);
    size_t items = shape_items(shape(c, 0));
    char text[SHAPE_TEXT], expected[160];
    andiron_status s = check_table(c, 1);
    if (!s && w->dims[0] != items) {
        snprintf(expected, sizeof expected, "rows of %zu numbers, as many as x %s has", items,
                 shape_text(shape(c, 0), text));
        s = refuse_weight(c, w, expected);
    }
    if (!s)
        s = check_vector(c, 2, w->dims[1]);
    return s ? s : give(c, 1, w->dims[1], 1);
}

static andiron_status norm(struct check *c, size_t eps)
{
    if (number(c, eps) < 0)
        return refuse_number(c, eps, "at least 0");
    andiron_status s = check_vector(c, 1, shape(c, 0).dims[0]);
    return s ? s : same_shape(c);
}

static andiron_status rmsnorm(struct check *c) { return norm(c, 2); }

static andiron_status layernorm(struct check *c)
{
    andiron_status s = check_vector(c, 2, shape(c, 0).dims[0]);
    return s ? s : norm(c, 3);
}

static andiron_status heads(struct check *c)
{
    size_t items = shape_items(shape(c, 0));
    char text[SHAPE_TEXT];
    if (!is_count(number(c, 1), 1))
        return refuse_number(c, 1, "a whole number from 1 on");
    uint64_t n = (uint64_t)number(c, 1);
    if (items % n)
        return refuse(c, "expected a number of heads that divides x %s, got %" PRIu64, shape_text(shape(c, 0), text),
                      n);
    return give(c, 2, items / n, n);
}

static andiron_status flat(struct check *c) { return give(c, 1, shape_items(shape(c, 0)), 1); }

static andiron_status slice(struct check *c)
{
    struct shape x = shape(c, 0);
    char text[SHAPE_TEXT];
    if (!is_count(number(c, 1), 0))
        return refuse_number(c, 1, "a whole number from 0 on");
    if (!is_count(number(c, 2), 1))
        return refuse_number(c, 2, "a whole number from 1 on");
    if (number(c, 1) + number(c, 2) > (double)x.dims[0])
        return refuse(c, "expected start + n to be at most %" PRIu32 ", the first dimension of x %s, got %.0f + %.0f",
                      x.dims[0], shape_text(x, text), number(c, 1), number(c, 2));
    c->node->shape = x;
    c->node->shape.dims[0] = (uint32_t)number(c, 2);
    return ANDIRON_OK;
}

enum rule { POSITIVE, NOT_NEGATIVE, COUNT };

static andiron_status check_numbers(const struct check *c, size_t n, const uint8_t (*rules)[2])
{
    for (size_t i = 0; i < n; i++) {
        double x = number(c, rules[i][0]);
        if (rules[i][1] == POSITIVE && !((float)x > 0))
            return refuse_number(c, rules[i][0], "above 0");
        if (rules[i][1] == NOT_NEGATIVE && !(x >= 0))
            return refuse_number(c, rules[i][0], "at least 0");
        if (rules[i][1] == COUNT && !is_count(x, 0))
            return refuse_number(c, rules[i][0], "a whole number from 0 on");
    }
    return ANDIRON_OK;
}

static andiron_status rope(struct check *c)
{
    enum { DIMS = 1, BASE, FACTORS = 4, FACTORS_LONG, LINEAR, YARN, ORIGINAL, FAST, SLOW, MAGNITUDE };
    static const uint8_t rules[][2] = {{DIMS, COUNT},        {BASE, POSITIVE},         {LINEAR, POSITIVE},
                                       {YARN, NOT_NEGATIVE}, {ORIGINAL, COUNT},        {FAST, POSITIVE},
                                       {SLOW, POSITIVE},     {MAGNITUDE, NOT_NEGATIVE}};
    andiron_status s = check_numbers(c, sizeof rules / sizeof *rules, rules);
    if (s)
        return s;
    struct shape x = shape(c, 0);
    char text[SHAPE_TEXT];
    double dims = number(c, DIMS);
    if (dims < 2 || dims > x.dims[0] || (uint32_t)dims % 2)
        return refuse(c, "expected dims to be even, from 2 to %" PRIu32 ", the first dimension of x %s, got %.0f",
                      x.dims[0], shape_text(x, text), dims);
    s = check_vector(c, FACTORS, (uint64_t)dims / 2);
    if (!s)
        s = check_vector(c, FACTORS_LONG, (uint64_t)dims / 2);
    if (s)
        return s;
    if ((weight(c, FACTORS_LONG) || number(c, YARN) > 0) && number(c, ORIGINAL) < 1)
        return refuse_number(c, ORIGINAL, "given, where yarn or factors_long is");
    return same_shape(c);
}

static andiron_status check_cache(const struct check *c)
{
    double cache = number(c, 3);
    if (!is_count(cache, 0) || cache > (double)c->g->n_caches)
        return refuse(c, "expected cache to be %zu, the next one, got %g", c->g->n_caches, cache);
    if (cache == (double)c->g->n_caches)
        return c->g->n_caches < GRAPH_MAX_CACHES
                   ? ANDIRON_OK
                   : refuse(c, "expected at most %d caches, got one more", GRAPH_MAX_CACHES);
    const struct node *other = c->g->nodes;
    for (size_t i = 0; i < c->g->n_nodes; i++)
        if (c->g->nodes[i].op == OP_attend && c->g->nodes[i].arg[3].number == cache)
            other = &c->g->nodes[i];
    return refuse(c, "expected a cache of its own, got cache %.0f, which the attend of %.80s:%" PRIu32 " has", cache,
                  other->file ? other->file : "graph", other->line);
}

static andiron_status attend(struct check *c)
{
    enum { SCALE = 4, WINDOW, CAP };
    static const uint8_t rules[][2] = {{SCALE, NOT_NEGATIVE}, {WINDOW, COUNT}, {CAP, NOT_NEGATIVE}};
    struct shape q = shape(c, 0), k = shape(c, 1), v = shape(c, 2);
    char q_text[SHAPE_TEXT], k_text[SHAPE_TEXT], v_text[SHAPE_TEXT];
    const char *expected = NULL;
    if (q.n_dims != 2 || k.n_dims != 2 || v.n_dims != 2)
        expected = "q, k and v to be heads: [head size, heads]";
    else if (q.dims[0] != k.dims[0])
        expected = "q and k to have one head size";
    else if (k.dims[1] != v.dims[1])
        expected = "k and v to have one number of heads";
    else if (q.dims[1] % k.dims[1])
        expected = "q to have a multiple of k's heads";
    else if (k.dims[0] > KV_HEAD_MAX || v.dims[0] > KV_HEAD_MAX)
        expected = "heads of at most 1024 numbers";
    if (expected)
        return refuse(c, "expected %s, got q %s, k %s, v %s", expected, shape_text(q, q_text), shape_text(k, k_text),
                      shape_text(v, v_text));
    andiron_status s = check_numbers(c, 3, rules);
    if (!s)
        s = check_cache(c);
    return s ? s : give(c, 2, v.dims[0], q.dims[1]);
}

/* add and mul: b has a's shape, or is one row for all of a's heads, or is left out for a number. */
static andiron_status with_b(struct check *c)
{
    char a_text[SHAPE_TEXT], b_text[SHAPE_TEXT];
    struct shape a = shape(c, 0);
    if (c->node->arg[1].value == -1)
        return same_shape(c);
    struct shape b = shape(c, 1);
    bool same = true, row = b.dims[0] == a.dims[0];
    for (int d = 0; d < 4; d++) {
        same = same && a.dims[d] == b.dims[d];
        row = row && (d == 0 || b.dims[d] == 1);
    }
    if (number(c, 2) != c->info->arg[2].fallback)
        return refuse(c, "expected b or a number, got both");
    if (!same && !row)
        return refuse(c, "expected b to be %s or [%" PRIu32 "], got %s", shape_text(a, a_text), a.dims[0],
                      shape_text(b, b_text));
    return same_shape(c);
}

static andiron_status softcap(struct check *c)
{
    return (float)number(c, 1) > 0 ? same_shape(c) : refuse_number(c, 1, "above 0");
}

static andiron_status (*const rules_of[OP_LIMIT])(struct check *) = {
    [OP_tokens] = inputs,   [OP_positions] = inputs,    [OP_embed] = embed,   [OP_linear] = linear,
    [OP_rmsnorm] = rmsnorm, [OP_layernorm] = layernorm, [OP_heads] = heads,   [OP_flat] = flat,
    [OP_slice] = slice,     [OP_rope] = rope,           [OP_attend] = attend, [OP_add] = with_b,
    [OP_mul] = with_b,      [OP_softcap] = softcap,
}; /* the rest: elementwise */

andiron_status shapes_check(const struct graph *g, struct node *node, andiron_error *error)
{
    struct check c = {g, node, NULL, error};
    if ((unsigned)node->op >= OP_LIMIT)
        return refuse(&c, "expected an op below %d, got number %u", OP_LIMIT, (unsigned)node->op);
    c.info = &op_infos[node->op];
    for (size_t i = 0; i < OP_MAX_ARGS && c.info->arg[i].kind != ARG_NONE; i++) {
        andiron_status s = check_argument(&c, i);
        if (s)
            return s;
    }
    return rules_of[node->op] ? rules_of[node->op](&c) : same_shape(&c);
}
