/* jinja_statements.c - tags and the text between them; the parser's entry. */
#include "text/jinja_parse.h"
#include "text/jinja_unicode.h"

static struct node *body(struct parser *p, const char *const *ends);

/* What may end a body; the first is what is asked for where nothing does. */
static const char *const end_for[] = {"endfor", "else", NULL}, *const end_if[] = {"endif", "else", "elif", NULL};

/* A body with its "%}" in front, up to and including the tag word that ends it. */
static bool block(struct parser *p, struct node **out, const char *const *ends)
{
    parser_skip(p, T_COLON);
    if (!parser_expect(p, T_BLOCK_END))
        return false;
    *out = body(p, ends);
    return !p->status;
}

static bool simple_block(struct parser *p, struct node **out, const char *end)
{
    const char *const ends[] = {end, NULL};
    return block(p, out, ends) && (parser_skip_name(p, end) || parser_expected(p, end));
}

static struct node *target(struct parser *p, bool namespaces, const char *end_name);

/* What a target may be in jinja2: a name, namespace.name, or several in brackets. */
static struct node *target_part(struct parser *p, bool namespaces)
{
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    if (p->now.kind == T_LPAREN || p->now.kind == T_LBRACKET) {
        enum lex_kind end = p->now.kind == T_LPAREN ? T_RPAREN : T_RBRACKET;
        parser_step(p);
        struct node *inner = parser_deeper(p) ? target(p, namespaces, NULL) : NULL;
        p->nesting--;
        return inner && parser_expect(p, end) ? inner : NULL;
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (parser_is_name(p, reserved[i]))
            return parser_fail(p, "cannot assign to '%s'", reserved[i]), NULL;
    struct node *node = parser_node(p, N_NAME);
    if (!parser_take_name(p, node))
        return NULL;
    if (!namespaces || p->now.kind != T_DOT)
        return node;
    parser_step(p);
    node->kind = N_NSREF;
    if (p->now.kind != T_NAME)
        return parser_expected(p, "a name"), NULL;
    node->attr = p->now.text;
    parser_step(p);
    return node;
}

static struct node *target(struct parser *p, bool namespaces, const char *end_name)
{
    struct node *first = target_part(p, namespaces);
    if (!first || p->now.kind != T_COMMA)
        return first;
    struct node *tuple = parser_node(p, N_TUPLE);
    struct chain parts;
    chain_init(&parts);
    chain_add(&parts, first);
    while (tuple && parser_skip(p, T_COMMA)) {
        if ((end_name && parser_is_name(p, end_name)) || p->now.kind != T_NAME) {
            if (p->now.kind != T_LPAREN && p->now.kind != T_LBRACKET)
                break;
        }
        if (!chain_add(&parts, target_part(p, namespaces)))
            return NULL;
    }
    if (tuple)
        tuple->a = parts.first;
    return tuple;
}

static bool parse_for(struct parser *p, struct node *node)
{
    node->kind = N_FOR;
    if (parser_is_name(p, "loop"))
        return parser_fail(p, "a loop's variable cannot be called 'loop'");
    if (!(node->a = target(p, false, "in")) || !(parser_skip_name(p, "in") || parser_expected(p, "'in'")))
        return false;
    if (!(node->b = parse_tuple(p, false, "recursive", false)))
        return false;
    if (parser_skip_name(p, "if") && !(node->c = parse_expression(p)))
        return false;
    if (parser_is_name(p, "recursive"))
        return parser_fail(p, "recursive loops are not supported");
    p->n_loops++;
    bool good = block(p, &node->body, end_for);
    p->n_loops--;
    if (!good)
        return false;
    if (parser_skip_name(p, "else"))
        return simple_block(p, &node->other, "endfor");
    parser_step(p);
    return true;
}

static bool parse_if(struct parser *p, struct node *node)
{
    for (;;) {
        node->kind = N_IF;
        if (!(node->a = parse_tuple(p, false, NULL, false)) || !block(p, &node->body, end_if))
            return false;
        if (parser_skip_name(p, "else"))
            return simple_block(p, &node->other, "endif");
        if (!parser_skip_name(p, "elif"))
            break;
        if (!(node = node->other = parser_node(p, N_IF)))
            return false;
        node->flags = IF_IS_ELIF;
    }
    parser_step(p);
    return true;
}

static bool parse_set(struct parser *p, struct node *node)
{
    if (!(node->a = target(p, true, NULL)))
        return false;
    node->kind = N_SET;
    if (parser_skip(p, T_ASSIGN))
        return (node->b = parse_tuple(p, true, NULL, false)) != NULL;
    node->kind = N_SET_BLOCK;
    if (p->now.kind == T_PIPE && !(node->b = parse_filters(p, NULL, false)))
        return false;
    return simple_block(p, &node->body, "endset");
}

static bool parameters(struct parser *p, struct node *node)
{
    struct chain params;
    chain_init(&params);
    if (!parser_expect(p, T_LPAREN))
        return false;
    bool defaults = false;
    while (p->now.kind != T_RPAREN) {
        if (params.first && !parser_expect(p, T_COMMA))
            return false;
        struct node *param = parser_node(p, N_PARAM);
        if (!parser_take_name(p, param))
            return false;
        if (parser_skip(p, T_ASSIGN)) {
            defaults = true;
            if (!(param->a = parse_expression(p)))
                return false;
        } else if (defaults) {
            return parser_fail(p, "a parameter without default after one with a default");
        }
        chain_add(&params, param);
    }
    node->args = params.first;
    return parser_expect(p, T_RPAREN);
}

/* The body of a macro or call block: notes which of varargs, kwargs and caller it speaks of. */
static bool macro_body(struct parser *p, struct node *node, const char *end)
{
    uint8_t outer = p->macro_uses;
    int loops = p->n_loops;
    p->macro_uses = 0;
    p->n_loops = 0;
    bool good = simple_block(p, &node->body, end);
    node->flags = p->macro_uses;
    p->macro_uses |= outer; /* a use in an inner macro counts for the outer one too, as in jinja2 */
    p->n_loops = loops;
    return good;
}

static bool parse_macro(struct parser *p, struct node *node)
{
    node->kind = N_MACRO;
    return parser_take_name(p, node) && parameters(p, node) && macro_body(p, node, "endmacro");
}

static bool parse_call(struct parser *p, struct node *node)
{
    node->kind = N_CALL_BLOCK;
    node->name = span_of("caller");
    if (p->now.kind == T_LPAREN && !parameters(p, node))
        return false;
    if (!(node->a = parse_expression(p)))
        return false;
    if (node->a->kind != N_CALL)
        return parser_fail(p, "expected a call");
    return macro_body(p, node, "endcall");
}

static bool parse_filter_block(struct parser *p, struct node *node)
{
    node->kind = N_FILTER_BLOCK;
    return (node->b = parse_filters(p, NULL, true)) && simple_block(p, &node->body, "endfilter");
}

static bool parse_with(struct parser *p, struct node *node)
{
    struct chain sets;
    chain_init(&sets);
    node->kind = N_WITH;
    while (p->now.kind != T_BLOCK_END) {
        if (sets.first && !parser_expect(p, T_COMMA))
            return false;
        struct node *set = parser_node(p, N_SET);
        if (!set || !(set->a = target(p, false, NULL)) || !parser_expect(p, T_ASSIGN) ||
            !(set->b = parse_expression(p)))
            return false;
        chain_add(&sets, set);
    }
    node->args = sets.first;
    return simple_block(p, &node->body, "endwith");
}

static bool parse_generation(struct parser *p, struct node *node)
{
    node->kind = N_SCOPE;
    return simple_block(p, &node->body, "endgeneration");
}

static bool parse_break(struct parser *p, struct node *node)
{
    node->kind = N_BREAK;
    return p->n_loops > 0 || parser_fail(p, "'break' outside a loop");
}

static bool parse_continue(struct parser *p, struct node *node)
{
    node->kind = N_CONTINUE;
    return p->n_loops > 0 || parser_fail(p, "'continue' outside a loop");
}

/* {% print a, b %}: one N_PRINT an expression, in a block of their own. */
static bool parse_print(struct parser *p, struct node *node)
{
    struct chain prints;
    chain_init(&prints);
    node->kind = N_SCOPE;
    while (p->now.kind != T_BLOCK_END) {
        if (prints.first && !parser_expect(p, T_COMMA))
            return false;
        struct node *print = parser_node(p, N_PRINT);
        if (!print || !(print->a = parse_expression(p)))
            return false;
        chain_add(&prints, print);
    }
    node->body = prints.first;
    return true;
}

static bool statement(struct parser *p, struct node *node)
{
    static const struct {
        const char *name;
        bool (*parse)(struct parser *, struct node *);
    } tags[] = {
        {"if", parse_if},
        {"for", parse_for},
        {"set", parse_set},
        {"macro", parse_macro},
        {"generation", parse_generation},
        {"break", parse_break},
        {"call", parse_call},
        {"filter", parse_filter_block},
        {"continue", parse_continue},
        {"with", parse_with},
        {"print", parse_print},
    };
    static const char *const other_files[] = {"include", "import", "from", "extends", "block", "autoescape"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (parser_skip_name(p, tags[i].name))
            return tags[i].parse(p, node);
    for (size_t i = 0; i < sizeof other_files / sizeof *other_files; i++)
        if (parser_is_name(p, other_files[i]))
            return parser_fail(p, "{%% %s %%} is not supported in a chat template", other_files[i]);
    return parser_expected(p, "a tag");
}

static struct node *text_node(struct parser *p)
{
    struct node *node = parser_node(p, N_DATA);
    struct text *text = arena_alloc(p->arena, 1, sizeof *text);
    if (!node || !text) {
        if (!p->status)
            p->status = error_set(p->error, ANDIRON_E_MEMORY, "out of memory for the chat template");
        return NULL;
    }
    *text = (struct text){.p = p->now.text.p, .n = p->now.text.n, .markup = true};
    text->n_chars = jinja_count_chars(p->now.text);
    node->constant = value_text(text);
    parser_step(p);
    return node;
}

static struct node *tag_node(struct parser *p)
{
    parser_step(p);
    struct node *node = parser_node(p, N_SCOPE);
    if (!node || !statement(p, node))
        return NULL;
    return parser_expect(p, T_BLOCK_END) ? node : NULL;
}

static struct node *print_node(struct parser *p)
{
    struct node *node = parser_node(p, N_PRINT);
    parser_step(p);
    if (!node || !(node->a = parse_tuple(p, true, NULL, false)))
        return NULL;
    return parser_expect(p, T_PRINT_END) ? node : NULL;
}

static bool at_end(const struct parser *p, const char *const *ends)
{
    for (; p->now.kind == T_BLOCK_BEGIN && p->ahead.kind == T_NAME && *ends; ends++)
        if (span_is(p->ahead.text, *ends))
            return true;
    return false;
}

/* Statements up to a tag of `ends` (NULL: the end of the template), whose name is then the current token. */
static struct node *body(struct parser *p, const char *const *ends)
{
    struct chain chain;
    chain_init(&chain);
    bool good = parser_deeper(p);
    while (good && p->now.kind != T_END && !(ends && at_end(p, ends))) {
        if (p->now.kind == T_DATA)
            good = chain_add(&chain, text_node(p));
        else if (p->now.kind == T_PRINT_BEGIN)
            good = chain_add(&chain, print_node(p));
        else
            good = chain_add(&chain, tag_node(p));
    }
    p->nesting--;
    if (good && ends) {
        if (p->now.kind == T_END)
            parser_expected(p, ends[0]);
        else
            parser_step(p);
    }
    return chain.first;
}

/* A copy with every line ending made '\n', as jinja2 reads it. */
static bool copy_source(struct arena *arena, struct span source, struct span *out)
{
    char *p = arena_alloc(arena, source.n + 1, 1);
    size_t n = 0;
    if (!p)
        return false;
    for (size_t i = 0; i < source.n; i++) {
        if (source.p[i] == '\n' && i > 0 && source.p[i - 1] == '\r')
            continue;
        p[n++] = source.p[i] == '\r' ? '\n' : source.p[i];
    }
    *out = (struct span){p, n};
    return true;
}

andiron_status jinja_parse(struct arena *arena, struct span source, struct node **out, andiron_error *error)
{
    if (source.n > JINJA_SOURCE_MAX)
        return error_set(error, ANDIRON_E_FORMAT, "chat template: %zu bytes, more than the %d allowed", source.n,
                         JINJA_SOURCE_MAX);
    if (!jinja_is_valid(source))
        return error_set(error, ANDIRON_E_FORMAT, "chat template: not UTF-8");
    struct parser p = {.arena = arena, .error = error};
    struct span copy;
    if (!copy_source(arena, source, &copy))
        return error_memory(error, source.n, "the chat template");
    lexer_init(&p.lexer, arena, copy, error);
    parser_step(&p);
    parser_step(&p);
    *out = body(&p, NULL);
    return p.status;
}
