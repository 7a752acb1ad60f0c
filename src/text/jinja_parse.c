/* jinja_parse.c - expressions, with the precedence that jinja2's parser gives its operators. */
#include "text/jinja_parse.h"
#include "text/jinja_builtins.h"
#include "text/jinja_unicode.h"
#include <stdarg.h>
#include <stdio.h>

struct node *parser_node(struct parser *p, enum node_kind kind)
{
    if (++p->n_nodes > JINJA_NODES_MAX) {
        parser_fail(p, "more than %d nodes: the template is too large", JINJA_NODES_MAX);
        return NULL;
    }
    struct node *node = p->status ? NULL : arena_alloc(p->arena, 1, sizeof *node);
    if (!node) {
        if (!p->status)
            p->status = error_set(p->error, ANDIRON_E_MEMORY, "out of memory for the chat template");
        return NULL;
    }
    node->kind = kind;
    node->line = p->now.line;
    return node;
}

bool parser_fail(struct parser *p, const char *format, ...)
{
    if (p->status)
        return false;
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    p->status = error_set(p->error, ANDIRON_E_FORMAT, "chat template, line %u: %s", (unsigned)p->now.line, text);
    return false;
}

bool parser_expected(struct parser *p, const char *what)
{
    int n = p->now.text.n > 40 ? 40 : (int)p->now.text.n;
    if (p->now.kind == T_NAME)
        return parser_fail(p, "expected %s, found '%.*s'", what, n, p->now.text.p);
    return parser_fail(p, "expected %s, found %s", what, token_name(p->now.kind));
}

void parser_step(struct parser *p)
{
    p->now = p->ahead;
    p->ahead = lexer_next(&p->lexer);
    if (p->lexer.status && !p->status)
        p->status = p->lexer.status;
}

bool parser_is_name(const struct parser *p, const char *name)
{
    return p->now.kind == T_NAME && span_is(p->now.text, name);
}

bool parser_skip_name(struct parser *p, const char *name)
{
    if (!parser_is_name(p, name))
        return false;
    parser_step(p);
    return true;
}

bool parser_skip(struct parser *p, enum lex_kind kind)
{
    if (p->now.kind != kind)
        return false;
    parser_step(p);
    return true;
}

bool parser_expect(struct parser *p, enum lex_kind kind)
{
    return parser_skip(p, kind) || parser_expected(p, token_name(kind));
}

bool parser_take_name(struct parser *p, struct node *node)
{
    if (!node)
        return false;
    if (p->now.kind != T_NAME)
        return parser_expected(p, "a name");
    node->name = p->now.text;
    node->hash = jinja_hash(node->name);
    parser_step(p);
    return true;
}

bool parser_deeper(struct parser *p)
{
    return ++p->nesting <= JINJA_NESTING_MAX || parser_fail(p, "nested more than %d deep", JINJA_NESTING_MAX);
}

void chain_init(struct chain *chain)
{
    chain->first = NULL;
    chain->end = &chain->first;
}

bool chain_add(struct chain *chain, struct node *node)
{
    if (!node)
        return false;
    *chain->end = node;
    chain->end = &node->next;
    return true;
}

static struct node *constant(struct parser *p, struct value v)
{
    struct node *node = parser_node(p, N_CONST);
    if (node)
        node->constant = v;
    return node;
}

/* One string, or several beside each other. */
static struct node *string_constant(struct parser *p)
{
    struct span all = p->now.text;
    size_t capacity = 0; /* of `joined`, which grows in doubles: it leaves its old selves in the arena */
    char *joined = NULL;
    struct text *text = arena_alloc(p->arena, 1, sizeof *text);
    struct node *node = constant(p, value_text(text));
    parser_step(p);
    while (p->now.kind == T_STRING) {
        size_t n = all.n + p->now.text.n;
        if (n > capacity || !joined) {
            capacity = 2 * n + 1;
            if (!(joined = arena_alloc(p->arena, capacity, 1)))
                break;
            memcpy(joined, all.p, all.n);
        }
        memcpy(joined + all.n, p->now.text.p, p->now.text.n);
        all = (struct span){joined, n};
        parser_step(p);
    }
    if (!text || !node || p->now.kind == T_STRING) {
        if (!p->status)
            p->status = error_set(p->error, ANDIRON_E_MEMORY, "out of memory for the chat template");
        return NULL;
    }
    *text = (struct text){.p = all.p, .n = all.n, .n_chars = jinja_count_chars(all), .markup = true};
    return node;
}

