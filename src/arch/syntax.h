/* syntax.h - a definition as a tree. Internal to this room.
 *
 *     lex.c       text -> words
 *     words.c, parse.c, folder.c   words -> definition
 *     arch.c      definition with its parents
 *     expand.c    statements, blocks, parameters: running a definition
 *     evaluate.c  expressions
 *     call.c      blocks and ops
 *     functions.c metadata and numbers
 *
 * The language is described in docs/arch-language.md. */
#ifndef ARCH_SYNTAX_H
#define ARCH_SYNTAX_H

#include "arch/arch.h"

enum {
    MAX_SOURCE_BYTES = 256 << 10,
    MAX_NAME = 64, /* bytes; names are compared often */
    MAX_PARENTS = 16,
    MAX_NESTING = 64,   /* of brackets and braces in a text */
    MAX_ARGUMENTS = 24, /* of a call */
    MAX_PARTS = 512,    /* blocks of a definition; parameters */
    MAX_LINES = 1024,   /* on folders */
    MAX_TREE_BYTES = 64 << 20,
};

enum word_kind { WORD_END, WORD_NAME, WORD_NUMBER, WORD_TEXT, WORD_SIGN };

struct word {
    enum word_kind kind;
    struct span text; /* of a TEXT without its quotes */
    double number;
    uint32_t line;
};

struct lexer {
    const char *at, *end, *file;
    uint32_t line;
    struct word word; /* the one looked at */
    andiron_error *error;
};
/* Read the next word into l->word. */
andiron_status lex_next(struct lexer *l);
/* Is there a letter, digit or underscore at p? */
bool lex_in_name(const struct lexer *l, const char *p);

enum expr_kind { EXPR_NUMBER, EXPR_TEXT, EXPR_NAME, EXPR_MEMBER, EXPR_CALL, EXPR_UNARY, EXPR_BINARY };
enum operation {
    OPERATION_OR,
    OPERATION_AND,
    OPERATION_NOT,
    OPERATION_EQ,
    OPERATION_NE,
    OPERATION_LT,
    OPERATION_LE,
    OPERATION_GT,
    OPERATION_GE,
    OPERATION_ELSE /* | */,
    OPERATION_ADD,
    OPERATION_SUB,
    OPERATION_MUL,
    OPERATION_DIV,
    OPERATION_MOD,
    OPERATION_NEGATE
};

struct argument {
    struct span name; /* empty: by place */
    struct expr *value;
};

struct expr {
    enum expr_kind kind;
    enum operation operation;
    uint32_t line;
    double number;
    struct span text;   /* TEXT, NAME, MEMBER and CALL: the name */
    bool of_parent;     /* CALL: parent.NAME(...) */
    struct expr *a, *b; /* operands; MEMBER: of what */
    struct argument *arguments;
    size_t n_arguments;
};

enum statement_kind { STATEMENT_SET, STATEMENT_RETURN, STATEMENT_IF, STATEMENT_FOR };

struct statement {
    enum statement_kind kind;
    uint32_t line;
    struct span name;               /* SET, FOR: the variable */
    struct expr *value;             /* SET, RETURN; IF: the condition; FOR: how many */
    struct span stem;               /* FOR: "blk" */
    struct statement *body, *other; /* IF: other is `else` */
    struct statement *next;
};

struct block {
    struct span name;
    struct span parameters[MAX_ARGUMENTS];
    size_t n_parameters;
    struct statement *body;
    const struct definition *definition;
    uint32_t line;
    struct block *next;
};

struct param {
    struct span name;
    struct expr *value;
    const struct definition *definition;
    uint32_t line;
    struct param *next;
};

enum { MAX_LIBRARIES = 4 };

struct definition {
    struct span name, parent; /* parent empty: none */
    struct span libraries[MAX_LIBRARIES];
    size_t n_libraries;
    const char *file;
    struct param *params;
    struct block *blocks;
    struct arch_line *lines;
    size_t n_params, n_blocks, n_lines;
    struct block *graph;           /* NULL: the parent's */
    const struct definition *base; /* where to look next: the libraries, then the parent */
};

struct arch {
    struct arena arena;
    struct definition *definition;
    const char *name;
};

/* `text` and `file` must live as long as the arena. */
andiron_status parse_definition(struct definition **out, struct span text, const char *file, struct arena *arena,
                                andiron_error *error);

#endif
