/* jinja_parse.h - what the two halves of the parser share: expressions (jinja_parse.c) and statements
 * (jinja_statements.c). Every function returns NULL or false after a failure, which parser->status tells. */
#ifndef TEXT_JINJA_PARSE_H
#define TEXT_JINJA_PARSE_H

#include "text/jinja_ast.h"
#include "text/jinja_lex.h"

struct parser {
    struct lexer lexer;
    struct arena *arena;
    struct token now, ahead;
    size_t n_nodes;
    int nesting, n_loops;
    uint8_t macro_uses; /* MACRO_USES_... of the macro being parsed */
    andiron_status status;
    andiron_error *error;
};

/* A chain being built. */
struct chain {
    struct node *first, **end;
};

struct node *parser_node(struct parser *p, enum node_kind kind);
bool parser_fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "expected `what`, found ..." */
bool parser_expected(struct parser *p, const char *what);
void parser_step(struct parser *p);
bool parser_is_name(const struct parser *p, const char *name);
bool parser_skip_name(struct parser *p, const char *name);
bool parser_skip(struct parser *p, enum lex_kind kind);
bool parser_expect(struct parser *p, enum lex_kind kind);
bool parser_take_name(struct parser *p, struct node *node); /* into node->name, with its hash */
bool parser_deeper(struct parser *p);                       /* one level of nesting; undone by --p->nesting */
void chain_init(struct chain *chain);
bool chain_add(struct chain *chain, struct node *node); /* false: node is NULL */

struct node *parse_expression(struct parser *p); /* with "a if b else c" */
struct node *parse_or(struct parser *p);         /* without */
struct node *parse_primary(struct parser *p);
struct node *parse_unary(struct parser *p, bool with_filter);
/* One expression or, with commas, a tuple. `conditional`: "if" belongs to it. `end_name` (or NULL) ends it. */
struct node *parse_tuple(struct parser *p, bool conditional, const char *end_name, bool brackets);
/* A chain of filters; `input` may be NULL. `now` is T_PIPE, or the filter's name when `bare`. */
struct node *parse_filters(struct parser *p, struct node *input, bool bare);
bool parse_arguments(struct parser *p, struct node **args);

#endif