static struct node *name_or_word(struct parser *p)
{
    static const struct {
        const char *name;
        struct value value;
    } words[] = {
        {"true", {.kind = V_BOOL, .truth = true}},
        {"True", {.kind = V_BOOL, .truth = true}},
        {"false", {.kind = V_BOOL, .truth = false}},
        {"False", {.kind = V_BOOL, .truth = false}},
        {"none", {.kind = V_NONE}},
        {"None", {.kind = V_NONE}},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (parser_is_name(p, words[i].name)) {
            struct node *node = constant(p, words[i].value);
            parser_step(p);
            return node;
        }
    if (parser_is_name(p, "varargs"))
        p->macro_uses |= MACRO_USES_VARARGS;
    if (parser_is_name(p, "kwargs"))
        p->macro_uses |= MACRO_USES_KWARGS;
    if (parser_is_name(p, "caller"))
        p->macro_uses |= MACRO_USES_CALLER;
    struct node *node = parser_node(p, N_NAME);
    return parser_take_name(p, node) ? node : NULL;
}

/* Items up to a closing bracket; of a dict with a colon and a value after each. */
static struct node *display(struct parser *p, enum node_kind kind, enum lex_kind end)
{
    struct node *node = parser_node(p, kind);
    if (!node)
        return NULL;
    struct chain items;
    chain_init(&items);
    parser_step(p);
    while (p->now.kind != end) {
        if (items.first && (!parser_expect(p, T_COMMA) || p->now.kind == end))
            break;
        if (!chain_add(&items, parse_expression(p)))
            return NULL;
        if (kind == N_DICT && (!parser_expect(p, T_COLON) || !chain_add(&items, parse_expression(p))))
            return NULL;
    }
    node->a = items.first;
    return parser_expect(p, end) ? node : NULL;
}

static struct node *primary(struct parser *p)
{
    struct node *node;
    switch (p->now.kind) {
    case T_NAME: return name_or_word(p);
    case T_STRING: return string_constant(p);
    case T_INT: node = constant(p, value_int(p->now.integer)); break;
    case T_FLOAT: node = constant(p, value_float(p->now.real)); break;
    case T_LPAREN:
        parser_step(p);
        node = parse_tuple(p, true, NULL, true);
        return node && parser_expect(p, T_RPAREN) ? node : NULL;
    case T_LBRACKET: return display(p, N_LIST, T_RBRACKET);
    case T_LBRACE: return display(p, N_DICT, T_RBRACE);
    default: parser_expected(p, "an expression"); return NULL;
    }
    parser_step(p);
    return node;
}

struct node *parse_primary(struct parser *p)
{
    struct node *node = parser_deeper(p) ? primary(p) : NULL;
    p->nesting--;
    return node;
}

static bool tuple_ends(const struct parser *p, const char *end_name)
{
    return p->now.kind == T_PRINT_END || p->now.kind == T_BLOCK_END || p->now.kind == T_RPAREN ||
           (end_name && parser_is_name(p, end_name));
}

struct node *parse_tuple(struct parser *p, bool conditional, const char *end_name, bool brackets)
{
    struct chain items;
    chain_init(&items);
    bool is_tuple = false;
    for (;;) {
        if (items.first && !parser_expect(p, T_COMMA))
            return NULL;
        if (tuple_ends(p, end_name))
            break;
        if (!chain_add(&items, conditional ? parse_expression(p) : parse_or(p)))
            return NULL;
        if (p->now.kind != T_COMMA)
            break;
        is_tuple = true;
    }
    if (!is_tuple && items.first)
        return items.first;
    if (!is_tuple && !brackets) {
        parser_expected(p, "an expression");
        return NULL;
    }
    struct node *tuple = parser_node(p, N_TUPLE);
    if (tuple)
        tuple->a = items.first;
    return tuple;
}

/* One part of a slice, if there is one before the next ':' , ',' or ']'. */
static bool slice_part(struct parser *p, struct node **part)
{
    if (p->now.kind == T_RBRACKET || p->now.kind == T_COMMA || p->now.kind == T_COLON)
        return true;
    return (*part = parse_expression(p)) != NULL;
}

static struct node *subscript(struct parser *p)
{
    struct node *slice = parser_node(p, N_SLICE);
    if (!slice || !slice_part(p, &slice->a))
        return NULL;
    if (p->now.kind != T_COLON) {
        if (!slice->a)
            parser_expected(p, "an expression");
        return slice->a;
    }
    parser_step(p);
    if (!slice_part(p, &slice->b))
        return NULL;
    if (parser_skip(p, T_COLON) && !slice_part(p, &slice->c))
        return NULL;
    return slice;
}

static struct node *item_of(struct parser *p, struct node *object)
{
    struct node *node = parser_node(p, N_ITEM);
    if (!node)
        return NULL;
    parser_step(p);
    node->a = object;
    if (!(node->b = p->now.kind == T_RBRACKET ? parser_node(p, N_TUPLE) : subscript(p)))
        return NULL;
    if (p->now.kind == T_COMMA) { /* x[a, b]: a tuple as key */
        struct node *tuple = parser_node(p, N_TUPLE);
        struct chain items;
        chain_init(&items);
        chain_add(&items, node->b);
        while (tuple && parser_skip(p, T_COMMA))
            if (!chain_add(&items, parse_expression(p)))
                return NULL;
        if (!tuple || node->b->kind == N_SLICE)
            return parser_fail(p, "a slice in a tuple is not supported"), NULL;
        tuple->a = items.first;
        node->b = tuple;
    }
    return parser_expect(p, T_RBRACKET) ? node : NULL;
}

static struct node *attribute_of(struct parser *p, struct node *object)
{
    struct node *node = parser_node(p, N_ATTR);
    if (!node)
        return NULL;
    parser_step(p);
    node->a = object;
    if (p->now.kind == T_INT) {
        node->kind = N_ITEM;
        node->b = constant(p, value_int(p->now.integer));
        parser_step(p);
        return node->b ? node : NULL;
    }
    return parser_take_name(p, node) ? node : NULL;
}

/* Positional arguments come first, then named ones, *list and **dict; a named one may follow *list. */
enum { RANK_POSITIONAL, RANK_KEYWORD, RANK_SPREAD, RANK_SPREAD_NAMED };

static int argument_rank(const struct parser *p)
{
    if (p->now.kind == T_POW)
        return RANK_SPREAD_NAMED;
    if (p->now.kind == T_MUL)
        return RANK_SPREAD;
    return p->now.kind == T_NAME && p->ahead.kind == T_ASSIGN ? RANK_KEYWORD : RANK_POSITIONAL;
}

static struct node *argument(struct parser *p, int *highest)
{
    static const enum node_kind kinds[] = {
        [RANK_KEYWORD] = N_KEYWORD, [RANK_SPREAD] = N_SPREAD, [RANK_SPREAD_NAMED] = N_SPREAD_NAMED};
    const int rank = argument_rank(p);
    if (rank < *highest && !(rank == RANK_KEYWORD && *highest == RANK_SPREAD))
        return parser_fail(p, "this argument may not follow the one before it"), NULL;
    if (rank > *highest)
        *highest = rank;
    if (rank == RANK_POSITIONAL)
        return parse_expression(p);
    struct node *node = parser_node(p, kinds[rank]);
    if (!node || (rank == RANK_KEYWORD && !parser_take_name(p, node)))
        return NULL;
    parser_step(p);
    return (node->a = parse_expression(p)) ? node : NULL;
}

bool parse_arguments(struct parser *p, struct node **args)
{
    struct chain chain;
    chain_init(&chain);
    int rank = 0;
    if (!parser_expect(p, T_LPAREN))
        return false;
    while (p->now.kind != T_RPAREN) {
        if (chain.first && (!parser_expect(p, T_COMMA) || p->now.kind == T_RPAREN))
            break;
        struct node *node = argument(p, &rank);
        if (!chain_add(&chain, node))
            return false;
    }
    *args = chain.first;
    return parser_expect(p, T_RPAREN);
}

static struct node *call_of(struct parser *p, struct node *callee)
{
    struct node *node = parser_node(p, N_CALL);
    if (!node)
        return NULL;
    node->a = callee;
    return parse_arguments(p, &node->args) ? node : NULL;
}

static struct node *postfix(struct parser *p, struct node *node)
{
    while (node) {
        if (p->now.kind == T_DOT)
            node = attribute_of(p, node);
        else if (p->now.kind == T_LBRACKET)
            node = item_of(p, node);
        else if (p->now.kind == T_LPAREN)
            node = call_of(p, node);
        else
            break;
    }
    return node;
}

/* jinja2 takes names with dots for filters and tests; none of ours has one. */
static void dotted_name(struct parser *p, struct node *node)
{
    while (p->now.kind == T_DOT && p->ahead.kind == T_NAME) {
        parser_step(p);
        parser_step(p);
        node->builtin = NULL;
    }
}

struct node *parse_filters(struct parser *p, struct node *input, bool bare)
{
    while (bare || parser_skip(p, T_PIPE)) {
        struct node *node = parser_node(p, N_FILTER);
        if (!parser_take_name(p, node))
            return NULL;
        node->a = input;
        node->builtin = jinja_filter(node->name);
        dotted_name(p, node);
        if (p->now.kind == T_LPAREN && !parse_arguments(p, &node->args))
            return NULL;
        input = node;
        bare = false;
    }
    return input;
}

static bool argument_of_test_begins(const struct parser *p)
{
    switch (p->now.kind) {
    case T_STRING:
    case T_INT:
    case T_FLOAT:
    case T_LBRACKET:
    case T_LBRACE: return true;
    case T_NAME: return !parser_is_name(p, "else") && !parser_is_name(p, "or") && !parser_is_name(p, "and");
    default: return false;
    }
}

static struct node *test_of(struct parser *p, struct node *object)
{
    parser_step(p);
    struct node *negation = parser_is_name(p, "not") ? parser_node(p, N_NOT) : NULL;
    if (parser_is_name(p, "not"))
        parser_step(p);
    struct node *node = parser_node(p, N_TEST);
    if (!parser_take_name(p, node))
        return NULL;
    node->a = object;
    node->builtin = jinja_test(node->name);
    dotted_name(p, node);
    if (p->now.kind == T_LPAREN) {
        if (!parse_arguments(p, &node->args))
            return NULL;
    } else if (argument_of_test_begins(p)) {
        if (parser_is_name(p, "is"))
            return parser_fail(p, "tests cannot be chained: a second 'is'"), NULL;
        if (!(node->args = postfix(p, parse_primary(p))))
            return NULL;
    }
    if (negation)
        negation->a = node;
    return negation ? negation : node;
}

static struct node *filters_and_tests(struct parser *p, struct node *node)
{
    while (node) {
        if (p->now.kind == T_PIPE)
            node = parse_filters(p, node, false);
        else if (parser_is_name(p, "is"))
            node = test_of(p, node);
        else if (p->now.kind == T_LPAREN)
            node = call_of(p, node);
        else
            break;
    }
    return node;
}

struct node *parse_unary(struct parser *p, bool with_filter)
{
    struct node *node;
    if (p->now.kind == T_SUB || p->now.kind == T_ADD) {
        node = parser_deeper(p) ? parser_node(p, N_UNARY) : NULL;
        if (!node)
            return NULL;
        node->op = p->now.kind == T_SUB ? OP_NEG : OP_POS;
        parser_step(p);
        node->a = parse_unary(p, false);
        p->nesting--;
        if (!node->a)
            return NULL;
    } else {
        node = parse_primary(p);
    }
    node = postfix(p, node);
    return with_filter ? filters_and_tests(p, node) : node;
}

enum { LEVEL_SUM, LEVEL_CONCAT, LEVEL_PRODUCT, LEVEL_POWER, LEVEL_UNARY };

/* The operator that `kind` is at `level`, or -1. */
static int operator_at(enum lex_kind kind, int level)
{
    static const struct {
        enum lex_kind kind;
        int level, op;
    } operators[] = {
        {T_ADD, LEVEL_SUM, OP_ADD},     {T_SUB, LEVEL_SUM, OP_SUB},     {T_TILDE, LEVEL_CONCAT, 0},
        {T_MUL, LEVEL_PRODUCT, OP_MUL}, {T_DIV, LEVEL_PRODUCT, OP_DIV}, {T_FLOORDIV, LEVEL_PRODUCT, OP_FLOORDIV},
        {T_MOD, LEVEL_PRODUCT, OP_MOD}, {T_POW, LEVEL_POWER, OP_POW},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].kind == kind && operators[i].level == level)
            return operators[i].op;
    return -1;
}

