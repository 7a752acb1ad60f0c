/* jinja_filters.c - the table of filters, and those over numbers. */
#include "text/jinja_filters.h"
#include "text/jinja_unicode.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool filter_default(struct run *run, const struct call *call, struct value *out)
{
    bool use_other = call->self.kind == V_UNDEFINED || (call_truth(call, 1) && !jinja_truth(&call->self));
    if (!use_other)
        *out = call->self;
    else if (call_has(call, 0))
        *out = call->slots[0];
    else
        return give_text(jinja_text(run, span_of(""), true), out);
    return true;
}

enum { NUMBER_STEPS = 50 }; /* what reading or printing one costs */

/* A text's number without white space around it and underscores between digits; false: too long or malformed. */
static bool number_text(struct run *run, struct text *t, char out[128])
{
    struct text *s = text_strip(run, t, NULL, STRIP_LEFT | STRIP_RIGHT);
    size_t n = 0;
    if (!s || !run_charge(run, NUMBER_STEPS) || s->n == 0 || s->n > 127)
        return false;
    for (size_t i = 0; i < s->n; i++) {
        bool between = i > 0 && i + 1 < s->n && s->p[i - 1] >= '0' && s->p[i + 1] >= '0' && s->p[i - 1] != '_';
        if (s->p[i] == 0 || (s->p[i] == '_' && !between))
            return false;
        if (s->p[i] != '_')
            out[n++] = s->p[i];
    }
    out[n] = 0;
    return true;
}

static bool text_to_float(struct run *run, struct text *t, double *out)
{
    char text[128], *end;
    if (!number_text(run, t, text) || strpbrk(text, "xXpP(") || jinja_is_space((unsigned char)text[0]))
        return false;
    *out = strtod(text, &end);
    return *end == 0;
}

static bool text_to_int(struct run *run, struct text *t, int base, struct value *out)
{
    char text[128], *p = text, *end;
    if (!number_text(run, t, text))
        return false;
    if (base == 10 || base == 0)
        p += *p == '+' || *p == '-';
    if (!((*p >= '0' && *p <= '9') || base != 10))
        return false;
    errno = 0;
    long long i = strtoll(text, &end, base);
    if (*end || end == text)
        return false;
    *out = value_int(i);
    return errno != ERANGE || run_fail(run, "a number beyond 64 bits");
}

static bool real_to_int(struct run *run, double f, struct value *out)
{
    if (isnan(f) || isinf(f))
        return false;
    if (f >= 9223372036854775808.0 || f < -9223372036854775808.0)
        return run_fail(run, "a number beyond 64 bits");
    return give_int((int64_t)f, out);
}

bool filter_int(struct run *run, const struct call *call, struct value *out)
{
    const struct value *v = &call->self;
    int64_t base;
    double f;
    if (v->kind == V_UNDEFINED)
        return jinja_fail_undefined(run, v);
    if (!call_int(run, call, 1, 10, &base))
        return false;
    bool good = false;
    if (value_is_int(v))
        good = give_int(value_integer(v), out);
    else if (v->kind == V_FLOAT)
        good = real_to_int(run, v->real, out);
    else if (v->kind == V_TEXT && base >= 0 && base <= 36 && base != 1)
        good = text_to_int(run, v->text, (int)base, out) ||
               (!run->status && text_to_float(run, v->text, &f) && real_to_int(run, f, out));
    if (!good)
        *out = call_has(call, 0) ? call->slots[0] : value_int(0);
    return true;
}

bool filter_float(struct run *run, const struct call *call, struct value *out)
{
    const struct value *v = &call->self;
    double f;
    if (v->kind == V_UNDEFINED)
        return jinja_fail_undefined(run, v);
    if (value_is_number(v))
        *out = value_float(value_real(v));
    else if (v->kind == V_TEXT && text_to_float(run, v->text, &f))
        *out = value_float(f);
    else
        *out = call_has(call, 0) ? call->slots[0] : value_float(0);
    return true;
}

static bool need_number(struct run *run, const struct call *call)
{
    if (call->self.kind == V_UNDEFINED)
        return jinja_fail_undefined(run, &call->self);
    return value_is_number(&call->self) ||
           run_fail(run, "%s needs a number, not a %s", call->builtin->name, jinja_type_name(&call->self));
}

