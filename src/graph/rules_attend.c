/* rules_attend.c - what rope and attend ask. */
#include "graph/rules.h"
#include "kernels/kernels.h"
#include <inttypes.h>

/* A factor for each pair of rope; of a longer list the first count. */
static andiron_status check_factors(const struct check *c, size_t i, uint64_t n)
{
    const struct weight *w = rule_weight(c, i);
    return rule_vector(c, i, w && w->n_dims == 1 && w->dims[0] > n ? w->dims[0] : n);
}

andiron_status rules_rope(struct check *c)
{
    enum { DIMS = 1, BASE, FACTORS = 4, FACTORS_LONG, LINEAR, YARN, ORIGINAL, FAST, SLOW, MAGNITUDE, BACK, WHOLE };
    static const uint8_t rules[][2] = {
        {DIMS, COUNT},    {BASE, POSITIVE}, {LINEAR, POSITIVE},        {YARN, NOT_NEGATIVE}, {ORIGINAL, COUNT},
        {FAST, POSITIVE}, {SLOW, POSITIVE}, {MAGNITUDE, NOT_NEGATIVE}, {BACK, COUNT},        {WHOLE, NOT_NEGATIVE}};
    andiron_status s = rule_numbers(c, sizeof rules / sizeof *rules, rules);
    if (s)
        return s;
    struct shape x = rule_shape(c, 0);
    char text[SHAPE_TEXT];
    double dims = rule_number(c, DIMS);
    if (dims < 2 || dims > x.dims[0] || (uint32_t)dims % 2)
        return rule_refuse(c, "expected dims to be even, from 2 to %" PRIu32 ", the first dimension of x %s, got %.0f",
                           x.dims[0], shape_text(x, text), dims);
    s = check_factors(c, FACTORS, (uint64_t)dims / 2);
    if (!s)
        s = check_factors(c, FACTORS_LONG, (uint64_t)dims / 2);
    if (s)
        return s;
    if ((rule_weight(c, FACTORS_LONG) || rule_number(c, YARN) > 0) && rule_number(c, ORIGINAL) < 1)
        return rule_refuse_number(c, ORIGINAL, "given, where yarn or factors_long is");
    return rule_same(c);
}

/* The place of some of choose's arguments. */
enum { CHOOSE_N = 3, CHOOSE_SPAN, CHOOSE_BY = 6 };

static andiron_status refuse_second(const struct check *c, double cache)
{
    const struct node *other = c->g->nodes;
    for (size_t i = 0; i < c->g->n_nodes; i++)
        if (c->g->nodes[i].op == OP_attend && c->g->nodes[i].arg[ATTEND_CACHE].number == cache &&
            c->g->nodes[i].arg[ATTEND_K].value >= 0)
            other = &c->g->nodes[i];
    return rule_refuse(c,
                       "expected a cache of its own, got cache %.0f, which the attend of %.80s:%" PRIu32
                       " has; leave out k and v to read that one",
                       cache, other->file ? other->file : "graph", other->line);
}

static andiron_status check_cache(const struct check *c)
{
    const double cache = rule_number(c, ATTEND_CACHE), n = (double)c->g->n_caches;
    const bool reads = c->node->arg[ATTEND_K].value < 0;
    if (rule_is_count(cache, 0) && cache < n)
        return reads ? ANDIRON_OK : refuse_second(c, cache);
    if (reads)
        return rule_refuse(c, "expected cache to be one that an earlier attend stores to, got %g", cache);
    if (cache != n)
        return rule_refuse(c, "expected cache to be %.0f, the next one, got %g", n, cache);
    return n < GRAPH_MAX_CACHES ? ANDIRON_OK
                                : rule_refuse(c, "expected at most %d caches, got one more", GRAPH_MAX_CACHES);
}

