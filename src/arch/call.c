/* call.c - calls of blocks, and of ops, which make nodes. */
#include "arch/expand.h"
#include "base/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- nodes ---- */

struct node empty_node(enum op op)
{
    struct node n = {.op = op, .label = ""};
    for (int i = 0; i < OP_MAX_ARGS && op_infos[op].arg[i].kind != ARG_NONE; i++) {
        const struct op_arg *a = &op_infos[op].arg[i];
        if (a->kind == ARG_VALUE)
            n.arg[i].value = -1;
        else if (a->kind == ARG_WEIGHT)
            n.arg[i].weight = NULL;
        else
            n.arg[i].number = a->fallback;
    }
    return n;
}

/* The file's name where it outlives the definition; one copy of each. */
static const char *file_of(struct expansion *x, const struct definition *d)
{
    size_t i = 0;
    while (i < MAX_PARENTS && x->files[i].definition && x->files[i].definition != d)
        i++;
    if (x->files[i].definition != d) {
        x->files[i].definition = d;
        x->files[i].name = arena_text(x->arena, d->file, strlen(d->file));
    }
    return x->files[i].name;
}

andiron_status add_node(struct expansion *x, const struct frame *f, uint32_t line, struct node *node, struct value *out)
{
    struct span label = f->label.n ? f->label : f->name;
    node->file = file_of(x, f->definition);
    node->line = line;
    node->layer = x->layer;
    node->label = label.n ? arena_text(x->arena, label.p, label.n < 40 ? label.n : 40) : "";
    if (!node->file || !node->label)
        return error_memory(x->error, label.n, "names of a graph");
    *out = (struct value){.kind = VALUE_NODE};
    return graph_add(x->g, node, &out->node, x->error);
}

/* ---- ops ---- */

static andiron_status expected_for(const struct arguments *a, const char *what, const char *name,
                                   const struct value *got)
{
    char words[VALUE_WORDS];
    return expand_error(a->x, a->f, a->e->line, "%.*s: expected %s for %s, got %s", cut(a->e->text), a->e->text.p, what,
                        name, value_words(got, words));
}

static andiron_status set_weight(const struct arguments *a, const struct op_arg *arg, const struct value *v,
                                 union arg *to)
{
    if (v->kind == VALUE_NONE && arg->optional)
        return ANDIRON_OK;
    if (v->kind != VALUE_STEM)
        return expected_for(a, "a tensor's name", arg->name, v);
    to->weight = stem_weight(a->x, v->text, arg->suffix);
    if (!to->weight)
        to->weight = missing_weight(a->x, a->f, a->e->line, a->e->text, v->text, arg->suffix);
    return to->weight ? ANDIRON_OK : ANDIRON_E_FORMAT;
}

static andiron_status set_choice(const struct arguments *a, const struct op_arg *arg, const struct value *v,
                                 union arg *to)
{
    char what[80] = "one of ";
    const char *word = arg->choices;
    for (int at = 0; v->kind == VALUE_TEXT && *word; at++) {
        size_t n = strcspn(word, " ");
        if (span_same(v->text, (struct span){word, n})) {
            to->number = at;
            return ANDIRON_OK;
        }
        word += n + (word[n] == ' ');
    }
    strncat(what, arg->choices, sizeof what - strlen(what) - 1);
    return expected_for(a, what, arg->name, v);
}

/* A second set of keys and values in one softmax, or those of the source. */
static bool is_second(const struct arguments *a)
{
    for (size_t i = 0; i < a->e->n_arguments; i++)
        if (span_is(a->e->arguments[i].name, "joins") ||
            (span_is(a->e->arguments[i].name, "sees") && span_is(a->v[i].text, "source")))
            return true;
    return false;
}

static andiron_status set_cache(const struct arguments *a, const struct op_arg *arg, const struct value *v,
                                union arg *to)
{
    const int32_t at = v->kind == VALUE_LAYER ? (int32_t)v->number : -1;
    if (at >= 0 && at < a->x->layer && a->x->cache_of[at] > 0) { /* what an earlier layer stored */
        to->number = a->x->cache_of[at] - 1;
        return ANDIRON_OK;
    }
    if (at < 0 || at != a->x->layer)
        return expected_for(a, "the layer at hand or an earlier one with a cache", arg->name, v);
    if (a->x->layer_cached && !is_second(a))
        return expand_error(a->x, a->f, a->e->line, "a layer has one cache, and this is its second attend");
    if (!a->x->layer_cached)
        a->x->cache_of[at] = (uint16_t)(a->x->g->n_caches + 1);
    a->x->layer_cached = true;
    to->number = (double)a->x->g->n_caches;
    return ANDIRON_OK;
}

