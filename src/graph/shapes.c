/* shapes.c - what each op asks of its arguments, and the shape it gives.
 *
 * A definition may come from an untrusted file, and so may the tensors: whatever runs a graph relies on what is checked
 * here and checks nothing again. First every argument by its kind, then each op's own rules. */
#include "graph/shapes.h"
#include "base/error.h"
#include "graph/rules.h"
#include "kernels/kernels.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

char *shape_text(struct shape s, char out[SHAPE_TEXT])
{
    int n = snprintf(out, SHAPE_TEXT, "[%" PRIu32, s.dims[0]);
    for (uint32_t d = 1; d < s.n_dims && d < 4; d++)
        n += snprintf(out + n, (size_t)(SHAPE_TEXT - n), ", %" PRIu32, s.dims[d]);
    snprintf(out + n, (size_t)(SHAPE_TEXT - n), "]");
    return out;
}

/* ---- saying no ---- */

andiron_status rule_refuse(const struct check *c, const char *format, ...)
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

andiron_status rule_refuse_weight(const struct check *c, const struct weight *w, const char *expected)
{
    char dims[SHAPE_TEXT * 2] = "";
    const struct type_info *type = type_info(w->type);
    for (uint32_t d = 0, n = 0; d < w->n_dims && d < 4; d++)
        n += (uint32_t)snprintf(dims + n, sizeof dims - n, "%s%" PRIu64, d ? ", " : "", w->dims[d]);
    return rule_refuse(c, "expected %s, got \"%.100s\" %s [%s]", expected, w->name ? w->name : "",
                       type ? type->name : "of unknown type", dims);
}

andiron_status rule_refuse_number(const struct check *c, size_t i, const char *expected)
{
    return rule_refuse(c, "expected %s to be %s, got %g", c->info->arg[i].name, expected, c->node->arg[i].number);
}

/* ---- every argument, by its kind ---- */

static bool takes_ids(enum op op)
{
    return op == OP_embed || op == OP_numbers || op == OP_ngrams || op == OP_place_of || op == OP_remainder ||
           op == OP_replace;
}

static andiron_status check_value(const struct check *c, size_t i)
{
    const struct op_arg *arg = &c->info->arg[i];
    node_id v = c->node->arg[i].value;
    if (v == -1 && arg->optional)
        return ANDIRON_OK;
    if (v < 0 || (size_t)v >= c->g->n_nodes)
        return rule_refuse(c, "expected a value for %s, got %s", arg->name, v == -1 ? "none" : "no node of this graph");
    const bool ids = rule_gives_ids(c->g->nodes[v].op);
    if (ids != takes_ids(c->node->op))
        return rule_refuse(c,
                           ids ? "expected %s to be numbers, got %s; put them through embed or numbers"
                               : "expected %s to be tokens or positions, got the value of %s",
                           arg->name, op_infos[c->g->nodes[v].op].name);
    return ANDIRON_OK;
}

/* As large as a plan counts with; a table of n-grams may have more rows than others. */
static andiron_status check_size(const struct check *c, const struct weight *w)
{
    const uint64_t most = c->node->op == OP_ngrams ? UINT32_MAX : GRAPH_MAX_ITEMS;
    uint64_t rows = 1;
    char expected[96];
    snprintf(expected, sizeof expected, "a tensor of at most %" PRIu64 " rows of 1 to %d numbers", most,
             GRAPH_MAX_ITEMS);
    if (w->dims[0] < 1 || w->dims[0] > GRAPH_MAX_ITEMS)
        return rule_refuse_weight(c, w, expected);
    for (uint32_t d = 1; d < w->n_dims; d++)
        if (w->dims[d] < 1 || w->dims[d] > most || (rows *= w->dims[d]) > most)
            return rule_refuse_weight(c, w, expected);
    return ANDIRON_OK;
}

/* A tensor that kernels can read: known type, whole blocks, sizes that fit what a plan counts with. */
static andiron_status check_weight(const struct check *c, size_t i)
{
    const struct weight *w = rule_weight(c, i);
    if (!w && c->info->arg[i].optional)
        return ANDIRON_OK;
    if (!w)
        return rule_refuse(c, "expected a tensor for %s, got none", c->info->arg[i].name);
    if (w->n_dims < 1 || w->n_dims > 4)
        return rule_refuse_weight(c, w, "a tensor of 1 to 4 dimensions");
    andiron_status s = check_size(c, w);
    if (s)
        return s;
    const struct type_info *type = type_info(w->type);
    const bool wholes = w->type == TYPE_I32 && c->node->op == OP_embed;
    if (!type || (!type->runs && !wholes)) {
        rule_refuse_weight(c, w, "a tensor of a type that this build can compute with");
        if (c->error)
            c->error->status = ANDIRON_E_SUPPORT;
        return ANDIRON_E_SUPPORT;
    }
    if (w->parts && c->node->op != OP_experts)
        return rule_refuse_weight(c, w, "one tensor; matrices that stand apart are for experts");
    if (w->dims[0] % type->block_items)
        return rule_refuse_weight(c, w, "rows that are whole blocks of the tensor's type");
    return ANDIRON_OK;
}

bool rule_is_count(double x, double least) { return x >= least && x <= UINT32_MAX && x == (double)(uint32_t)x; }

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
    case ARG_LIST:
        return c->node->arg[i].list && c->node->arg[i].list->n
                   ? ANDIRON_OK
                   : rule_refuse(c, "expected whole numbers for %s, got none", arg->name);
    case ARG_CHOICE:
        x = rule_number(c, i);
        return rule_is_count(x, 0) && x < (double)n_words(arg->choices)
                   ? ANDIRON_OK
                   : rule_refuse(c, "expected %s to be one of: %s", arg->name, arg->choices);
    default: /* kernels compute in float: what is finite must stay so there */
        x = rule_number(c, i);
        return isfinite(x) && fabs(x) <= (double)FLT_MAX ? ANDIRON_OK : rule_refuse_number(c, i, "a finite number");
    }
}

andiron_status shapes_check(const struct graph *g, struct node *node, andiron_error *error)
{
    struct check c = {g, node, NULL, error};
    if ((unsigned)node->op >= OP_LIMIT)
        return rule_refuse(&c, "expected an op below %d, got number %u", OP_LIMIT, (unsigned)node->op);
    c.info = &op_infos[node->op];
    for (size_t i = 0; i < OP_MAX_ARGS && c.info->arg[i].kind != ARG_NONE; i++) {
        andiron_status s = check_argument(&c, i);
        if (s)
            return s;
    }
    const andiron_status s = op_rules[node->op] ? op_rules[node->op](&c) : rule_same(&c);
    return s ? s : rules_loop(&c);
}
