/* expand.c - statements, blocks and parameters: a definition becomes a graph. */
#include "arch/expand.h"
#include "base/error.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *value_words(const struct value *v, char out[VALUE_WORDS])
{
    const int n = cut(v->text);
    switch (v->kind) {
    case VALUE_NONE: snprintf(out, VALUE_WORDS, "none"); break;
    case VALUE_NUMBER: snprintf(out, VALUE_WORDS, "the number %g", v->number); break;
    case VALUE_TEXT: snprintf(out, VALUE_WORDS, "the text \"%.*s\"", n, v->text.p); break;
    case VALUE_STEM: snprintf(out, VALUE_WORDS, "\"%.*s\", a tensor's name", n, v->text.p); break;
    case VALUE_LAYER: snprintf(out, VALUE_WORDS, "the layer %.*s", n, v->text.p); break;
    default: snprintf(out, VALUE_WORDS, "a value of the graph"); break;
    }
    return out;
}

andiron_status expand_error(struct expansion *x, const struct frame *f, uint32_t line, const char *format, ...)
{
    char why[360];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return error_set(x->error, ANDIRON_E_FORMAT, "%.90s:%" PRIu32 ": %s", f->definition->file, line, why);
}

andiron_status expand_memory(struct expansion *x, const struct frame *f, uint32_t line)
{
    expand_error(x, f, line, "the definition needs more memory than it may have");
    if (x->error)
        x->error->status = ANDIRON_E_MEMORY;
    return ANDIRON_E_MEMORY;
}

andiron_status expected(struct expansion *x, const struct frame *f, uint32_t line, const char *what,
                        const struct value *got)
{
    char words[VALUE_WORDS];
    return expand_error(x, f, line, "expected %s, got %s", what, value_words(got, words));
}

andiron_status expand_step(struct expansion *x, const struct frame *f, uint32_t line)
{
    if (++x->n_steps <= MAX_STEPS)
        return ANDIRON_OK;
    return expand_error(x, f, line, "the definition takes more than %d steps", MAX_STEPS);
}

andiron_status expand_deeper(struct expansion *x, const struct frame *f, uint32_t line)
{
    if (x->depth == MAX_DEPTH)
        return expand_error(x, f, line, "expressions and statements stand more than %d deep within each other",
                            MAX_DEPTH);
    x->depth++;
    return ANDIRON_OK;
}

static andiron_status set_variable(struct expansion *x, struct frame *f, uint32_t line, struct span name,
                                   struct value value)
{
    for (size_t i = 0; i < f->n_variables; i++)
        if (span_same(f->variables[i].name, name)) {
            f->variables[i].value = value;
            return ANDIRON_OK;
        }
    if (f->n_variables == MAX_VARIABLES)
        return expand_error(x, f, line, "a block has at most %d variables", MAX_VARIABLES);
    f->variables[f->n_variables++] = (struct variable){name, value};
    return ANDIRON_OK;
}

static andiron_status run_body(struct expansion *x, struct frame *f, const struct statement *s);

static andiron_status run_layers(struct expansion *x, struct frame *f, const struct statement *s)
{
    double n;
    andiron_status status = evaluate_number(x, f, s->value, "the number of layers", &n);
    if (status)
        return status;
    if (x->layer >= 0)
        return expand_error(x, f, s->line, "layers cannot stand within layers");
    if (!(n >= 1 && n <= MAX_LAYERS && n == (double)(uint32_t)n))
        return expand_error(x, f, s->line, "expected 1 to %d layers, got the number %g", MAX_LAYERS, n);
    for (uint32_t i = 0; i < n && !status && !f->returned; i++) {
        char digits[16];
        struct value layer = {.kind = VALUE_LAYER, .number = i};
        int length = snprintf(digits, sizeof digits, "%" PRIu32, i);
        x->layer = (int32_t)i;
        x->layer_cached = false;
        status = stem_join(x, f, s->line, s->stem, (struct span){digits, (size_t)length}, &layer.text);
        if (!status)
            status = set_variable(x, f, s->line, s->name, layer);
        if (!status)
            status = run_body(x, f, s->body);
    }
    x->layer = -1;
    return status;
}

