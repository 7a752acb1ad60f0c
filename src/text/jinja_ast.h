/* jinja_ast.h - a parsed template. One kind of node for everything; what its fields mean is said beside each kind.
 * Lists of nodes are chained through `next`. */
#ifndef TEXT_JINJA_AST_H
#define TEXT_JINJA_AST_H

#include "base/arena.h"
#include "base/error.h"
#include "text/jinja_value.h"

enum node_kind {
    /* expressions */
    N_CONST,   /* constant */
    N_NAME,    /* name */
    N_LIST,    /* a: chain of items */
    N_TUPLE,   /* a: chain of items */
    N_DICT,    /* a: chain key, value, key, value ... */
    N_UNARY,   /* op, a */
    N_BINARY,  /* op, a, b */
    N_AND,     /* a, b */
    N_OR,      /* a, b */
    N_NOT,     /* a */
    N_COMPARE, /* a; b: chain of N_OPERAND */
    N_OPERAND, /* op, a */
    N_CONCAT,  /* a: chain */
    N_COND,    /* a if b else c; c may be NULL */
    N_ATTR,    /* a.name */
    N_ITEM,    /* a[b] */
    N_SLICE,   /* a:b:c, each may be NULL; only as b of N_ITEM */
    N_CALL,    /* a(args) */
    N_FILTER,  /* a|name(args); a NULL: the text of the enclosing block */
    N_TEST,    /* a is name(args) */
    /* arguments: any expression, or */
    N_KEYWORD,      /* name=a */
    N_SPREAD,       /* *a */
    N_SPREAD_NAMED, /* **a */
    N_PARAM,        /* of a macro: name, a: default or NULL */
    /* statements */
    N_DATA,         /* constant: the text */
    N_PRINT,        /* a */
    N_FOR,          /* for a in b if c; body; other: else */
    N_IF,           /* a; body; other: else, or one N_IF flagged IF_IS_ELIF */
    N_SET,          /* a: target, b */
    N_SET_BLOCK,    /* a: target, b: filter or NULL, body */
    N_MACRO,        /* name, args: params, body, flags */
    N_CALL_BLOCK,   /* a: the call, args: params, body, flags */
    N_FILTER_BLOCK, /* b: filter, body */
    N_WITH,         /* args: chain of N_SET, body */
    N_SCOPE,        /* body */
    N_BREAK,
    N_CONTINUE,
    N_NSREF, /* target name.attr */
};

enum node_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_NEG,
    OP_POS,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
};

/* What a macro's body speaks of. */
enum { MACRO_USES_VARARGS = 1, MACRO_USES_KWARGS = 2, MACRO_USES_CALLER = 4 };

enum { IF_IS_ELIF = 1 };

struct node {
    enum node_kind kind;
    uint8_t op, flags;
    uint32_t line;
    uint32_t hash; /* of name */
    struct node *next, *a, *b, *c, *args, *body, *other;
    struct span name, attr;
    struct value constant;
    const struct builtin *builtin; /* of N_FILTER and N_TEST; NULL: there is none of that name */
};

enum {
    JINJA_SOURCE_MAX = 1 << 20, /* bytes */
    JINJA_NODES_MAX = 100000,
    JINJA_NESTING_MAX = 120, /* brackets, operators and blocks inside one another */
    JINJA_PARSE_MEMORY_MAX = 48 << 20,
};

static inline uint32_t jinja_hash(struct span name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    return h;
}

/* Parse `source` into a chain of statements (*body may be NULL: an empty template). Everything lies in `arena`; the
 * nodes borrow nothing from `source`. */
andiron_status jinja_parse(struct arena *arena, struct span source, struct node **body, andiron_error *error);

#endif