static struct node *binary(struct parser *p, int level);

static struct node *concat(struct parser *p, struct node *first)
{
    struct node *node = parser_node(p, N_CONCAT);
    struct chain items;
    chain_init(&items);
    if (!node || !chain_add(&items, first))
        return NULL;
    while (parser_skip(p, T_TILDE))
        if (!chain_add(&items, binary(p, LEVEL_CONCAT + 1)))
            return NULL;
    node->a = items.first;
    return node;
}

/* Operators of `level` and all that bind tighter, from left to right. */
static struct node *binary(struct parser *p, int level)
{
    if (level == LEVEL_UNARY)
        return parse_unary(p, true);
    struct node *left = binary(p, level + 1);
    int op, length = 0;
    while (left && (op = operator_at(p->now.kind, level)) >= 0) {
        if (level == LEVEL_CONCAT)
            return concat(p, left);
        if (++length > JINJA_NESTING_MAX)
            return parser_fail(p, "more than %d operators in a row", JINJA_NESTING_MAX), NULL;
        struct node *node = parser_node(p, N_BINARY);
        if (!node)
            return NULL;
        parser_step(p);
        node->op = (uint8_t)op;
        node->a = left;
        if (!(node->b = binary(p, level + 1)))
            return NULL;
        left = node;
    }
    return left;
}