static andiron_status run_statement(struct expansion *x, struct frame *f, const struct statement *s)
{
    struct value value;
    double condition;
    andiron_status status = expand_step(x, f, s->line);
    if (status)
        return status;
    switch (s->kind) {
    case STATEMENT_SET:
        f->label = s->name;
        status = evaluate(x, f, s->value, &value);
        return status ? status : set_variable(x, f, s->line, s->name, value);
    case STATEMENT_RETURN:
        f->label = f->name;
        status = evaluate(x, f, s->value, &f->result);
        f->returned = true;
        return status;
    case STATEMENT_IF:
        status = evaluate_number(x, f, s->value, "a condition", &condition);
        return status ? status : run_body(x, f, condition != 0 ? s->body : s->other);
    default: return run_layers(x, f, s);
    }
}

static andiron_status run_body(struct expansion *x, struct frame *f, const struct statement *s)
{
    andiron_status status = s ? expand_deeper(x, f, s->line) : ANDIRON_OK;
    if (status || !s)
        return status;
    for (; s && !status && !f->returned; s = s->next)
        status = run_statement(x, f, s);
    x->depth--;
    return status;
}

andiron_status expand_block(struct expansion *x, const struct frame *from, uint32_t line, const struct block *b,
                            const struct value *arguments, struct value *out)
{
    struct frame f;
    for (const struct frame *outer = from; outer; outer = outer->caller)
        if (outer->block == b)
            return expand_error(x, from, line, "%.*s calls itself, and no block may", cut(b->name), b->name.p);
    if (x->n_calls == MAX_CALLS)
        return expand_error(x, from, line, "blocks call each other more than %d deep", MAX_CALLS);
    f.definition = b->definition;
    f.block = b;
    f.caller = from;
    f.n_variables = 0;
    f.returned = false;
    f.name = f.label = b->name;
    for (size_t i = 0; i < b->n_parameters; i++)
        f.variables[f.n_variables++] = (struct variable){b->parameters[i], arguments[i]};
    x->n_calls++;
    andiron_status status = run_body(x, &f, b->body);
    x->n_calls--;
    if (status)
        return status;
    if (!f.returned)
        return expand_error(x, &f, b->line, "%.*s ends without a return", cut(b->name), b->name.p);
    *out = f.result;
    return ANDIRON_OK;
}

static andiron_status evaluate_param(struct expansion *x, const struct frame *f, uint32_t line, struct parameter *p)
{
    const struct param *param = p->param;
    struct frame inner = {.definition = param->definition, .caller = f};
    if (x->n_calls == MAX_CALLS)
        return expand_error(x, f, line, "parameters depend on each other more than %d deep", MAX_CALLS);
    x->n_calls++;
    andiron_status s = evaluate(x, &inner, param->value, &p->value);
    x->n_calls--;
    if (!s && p->value.kind != VALUE_NUMBER && p->value.kind != VALUE_TEXT && p->value.kind != VALUE_NONE)
        return expected(x, &inner, param->line, "a parameter to be a number or a text", &p->value);
    p->running = false;
    return s;
}

andiron_status expand_param(struct expansion *x, const struct frame *f, uint32_t line, struct span name,
                            struct value *out, bool *found)
{
    const struct param *param = find_param(x->arch->definition, name);
    *found = param != NULL;
    if (!param)
        return ANDIRON_OK;
    struct parameter *p = x->parameters;
    while (p && p->param != param)
        p = p->next;
    if (p && p->running)
        return expand_error(x, f, line, "the parameter %.*s depends on itself", cut(name), name.p);
    if (!p) {
        if (!(p = arena_alloc(&x->own, 1, sizeof *p)))
            return expand_memory(x, f, line);
        *p = (struct parameter){.param = param, .running = true, .next = x->parameters};
        x->parameters = p;
        andiron_status s = evaluate_param(x, f, line, p);
        if (s)
            return s;
    }
    *out = p->value;
    return ANDIRON_OK;
}

