/* parse.c - from words to a definition, by recursive descent with a bounded depth.
 *
 *     definition: arch NAME [: NAME] [with NAMES] { param NAME = expr | block NAME(names) { statements }
 *                 | graph(NAME) { statements } | line (folder.c) }
 *     statement:  NAME = expr | return expr | if expr { ... } [else { ... } | else if ...]
 *                 | for NAME in layers(TEXT, expr) { ... }
 *     expr:       or, and, not, comparison, |, + -, * / %, unary -, call and member: from loose to tight */
#include "arch/parse.h"
#include "base/error.h"
#include <inttypes.h>
#include <string.h>

/* ---- expressions ---- */

static struct expr *parse_expr(struct parser *p);

static struct expr *new_expr(struct parser *p, enum expr_kind kind)
{
    struct expr *e = parse_make(p, sizeof *e);
    if (e) {
        e->kind = kind;
        e->line = p->lexer.word.line;
    }
    return e;
}

/* After the opening bracket, to the closing one. */
static void parse_arguments(struct parser *p, struct expr *call)
{
    struct argument all[MAX_ARGUMENTS];
    size_t n = 0;
    while (!p->status && !parse_sees(p, ")")) {
        if (n == MAX_ARGUMENTS) {
            parse_fail(p, "at most 24 arguments");
            return;
        }
        struct expr *value = parse_expr(p);
        all[n] = (struct argument){{0}, value};
        if (value && value->kind == EXPR_NAME && parse_take(p, ":"))
            all[n] = (struct argument){value->text, parse_expr(p)};
        n++;
        if (!parse_sees(p, ")") && !parse_expect(p, ",", "\",\" or \")\""))
            return;
    }
    if (!parse_expect(p, ")", "\")\""))
        return;
    call->arguments = arena_alloc(p->arena, n, sizeof *all);
    call->n_arguments = n;
    if (call->arguments && n)
        memcpy(call->arguments, all, n * sizeof *all);
    else if (!call->arguments)
        parse_make(p, SIZE_MAX);
}

static struct expr *parse_call(struct parser *p, struct span name, bool of_parent)
{
    struct expr *e = new_expr(p, EXPR_CALL);
    if (!e || !parse_expect(p, "(", "\"(\""))
        return NULL;
    e->text = name;
    e->of_parent = of_parent;
    parse_arguments(p, e);
    return p->status ? NULL : e;
}

static struct expr *parse_name(struct parser *p)
{
    if (parse_take(p, "parent")) {
        parse_expect(p, ".", "\".\" and a block's name after parent");
        return parse_call(p, parse_take_name(p, "the name of a block"), true);
    }
    bool none = parse_sees(p, "none");
    struct expr *e = new_expr(p, EXPR_NAME);
    struct span name = none ? p->lexer.word.text : parse_take_name(p, "an expression");
    if (none)
        parse_advance(p);
    else if (parse_sees(p, "("))
        return parse_call(p, name, false);
    if (e)
        e->text = name;
    return p->status ? NULL : e;
}

static struct expr *parse_atom(struct parser *p)
{
    const struct word w = p->lexer.word;
    struct expr *e = NULL;
    if (parse_take(p, "(")) {
        e = parse_expr(p);
        return parse_expect(p, ")", "\")\"") ? e : NULL;
    }
    if (w.kind == WORD_NUMBER || w.kind == WORD_TEXT) {
        e = new_expr(p, w.kind == WORD_NUMBER ? EXPR_NUMBER : EXPR_TEXT);
        if (e) {
            e->number = w.number;
            e->text = w.text;
        }
        parse_advance(p);
        return e;
    }
    return w.kind == WORD_NAME ? parse_name(p) : parse_fail(p, "an expression");
}

static struct expr *parse_member(struct parser *p)
{
    struct expr *e = parse_atom(p);
    while (e && parse_take(p, ".")) {
        struct expr *of = e;
        e = new_expr(p, EXPR_MEMBER);
        struct span name = parse_take_name(p, "a name after \".\"");
        if (e) {
            e->a = of;
            e->text = name;
        }
    }
    return e;
}

static struct expr *parse_level(struct parser *p, int level);

static struct expr *parse_unary(struct parser *p, const char *sign, enum operation operation, int level)
{
    struct expr *e = new_expr(p, EXPR_UNARY);
    parse_take(p, sign);
    struct expr *a = parse_level(p, level);
    if (e) {
        e->operation = operation;
        e->a = a;
    }
    return p->status ? NULL : e;
}

enum { LEVEL_NOT = 2, LEVEL_NEGATE = 7, LEVEL_MEMBER = 8 };

