/* jinja_tests.c - what may stand behind "is". */
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

static bool test_defined(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind != V_UNDEFINED, out);
}

static bool test_undefined(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_UNDEFINED, out);
}

static bool test_none(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_NONE, out);
}

static bool test_string(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_TEXT, out);
}

static bool test_number(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(value_is_number(&call->self), out);
}

static bool test_integer(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_INT, out);
}

static bool test_float(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_FLOAT, out);
}

static bool test_boolean(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_BOOL, out);
}

static bool test_true(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_BOOL && call->self.truth, out);
}

static bool test_false(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_BOOL && !call->self.truth, out);
}

static bool test_mapping(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_DICT, out);
}

static bool test_iterable(struct run *run, const struct call *call, struct value *out)
{
    enum value_kind k = call->self.kind;
    (void)run;
    return give_bool(k == V_UNDEFINED || (k >= V_TEXT && k <= V_STREAM) || k == V_LOOP, out);
}

static bool test_sequence(struct run *run, const struct call *call, struct value *out)
{
    enum value_kind k = call->self.kind;
    (void)run;
    return give_bool(k == V_UNDEFINED || (k >= V_TEXT && k <= V_RANGE), out);
}

static bool test_callable(struct run *run, const struct call *call, struct value *out)
{
    enum value_kind k = call->self.kind;
    (void)run;
    return give_bool(k == V_UNDEFINED || k == V_MACRO || k == V_FUNCTION || k == V_JOINER || k == V_LOOP, out);
}

static bool remainder_is(struct run *run, const struct call *call, const struct value *divisor, int64_t wanted,
                         struct value *out)
{
    struct value rest;
    const struct value number = value_int(wanted);
    return jinja_binary(run, OP_MOD, &call->self, divisor, &rest) && give_bool(jinja_equal(run, &rest, &number), out);
}

static bool test_odd(struct run *run, const struct call *call, struct value *out)
{
    const struct value two = value_int(2);
    return remainder_is(run, call, &two, 1, out);
}

static bool test_even(struct run *run, const struct call *call, struct value *out)
{
    const struct value two = value_int(2);
    return remainder_is(run, call, &two, 0, out);
}

static bool test_divisibleby(struct run *run, const struct call *call, struct value *out)
{
    return remainder_is(run, call, &call->slots[0], 0, out);
}

static bool compare(struct run *run, const struct call *call, enum node_op op, struct value *out)
{
    bool truth;
    return jinja_compare(run, op, &call->self, &call->slots[0], &truth) && give_bool(truth, out);
}

static bool test_eq(struct run *run, const struct call *call, struct value *out)
{
    return compare(run, call, OP_EQ, out);
}

static bool test_ne(struct run *run, const struct call *call, struct value *out)
{
    return compare(run, call, OP_NE, out);
}

static bool test_lt(struct run *run, const struct call *call, struct value *out)
{
    return compare(run, call, OP_LT, out);
}

static bool test_le(struct run *run, const struct call *call, struct value *out)
{
    return compare(run, call, OP_LE, out);
}

static bool test_gt(struct run *run, const struct call *call, struct value *out)
{
    return compare(run, call, OP_GT, out);
}

static bool test_ge(struct run *run, const struct call *call, struct value *out)
{
    return compare(run, call, OP_GE, out);
}

static bool test_in(struct run *run, const struct call *call, struct value *out)
{
    return compare(run, call, OP_IN, out);
}

/* Python's "is": for values without identity here, equality of the same type. */
static bool test_sameas(struct run *run, const struct call *call, struct value *out)
{
    const struct value *a = &call->self, *b = &call->slots[0];
    bool compound = a->kind >= V_LIST;
    return give_bool(a->kind == b->kind && (compound ? a->list == b->list : jinja_equal(run, a, b)), out);
}

/* str.islower and str.isupper: some letter with case, and none of the other case. */
static bool is_case(struct run *run, const struct call *call, bool upper, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    bool some = false, other = false;
    uint32_t c;
    for (size_t at = 0; t && at < t->n;) {
        at += jinja_char(t->p + at, t->n - at, &c);
        some |= upper ? jinja_is_upper(c) : jinja_is_lower(c);
        other |= upper ? jinja_is_lower(c) : jinja_is_upper(c);
    }
    return t && run_charge(run, t->n / 4) && give_bool(some && !other, out);
}

static bool test_lower(struct run *run, const struct call *call, struct value *out)
{
    return is_case(run, call, false, out);
}

static bool test_upper(struct run *run, const struct call *call, struct value *out)
{
    return is_case(run, call, true, out);
}

static bool test_escaped(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    return give_bool(call->self.kind == V_TEXT && call->self.text->safe, out);
}

static bool is_name_of(struct run *run, const struct call *call, const struct builtin *(*find)(struct span),
                       struct value *out)
{
    if (!jinja_hashable(&call->self))
        return run_fail(run, "a %s is no name", jinja_type_name(&call->self));
    return give_bool(call->self.kind == V_TEXT && find(text_span(call->self.text)), out);
}

static bool test_filter(struct run *run, const struct call *call, struct value *out)
{
    return is_name_of(run, call, jinja_filter, out);
}

static bool test_test(struct run *run, const struct call *call, struct value *out)
{
    return is_name_of(run, call, jinja_test, out);
}

static const struct builtin tests[] = {
    {"!=", "other", 1, test_ne},
    {"<", "other", 1, test_lt},
    {"<=", "other", 1, test_le},
    {"==", "other", 1, test_eq},
    {">", "other", 1, test_gt},
    {">=", "other", 1, test_ge},
    {"boolean", "", 0, test_boolean},
    {"callable", "", 0, test_callable},
    {"defined", "", 0, test_defined},
    {"divisibleby", "num", 1, test_divisibleby},
    {"eq", "other", 1, test_eq},
    {"equalto", "other", 1, test_eq},
    {"escaped", "", 0, test_escaped},
    {"even", "", 0, test_even},
    {"false", "", 0, test_false},
    {"filter", "", 0, test_filter},
    {"float", "", 0, test_float},
    {"ge", "other", 1, test_ge},
    {"greaterthan", "other", 1, test_gt},
    {"gt", "other", 1, test_gt},
    {"in", "seq", 1, test_in},
    {"integer", "", 0, test_integer},
    {"iterable", "", 0, test_iterable},
    {"le", "other", 1, test_le},
    {"lessthan", "other", 1, test_lt},
    {"lower", "", 0, test_lower},
    {"lt", "other", 1, test_lt},
    {"mapping", "", 0, test_mapping},
    {"ne", "other", 1, test_ne},
    {"none", "", 0, test_none},
    {"number", "", 0, test_number},
    {"odd", "", 0, test_odd},
    {"sameas", "other", 1, test_sameas},
    {"sequence", "", 0, test_sequence},
    {"string", "", 0, test_string},
    {"test", "", 0, test_test},
    {"true", "", 0, test_true},
    {"undefined", "", 0, test_undefined},
    {"upper", "", 0, test_upper},
    {0},
};

const struct builtin *jinja_test(struct span name) { return jinja_lookup(tests, name); }