/* Those of k and v, or of what the cache holds. */
static andiron_status stored_shapes(const struct check *c, struct shape *k, struct shape *v)
{
    if ((c->node->arg[ATTEND_K].value < 0) != (c->node->arg[ATTEND_V].value < 0))
        return rule_refuse(c, "expected both k and v, or neither");
    andiron_status s = check_cache(c);
    if (s)
        return s;
    if (c->node->arg[ATTEND_K].value >= 0) {
        *k = rule_shape(c, ATTEND_K);
        *v = rule_shape(c, ATTEND_V);
        return ANDIRON_OK;
    }
    const struct cache *cache = &c->g->caches[(size_t)rule_number(c, ATTEND_CACHE)];
    *k = (struct shape){2, {cache->hd_k, cache->n_heads, 1, 1}};
    *v = (struct shape){2, {cache->hd_v, cache->n_heads, 1, 1}};
    return ANDIRON_OK;
}

/* F32 [heads, buckets], at least 4 buckets so that some are exact and some are not. */
static andiron_status check_relative(const struct check *c, uint32_t n_heads)
{
    const struct weight *w = rule_weight(c, ATTEND_RELATIVE);
    if (!w || (w->type == TYPE_F32 && w->n_dims == 2 && w->dims[0] == n_heads && w->dims[1] >= 4 && w->dims[1] <= 1024))
        return ANDIRON_OK;
    return rule_refuse_weight(c, w, "relative to be F32 [heads, 4 to 1024 buckets]");
}

/* [n], or [n, heads of the cache]. */
static andiron_status check_only(const struct check *c, uint32_t n_heads)
{
    if (c->node->arg[ATTEND_ONLY].value < 0)
        return ANDIRON_OK;
    const struct shape only = rule_shape(c, ATTEND_ONLY);
    char text[SHAPE_TEXT];
    if (c->g->nodes[c->node->arg[ATTEND_ONLY].value].op != OP_choose)
        return rule_refuse(c, "expected only to be what choose gave, got the value of %s",
                           op_infos[c->g->nodes[c->node->arg[ATTEND_ONLY].value].op].name);
    if (rule_number(c, ATTEND_ONLY_SPAN) != c->g->nodes[c->node->arg[ATTEND_ONLY].value].arg[CHOOSE_SPAN].number)
        return rule_refuse_number(c, ATTEND_ONLY_SPAN, "the span that choose has");
    return only.dims[1] == 1 || only.dims[1] == n_heads
               ? ANDIRON_OK
               : rule_refuse(c, "expected only to have 1 or %" PRIu32 " heads, got %s", n_heads,
                             shape_text(only, text));
}

/* One softmax with another attend, which left its sum open. */
static andiron_status check_joins(const struct check *c, struct shape v, uint32_t n_heads)
{
    char text[SHAPE_TEXT];
    if (!rule_is_count(rule_number(c, ATTEND_EVERY), 1))
        return rule_refuse_number(c, ATTEND_EVERY, "a whole number from 1 on");
    if (rule_number(c, ATTEND_OPEN) != 0 && rule_number(c, ATTEND_OPEN) != 1)
        return rule_refuse_number(c, ATTEND_OPEN, "0 or 1");
    if (c->node->arg[ATTEND_JOINS].value < 0)
        return ANDIRON_OK;
    const struct shape sum = rule_shape(c, ATTEND_JOINS);
    if (rule_weight(c, ATTEND_SINKS))
        return rule_refuse(c, "expected no sinks beside joins");
    if (sum.dims[0] != v.dims[0] + 2 || sum.dims[1] != n_heads)
        return rule_refuse(c, "expected joins to be [%" PRIu32 ", %" PRIu32 "], got %s", v.dims[0] + 2, n_heads,
                           shape_text(sum, text));
    return ANDIRON_OK;
}

