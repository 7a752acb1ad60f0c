/* jinja_builtins.h - filters, tests, functions and methods: tables of C functions that get their arguments sorted into
 * slots by the names Python gives them. */
#ifndef TEXT_JINJA_BUILTINS_H
#define TEXT_JINJA_BUILTINS_H

#include "text/jinja_value.h"

struct run;

enum { CALL_SLOTS = 6 };

/* Arguments as they were written. */
struct arguments {
    struct list positional;
    struct dict named;
};

struct call {
    const struct builtin *builtin;
    struct value self;              /* what a filter or test is applied to, what a method is of */
    struct value slots[CALL_SLOTS]; /* V_MISSING where not given */
    const struct arguments *given;  /* all, for those that take any number */
};

typedef bool builtin_function(struct run *run, const struct call *call, struct value *out);

struct builtin {
    const char *name;
    const char *params; /* names of the slots with spaces between; NULL: any arguments, read `given` */
    int n_required;
    builtin_function *function;
};

/* NULL: there is none. */
const struct builtin *jinja_filter(struct span name);
const struct builtin *jinja_test(struct span name);
const struct builtin *jinja_global(struct span name);
const struct builtin *jinja_text_method(struct span name);
const struct builtin *jinja_other_method(enum value_kind kind, struct span name);

/* Look up a name in a table that ends with a NULL name. */
const struct builtin *jinja_lookup(const struct builtin *table, struct span name);

#endif
