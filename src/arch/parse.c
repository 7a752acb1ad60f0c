/* parse.c - from words to a definition, by recursive descent with a bounded depth.
 *
 *     definition: arch NAME [: NAME] { param NAME = expr | block NAME(names) { statements } | graph(NAME) { statements
 * } } statement:  NAME = expr | return expr | if expr { ... } [else { ... } | else if ...] | for NAME in layers(TEXT,
 * expr) { ... } expr:       or, and, not, comparison, |, + -, * / %, unary -, call and member: from loose to tight */
#include "arch/syntax.h"
#include "base/error.h"
#include <inttypes.h>
#include <string.h>

struct parser {
    struct lexer lexer;
    struct arena *arena;
    int depth;
    andiron_status status; /* of the first mistake; everything returns NULL after it */
};

/* ---- words ---- */

static void *fail(struct parser *p, const char *expected)
{
    const struct word *w = &p->lexer.word;
    int n = (int)(w->text.n < 40 ? w->text.n : 40);
    if (p->status)
        return NULL;
    if (w->kind == WORD_END)
        p->status = error_set(p->lexer.error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": expected %s, got the end of the text",
                              p->lexer.file, w->line, expected);
    else
        p->status = error_set(p->lexer.error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": expected %s, got \"%.*s\"",
                              p->lexer.file, w->line, expected, w->kind == WORD_NUMBER ? 8 : n,
                              w->kind == WORD_NUMBER ? "a number" : w->text.p);
    return NULL;
}

/* A mistake that is not about the word at hand. */
static void refuse(struct parser *p, uint32_t line, const char *why, struct span name)
{
    if (!p->status)
        p->status = error_set(p->lexer.error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": %s \"%.*s\"", p->lexer.file, line, why,
                              (int)(name.n < 60 ? name.n : 60), name.p);
}

static void advance(struct parser *p)
{
    if (!p->status)
        p->status = lex_next(&p->lexer);
}

static bool sees(const struct parser *p, const char *text)
{
    const struct word *w = &p->lexer.word;
    return !p->status && (w->kind == WORD_SIGN || w->kind == WORD_NAME) && span_is(w->text, text);
}

static bool take(struct parser *p, const char *text)
{
    if (!sees(p, text))
        return false;
    advance(p);
    return !p->status;
}

static bool expect(struct parser *p, const char *text, const char *expected)
{
    if (take(p, text))
        return true;
    fail(p, expected);
    return false;
}

static bool is_reserved(struct span name)
{
    static const char *const words[] = {"arch", "param", "block", "graph", "return", "if",     "else",
                                        "for",  "in",    "or",    "and",   "not",    "parent", "none"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is(name, words[i]))
            return true;
    return false;
}

static struct span take_name(struct parser *p, const char *expected)
{
    struct span name = p->lexer.word.text;
    if (p->status || p->lexer.word.kind != WORD_NAME || is_reserved(name)) {
        fail(p, expected);
        return (struct span){0};
    }
    advance(p);
    return name;
}

/* Names of architectures may have hyphens within: gpt-oss. */
static struct span take_arch_name(struct parser *p, const char *expected)
{
    struct span name = take_name(p, expected);
    const char *end = name.p ? name.p + name.n : NULL;
    while (!p->status && end && sees(p, "-") && p->lexer.word.text.p == end && lex_in_name(&p->lexer, end + 1)) {
        for (end++; lex_in_name(&p->lexer, end); end++)
            ;
        name.n = (size_t)(end - name.p);
        p->lexer.at = end;
        advance(p);
    }
    return name;
}

static void *make(struct parser *p, size_t bytes)
{
    void *out = p->status ? NULL : arena_alloc(p->arena, 1, bytes);
    if (!out && !p->status)
        p->status = error_set(p->lexer.error, ANDIRON_E_MEMORY,
                              "%s:%" PRIu32 ": the definition needs more memory than it may have", p->lexer.file,
                              p->lexer.line);
    return out;
}

/* ---- expressions ---- */

static struct expr *parse_expr(struct parser *p);

static struct expr *new_expr(struct parser *p, enum expr_kind kind)
{
    struct expr *e = make(p, sizeof *e);
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
    while (!p->status && !sees(p, ")")) {
        if (n == MAX_ARGUMENTS) {
            fail(p, "at most 24 arguments");
            return;
        }
        struct expr *value = parse_expr(p);
        all[n] = (struct argument){{0}, value};
        if (value && value->kind == EXPR_NAME && take(p, ":"))
            all[n] = (struct argument){value->text, parse_expr(p)};
        n++;
        if (!sees(p, ")") && !expect(p, ",", "\",\" or \")\""))
            return;
    }
    if (!expect(p, ")", "\")\""))
        return;
    call->arguments = arena_alloc(p->arena, n, sizeof *all);
    call->n_arguments = n;
    if (call->arguments && n)
        memcpy(call->arguments, all, n * sizeof *all);
    else if (!call->arguments)
        make(p, SIZE_MAX);
}