/* Scores of distances: of queries, of keys, whose rows are read where they stand in the step. */
static andiron_status check_near(const struct check *c, uint32_t n_heads)
{
    const struct weight *at = rule_weight(c, ATTEND_NEAR_AT);
    char text[SHAPE_TEXT];
    for (size_t i = ATTEND_NEAR; i <= ATTEND_NEAR_KEYS; i += ATTEND_NEAR_KEYS - ATTEND_NEAR)
        if (c->node->arg[i].value >= 0 && rule_shape(c, i).dims[1] != n_heads)
            return rule_refuse(c, "expected %s to have %" PRIu32 " heads, as q has, got %s", c->info->arg[i].name,
                               n_heads, shape_text(rule_shape(c, i), text));
    if (c->node->arg[ATTEND_NEAR_KEYS].value >= 0 && graph_sees(c->node) != SEES_ALL)
        return rule_refuse(c, "expected sees: \"all\" beside near_keys");
    if (at && (at->type != TYPE_F32 || at->n_dims != 1 || at->dims[0] % 2 == 0))
        return rule_refuse_weight(c, at, "near_at to be F32 [2 m + 1]");
    return ANDIRON_OK;
}

/* What is part of a softmax, or said by scores far below, goes with that alone. */
static andiron_status check_by(const struct check *c)
{
    const bool softmax = rule_weight(c, ATTEND_SINKS) || c->node->arg[ATTEND_ONLY].value >= 0 ||
                         c->node->arg[ATTEND_JOINS].value >= 0 || rule_number(c, ATTEND_OPEN) != 0 ||
                         rule_number(c, ATTEND_EVERY) != 1;
    return rule_number(c, ATTEND_BY) == 0 || !softmax
               ? ANDIRON_OK
               : rule_refuse(c, "expected by to be softmax, where sinks, only, every, open or joins is given");
}

/* The text's begin beside a window; a reach of each row's own. */
static andiron_status check_begin(const struct check *c)
{
    char text[SHAPE_TEXT];
    const bool reach = c->node->arg[ATTEND_REACH].value >= 0;
    if (reach && shape_items(rule_shape(c, ATTEND_REACH)) != 1)
        return rule_refuse(c, "expected reach to be one number, got %s", shape_text(rule_shape(c, ATTEND_REACH), text));
    if (reach && graph_sees(c->node) != SEES_BEFORE)
        return rule_refuse(c, "expected no reach where all of a text or a source is seen");
    return rule_number(c, ATTEND_BEGIN) == 0 || graph_sees(c->node) == SEES_BEFORE
               ? ANDIRON_OK
               : rule_refuse(c, "expected no begin where all of a text or a source is seen");
}

/* What is seen of the text. */
static andiron_status check_sight(const struct check *c, uint32_t n_heads, struct shape v)
{
    andiron_status s = check_only(c, v.dims[1]);
    if (!s)
        s = check_begin(c);
    if (!s)
        s = check_joins(c, v, n_heads);
    if (!s && graph_sees(c->node) == SEES_SOURCE && rule_number(c, ATTEND_WINDOW) != 0 &&
        rule_number(c, ATTEND_WINDOW_STYLE) < WINDOW_BOTH)
        return rule_refuse_number(c, ATTEND_WINDOW,
                                  "0, or window_style: \"both\" or \"middle\", where the source is seen");
    if (!s)
        s = check_by(c);
    return s ? s : check_near(c, n_heads);
}

/* How many spans are chosen, and how long they are. */
static andiron_status check_spans(const struct check *c)
{
    enum { MOST = 1 << 16, MOST_CHOSEN = 1 << 20 };
    if (!rule_is_count(rule_number(c, CHOOSE_N), 1) || rule_number(c, CHOOSE_N) > MOST_CHOSEN)
        return rule_refuse_number(c, CHOOSE_N, "a whole number from 1 to 1048576");
    if (rule_number(c, CHOOSE_BY) != 0 && rule_number(c, CHOOSE_N) < 2)
        return rule_refuse_number(c, CHOOSE_N, "at least 2, one of them for the row's own span");
    if (!rule_is_count(rule_number(c, CHOOSE_SPAN), 1) || rule_number(c, CHOOSE_SPAN) > MOST)
        return rule_refuse_number(c, CHOOSE_SPAN, "a whole number from 1 to 65536");
    return ANDIRON_OK;
}

