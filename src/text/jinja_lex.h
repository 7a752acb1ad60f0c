/* jinja_lex.h - a template's source as tokens, one at a time: text outside tags, and the words inside them, with
 * jinja2's whitespace rules (trim_blocks, lstrip_blocks, minus and plus signs, one newline at the end dropped). */
#ifndef TEXT_JINJA_LEX_H
#define TEXT_JINJA_LEX_H

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

enum lex_kind {
    T_END,
    T_DATA,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_PRINT_BEGIN,
    T_PRINT_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    /* operators */
    T_ADD,
    T_SUB,
    T_MUL,
    T_DIV,
    T_FLOORDIV,
    T_MOD,
    T_POW,
    T_TILDE,
    T_LBRACKET,
    T_RBRACKET,
    T_LPAREN,
    T_RPAREN,
    T_LBRACE,
    T_RBRACE,
    T_EQ,
    T_NE,
    T_GT,
    T_GE,
    T_LT,
    T_LE,
    T_ASSIGN,
    T_DOT,
    T_COLON,
    T_PIPE,
    T_COMMA,
    T_SEMICOLON,
};

struct token {
    enum lex_kind kind;
    uint32_t line;
    struct span text; /* T_DATA, T_NAME; T_STRING without escapes */
    int64_t integer;
    double real;
};

enum { LEX_BRACKETS_MAX = 256, LEX_NAME_MAX = 1000 /* bytes: comparing names is not charged */ };

struct lexer {
    struct arena *arena;
    struct span source;
    size_t at;
    uint32_t line;
    enum { LEX_TEXT, LEX_BLOCK, LEX_PRINT } state;
    bool line_starting;              /* the last tag ended with a newline, or this is the start */
    enum lex_kind pending;           /* T_BLOCK_BEGIN or T_PRINT_BEGIN to give after the text before it */
    char brackets[LEX_BRACKETS_MAX]; /* closing brackets awaited */
    size_t n_brackets;
    andiron_status status; /* of the first failure; nothing but T_END comes after it */
    andiron_error *error;
};

/* `source` must outlive the lexer; tokens point into it or into the arena. */
void lexer_init(struct lexer *lexer, struct arena *arena, struct span source, andiron_error *error);
/* The next token; T_END at the end and after a failure. */
struct token lexer_next(struct lexer *lexer);
/* A token's kind in words. */
const char *token_name(enum lex_kind kind);

#endif
