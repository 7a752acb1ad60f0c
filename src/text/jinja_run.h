/* jinja_run.h - one run of a template: its memory, its budgets, and the tools all parts of the evaluator share.
 *
 * Failure is sticky: the first one sets run->status and the error; everything after it fails quickly. Functions that
 * return bool return false after a failure; those that return a pointer return NULL. */
#ifndef TEXT_JINJA_RUN_H
#define TEXT_JINJA_RUN_H

#include "text/jinja_ast.h"
#include "text/jinja_builtins.h"
#include "text/jinja_value.h"

enum {
    RUN_STEPS_MAX = 10000000,   /* nodes evaluated, items looked at, 16 bytes copied: each is a step of up to 0.1 us */
    RUN_MEMORY_MAX = 256 << 20, /* bytes */
    RUN_OUTPUT_MAX = 32 << 20,  /* bytes */
    RUN_DEPTH_MAX = 500,        /* of nodes in nodes, macros in macros, values in values */
    RUN_RANGE_MAX = 100000,     /* items, as jinja2's sandbox */
};

struct builder;
struct scope;

struct run {
    struct arena arena;
    andiron_status status;
    andiron_error *error;
    uint32_t line; /* of what is being evaluated; 0: nothing yet */
    uint64_t n_steps;
    int depth;
    int64_t now_s;
    struct dict *context;    /* variables given from outside */
    struct scope *scope;     /* innermost */
    struct builder *output;  /* where text goes now */
    struct value block_text; /* what a filter without input filters */
};

struct variable {
    struct span name;
    uint32_t hash;
    struct value value;
};

struct scope {
    struct scope *up;
    struct variable *variables;
    size_t n, capacity;
    bool captured; /* a macro remembers it: it may not be emptied and used again */
};

/* "chat template, line N: ..." with ANDIRON_E_FORMAT; before the first line is run, ANDIRON_E_ARGUMENT: the variables
 * are at fault. Returns false. */
bool run_fail(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Zeroed; NULL is a failure. */
void *run_alloc(struct run *run, size_t n, size_t item_bytes);
/* Account for `work` steps; false when there have been too many. */
bool run_charge(struct run *run, size_t work);
/* One level deeper; undone with run->depth--, also after a failure. */
bool run_deeper(struct run *run);

/* ---- text ---- */

struct text *jinja_text(struct run *run, struct span borrowed, bool markup); /* bytes are not copied */
struct text *jinja_text_copy(struct run *run, const char *p, size_t n, bool markup);
struct text *jinja_text_slice(struct run *run, const struct text *t, size_t from, size_t to); /* in bytes */
/* Characters, and the bytes of the first `n_chars` of them; both are charged. */
size_t jinja_text_chars(struct run *run, struct text *t);
size_t jinja_text_offset(struct run *run, struct text *t, size_t n_chars);
bool jinja_text_is_markup(const struct text *t); /* every byte? */

struct builder {
    struct run *run;
    char *p, *marks; /* marks: NULL while all bytes are as `markup` says */
    size_t n, capacity;
    bool markup;
};

void builder_init(struct builder *b, struct run *run);
bool builder_add(struct builder *b, const char *p, size_t n, bool markup);
bool builder_add_text(struct builder *b, const struct text *t);
bool builder_add_range(struct builder *b, const struct text *t, size_t from, size_t to);
bool builder_add_char(struct builder *b, uint32_t point, bool markup);
struct text *builder_text(struct builder *b);
/* As builder_text, but all of it is content if any byte is. */
struct text *builder_flat_text(struct builder *b);

/* ---- lists and dicts ---- */

struct list *jinja_list(struct run *run, size_t capacity);
bool jinja_list_add(struct run *run, struct list *list, struct value v);
struct dict *jinja_dict(struct run *run);
bool jinja_dict_set(struct run *run, struct dict *dict, struct value key, struct value v);
/* NULL: not there, or failed. */
struct value *jinja_dict_get(struct run *run, const struct dict *dict, const struct value *key);
struct value *jinja_dict_get_name(const struct dict *dict, struct span name);
/* The items of anything that can be iterated; a list or tuple itself, a stream is used up by it. Not to be changed. */
struct list *jinja_iterate(struct run *run, const struct value *v);

/* ---- jinja_operators.c ---- */

bool jinja_truth(const struct value *v);
bool jinja_equal(struct run *run, const struct value *a, const struct value *b);
bool jinja_less(struct run *run, const struct value *a, const struct value *b, bool *out);
bool jinja_contains(struct run *run, const struct value *whole, const struct value *part, bool *out);
bool jinja_binary(struct run *run, enum node_op op, const struct value *a, const struct value *b, struct value *out);
bool jinja_compare(struct run *run, enum node_op op, const struct value *a, const struct value *b, bool *out);
const char *jinja_type_name(const struct value *v); /* Python's */
bool jinja_hashable(const struct value *v);
/* Items in a text, list, dict, ...; false: it has no length (no failure). */
bool jinja_length(struct run *run, const struct value *v, size_t *n);

/* ---- jinja_print.c ---- */

struct text *jinja_str(struct run *run, const struct value *v);
bool jinja_add_str(struct builder *b, const struct value *v);
bool jinja_add_repr(struct builder *b, const struct value *v);
size_t jinja_print_float(double f, char out[40]); /* Python's repr */
struct json_style {
    bool ascii, sort_keys;
    const struct text *indent; /* NULL: all on one line */
    struct text *item_separator, *key_separator;
};
bool jinja_add_json(struct builder *b, const struct value *v, const struct json_style *style);

/* ---- jinja_json.c ---- */

/* JSON as values, every text content. */
bool jinja_read_json(struct run *run, struct span json, struct value *out);

/* ---- jinja_format.c ---- */

bool jinja_percent(struct run *run, const struct text *format, const struct value *args, struct value *out);
bool jinja_format(struct run *run, const struct text *format, const struct arguments *args, struct value *out);

/* ---- jinja_objects.c: attributes, items, calls ---- */

bool jinja_attribute(struct run *run, const struct value *object, struct span name, struct value *out);
bool jinja_item(struct run *run, const struct value *object, const struct value *key, struct value *out);
bool jinja_slice(struct run *run, const struct value *object, const struct value bounds[3], struct value *out);
bool jinja_call(struct run *run, const struct value *callee, const struct arguments *args, struct value *out);
bool jinja_call_builtin(struct run *run, const struct builtin *builtin, const struct value *self,
                        const struct arguments *args, struct value *out);
struct value jinja_undefined(struct run *run, struct span what);
/* Fails, naming what is undefined. */
bool jinja_fail_undefined(struct run *run, const struct value *v);

/* ---- jinja_eval.c, jinja_exec.c ---- */

bool jinja_eval(struct run *run, const struct node *node, struct value *out);
bool jinja_eval_arguments(struct run *run, const struct node *args, struct arguments *out);
bool jinja_exec(struct run *run, const struct node *body);
bool jinja_call_macro(struct run *run, const struct macro *macro, const struct arguments *args, struct value *out);
struct scope *jinja_scope(struct run *run, struct scope *up);
bool jinja_scope_set(struct run *run, struct scope *scope, const struct node *name, struct value v);
bool jinja_assign(struct run *run, const struct node *target, const struct value *v);

#endif
