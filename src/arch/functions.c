/* functions.c - functions of metadata, tensors and numbers. All numbers they give are finite. */
#include "arch/expand.h"
#include "kernels/math.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_number(const struct arguments *a, size_t i)
{
    return i < a->e->n_arguments && a->v[i].kind == VALUE_NUMBER;
}

static andiron_status wrong(const struct arguments *a, const char *usage)
{
    return expand_error(a->x, a->f, a->e->line, "expected %s", usage);
}

static andiron_status give(const struct arguments *a, double number, struct value *out)
{
    return give_number(a->x, a->f, a->e->line, number, out);
}

/* ---- metadata ---- */

static bool key_of(const struct arguments *a, char key[MAX_STEM])
{
    if (a->e->n_arguments < 1 || a->v[0].kind != VALUE_TEXT || a->v[0].text.n >= MAX_STEM)
        return false;
    memcpy(key, a->v[0].text.p, a->v[0].text.n);
    key[a->v[0].text.n] = 0;
    return strlen(key) == a->v[0].text.n;
}

/* The value when the key is absent: the argument at that place, which is computed only then. */
static andiron_status fall_back(const struct arguments *a, size_t place, const char *key, struct value *out)
{
    if (place >= a->e->n_arguments)
        return expand_error(a->x, a->f, a->e->line, "expected \"%s\" in the file's metadata, got none of that kind",
                            key);
    return evaluate(a->x, a->f, a->e->arguments[place].value, out);
}

static andiron_status meta(const struct arguments *a, struct value *out)
{
    char key[MAX_STEM];
    double number;
    if (!key_of(a, key) || a->e->n_arguments > 2)
        return wrong(a, "meta(\"key\") or meta(\"key\", fallback)");
    if (a->x->source->number(a->x->source->user, key, 0, &number, NULL))
        return give(a, number, out);
    return fall_back(a, 1, key, out);
}

static andiron_status meta_at(const struct arguments *a, struct value *out)
{
    char key[MAX_STEM];
    double number;
    uint64_t n;
    const struct arch_source *source = a->x->source;
    if (!key_of(a, key) || a->e->n_arguments > 3 || !is_number(a, 1) ||
        !(a->v[1].number >= 0 && a->v[1].number <= 1e9) || a->v[1].number != (double)(uint32_t)a->v[1].number)
        return wrong(a, "meta_at(\"key\", index) or meta_at(\"key\", index, fallback), the index a whole number");
    if (!source->number(source->user, key, 0, &number, &n))
        return fall_back(a, 2, key, out);
    uint64_t i = n == 1 ? 0 : (uint64_t)a->v[1].number; /* one number stands for every layer */
    if (source->number(source->user, key, i, &number, NULL))
        return give(a, number, out);
    return expand_error(a->x, a->f, a->e->line,
                        "expected \"%s\" to have a number %" PRIu64 ", counted from 0; it has %" PRIu64, key, i, n);
}

static andiron_status meta_text(const struct arguments *a, struct value *out)
{
    char key[MAX_STEM];
    if (!key_of(a, key) || a->e->n_arguments > 2)
        return wrong(a, "meta_text(\"key\") or meta_text(\"key\", fallback)");
    *out = (struct value){.kind = VALUE_TEXT};
    if (a->x->source->text(a->x->source->user, key, &out->text))
        return ANDIRON_OK;
    return fall_back(a, 1, key, out);
}

/* A definition says that it does not cover a file. */
static andiron_status refuse(const struct arguments *a, struct value *out)
{
    (void)out;
    if (a->e->n_arguments != 1 || a->v[0].kind != VALUE_TEXT)
        return wrong(a, "refuse(\"what is not covered\")");
    return expand_error(a->x, a->f, a->e->line, "%.*s", (int)(a->v[0].text.n < 200 ? a->v[0].text.n : 200),
                        a->v[0].text.p);
}

/* ---- tensors ---- */

static andiron_status has(const struct arguments *a, struct value *out)
{
    if (a->e->n_arguments != 1 || a->v[0].kind != VALUE_STEM)
        return wrong(a, "has(TENSOR)");
    return give(a, stem_weight(a->x, a->v[0].text, ".weight") != NULL, out);
}

static andiron_status dims(const struct arguments *a, int dim, const char *usage, struct value *out)
{
    if (a->e->n_arguments != 1 || a->v[0].kind != VALUE_STEM)
        return wrong(a, usage);
    const struct weight *w = stem_weight(a->x, a->v[0].text, ".weight");
    if (!w)
        w = missing_weight(a->x, a->f, a->e->line, (struct span){0}, a->v[0].text, ".weight");
    return w ? give(a, (double)w->dims[dim], out) : ANDIRON_E_FORMAT;
}

/* Numbers in a row of a value. */
static andiron_status items(const struct arguments *a, struct value *out)
{
    if (a->e->n_arguments != 1 || a->v[0].kind != VALUE_NODE)
        return wrong(a, "items(VALUE)");
    return give(a, (double)shape_items(a->x->g->nodes[a->v[0].node].shape), out);
}

