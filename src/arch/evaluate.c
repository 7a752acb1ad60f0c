/* evaluate.c - expressions: numbers, texts, tensors' names, values of the graph. */
#include "arch/expand.h"
#include "base/error.h"
#include <float.h>
#include <string.h>

const struct weight *stem_weight(const struct expansion *x, struct span stem, const char *suffix)
{
    char name[MAX_STEM];
    size_t n = strlen(suffix);
    if (stem.n + n >= MAX_STEM)
        return NULL;
    memcpy(name, stem.p, stem.n);
    memcpy(name + stem.n, suffix, n + 1);
    const struct weight *w = x->source->weight(x->source->user, name);
    if (w || strcmp(suffix, ".weight") != 0)
        return w;
    name[stem.n] = 0; /* some tensors have no suffix */
    return x->source->weight(x->source->user, name);
}

andiron_status stem_join(struct expansion *x, const struct frame *f, uint32_t line, struct span a, struct span b,
                         struct span *out)
{
    char joined[MAX_STEM];
    if (a.n + b.n + 1 >= MAX_STEM)
        return expand_error(x, f, line, "a tensor's name has at most %d bytes", MAX_STEM);
    memcpy(joined, a.p, a.n);
    joined[a.n] = '.';
    memcpy(joined + a.n + 1, b.p, b.n);
    *out = (struct span){arena_text(&x->own, joined, a.n + b.n + 1), a.n + b.n + 1};
    return out->p ? ANDIRON_OK : expand_memory(x, f, line);
}

andiron_status give_number(struct expansion *x, const struct frame *f, uint32_t line, double number, struct value *out)
{
    *out = (struct value){.kind = VALUE_NUMBER, .number = number};
    return number >= -DBL_MAX && number <= DBL_MAX ? ANDIRON_OK : expected(x, f, line, "a finite number", out);
}

andiron_status evaluate_number(struct expansion *x, struct frame *f, const struct expr *e, const char *what,
                               double *out)
{
    struct value v;
    andiron_status s = evaluate(x, f, e, &v);
    if (s)
        return s;
    if (v.kind != VALUE_NUMBER)
        return expected(x, f, e->line, what, &v);
    *out = v.number;
    return ANDIRON_OK;
}

static andiron_status evaluate_name(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    bool found;
    for (size_t i = 0; i < f->n_variables; i++)
        if (span_same(f->variables[i].name, e->text)) {
            *out = f->variables[i].value;
            return ANDIRON_OK;
        }
    andiron_status s = expand_param(x, f, e->line, e->text, out, &found);
    if (s || found)
        return s;
    *out = (struct value){.kind = VALUE_STEM, .text = e->text};
    if (span_is(e->text, "tokens") || span_is(e->text, "positions"))
        *out = (struct value){.kind = VALUE_NODE, .node = span_is(e->text, "positions")};
    else if (span_is(e->text, "none"))
        *out = (struct value){.kind = VALUE_NONE};
    return ANDIRON_OK;
}

static andiron_status evaluate_member(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    struct value of;
    andiron_status s = evaluate(x, f, e->a, &of);
    if (s)
        return s;
    if (of.kind == VALUE_LAYER && span_is(e->text, "index")) {
        *out = (struct value){.kind = VALUE_NUMBER, .number = of.number};
        return ANDIRON_OK;
    }
    if (of.kind != VALUE_LAYER && of.kind != VALUE_STEM)
        return expected(x, f, e->line, "a layer or a tensor's name before \".\"", &of);
    *out = (struct value){.kind = VALUE_STEM};
    return stem_join(x, f, e->line, of.text, e->text, &out->text);
}

/* ---- operators ---- */

static andiron_status unary(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    double number = 0;
    andiron_status s = evaluate_number(x, f, e->a, "a number", &number);
    *out = (struct value){.kind = VALUE_NUMBER, .number = e->operation == OPERATION_NOT ? number == 0 : -number};
    return s;
}

/* `a and b`, `a or b`: b is looked at only where it matters. */
static andiron_status logic(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    double a = 0;
    andiron_status s = evaluate_number(x, f, e->a, "a condition", &a);
    if (!s && (a != 0) == (e->operation == OPERATION_AND))
        s = evaluate_number(x, f, e->b, "a condition", &a);
    *out = (struct value){.kind = VALUE_NUMBER, .number = a != 0};
    return s;
}

/* `a | b`: the first whose tensor the file has; the last one in any case. */
static andiron_status first_there(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    andiron_status s = evaluate(x, f, e->a, out);
    if (s)
        return s;
    if (out->kind != VALUE_STEM)
        return expected(x, f, e->line, "a tensor's name before \"|\"", out);
    return stem_weight(x, out->text, ".weight") ? ANDIRON_OK : evaluate(x, f, e->b, out);
}

static andiron_status remainder_of(struct expansion *x, const struct frame *f, const struct expr *e, double a, double b,
                                   double *out)
{
    if (!(b >= 1 && b <= 1e9 && a >= 0 && a <= 1e9 && b == (double)(uint32_t)b && a == (double)(uint32_t)a))
        return expand_error(x, f, e->line, "expected whole numbers around %%, got %g and %g", a, b);
    *out = (double)((uint32_t)a % (uint32_t)b);
    return ANDIRON_OK;
}

static andiron_status compute(struct expansion *x, const struct frame *f, const struct expr *e, double a, double b,
                              double *out)
{
    switch (e->operation) {
    case OPERATION_EQ: *out = a == b; break;
    case OPERATION_NE: *out = a != b; break;
    case OPERATION_LT: *out = a < b; break;
    case OPERATION_LE: *out = a <= b; break;
    case OPERATION_GT: *out = a > b; break;
    case OPERATION_GE: *out = a >= b; break;
    case OPERATION_ADD: *out = a + b; break;
    case OPERATION_SUB: *out = a - b; break;
    case OPERATION_MUL: *out = a * b; break;
    case OPERATION_DIV: *out = a / b; return b != 0 ? ANDIRON_OK : expand_error(x, f, e->line, "division by zero");
    default: return remainder_of(x, f, e, a, b, out);
    }
    return ANDIRON_OK;
}