static struct expr *parse_call(struct parser *p, struct span name, bool of_parent)
{
    struct expr *e = new_expr(p, EXPR_CALL);
    if (!e || !expect(p, "(", "\"(\""))
        return NULL;
    e->text = name;
    e->of_parent = of_parent;
    parse_arguments(p, e);
    return p->status ? NULL : e;
}

static struct expr *parse_name(struct parser *p)
{
    if (take(p, "parent")) {
        expect(p, ".", "\".\" and a block's name after parent");
        return parse_call(p, take_name(p, "the name of a block"), true);
    }
    bool none = sees(p, "none");
    struct expr *e = new_expr(p, EXPR_NAME);
    struct span name = none ? p->lexer.word.text : take_name(p, "an expression");
    if (none)
        advance(p);
    else if (sees(p, "("))
        return parse_call(p, name, false);
    if (e)
        e->text = name;
    return p->status ? NULL : e;
}

static struct expr *parse_atom(struct parser *p)
{
    const struct word w = p->lexer.word;
    struct expr *e = NULL;
    if (take(p, "(")) {
        e = parse_expr(p);
        return expect(p, ")", "\")\"") ? e : NULL;
    }
    if (w.kind == WORD_NUMBER || w.kind == WORD_TEXT) {
        e = new_expr(p, w.kind == WORD_NUMBER ? EXPR_NUMBER : EXPR_TEXT);
        if (e) {
            e->number = w.number;
            e->text = w.text;
        }
        advance(p);
        return e;
    }
    return w.kind == WORD_NAME ? parse_name(p) : fail(p, "an expression");
}