bool filter_abs(struct run *run, const struct call *call, struct value *out)
{
    if (!need_number(run, call))
        return false;
    if (call->self.kind == V_FLOAT) {
        *out = value_float(fabs(call->self.real));
        return true;
    }
    int64_t i = value_integer(&call->self);
    if (i == INT64_MIN)
        return run_fail(run, "a number beyond 64 bits");
    return give_int(i < 0 ? -i : i, out);
}

/* To `digits` decimals, ties to even in the exact value: what printf does and Python's round. */
static double round_real(double f, int digits)
{
    char text[400];
    if (digits < 0) {
        double unit = pow(10, -digits);
        return nearbyint(f / unit) * unit;
    }
    snprintf(text, sizeof text, "%.*f", digits, f);
    return strtod(text, NULL);
}

bool filter_round(struct run *run, const struct call *call, struct value *out)
{
    int64_t digits;
    if (!need_number(run, call) || !call_int(run, call, 0, 0, &digits) || !run_charge(run, NUMBER_STEPS))
        return false;
    if (digits < -20 || digits > 20)
        return run_fail(run, "round: at most 20 digits");
    double unit = pow(10, (double)digits), f = value_real(&call->self);
    if (text_is(&call->slots[1], "ceil"))
        *out = value_float(ceil(f * unit) / unit);
    else if (text_is(&call->slots[1], "floor"))
        *out = value_float(floor(f * unit) / unit);
    else if (call_has(call, 1) && !text_is(&call->slots[1], "common"))
        return run_fail(run, "round: the method must be common, ceil or floor");
    else if (call->self.kind == V_FLOAT)
        *out = value_float(round_real(f, (int)digits));
    else if (digits >= 0)
        return give_int(value_integer(&call->self), out);
    else
        return real_to_int(run, round_real(f, (int)digits), out);
    return true;
}

static const struct builtin filters[] = {
    {"abs", "", 0, filter_abs},
    {"attr", "name", 1, filter_attr},
    {"batch", "linecount fill_with", 1, filter_batch},
    {"capitalize", "", 0, filter_capitalize},
    {"center", "width", 0, filter_center},
    {"count", "", 0, filter_length},
    {"d", "default_value boolean", 0, filter_default},
    {"default", "default_value boolean", 0, filter_default},
    {"dictsort", "case_sensitive by reverse", 0, filter_dictsort},
    {"e", "", 0, filter_escape},
    {"escape", "", 0, filter_escape},
    {"first", "", 0, filter_first},
    {"float", "default", 0, filter_float},
    {"forceescape", "", 0, filter_forceescape},
    {"format", NULL, 0, filter_format},
    {"groupby", "attribute default case_sensitive", 1, filter_groupby},
    {"indent", "width first blank", 0, filter_indent},
    {"int", "default base", 0, filter_int},
    {"items", "", 0, filter_items},
    {"join", "d attribute", 0, filter_join},
    {"last", "", 0, filter_last},
    {"length", "", 0, filter_length},
    {"list", "", 0, filter_list},
    {"lower", "", 0, filter_lower},
    {"map", NULL, 0, filter_map},
    {"max", "case_sensitive attribute", 0, filter_max},
    {"min", "case_sensitive attribute", 0, filter_min},
    {"reject", NULL, 0, filter_reject},
    {"rejectattr", NULL, 0, filter_rejectattr},
    {"replace", "old new count", 2, filter_replace},
    {"reverse", "", 0, filter_reverse},
    {"round", "precision method", 0, filter_round},
    {"safe", "", 0, filter_safe},
    {"select", NULL, 0, filter_select},
    {"selectattr", NULL, 0, filter_selectattr},
    {"slice", "slices fill_with", 1, filter_slice},
    {"sort", "reverse case_sensitive attribute", 0, filter_sort},
    {"string", "", 0, filter_string},
    {"sum", "attribute start", 0, filter_sum},
    {"title", "", 0, filter_title},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, filter_tojson},
    {"trim", "chars", 0, filter_trim},
    {"truncate", "length killwords end leeway", 0, filter_truncate},
    {"unique", "case_sensitive attribute", 0, filter_unique},
    {"upper", "", 0, filter_upper},
    {"urlencode", "", 0, filter_urlencode},
    {"wordcount", "", 0, filter_wordcount},
    {0},
};

const struct builtin *jinja_lookup(const struct builtin *table, struct span name)
{
    for (; table->name; table++)
        if (span_is(name, table->name))
            return table;
    return NULL;
}

const struct builtin *jinja_filter(struct span name) { return jinja_lookup(filters, name); }
