/* jinja_operators.c - Python's operators. Integers have 64 bits here; where Python's would grow, the run fails. */
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"
#include <math.h>

enum { KEY_ITEMS_MAX = 64 }; /* of a tuple that is a key: looking at them is not charged */

const char *jinja_type_name(const struct value *v)
{
    static const char *const names[] = {
        [V_MISSING] = "missing",  [V_UNDEFINED] = "Undefined", [V_NONE] = "NoneType", [V_BOOL] = "bool",
        [V_INT] = "int",          [V_FLOAT] = "float",         [V_TEXT] = "str",      [V_LIST] = "list",
        [V_TUPLE] = "tuple",      [V_DICT] = "dict",           [V_RANGE] = "range",   [V_VIEW] = "dict view",
        [V_STREAM] = "generator", [V_NAMESPACE] = "Namespace", [V_MACRO] = "Macro",   [V_FUNCTION] = "function",
        [V_LOOP] = "LoopContext", [V_CYCLER] = "Cycler",       [V_JOINER] = "Joiner",
    };
    return names[v->kind];
}

bool jinja_hashable(const struct value *v)
{
    if (v->kind == V_TUPLE) {
        if (v->list->n > KEY_ITEMS_MAX)
            return false;
        for (size_t i = 0; i < v->list->n; i++)
            if (v->list->items[i].kind == V_TUPLE || !jinja_hashable(&v->list->items[i]))
                return false; /* tuples in tuples: nobody's keys, and no recursion to bound */
        return true;
    }
    return v->kind != V_LIST && v->kind != V_DICT && v->kind != V_VIEW;
}

bool jinja_length(struct run *run, const struct value *v, size_t *n)
{
    switch (v->kind) {
    case V_UNDEFINED: *n = 0; return true;
    case V_TEXT: *n = jinja_text_chars(run, v->text); return true;
    case V_LIST:
    case V_TUPLE: *n = v->list->n; return true;
    case V_DICT: *n = v->dict->n; return true;
    case V_RANGE: *n = v->range->n; return true;
    case V_VIEW: *n = v->view->list->n; return true;
    case V_LOOP: *n = v->loop->n; return true;
    default: return false;
    }
}

bool jinja_truth(const struct value *v)
{
    switch (v->kind) {
    case V_MISSING:
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v->truth;
    case V_INT: return v->integer != 0;
    case V_FLOAT: return v->real != 0;
    case V_TEXT: return v->text->n != 0;
    case V_LIST:
    case V_TUPLE: return v->list->n != 0;
    case V_DICT: return v->dict->n != 0;
    case V_RANGE: return v->range->n != 0;
    case V_VIEW: return v->view->list->n != 0;
    default: return true;
    }
}

static bool equal_lists(struct run *run, const struct list *a, const struct list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!jinja_equal(run, &a->items[i], &b->items[i]))
            return false;
    return true;
}

static bool equal_dicts(struct run *run, const struct dict *a, const struct dict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        struct value *other = jinja_dict_get(run, b, &a->entries[i].key);
        if (!other || !jinja_equal(run, &a->entries[i].value, other))
            return false;
    }
    return true;
}

static bool equal_ranges(const struct range *a, const struct range *b)
{
    return a->n == b->n && (a->n == 0 || (a->start == b->start && (a->n == 1 || a->step == b->step)));
}

static bool equal_numbers(const struct value *a, const struct value *b)
{
    if (value_is_int(a) && value_is_int(b))
        return value_integer(a) == value_integer(b);
    return value_real(a) == value_real(b);
}

static bool equal_same_kind(struct run *run, const struct value *a, const struct value *b)
{
    switch (a->kind) {
    case V_UNDEFINED:
    case V_NONE: return true;
    case V_TEXT: return run_charge(run, a->text->n / 64) && span_same(text_span(a->text), text_span(b->text));
    case V_LIST:
    case V_TUPLE: return a->list == b->list || equal_lists(run, a->list, b->list);
    case V_DICT: return a->dict == b->dict || equal_dicts(run, a->dict, b->dict);
    case V_RANGE: return equal_ranges(a->range, b->range);
    case V_VIEW: return a->view == b->view || equal_lists(run, a->view->list, b->view->list);
    case V_FUNCTION: return a->function->builtin == b->function->builtin;
    default: return a->text == b->text; /* the same object: any member of the union is its address */
    }
}

bool jinja_equal(struct run *run, const struct value *a, const struct value *b)
{
    if (!run_charge(run, 1))
        return false;
    if (value_is_number(a) && value_is_number(b))
        return equal_numbers(a, b);
    if (a->kind != b->kind)
        return false;
    bool equal = run_deeper(run) && equal_same_kind(run, a, b);
    run->depth--;
    return equal;
}