/* The comparison that stands here, or -1; "not in" is two words. */
static int comparison(struct parser *p)
{
    static const uint8_t ops[] = {
        [T_EQ] = OP_EQ, [T_NE] = OP_NE, [T_GT] = OP_GT, [T_GE] = OP_GE, [T_LT] = OP_LT, [T_LE] = OP_LE};
    if (p->now.kind >= T_EQ && p->now.kind <= T_LE)
        return ops[p->now.kind];
    if (parser_is_name(p, "in"))
        return OP_IN;
    if (parser_is_name(p, "not") && p->ahead.kind == T_NAME && span_is(p->ahead.text, "in"))
        return OP_NOT_IN;
    return -1;
}

static struct node *compare(struct parser *p)
{
    struct node *left = binary(p, LEVEL_SUM), *node = NULL;
    struct chain operands;
    chain_init(&operands);
    for (int op; left && (op = comparison(p)) >= 0;) {
        struct node *operand = parser_node(p, N_OPERAND);
        if (!operand || (!node && !(node = parser_node(p, N_COMPARE))))
            return NULL;
        parser_step(p);
        if (op == OP_NOT_IN)
            parser_step(p);
        operand->op = (uint8_t)op;
        if (!(operand->a = binary(p, LEVEL_SUM)))
            return NULL;
        chain_add(&operands, operand);
        node->a = left;
        node->b = operands.first;
    }
    return node ? node : left;
}