/* Whole numbers of the metadata, by their key. */
static andiron_status set_list(const struct arguments *a, const struct op_arg *arg, const struct value *v,
                               union arg *to)
{
    enum { MOST = 1024 };
    const struct arch_source *source = a->x->source;
    char key[MAX_STEM];
    uint64_t n, first;
    if (v->kind != VALUE_TEXT || v->text.n >= MAX_STEM)
        return expected_for(a, "a key of the metadata", arg->name, v);
    snprintf(key, sizeof key, "%.*s", (int)v->text.n, v->text.p);
    if (!source->whole(source->user, key, 0, &first, &n) || n > MOST)
        return expand_error(a->x, a->f, a->e->line,
                            "%s: expected \"%.*s\" to be at most %d whole numbers in the file's metadata", arg->name,
                            cut(v->text), v->text.p, MOST);
    uint64_t *at = arena_alloc(a->x->arena, n, sizeof *at);
    struct wholes *list = arena_alloc(a->x->arena, 1, sizeof *list);
    if (!at || !list)
        return error_memory(a->x->error, n * sizeof *at, "whole numbers of the metadata");
    for (uint64_t i = 0; i < n; i++)
        if (!source->whole(source->user, key, i, &at[i], NULL))
            return expand_error(a->x, a->f, a->e->line, "%s: number %" PRIu64 " of \"%.*s\" is not a whole one",
                                arg->name, i, cut(v->text), v->text.p);
    *list = (struct wholes){at, n};
    to->list = list;
    return ANDIRON_OK;
}

static andiron_status set_argument(const struct arguments *a, const struct op_arg *arg, const struct value *v,
                                   union arg *to)
{
    switch (arg->kind) {
    case ARG_WEIGHT: return set_weight(a, arg, v, to);
    case ARG_CHOICE: return set_choice(a, arg, v, to);
    case ARG_CACHE: return set_cache(a, arg, v, to);
    case ARG_LIST: return set_list(a, arg, v, to);
    case ARG_VALUE:
        if (v->kind == VALUE_NONE && arg->optional)
            return ANDIRON_OK;
        if (v->kind != VALUE_NODE)
            return expected_for(a, "a value of the graph", arg->name, v);
        to->value = v->node;
        return ANDIRON_OK;
    default:
        if (v->kind != VALUE_NUMBER)
            return expected_for(a, "a number", arg->name, v);
        to->number = v->number;
        return ANDIRON_OK;
    }
}

static bool is_argument(const struct op_info *info, int at)
{
    return at < OP_MAX_ARGS && info->arg[at].kind != ARG_NONE;
}

/* The place of argument `i` of the call among the op's, or -1. */
static int place_of(const struct op_info *info, const struct expr *e, size_t i)
{
    size_t nth = 0;
    for (int at = 0; is_argument(info, at); at++) {
        if (info->arg[at].same_stem)
            continue;
        if (e->arguments[i].name.n ? span_is(e->arguments[i].name, info->arg[at].name) : nth == i)
            return at;
        nth++;
    }
    return -1;
}

static andiron_status no_place(const struct arguments *a, const struct op_info *info, size_t i)
{
    struct span name = a->e->arguments[i].name;
    if (name.n)
        return expand_error(a->x, a->f, a->e->line, "%s: the argument \"%.*s\" is unknown, or given twice", info->name,
                            cut(name), name.p);
    return expand_error(a->x, a->f, a->e->line, "%s: argument %zu is one too many, or given twice", info->name, i + 1);
}

/* Tensors that come with another, such as a bias. */
static void add_companions(const struct arguments *a, const struct op_info *info, const struct span *stems,
                           struct node *node)
{
    struct span stem = {0};
    for (int at = 0; is_argument(info, at); at++) {
        if (info->arg[at].kind == ARG_WEIGHT && !info->arg[at].same_stem)
            stem = stems[at];
        else if (info->arg[at].same_stem && stem.n)
            node->arg[at].weight = stem_weight(a->x, stem, info->arg[at].suffix);
    }
}

