/* rules_ids.c - what is asked of ids, and of what they pick. */
#include "graph/rules.h"
#include <inttypes.h>

bool rule_gives_ids(enum op op)
{
    return op == OP_tokens || op == OP_positions || op == OP_remainder || op == OP_replace;
}

static const struct node *ids_of(const struct check *c) { return &c->g->nodes[c->node->arg[0].value]; }

static andiron_status check_tokens(const struct check *c)
{
    const enum op op = ids_of(c)->op;
    return op == OP_tokens ? ANDIRON_OK
                           : rule_refuse(c, "expected ids to be tokens, got the value of %s", op_infos[op].name);
}

/* Of tokens or positions themselves, so that finding an id takes two steps at most. */
andiron_status rules_remainder(struct check *c)
{
    const enum op op = ids_of(c)->op;
    if (op != OP_tokens && op != OP_positions)
        return rule_refuse(c, "expected ids to be tokens or positions, got the value of %s", op_infos[op].name);
    return rule_is_count(rule_number(c, 1), 1) ? rule_give(c, 1, 1, 1)
                                               : rule_refuse_number(c, 1, "a whole number from 1 on");
}

andiron_status rules_replace(struct check *c)
{
    enum { FROM = 1, TO };
    const struct wholes *from = c->node->arg[FROM].list, *to = c->node->arg[TO].list;
    andiron_status s = check_tokens(c);
    if (s)
        return s;
    return from->n == to->n
               ? rule_give(c, 1, 1, 1)
               : rule_refuse(c, "expected as many numbers in to as in from, got %zu and %zu", to->n, from->n);
}

andiron_status rules_place_of(struct check *c)
{
    andiron_status s = check_tokens(c);
    return s ? s : rule_give(c, 1, 1, 1);
}

/* Tokens and positions are held within the table when they are fed (graph.c, definition.c). */
andiron_status rules_embed(struct check *c)
{
    enum { N = 1, TO };
    const struct weight *w = rule_weight(c, 1);
    const struct node *ids = ids_of(c);
    if (w->n_dims != 2)
        return rule_refuse_weight(c, w, "a matrix of 2 dimensions");
    bool within = ids->op != OP_remainder || ids->arg[N].number <= (double)w->dims[1];
    for (size_t i = 0; ids->op == OP_replace && i < ids->arg[TO].list->n; i++)
        within = within && ids->arg[TO].list->at[i] < w->dims[1];
    return within ? rule_give(c, 1, w->dims[0], 1) : rule_refuse_weight(c, w, "a row for each id");
}

/* Each row that a hash can pick is within the table. */
andiron_status rules_ngrams(struct check *c)
{
    enum { TABLE = 1, MULTIPLIERS, SIZES, OFFSETS, END, MOST_TOKENS = 16, MOST_HEADS = 1024 };
    const struct weight *w = rule_weight(c, TABLE);
    const struct wholes *by = c->node->arg[MULTIPLIERS].list, *sizes = c->node->arg[SIZES].list,
                        *offsets = c->node->arg[OFFSETS].list;
    andiron_status s = check_tokens(c);
    if (s)
        return s;
    if (w->n_dims != 2)
        return rule_refuse_weight(c, w, "a matrix of 2 dimensions");
    if (!rule_is_count(rule_number(c, END), 0) || rule_number(c, END) > INT32_MAX)
        return rule_refuse_number(c, END, "a token");
    if (by->n < 2 || by->n > MOST_TOKENS)
        return rule_refuse(c, "expected 2 to %d multipliers, got %zu", MOST_TOKENS, by->n);
    if (sizes->n > MOST_HEADS || sizes->n % (by->n - 1) || offsets->n != sizes->n)
        return rule_refuse(c, "expected %zu times as many sizes, %d at most, and as many offsets, got %zu and %zu",
                           by->n - 1, MOST_HEADS, sizes->n, offsets->n);
    for (size_t i = 0; i < sizes->n; i++)
        if (sizes->at[i] < 1 || sizes->at[i] > w->dims[1] || offsets->at[i] > w->dims[1] - sizes->at[i])
            return rule_refuse(c,
                               "expected the %" PRIu64 " rows of head %zu from %" PRIu64 " on to be within the table's "
                               "%" PRIu64,
                               sizes->at[i], i, offsets->at[i], w->dims[1]);
    return rule_give(c, 2, w->dims[0], sizes->n);
}
