/* expand.h - running a definition over a model's metadata and tensors. Internal to this room. */
#ifndef ARCH_EXPAND_H
#define ARCH_EXPAND_H

#include "arch/syntax.h"

enum {
    MAX_STEPS = 1000000, /* expressions and statements */
    MAX_CALLS = 64,      /* depth of blocks and parameters */
    MAX_DEPTH = 512,     /* of expressions and statements within each other, over all calls */
    MAX_VARIABLES = 96,  /* of a block */
    MAX_VALUES = 4096,   /* arguments being evaluated */
    MAX_LAYERS = 4096,
    MAX_STEM = 192, /* bytes of a tensor's name or of a key */
};

enum value_kind { VALUE_NONE, VALUE_NUMBER, VALUE_TEXT, VALUE_STEM, VALUE_LAYER, VALUE_NODE };

struct value {
    enum value_kind kind;
    double number;    /* NUMBER: finite; LAYER: its index */
    struct span text; /* TEXT; STEM: "blk.0.attn_q"; LAYER: "blk.0" */
    node_id node;     /* NODE */
};

struct variable {
    struct span name;
    struct value value;
};

/* A running block. */
struct frame {
    const struct definition *definition; /* for file:line, and parent.NAME */
    const struct block *block;           /* NULL: a parameter's expression */
    const struct frame *caller;
    struct variable variables[MAX_VARIABLES];
    size_t n_variables;
    bool returned;
    struct value result;
    struct span name, label; /* for nodes: the block's name; that, or of the variable being set */
};

/* A parameter's value, computed when first asked for. */
struct parameter {
    const struct param *param;
    struct value value;
    bool running;
    struct parameter *next;
};

/* A tensor that the file lacks. */
struct missing {
    struct span stem;
    const char *suffix;
    struct missing *next;
};

struct expansion {
    const struct arch *arch;
    const struct arch_source *source;
    struct graph *g;
    struct arena *arena; /* of the graph */
    struct arena own;    /* stems, parameters, arguments: gone after the expansion */
    andiron_error *error;
    struct parameter *parameters;
    struct value *values; /* [MAX_VALUES], a stack */
    size_t n_values;
    uint64_t n_steps;
    int n_calls, depth;
    int32_t layer;                 /* -1: outside */
    bool layer_cached;             /* this layer has its attend */
    uint16_t cache_of[MAX_LAYERS]; /* 1 + the cache of each layer, of loops so far; 0: none */
    struct {
        const struct definition *definition;
        const char *name; /* of its file, in the graph's arena */
    } files[MAX_PARENTS + 1];
    struct missing *missing;
    size_t n_missing;
    char first_missing[sizeof((andiron_error *)0)->text]; /* the error it is */
};

/* Most bytes of a name that errors show. */
static inline int cut(struct span s) { return (int)(s.n < 60 ? s.n : 60); }

/* What a value is, for a person: "a number", "the tensor's name \"output\"". */
enum { VALUE_WORDS = 100 };
const char *value_words(const struct value *v, char out[VALUE_WORDS]);

/* An error at a line of the frame's definition. */
andiron_status expand_error(struct expansion *x, const struct frame *f, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The expansion's own memory has reached its bound, or there is none. */
andiron_status expand_memory(struct expansion *x, const struct frame *f, uint32_t line);
/* "expected WHAT, got" the value. */
andiron_status expected(struct expansion *x, const struct frame *f, uint32_t line, const char *what,
                        const struct value *got);
/* Count a step of work; fails past the budget. */
andiron_status expand_step(struct expansion *x, const struct frame *f, uint32_t line);
/* Count a level of expressions and statements within each other, which the caller takes off again (x->depth--). */
andiron_status expand_deeper(struct expansion *x, const struct frame *f, uint32_t line);
/* Run `b` with its arguments, as many as it has parameters. */
andiron_status expand_block(struct expansion *x, const struct frame *from, uint32_t line, const struct block *b,
                            const struct value *arguments, struct value *out);
/* The parameter of that name; in *found whether there is one. */
andiron_status expand_param(struct expansion *x, const struct frame *f, uint32_t line, struct span name,
                            struct value *out, bool *found);

andiron_status evaluate(struct expansion *x, struct frame *f, const struct expr *e, struct value *out);
andiron_status evaluate_number(struct expansion *x, struct frame *f, const struct expr *e, const char *what,
                               double *out);
/* A number as a value, or an error if it is not finite. */
andiron_status give_number(struct expansion *x, const struct frame *f, uint32_t line, double number, struct value *out);

/* The tensor of a stem and suffix, or NULL. */
const struct weight *stem_weight(const struct expansion *x, struct span stem, const char *suffix);
/* Note a tensor that the file lacks. NULL: the expansion ends here; else what stands in, and it ends in an error later,
 * missing_named's, which names all. op: who wants it; may be empty. */
const struct weight *missing_weight(struct expansion *x, const struct frame *f, uint32_t line, struct span op,
                                    struct span stem, const char *suffix);
andiron_status missing_named(const struct expansion *x);
/* `a.b` in the expansion's memory. */
andiron_status stem_join(struct expansion *x, const struct frame *f, uint32_t line, struct span a, struct span b,
                         struct span *out);

/* A call with its arguments evaluated; of a function only the first n_evaluated ones. */
struct arguments {
    struct expansion *x;
    struct frame *f;
    const struct expr *e;
    const struct value *v; /* of arguments that are not evaluated: not set */
};
andiron_status call(struct expansion *x, struct frame *f, const struct expr *e, struct value *out);
/* How many of a function's or op's arguments are evaluated before the call; a fallback is not. */
size_t n_evaluated(const struct expr *e);
/* A function of metadata or numbers; in *found whether there is one of the call's name. */
andiron_status call_function(const struct arguments *a, struct value *out, bool *found);
/* Append `node` to the graph; label, layer, file and line are set here. */
andiron_status add_node(struct expansion *x, const struct frame *f, uint32_t line, struct node *node,
                        struct value *out);
/* scale.c: the node, times its weight's scale if the file has one. `node` is changed. */
andiron_status add_scaled(const struct arguments *a, struct node *node, struct span stem, struct value *out);
/* What adapters add to the value of a node, which was just made; adapt.c. */
andiron_status add_adapters(const struct arguments *a, const struct node *of, struct value *out);
/* A node of `op` with every argument left out. */
struct node empty_node(enum op op);

const struct block *find_block(const struct definition *from, struct span name);
const struct param *find_param(const struct definition *from, struct span name);

#endif