/* What can stand around an operator of which at least one side is a value of the graph. */
static bool has_node(enum operation o, const struct value *a, const struct value *b)
{
    bool a_number = a->kind == VALUE_NUMBER, b_number = b->kind == VALUE_NUMBER;
    bool one = (a->kind == VALUE_NODE && (b->kind == VALUE_NODE || b_number)) || (a_number && b->kind == VALUE_NODE);
    if (o == OPERATION_DIV)
        return one && a->kind == VALUE_NODE;
    return one && (o == OPERATION_ADD || o == OPERATION_SUB || o == OPERATION_MUL);
}

/* -b */
static andiron_status negate(struct expansion *x, const struct frame *f, const struct expr *e, struct value *b)
{
    struct node minus = empty_node(OP_mul);
    if (b->kind == VALUE_NUMBER)
        return give_number(x, f, e->line, -b->number, b);
    minus.arg[0].value = b->node;
    minus.arg[2].number = -1;
    return add_node(x, f, e->line, &minus, b);
}

static size_t n_items(const struct expansion *x, struct value v) { return shape_items(x->g->nodes[v.node].shape); }

/* What add or mul wants for b: a - b is a + -b, and a / 4 is a * 0.25. */
static andiron_status second(struct expansion *x, const struct frame *f, const struct expr *e, struct value *b)
{
    if (e->operation == OPERATION_SUB)
        return negate(x, f, e, b);
    if (e->operation != OPERATION_DIV || b->kind != VALUE_NUMBER)
        return ANDIRON_OK;
    if (b->number == 0)
        return expand_error(x, f, e->line, "division by zero");
    return give_number(x, f, e->line, 1 / b->number, b);
}

/* An add, mul or div node of a and b, one of them perhaps a number. */
static andiron_status arithmetic_node(struct expansion *x, const struct frame *f, const struct expr *e, struct value a,
                                      struct value b, struct value *out)
{
    char a_words[VALUE_WORDS], b_words[VALUE_WORDS];
    const enum operation o = e->operation;
    if (!has_node(o, &a, &b))
        return expand_error(x, f, e->line, "expected numbers, or values of the graph around +, - or *; got %s and %s",
                            value_words(&a, a_words), value_words(&b, b_words));
    andiron_status s = second(x, f, e, &b);
    if (s)
        return s;
    const bool divides = o == OPERATION_DIV && b.kind == VALUE_NODE;
    struct node n = empty_node(divides ? OP_div : o == OPERATION_MUL || o == OPERATION_DIV ? OP_mul : OP_add);
    const struct value *number = a.kind == VALUE_NUMBER ? &a : &b;
    n.arg[0].value = a.kind == VALUE_NUMBER ? b.node : a.node;
    if (number->kind == VALUE_NUMBER)
        n.arg[2].number = number->number;
    else
        n.arg[1].value = b.node;
    if (number->kind == VALUE_NODE && !divides && n_items(x, a) < n_items(x, b)) { /* the op wants the smaller second */
        n.arg[0].value = b.node;
        n.arg[1].value = a.node;
    }
    return add_node(x, f, e->line, &n, out);
}

static andiron_status binary(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    struct value a, b;
    if (e->operation == OPERATION_AND || e->operation == OPERATION_OR)
        return logic(x, f, e, out);
    if (e->operation == OPERATION_ELSE)
        return first_there(x, f, e, out);
    andiron_status s = evaluate(x, f, e->a, &a);
    if (!s)
        s = evaluate(x, f, e->b, &b);
    if (s)
        return s;
    if (a.kind == VALUE_TEXT && b.kind == VALUE_TEXT &&
        (e->operation == OPERATION_EQ || e->operation == OPERATION_NE)) {
        *out = (struct value){.kind = VALUE_NUMBER,
                              .number = span_same(a.text, b.text) == (e->operation == OPERATION_EQ)};
        return ANDIRON_OK;
    }
    if (a.kind != VALUE_NUMBER || b.kind != VALUE_NUMBER)
        return arithmetic_node(x, f, e, a, b, out);
    double number = 0;
    s = compute(x, f, e, a.number, b.number, &number);
    return s ? s : give_number(x, f, e->line, number, out);
}

static andiron_status evaluate_kind(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    switch (e->kind) {
    case EXPR_NUMBER: *out = (struct value){.kind = VALUE_NUMBER, .number = e->number}; return ANDIRON_OK;
    case EXPR_TEXT: *out = (struct value){.kind = VALUE_TEXT, .text = e->text}; return ANDIRON_OK;
    case EXPR_NAME: return evaluate_name(x, f, e, out);
    case EXPR_MEMBER: return evaluate_member(x, f, e, out);
    case EXPR_UNARY: return unary(x, f, e, out);
    case EXPR_BINARY: return binary(x, f, e, out);
    default: return call(x, f, e, out);
    }
}

/* The depth is bounded here as well as in the parser, because a chain such as a + b + c + ... is deep to the left. */
andiron_status evaluate(struct expansion *x, struct frame *f, const struct expr *e, struct value *out)
{
    andiron_status s = expand_step(x, f, e->line);
    *out = (struct value){0};
    if (!s)
        s = expand_deeper(x, f, e->line);
    if (s)
        return s;
    s = evaluate_kind(x, f, e, out);
    x->depth--;
    return s;
}