static struct expr *parse_member(struct parser *p)
{
    struct expr *e = parse_atom(p);
    while (e && take(p, ".")) {
        struct expr *of = e;
        e = new_expr(p, EXPR_MEMBER);
        struct span name = take_name(p, "a name after \".\"");
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
    take(p, sign);
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
        if (binaries[i].level == level && sees(p, binaries[i].sign))
            return (int)i;
    return -1;
}

/* Operators of `level` and tighter, to the left. */
static struct expr *parse_level(struct parser *p, int level)
{
    if (level == LEVEL_MEMBER)
        return parse_member(p);
    if ((level == LEVEL_NOT && sees(p, "not")) || (level == LEVEL_NEGATE && sees(p, "-"))) {
        if (++p->depth > MAX_NESTING)
            return fail(p, "less nesting");
        struct expr *e = level == LEVEL_NOT ? parse_unary(p, "not", OPERATION_NOT, level)
                                            : parse_unary(p, "-", OPERATION_NEGATE, level);
        p->depth--;
        return e;
    }
    struct expr *a = parse_level(p, level + 1);
    for (int at; a && (at = binary_at(p, level)) >= 0;) {
        struct expr *e = new_expr(p, EXPR_BINARY);
        advance(p);
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
        return fail(p, "less nesting");
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
    if (!take(p, "else"))
        return;
    if (!sees(p, "if")) {
        s->other = parse_body(p);
        return;
    }
    s->other = make(p, sizeof *s->other);
    if (++p->depth > MAX_NESTING) {
        fail(p, "less nesting");
    } else if (s->other) {
        s->other->line = p->lexer.word.line;
        take(p, "if");
        parse_if(p, s->other);
    }
    p->depth--;
}

static void parse_for(struct parser *p, struct statement *s)
{
    s->kind = STATEMENT_FOR;
    s->name = take_name(p, "a name for the layer");
    if (!expect(p, "in", "\"in\"") || !expect(p, "layers", "layers(\"blk\", n)") || !expect(p, "(", "\"(\""))
        return;
    s->stem = p->lexer.word.text;
    if (p->lexer.word.kind != WORD_TEXT) {
        fail(p, "the text in front of a layer's number, such as \"blk\"");
        return;
    }
    advance(p);
    expect(p, ",", "\",\"");
    s->value = parse_expr(p);
    expect(p, ")", "\")\"");
    s->body = parse_body(p);
}

static struct statement *parse_statement(struct parser *p)
{
    struct statement *s = make(p, sizeof *s);
    if (!s)
        return NULL;
    s->line = p->lexer.word.line;
    if (take(p, "if")) {
        parse_if(p, s);
    } else if (take(p, "for")) {
        parse_for(p, s);
    } else if (take(p, "return")) {
        s->kind = STATEMENT_RETURN;
        s->value = parse_expr(p);
    } else {
        s->kind = STATEMENT_SET;
        s->name = take_name(p, "a statement: NAME = ..., return, if or for");
        expect(p, "=", "\"=\"");
        s->value = parse_expr(p);
    }
    return p->status ? NULL : s;
}

static struct statement *parse_body(struct parser *p)
{
    struct statement *first = NULL, **last = &first;
    if (!expect(p, "{", "\"{\""))
        return NULL;
    if (++p->depth > MAX_NESTING)
        return fail(p, "less nesting");
    while (!p->status && !sees(p, "}")) {
        *last = parse_statement(p);
        if (*last)
            last = &(*last)->next;
    }
    p->depth--;
    expect(p, "}", "\"}\"");
    return first;
}

/* ---- a definition ---- */

static void keep_graph(struct parser *p, struct definition *d, struct block *b)
{
    if (d->graph)
        refuse(p, b->line, "expected one graph, got a second", b->name);
    if (b->n_parameters != 1)
        refuse(p, b->line,
               "expected the graph to have one parameter, as in graph(tokens), got another number of them in", b->name);
    d->graph = b;
}

static void keep_block(struct parser *p, struct definition *d, struct block *b)
{
    for (const struct block *other = d->blocks; other; other = other->next)
        if (span_same(other->name, b->name))
            refuse(p, b->line, "expected each block once, got a second", b->name);
    if (d->n_blocks++ == MAX_PARTS)
        refuse(p, b->line, "expected at most 512 blocks, got one more,", b->name);
    b->next = d->blocks;
    d->blocks = b;
}

static void parse_block(struct parser *p, struct definition *d, bool graph)
{
    struct block *b = make(p, sizeof *b);
    if (!b)
        return;
    b->line = p->lexer.word.line;
    b->definition = d;
    b->name = graph ? span_of("graph") : take_name(p, "the name of a block");
    if (!expect(p, "(", "\"(\""))
        return;
    while (!p->status && !sees(p, ")")) {
        if (b->n_parameters == MAX_ARGUMENTS) {
            fail(p, "at most 24 parameters");
            return;
        }
        struct span name = take_name(p, "a parameter's name");
        for (size_t i = 0; i < b->n_parameters; i++)
            if (span_same(b->parameters[i], name))
                refuse(p, b->line, "expected each parameter once, got a second", name);
        b->parameters[b->n_parameters++] = name;
        if (!sees(p, ")"))
            expect(p, ",", "\",\" or \")\"");
    }
    expect(p, ")", "\")\"");
    b->body = parse_body(p);
    if (graph)
        keep_graph(p, d, b);
    else
        keep_block(p, d, b);
}

static void parse_param(struct parser *p, struct definition *d)
{
    struct param *param = make(p, sizeof *param);
    if (!param)
        return;
    param->definition = d;
    param->line = p->lexer.word.line;
    param->name = take_name(p, "the name of a parameter");
    expect(p, "=", "\"=\"");
    param->value = parse_expr(p);
    for (const struct param *other = d->params; other; other = other->next)
        if (span_same(other->name, param->name))
            refuse(p, param->line, "expected each parameter once, got a second", param->name);
    if (d->n_params++ == MAX_PARTS)
        refuse(p, param->line, "expected at most 512 parameters, got one more,", param->name);
    param->next = d->params;
    d->params = param;
}

static void parse_libraries(struct parser *p, struct definition *d)
{
    do {
        struct span name = take_arch_name(p, "the name of a definition whose blocks are used");
        if (p->status)
            return;
        if (d->n_libraries == MAX_LIBRARIES) {
            fail(p, "at most 4 definitions after \"with\"");
            return;
        }
        d->libraries[d->n_libraries++] = name;
    } while (take(p, ","));
}

andiron_status parse_definition(struct definition **out, struct span text, const char *file, struct arena *arena,
                                andiron_error *error)
{
    struct parser p = {
        {.at = text.p, .end = text.p + text.n, .file = file, .line = 1, .error = error}, arena, 0, ANDIRON_OK};
    if (text.n > MAX_SOURCE_BYTES)
        return error_set(error, ANDIRON_E_FORMAT, "%s: a definition has at most %d bytes, this one %zu", file,
                         MAX_SOURCE_BYTES, text.n);
    struct definition *d = make(&p, sizeof *d);
    advance(&p);
    expect(&p, "arch", "\"arch\" and the architecture's name first");
    struct span name = take_arch_name(&p, "the architecture's name"), parent = {0};
    if (take(&p, ":"))
        parent = take_arch_name(&p, "the parent's name");
    if (d)
        *d = (struct definition){.name = name, .parent = parent, .file = file};
    if (take(&p, "with"))
        parse_libraries(&p, d);
    while (!p.status && p.lexer.word.kind != WORD_END) {
        if (take(&p, "param"))
            parse_param(&p, d);
        else if (take(&p, "block"))
            parse_block(&p, d, false);
        else if (take(&p, "graph"))
            parse_block(&p, d, true);
        else
            fail(&p, "param, block or graph");
    }
    *out = d;
    return p.status;
}