static int order_texts(const struct text *a, const struct text *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int order = n ? memcmp(a->p, b->p, n) : 0;
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

static bool less_lists(struct run *run, const struct list *a, const struct list *b, bool *out)
{
    size_t i = 0;
    while (i < a->n && i < b->n && jinja_equal(run, &a->items[i], &b->items[i]))
        i++;
    if (run->status)
        return false;
    *out = a->n < b->n;
    return i == a->n || i == b->n || jinja_less(run, &a->items[i], &b->items[i], out);
}

static bool less_texts(struct run *run, const struct text *a, const struct text *b, bool *out)
{
    const bool good = run_charge(run, (a->n < b->n ? a->n : b->n) / 64);
    *out = good && order_texts(a, b) < 0;
    return good;
}

bool jinja_less(struct run *run, const struct value *a, const struct value *b, bool *out)
{
    if (!run_charge(run, 1))
        return false;
    if (value_is_number(a) && value_is_number(b)) {
        const bool ints = value_is_int(a) && value_is_int(b);
        *out = ints ? value_integer(a) < value_integer(b) : value_real(a) < value_real(b);
        return true;
    }
    if (a->kind == V_TEXT && b->kind == V_TEXT)
        return less_texts(run, a->text, b->text, out);
    if (a->kind == b->kind && (a->kind == V_LIST || a->kind == V_TUPLE)) {
        const bool good = run_deeper(run) && less_lists(run, a->list, b->list, out);
        run->depth--;
        return good;
    }
    if (a->kind == V_UNDEFINED || b->kind == V_UNDEFINED)
        return jinja_fail_undefined(run, a->kind == V_UNDEFINED ? a : b);
    return run_fail(run, "a %s and a %s have no order", jinja_type_name(a), jinja_type_name(b));
}

bool jinja_contains(struct run *run, const struct value *whole, const struct value *part, bool *out)
{
    *out = false;
    if (whole->kind == V_TEXT) {
        if (part->kind != V_TEXT)
            return run_fail(run, "'in' a text needs a text, not a %s", jinja_type_name(part));
        *out = part->text->n == 0 ||
               (whole->text->n && memmem(whole->text->p, whole->text->n, part->text->p, part->text->n) != NULL);
        return run_charge(run, whole->text->n / 8);
    }
    if (whole->kind == V_DICT) {
        if (!jinja_hashable(part))
            return run_fail(run, "a %s cannot be a key", jinja_type_name(part));
        *out = jinja_dict_get(run, whole->dict, part) != NULL;
        return !run->status;
    }
    struct list *list = jinja_iterate(run, whole);
    for (size_t i = 0; list && i < list->n && !*out; i++)
        *out = jinja_equal(run, &list->items[i], part);
    return !run->status;
}

bool jinja_compare(struct run *run, enum node_op op, const struct value *a, const struct value *b, bool *out)
{
    *out = false;
    bool good = true, nan = (a->kind == V_FLOAT && isnan(a->real)) || (b->kind == V_FLOAT && isnan(b->real));
    switch (op) {
    case OP_EQ: *out = jinja_equal(run, a, b); break;
    case OP_NE: *out = !jinja_equal(run, a, b); break;
    case OP_LT: return jinja_less(run, a, b, out);
    case OP_GT: return jinja_less(run, b, a, out);
    case OP_LE: good = jinja_less(run, b, a, out), *out = !*out && !nan; break;
    case OP_GE: good = jinja_less(run, a, b, out), *out = !*out && !nan; break;
    case OP_IN: return jinja_contains(run, b, a, out);
    default: good = jinja_contains(run, b, a, out), *out = !*out; break;
    }
    return good && !run->status;
}

static bool overflow(struct run *run) { return run_fail(run, "a number beyond 64 bits"); }

static bool power(struct run *run, int64_t base, int64_t exponent, struct value *out)
{
    if (exponent < 0) {
        if (base == 0)
            return run_fail(run, "division by zero");
        *out = value_float(pow((double)base, (double)exponent));
        return true;
    }
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return overflow(run);
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base))
            return overflow(run);
    }
    *out = value_int(result);
    return true;
}

static bool divide(struct run *run, enum node_op op, int64_t a, int64_t b, struct value *out)
{
    if (b == 0)
        return run_fail(run, "division by zero");
    if (op == OP_DIV) {
        *out = value_float((double)a / (double)b);
        return true;
    }
    if (b == -1) { /* INT64_MIN / -1 traps */
        int64_t negated = 0;
        if (op == OP_FLOORDIV && __builtin_sub_overflow(0, a, &negated))
            return overflow(run);
        *out = value_int(negated);
        return true;
    }
    int64_t quotient = a / b, rest = a % b;
    if (rest && (rest < 0) != (b < 0)) { /* Python rounds down */
        quotient--;
        rest += b;
    }
    *out = value_int(op == OP_FLOORDIV ? quotient : rest);
    return true;
}

static bool integers(struct run *run, enum node_op op, int64_t a, int64_t b, struct value *out)
{
    int64_t r = 0;
    switch (op) {
    case OP_ADD:
        if (__builtin_add_overflow(a, b, &r))
            return overflow(run);
        break;
    case OP_SUB:
        if (__builtin_sub_overflow(a, b, &r))
            return overflow(run);
        break;
    case OP_MUL:
        if (__builtin_mul_overflow(a, b, &r))
            return overflow(run);
        break;
    case OP_POW: return power(run, a, b, out);
    default: return divide(run, op, a, b, out);
    }
    *out = value_int(r);
    return true;
}