/* The stem of the op's weight; empty: it has none. */
static struct span weight_stem(const struct op_info *info, const struct span *stems)
{
    for (int at = 0; is_argument(info, at); at++)
        if (info->arg[at].kind == ARG_WEIGHT && !info->arg[at].same_stem)
            return stems[at];
    return (struct span){0};
}

static andiron_status call_op(const struct arguments *a, const struct op_info *info, struct value *out)
{
    struct node node = empty_node((enum op)(info - op_infos));
    struct span stems[OP_MAX_ARGS] = {{0}};
    bool given[OP_MAX_ARGS] = {false};
    for (size_t i = 0; i < a->e->n_arguments; i++) {
        int at = place_of(info, a->e, i);
        if (at < 0 || given[at])
            return no_place(a, info, i);
        given[at] = true;
        if (a->v[i].kind == VALUE_STEM)
            stems[at] = a->v[i].text;
        andiron_status s = set_argument(a, &info->arg[at], &a->v[i], &node.arg[at]);
        if (s)
            return s;
    }
    for (int at = 0; is_argument(info, at); at++)
        if (!given[at] && !info->arg[at].optional && !info->arg[at].same_stem)
            return expand_error(a->x, a->f, a->e->line, "%s: the argument %s is missing", info->name,
                                info->arg[at].name);
    add_companions(a, info, stems, &node);
    const andiron_status s = add_scaled(a, &node, weight_stem(info, stems), out);
    return s ? s : add_adapters(a, &node, out);
}

/* ---- blocks ---- */

static andiron_status call_block(const struct arguments *a, const struct block *b, struct value *out)
{
    struct value ordered[MAX_ARGUMENTS];
    bool given[MAX_ARGUMENTS] = {false};
    const size_t n = a->e->n_arguments;
    for (size_t i = 0; i < n && n == b->n_parameters; i++) {
        const struct span name = a->e->arguments[i].name;
        size_t at = name.n ? 0 : i;
        while (name.n && at < n && !span_same(name, b->parameters[at]))
            at++;
        if (at >= n || given[at])
            return expand_error(a->x, a->f, a->e->line, "%.*s: argument %zu is unknown, or given twice", cut(b->name),
                                b->name.p, i + 1);
        given[at] = true;
        ordered[at] = a->v[i];
    }
    if (n != b->n_parameters)
        return expand_error(a->x, a->f, a->e->line, "%.*s: expected %zu arguments, got %zu", cut(b->name), b->name.p,
                            b->n_parameters, n);
    return expand_block(a->x, a->f, a->e->line, b, ordered, out);
}

/* ---- any call ---- */

static andiron_status call_any(const struct arguments *a, const struct block *b, struct value *out)
{
    bool found;
    const struct expr *e = a->e;
    if (b)
        return call_block(a, b, out);
    if (e->of_parent)
        return expand_error(a->x, a->f, e->line, "no parent has a block \"%.*s\"", cut(e->text), e->text.p);
    andiron_status s = call_function(a, out, &found);
    if (s || found)
        return s;
    const struct op_info *info = op_find(e->text);
    if (info && info != &op_infos[OP_tokens] && info != &op_infos[OP_positions])
        return call_op(a, info, out);
    return expand_error(a->x, a->f, e->line, "expected the name of a block, function or op before \"(\", got \"%.*s\"",
                        cut(e->text), e->text.p);
}

andiron_status call(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    const struct block *b = find_block(e->of_parent ? f->definition->base : x->arch->definition, e->text);
    const size_t n = b ? e->n_arguments : n_evaluated(e);
    if (n > MAX_VALUES - x->n_values)
        return expand_error(x, f, e->line, "more than %d arguments within each other", MAX_VALUES);
    struct value *v = x->values + x->n_values;
    struct arguments a = {x, f, e, v};
    andiron_status s = ANDIRON_OK;
    x->n_values += n;
    for (size_t i = 0; i < n && !s; i++)
        s = evaluate(x, f, e->arguments[i].value, &v[i]);
    if (!s)
        s = call_any(&a, b, out);
    x->n_values -= n;
    return s;
}
