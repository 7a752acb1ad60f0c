/* jinja_value.h - the values a template computes with.
 *
 * Everything a value points to lies in an arena (the template's for constants, the run's for all else) and is never
 * freed singly. Values are copied freely; what they point to does not change once made, except namespaces, streams,
 * loops, cyclers and joiners. */
#ifndef TEXT_JINJA_VALUE_H
#define TEXT_JINJA_VALUE_H

#include "base/span.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_kind {
    V_MISSING, /* an argument that was not given; never seen by a template */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_TEXT,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_RANGE,
    V_VIEW,   /* dict.items() and its kin */
    V_STREAM, /* what Python calls a generator: can be read once, is always true, has no length */
    V_NAMESPACE,
    V_MACRO,
    V_FUNCTION, /* a built-in, bound to an object or not */
    V_LOOP,
    V_CYCLER,
    V_JOINER,
};

struct text;
struct list;
struct dict;
struct builtin;

struct value {
    enum value_kind kind;
    union {
        bool truth;
        int64_t integer;
        double real;
        struct text *text; /* of V_UNDEFINED: what is undefined, or NULL */
        struct list *list; /* also of V_TUPLE */
        struct dict *dict; /* also of V_NAMESPACE */
        struct range *range;
        struct view *view;
        struct stream *stream;
        struct macro *macro;
        struct function *function;
        struct loop *loop;
        struct cycler *cycler;
        struct joiner *joiner;
    };
};

/* UTF-8 where every byte knows where it came from. */
struct text {
    const char *p;
    size_t n;
    const char *marks; /* [n], 1 is markup; NULL: every byte is as `markup` says */
    size_t n_chars;    /* code points; SIZE_MAX: not counted yet */
    bool markup;
    bool safe; /* jinja2's Markup (|safe, |escape): '+' escapes what is joined to it */
};

struct list {
    struct value *items;
    size_t n, capacity;
};

struct dict_entry {
    struct value key, value;
};

struct dict {
    struct dict_entry *entries; /* in order of insertion */
    size_t n, capacity;
};

struct range {
    int64_t start, stop, step;
    size_t n;
};

struct view {
    const char *name; /* "dict_items" */
    struct list *list;
};

struct stream {
    struct list *list;
    size_t at; /* items before it are used up */
};

struct scope;
struct node;

struct macro {
    const struct node *node; /* N_MACRO or N_CALL_BLOCK */
    struct scope *scope;     /* where it was defined */
};

struct function {
    const struct builtin *builtin;
    struct value self; /* V_MISSING: not bound */
};

struct loop {
    const struct value *items;
    size_t n, at;
    struct list *changed; /* arguments of the last loop.changed() */
};

struct cycler {
    struct list *list;
    size_t at;
};

struct joiner {
    struct value separator;
    bool used;
};

static inline struct value value_none(void) { return (struct value){.kind = V_NONE}; }
static inline struct value value_undefined(void) { return (struct value){.kind = V_UNDEFINED}; }
static inline struct value value_bool(bool truth) { return (struct value){.kind = V_BOOL, .truth = truth}; }
static inline struct value value_int(int64_t i) { return (struct value){.kind = V_INT, .integer = i}; }
static inline struct value value_float(double f) { return (struct value){.kind = V_FLOAT, .real = f}; }
static inline struct value value_text(struct text *t) { return (struct value){.kind = V_TEXT, .text = t}; }
static inline struct value value_list(struct list *l) { return (struct value){.kind = V_LIST, .list = l}; }
static inline struct value value_tuple(struct list *l) { return (struct value){.kind = V_TUPLE, .list = l}; }
static inline struct value value_dict(struct dict *d) { return (struct value){.kind = V_DICT, .dict = d}; }

/* bool counts as int, as in Python. */
static inline bool value_is_int(const struct value *v) { return v->kind == V_INT || v->kind == V_BOOL; }
static inline bool value_is_number(const struct value *v) { return value_is_int(v) || v->kind == V_FLOAT; }
static inline int64_t value_integer(const struct value *v) { return v->kind == V_BOOL ? v->truth : v->integer; }
static inline double value_real(const struct value *v)
{
    return v->kind == V_FLOAT ? v->real : (double)value_integer(v);
}
static inline struct span text_span(const struct text *t) { return (struct span){t->p, t->n}; }
static inline bool text_is(const struct value *v, const char *text)
{
    return v->kind == V_TEXT && span_is(text_span(v->text), text);
}

#endif