/* A parameter that says something of the graph as a whole; *out stays as it is where there is none. */
static andiron_status graph_param(struct expansion *x, const struct frame *f, const char *name, double most,
                                  const char *what, double *out)
{
    bool found;
    struct value v = {0};
    const struct param *param = find_param(x->arch->definition, span_of(name));
    if (!param)
        return ANDIRON_OK;
    andiron_status s = expand_param(x, f, param->line, param->name, &v, &found);
    const struct frame place = {.definition = param->definition};
    if (s)
        return s;
    if (v.kind != VALUE_NUMBER || !(v.number >= 0 && v.number <= most) || v.number != (double)(uint32_t)v.number)
        return expected(x, &place, param->line, what, &v);
    *out = v.number;
    return ANDIRON_OK;
}

enum { MOST_BEGIN = 65536 }; /* rows before a text */

static andiron_status graph_params(struct expansion *x, const struct frame *f)
{
    double n_ctx_train = 0, embeds = 0, n_begin = 0;
    andiron_status s = graph_param(x, f, "n_ctx_train", 1e9, "n_ctx_train to be a count up to 1e9", &n_ctx_train);
    if (!s)
        s = graph_param(x, f, "embeds", 1, "embeds to be 0 or 1", &embeds);
    if (!s)
        s = graph_param(x, f, "n_begin", MOST_BEGIN, "n_begin to be a count up to 65536", &n_begin);
    x->g->n_ctx_train = (uint32_t)n_ctx_train;
    x->g->embeds = embeds != 0;
    x->g->n_begin = (uint32_t)n_begin;
    return s;
}

static andiron_status expand_graph(struct expansion *x)
{
    const struct definition *d = x->arch->definition;
    while (d && !d->graph)
        d = d->base;
    struct frame f = {.definition = x->arch->definition};
    if (!d)
        return expand_error(x, &f, 1, "expected graph(tokens) { ... } here or in a parent, got none");
    andiron_status s = graph_params(x, &f);
    struct value tokens = {.kind = VALUE_NODE, .node = OP_tokens}, out = {0};
    if (!s)
        s = expand_block(x, &f, d->graph->line, d->graph, &tokens, &out);
    if (s)
        return s;
    f.definition = d;
    if (out.kind != VALUE_NODE)
        return expected(x, &f, d->graph->line, "the graph to return logits", &out);
    if (out.node <= OP_positions)
        return expand_error(x, &f, d->graph->line, "expected the graph to return logits, got its own %s",
                            op_infos[out.node].name);
    if (x->g->nodes[out.node].loop >= 0)
        return expand_error(x, &f, d->graph->line, "expected logits that are not made of a carry before it is kept");
    if (x->g->n_begin && x->g->reads_source)
        return expand_error(x, &f, d->graph->line, "expected no n_begin where a text comes after a source");
    x->g->output = out.node;
    return ANDIRON_OK;
}

andiron_status arch_expand(const struct arch *a, const struct arch_source *source, struct arena *arena,
                           struct graph *out, andiron_error *error)
{
    struct expansion x = {.arch = a, .source = source, .g = out, .arena = arena, .error = error, .layer = -1};
    andiron_status s = graph_init(out, arena, error);
    if (s)
        return s;
    arena_init(&x.own, MAX_TREE_BYTES);
    x.values = arena_alloc(&x.own, MAX_VALUES, sizeof *x.values);
    s = x.values ? expand_graph(&x) : error_memory(error, MAX_VALUES * sizeof *x.values, "a definition's arguments");
    if (x.missing)
        s = missing_named(&x);
    arena_reset(&x.own);
    return s;
}