static const struct {
    const char *sign;
    enum operation operation;
    int level;
} binaries[] = {
    {"or", OPERATION_OR, 0},  {"and", OPERATION_AND, 1}, {"==", OPERATION_EQ, 3}, {"!=", OPERATION_NE, 3},
    {"<=", OPERATION_LE, 3},  {">=", OPERATION_GE, 3},   {"<", OPERATION_LT, 3},  {">", OPERATION_GT, 3},
    {"|", OPERATION_ELSE, 4}, {"+", OPERATION_ADD, 5},   {"-", OPERATION_SUB, 5}, {"*", OPERATION_MUL, 6},
    {"/", OPERATION_DIV, 6},  {"%", OPERATION_MOD, 6},
};

static int binary_at(const struct parser *p, int level)
{
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (binaries[i].level == level && parse_sees(p, binaries[i].sign))
            return (int)i;
    return -1;
}

/* Operators of `level` and tighter, to the left. */
static struct expr *parse_level(struct parser *p, int level)
{
    if (level == LEVEL_MEMBER)
        return parse_member(p);
    if ((level == LEVEL_NOT && parse_sees(p, "not")) || (level == LEVEL_NEGATE && parse_sees(p, "-"))) {
        if (++p->depth > MAX_NESTING)
            return parse_fail(p, "less nesting");
        struct expr *e = level == LEVEL_NOT ? parse_unary(p, "not", OPERATION_NOT, level)
                                            : parse_unary(p, "-", OPERATION_NEGATE, level);
        p->depth--;
        return e;
    }
    struct expr *a = parse_level(p, level + 1);
    for (int at; a && (at = binary_at(p, level)) >= 0;) {
        struct expr *e = new_expr(p, EXPR_BINARY);
        parse_advance(p);
        struct expr *b = parse_level(p, level + 1);
        if (e) {
            e->operation = binaries[at].operation;
            e->a = a;
            e->b = b;
        }
        a = p->status ? NULL : e;
    }
    return a;
}

static struct expr *parse_expr(struct parser *p)
{
    if (++p->depth > MAX_NESTING)
        return parse_fail(p, "less nesting");
    struct expr *e = parse_level(p, 0);
    p->depth--;
    return p->status ? NULL : e;
}

/* ---- statements ---- */

static struct statement *parse_body(struct parser *p);

static void parse_if(struct parser *p, struct statement *s)
{
    s->kind = STATEMENT_IF;
    s->value = parse_expr(p);
    s->body = parse_body(p);
    if (!parse_take(p, "else"))
        return;
    if (!parse_sees(p, "if")) {
        s->other = parse_body(p);
        return;
    }
    s->other = parse_make(p, sizeof *s->other);
    if (++p->depth > MAX_NESTING) {
        parse_fail(p, "less nesting");
    } else if (s->other) {
        s->other->line = p->lexer.word.line;
        parse_take(p, "if");
        parse_if(p, s->other);
    }
    p->depth--;
}

static void parse_for(struct parser *p, struct statement *s)
{
    s->kind = STATEMENT_FOR;
    s->name = parse_take_name(p, "a name for the layer");
    if (!parse_expect(p, "in", "\"in\"") || !parse_expect(p, "layers", "layers(\"blk\", n)") ||
        !parse_expect(p, "(", "\"(\""))
        return;
    s->stem = p->lexer.word.text;
    if (p->lexer.word.kind != WORD_TEXT) {
        parse_fail(p, "the text in front of a layer's number, such as \"blk\"");
        return;
    }
    parse_advance(p);
    parse_expect(p, ",", "\",\"");
    s->value = parse_expr(p);
    parse_expect(p, ")", "\")\"");
    s->body = parse_body(p);
}

static struct statement *parse_statement(struct parser *p)
{
    struct statement *s = parse_make(p, sizeof *s);
    if (!s)
        return NULL;
    s->line = p->lexer.word.line;
    if (parse_take(p, "if")) {
        parse_if(p, s);
    } else if (parse_take(p, "for")) {
        parse_for(p, s);
    } else if (parse_take(p, "return")) {
        s->kind = STATEMENT_RETURN;
        s->value = parse_expr(p);
    } else {
        s->kind = STATEMENT_SET;
        s->name = parse_take_name(p, "a statement: NAME = ..., return, if or for");
        parse_expect(p, "=", "\"=\"");
        s->value = parse_expr(p);
    }
    return p->status ? NULL : s;
}

static struct statement *parse_body(struct parser *p)
{
    struct statement *first = NULL, **last = &first;
    if (!parse_expect(p, "{", "\"{\""))
        return NULL;
    if (++p->depth > MAX_NESTING)
        return parse_fail(p, "less nesting");
    while (!p->status && !parse_sees(p, "}")) {
        *last = parse_statement(p);
        if (*last)
            last = &(*last)->next;
    }
    p->depth--;
    parse_expect(p, "}", "\"}\"");
    return first;
}