/* Python's float // and %: the rest has the divisor's sign. */
static double floor_divide(enum node_op op, double a, double b)
{
    double rest = fmod(a, b);
    if (rest != 0 && (rest < 0) != (b < 0))
        rest += b;
    else if (rest == 0)
        rest = copysign(0, b);
    if (op == OP_MOD)
        return rest;
    const double quotient = (a - rest) / b, down = floor(quotient);
    return quotient - down > 0.5 ? down + 1 : down;
}

static bool real_power(struct run *run, double a, double b, double *out)
{
    if ((a == 0 && b < 0) || (a < 0 && b != floor(b)))
        return run_fail(run, "this power is no real number");
    if (!run_charge(run, 10))
        return false;
    *out = pow(a, b);
    return !isinf(*out) || isinf(a) || isinf(b) || run_fail(run, "a power beyond all floats");
}

static bool reals(struct run *run, enum node_op op, double a, double b, struct value *out)
{
    double r = 0;
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        return run_fail(run, "division by zero");
    switch (op) {
    case OP_ADD: r = a + b; break;
    case OP_SUB: r = a - b; break;
    case OP_MUL: r = a * b; break;
    case OP_DIV: r = a / b; break;
    case OP_POW:
        if (!real_power(run, a, b, &r))
            return false;
        break;
    default: r = floor_divide(op, a, b);
    }
    *out = value_float(r);
    return true;
}

static bool repeat(struct run *run, const struct value *v, int64_t times, struct value *out)
{
    if (times < 0)
        times = 0;
    if (v->kind == V_TEXT) {
        struct builder b;
        builder_init(&b, run);
        for (int64_t i = 0; v->text->n && i < times && builder_add_text(&b, v->text);)
            i++;
        *out = value_text(builder_text(&b));
        return !run->status;
    }
    struct list *list = jinja_list(run, 0);
    for (int64_t i = 0; list && v->list->n && i < times; i++)
        for (size_t k = 0; k < v->list->n; k++)
            if (!jinja_list_add(run, list, v->list->items[k]))
                return false;
    *out = *v;
    out->list = list;
    return list != NULL;
}

static bool join_texts(struct run *run, struct text *a, struct text *b, struct value *out)
{
    struct builder joined;
    const bool safe = a->safe || b->safe;
    if (safe && !a->safe)
        a = text_escape(run, a);
    if (safe && !b->safe)
        b = text_escape(run, b);
    builder_init(&joined, run);
    if (!a || !b || !builder_add_text(&joined, a) || !builder_add_text(&joined, b))
        return false;
    if (!give_text(builder_text(&joined), out))
        return false;
    out->text->safe = safe;
    return true;
}

static bool join(struct run *run, const struct value *a, const struct value *b, struct value *out)
{
    if (a->kind == V_TEXT)
        return join_texts(run, a->text, b->text, out);
    struct list *list = jinja_list(run, a->list->n + b->list->n);
    if (!list)
        return false;
    if (a->list->n)
        memcpy(list->items, a->list->items, a->list->n * sizeof *list->items);
    if (b->list->n)
        memcpy(list->items + a->list->n, b->list->items, b->list->n * sizeof *list->items);
    list->n = list->capacity;
    *out = *a;
    out->list = list;
    return true;
}

static bool is_sequence(const struct value *v) { return v->kind == V_TEXT || v->kind == V_LIST || v->kind == V_TUPLE; }

static bool on_sequences(struct run *run, enum node_op op, const struct value *a, const struct value *b,
                         struct value *out)
{
    if (op == OP_ADD && a->kind == b->kind && is_sequence(a))
        return join(run, a, b, out);
    if (op == OP_MUL && is_sequence(a) && value_is_int(b))
        return repeat(run, a, value_integer(b), out);
    if (op == OP_MUL && is_sequence(b) && value_is_int(a))
        return repeat(run, b, value_integer(a), out);
    if (a->kind == V_UNDEFINED || b->kind == V_UNDEFINED)
        return jinja_fail_undefined(run, a->kind == V_UNDEFINED ? a : b);
    return run_fail(run, "this operator does not take a %s and a %s", jinja_type_name(a), jinja_type_name(b));
}

bool jinja_binary(struct run *run, enum node_op op, const struct value *a, const struct value *b, struct value *out)
{
    if (value_is_int(a) && value_is_int(b))
        return integers(run, op, value_integer(a), value_integer(b), out);
    if (value_is_number(a) && value_is_number(b))
        return reals(run, op, value_real(a), value_real(b), out);
    if (op == OP_MOD && a->kind == V_TEXT)
        return jinja_percent(run, a->text, b, out);
    return on_sequences(run, op, a, b, out);
}