static struct node *parse_not(struct parser *p)
{
    if (!parser_is_name(p, "not"))
        return compare(p);
    struct node *node = parser_deeper(p) ? parser_node(p, N_NOT) : NULL;
    if (!node)
        return NULL;
    parser_step(p);
    node->a = parse_not(p);
    p->nesting--;
    return node->a ? node : NULL;
}

/* a op b op c, from left to right; so long a row nests to the left, which evaluation must be able to climb. */
static struct node *logical(struct parser *p, const char *word, enum node_kind kind,
                            struct node *(*operand)(struct parser *))
{
    struct node *left = operand(p);
    for (int length = 0; left && parser_skip_name(p, word); length++) {
        struct node *node = parser_node(p, kind);
        if (!node || length >= JINJA_NESTING_MAX)
            return parser_fail(p, "more than %d times '%s' in a row", JINJA_NESTING_MAX, word), NULL;
        node->a = left;
        if (!(node->b = operand(p)))
            return NULL;
        left = node;
    }
    return left;
}

static struct node *parse_and(struct parser *p) { return logical(p, "and", N_AND, parse_not); }

struct node *parse_or(struct parser *p) { return logical(p, "or", N_OR, parse_and); }

static struct node *conditional(struct parser *p)
{
    struct node *node = parse_or(p);
    for (int length = 0; node && parser_skip_name(p, "if"); length++) {
        struct node *whole = parser_node(p, N_COND);
        if (!whole || length >= JINJA_NESTING_MAX)
            return parser_fail(p, "too many conditions in a row"), NULL;
        whole->a = node;
        if (!(whole->b = parse_or(p)))
            return NULL;
        if (parser_skip_name(p, "else") && !(whole->c = parse_expression(p)))
            return NULL;
        node = whole;
    }
    return node;
}

struct node *parse_expression(struct parser *p)
{
    struct node *node = parser_deeper(p) ? conditional(p) : NULL;
    p->nesting--;
    return node;
}