/* ---- a definition ---- */

static void keep_graph(struct parser *p, struct definition *d, struct block *b)
{
    if (d->graph)
        parse_refuse(p, b->line, "expected one graph, got a second", b->name);
    if (b->n_parameters != 1)
        parse_refuse(p, b->line,
                     "expected the graph to have one parameter, as in graph(tokens), got another number of them in",
                     b->name);
    d->graph = b;
}

static void keep_block(struct parser *p, struct definition *d, struct block *b)
{
    for (const struct block *other = d->blocks; other; other = other->next)
        if (span_same(other->name, b->name))
            parse_refuse(p, b->line, "expected each block once, got a second", b->name);
    if (d->n_blocks++ == MAX_PARTS)
        parse_refuse(p, b->line, "expected at most 512 blocks, got one more,", b->name);
    b->next = d->blocks;
    d->blocks = b;
}

static void parse_block(struct parser *p, struct definition *d, bool graph)
{
    struct block *b = parse_make(p, sizeof *b);
    if (!b)
        return;
    b->line = p->lexer.word.line;
    b->definition = d;
    b->name = graph ? span_of("graph") : parse_take_name(p, "the name of a block");
    if (!parse_expect(p, "(", "\"(\""))
        return;
    while (!p->status && !parse_sees(p, ")")) {
        if (b->n_parameters == MAX_ARGUMENTS) {
            parse_fail(p, "at most 24 parameters");
            return;
        }
        struct span name = parse_take_name(p, "a parameter's name");
        for (size_t i = 0; i < b->n_parameters; i++)
            if (span_same(b->parameters[i], name))
                parse_refuse(p, b->line, "expected each parameter once, got a second", name);
        b->parameters[b->n_parameters++] = name;
        if (!parse_sees(p, ")"))
            parse_expect(p, ",", "\",\" or \")\"");
    }
    parse_expect(p, ")", "\")\"");
    b->body = parse_body(p);
    if (graph)
        keep_graph(p, d, b);
    else
        keep_block(p, d, b);
}

static void parse_param(struct parser *p, struct definition *d)
{
    struct param *param = parse_make(p, sizeof *param);
    if (!param)
        return;
    param->definition = d;
    param->line = p->lexer.word.line;
    param->name = parse_take_name(p, "the name of a parameter");
    parse_expect(p, "=", "\"=\"");
    param->value = parse_expr(p);
    for (const struct param *other = d->params; other; other = other->next)
        if (span_same(other->name, param->name))
            parse_refuse(p, param->line, "expected each parameter once, got a second", param->name);
    if (d->n_params++ == MAX_PARTS)
        parse_refuse(p, param->line, "expected at most 512 parameters, got one more,", param->name);
    param->next = d->params;
    d->params = param;
}

static void parse_libraries(struct parser *p, struct definition *d)
{
    do {
        struct span name = parse_take_arch_name(p, "the name of a definition whose blocks are used");
        if (p->status)
            return;
        if (d->n_libraries == MAX_LIBRARIES) {
            parse_fail(p, "at most 4 definitions after \"with\"");
            return;
        }
        d->libraries[d->n_libraries++] = name;
    } while (parse_take(p, ","));
}

andiron_status parse_definition(struct definition **out, struct span text, const char *file, struct arena *arena,
                                andiron_error *error)
{
    struct parser p = {
        {.at = text.p, .end = text.p + text.n, .file = file, .line = 1, .error = error}, arena, 0, ANDIRON_OK};
    if (text.n > MAX_SOURCE_BYTES)
        return error_set(error, ANDIRON_E_FORMAT, "%s: a definition has at most %d bytes, this one %zu", file,
                         MAX_SOURCE_BYTES, text.n);
    struct definition *d = parse_make(&p, sizeof *d);
    parse_advance(&p);
    parse_expect(&p, "arch", "\"arch\" and the architecture's name first");
    struct span name = parse_take_arch_name(&p, "the architecture's name"), parent = {0};
    if (parse_take(&p, ":"))
        parent = parse_take_arch_name(&p, "the parent's name");
    if (d)
        *d = (struct definition){.name = name, .parent = parent, .file = file};
    if (parse_take(&p, "with"))
        parse_libraries(&p, d);
    while (!p.status && p.lexer.word.kind != WORD_END) {
        if (parse_take(&p, "param"))
            parse_param(&p, d);
        else if (parse_take(&p, "block"))
            parse_block(&p, d, false);
        else if (parse_take(&p, "graph"))
            parse_block(&p, d, true);
        else if (!parse_folder(&p, d))
            parse_fail(&p, "param, block, graph or a line on folders");
    }
    *out = d;
    return p.status;
}