static andiron_status rows(const struct arguments *a, struct value *out) { return dims(a, 1, "rows(TENSOR)", out); }

static andiron_status columns(const struct arguments *a, struct value *out)
{
    return dims(a, 0, "columns(TENSOR)", out);
}

/* A layer by its number, wherever the definition is; with a third argument it stands in that layer's place: its own
 * tensors, the other's number and cache. */
static andiron_status layer(const struct arguments *a, struct value *out)
{
    const size_t n = a->e->n_arguments;
    char digits[16];
    if (n < 2 || n > 3 || (a->v[0].kind != VALUE_TEXT && a->v[0].kind != VALUE_STEM) || !is_number(a, 1) ||
        !(a->v[1].number >= 0 && a->v[1].number < MAX_LAYERS) || a->v[1].number != (double)(uint32_t)a->v[1].number ||
        (n == 3 && a->v[2].kind != VALUE_LAYER))
        return wrong(a, "nth(STEM, number) or nth(STEM, number, place), the place a layer");
    const int length = snprintf(digits, sizeof digits, "%" PRIu32, (uint32_t)a->v[1].number);
    *out = (struct value){.kind = VALUE_LAYER, .number = n == 3 ? a->v[2].number : a->v[1].number};
    return stem_join(a->x, a->f, a->e->line, a->v[0].text, (struct span){digits, (size_t)length}, &out->text);
}

/* ---- numbers ---- */

static bool all_numbers(const struct arguments *a, size_t n)
{
    bool all = a->e->n_arguments == n;
    for (size_t i = 0; i < n; i++)
        all = all && is_number(a, i);
    return all;
}

static andiron_status square_root(const struct arguments *a, struct value *out)
{
    if (!all_numbers(a, 1) || !(a->v[0].number >= 0))
        return wrong(a, "sqrt of one number that is not negative");
    return give(a, __builtin_sqrt(a->v[0].number), out);
}

static andiron_status logarithm(const struct arguments *a, struct value *out)
{
    if (!all_numbers(a, 1) || !(a->v[0].number > 0))
        return wrong(a, "log of one number above 0");
    return give(a, math_log(a->v[0].number), out);
}

static andiron_status power(const struct arguments *a, struct value *out)
{
    if (!all_numbers(a, 2) || !(a->v[0].number > 0))
        return wrong(a, "pow of a number above 0 and a number");
    return give(a, math_pow(a->v[0].number, a->v[1].number), out);
}

static andiron_status floor_of(const struct arguments *a, struct value *out)
{
    double x = all_numbers(a, 1) ? a->v[0].number : 1e300;
    if (!(x > -1e15 && x < 1e15))
        return wrong(a, "floor of one number below 1e15");
    double whole = (double)(int64_t)x;
    return give(a, whole > x ? whole - 1 : whole, out);
}

static andiron_status least(const struct arguments *a, struct value *out)
{
    if (!all_numbers(a, 2))
        return wrong(a, "min of two numbers");
    return give(a, a->v[0].number < a->v[1].number ? a->v[0].number : a->v[1].number, out);
}

static andiron_status most(const struct arguments *a, struct value *out)
{
    if (!all_numbers(a, 2))
        return wrong(a, "max of two numbers");
    return give(a, a->v[0].number > a->v[1].number ? a->v[0].number : a->v[1].number, out);
}

static const struct {
    const char *name;
    andiron_status (*call)(const struct arguments *a, struct value *out);
    size_t fallback; /* its argument of that place is one; 0: none */
} functions[] = {
    {"meta", meta, 1},        {"meta_at", meta_at, 2}, {"meta_text", meta_text, 1}, {"has", has, 0},
    {"rows", rows, 0},        {"items", items, 0},     {"nth", layer, 0},           {"columns", columns, 0},
    {"sqrt", square_root, 0}, {"log", logarithm, 0},   {"pow", power, 0},           {"floor", floor_of, 0},
    {"min", least, 0},        {"max", most, 0},        {"refuse", refuse, 0},
};

size_t n_evaluated(const struct expr *e)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (functions[i].fallback && span_is(e->text, functions[i].name))
            return e->n_arguments < functions[i].fallback ? e->n_arguments : functions[i].fallback;
    return e->n_arguments;
}

andiron_status call_function(const struct arguments *a, struct value *out, bool *found)
{
    *found = false;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!span_is(a->e->text, functions[i].name))
            continue;
        if (op_find(a->e->text) && a->e->n_arguments > 0 && a->v[0].kind == VALUE_NODE)
            return ANDIRON_OK; /* the op of that name */
        *found = true;
        for (size_t k = 0; k < a->e->n_arguments; k++)
            if (a->e->arguments[k].name.n)
                return expand_error(a->x, a->f, a->e->line, "%s takes its arguments by place, not by name",
                                    functions[i].name);
        return functions[i].call(a, out);
    }
    return ANDIRON_OK;
}