andiron_status rules_choose(struct check *c)
{
    enum { Q, K, WEIGHTS, LOCAL = 5 };
    static const uint8_t rules[][2] = {{LOCAL, COUNT}};
    const struct shape q = rule_shape(c, Q), k = rule_shape(c, K);
    char q_text[SHAPE_TEXT], k_text[SHAPE_TEXT];
    andiron_status s = rule_numbers(c, 1, rules);
    if (s)
        return s;
    if (q.n_dims > 2 || q.dims[0] != k.dims[0] || shape_items(k) != k.dims[0] || k.dims[0] > KV_HEAD_MAX)
        return rule_refuse(c, "expected q [d, heads] and k [d], d at most %d, got %s and %s", KV_HEAD_MAX,
                           shape_text(q, q_text), shape_text(k, k_text));
    const bool weighed = c->node->arg[WEIGHTS].value >= 0;
    if (weighed && shape_items(rule_shape(c, WEIGHTS)) != q.dims[1])
        return rule_refuse(c, "expected a weight for each of %" PRIu32 " heads, got %s", q.dims[1],
                           shape_text(rule_shape(c, WEIGHTS), k_text));
    s = check_spans(c);
    if (s)
        return s;
    if (c->g->n_caches >= GRAPH_MAX_CACHES)
        return rule_refuse(c, "expected at most %d caches, got one more", GRAPH_MAX_CACHES);
    return rule_give(c, 2, (uint64_t)rule_number(c, CHOOSE_N), weighed ? 1 : q.dims[1]);
}

/* What is expected of their shapes and not so, or NULL. */
static const char *mismatch(struct shape q, struct shape k, struct shape v)
{
    if (q.n_dims != 2 || k.n_dims != 2 || v.n_dims != 2)
        return "q, k and v to be heads: [head size, heads]";
    if (q.dims[0] != k.dims[0])
        return "q and k to have one head size";
    if (k.dims[1] != v.dims[1])
        return "k and v to have one number of heads";
    if (q.dims[1] % k.dims[1])
        return "q to have a multiple of k's heads";
    return k.dims[0] > KV_HEAD_MAX || v.dims[0] > KV_HEAD_MAX ? "heads of at most 1024 numbers" : NULL;
}

andiron_status rules_attend(struct check *c)
{
    static const uint8_t rules[][2] = {{ATTEND_SCALE, NOT_NEGATIVE}, {ATTEND_WINDOW, COUNT},
                                       {ATTEND_BEGIN, COUNT},        {ATTEND_CAP, NOT_NEGATIVE},
                                       {ATTEND_ALIBI, NOT_NEGATIVE}, {ATTEND_ALIBI_BY, NOT_NEGATIVE}};
    struct shape q = rule_shape(c, ATTEND_Q), k, v;
    char q_text[SHAPE_TEXT], k_text[SHAPE_TEXT], v_text[SHAPE_TEXT];
    andiron_status s = rule_numbers(c, sizeof rules / sizeof *rules, rules);
    if (!s)
        s = stored_shapes(c, &k, &v);
    if (!s)
        s = rule_vector(c, ATTEND_SINKS, q.dims[1]);
    if (!s)
        s = check_relative(c, q.dims[1]);
    if (!s)
        s = check_sight(c, q.dims[1], v);
    if (s)
        return s;
    const char *expected = mismatch(q, k, v);
    if (expected)
        return rule_refuse(c, "expected %s, got q %s, k %s, v %s", expected, shape_text(q, q_text),
                           shape_text(k, k_text), shape_text(v, v_text));
    return rule_give(c, 2, v.dims[0] + (rule_number(c, ATTEND_OPEN) != 0 ? 2 : 0), q.dims[1]);
}
