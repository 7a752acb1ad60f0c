/* jinja_filters_list.c - filters over items. What is lazy in jinja2 is computed at once here; the result is still a
 * stream that can be read once, has no length and is always true. */
#include "text/jinja_filters.h"

static bool step_into(struct run *run, const struct value *key, const struct value *fallback, struct value *item)
{
    struct value next;
    if (!jinja_item(run, item, key, &next))
        return false;
    *item = next.kind == V_UNDEFINED && fallback && fallback->kind != V_NONE && fallback->kind != V_MISSING ? *fallback
                                                                                                            : next;
    return true;
}

/* "12" as a number; other parts are names. */
static struct value path_part(struct text *part)
{
    int64_t number = 0;
    bool digits = part->n > 0 && part->n < 10;
    for (size_t i = 0; digits && i < part->n; i++) {
        digits = part->p[i] >= '0' && part->p[i] <= '9';
        number = number * 10 + (part->p[i] - '0');
    }
    return digits ? value_int(number) : value_text(part);
}

bool filter_attribute(struct run *run, const struct value *attribute, const struct value *item,
                      const struct value *fallback, struct value *out)
{
    *out = *item;
    if (attribute->kind == V_MISSING || attribute->kind == V_NONE)
        return true;
    if (attribute->kind != V_TEXT)
        return step_into(run, attribute, fallback, out);
    const struct text dot = {.p = ".", .n = 1};
    for (size_t from = 0, end; from <= attribute->text->n; from = end + 1) {
        end = text_find(attribute->text, &dot, from, attribute->text->n);
        if (end == SIZE_MAX)
            end = attribute->text->n;
        struct text *part = jinja_text_slice(run, attribute->text, from, end);
        if (!part)
            return false;
        struct value key = path_part(part);
        if (!step_into(run, &key, fallback, out))
            return false;
    }
    return true;
}

bool filter_first(struct run *run, const struct call *call, struct value *out)
{
    struct list *list;
    if (call->self.kind == V_STREAM && call->self.stream->at < call->self.stream->list->n) {
        *out = call->self.stream->list->items[call->self.stream->at++];
        return true;
    }
    if (!(list = jinja_iterate(run, &call->self)))
        return false;
    *out = list->n ? list->items[0] : value_undefined();
    return true;
}

bool filter_last(struct run *run, const struct call *call, struct value *out)
{
    if (call->self.kind == V_STREAM)
        return run_fail(run, "last: a generator cannot be reversed");
    struct list *list = jinja_iterate(run, &call->self);
    if (!list)
        return false;
    *out = list->n ? list->items[list->n - 1] : value_undefined();
    return true;
}

bool filter_length(struct run *run, const struct call *call, struct value *out)
{
    size_t n;
    if (!jinja_length(run, &call->self, &n))
        return run_fail(run, "a %s has no length", jinja_type_name(&call->self));
    return give_int((int64_t)n, out);
}

static struct list *copy(struct run *run, const struct value *v)
{
    struct list *all = jinja_iterate(run, v), *list = all ? jinja_list(run, all->n) : NULL;
    for (size_t i = 0; list && i < all->n; i++)
        list->items[list->n++] = all->items[i];
    return list;
}

bool filter_list(struct run *run, const struct call *call, struct value *out)
{
    return give_list(copy(run, &call->self), out);
}

bool filter_join(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_iterate(run, &call->self);
    struct text *separator = call_has(call, 0) ? jinja_str(run, &call->slots[0]) : NULL;
    struct builder b;
    struct value v;
    builder_init(&b, run);
    for (size_t i = 0; list && i < list->n && !run->status; i++) {
        if (i && separator)
            builder_add_text(&b, separator);
        if (filter_attribute(run, &call->slots[1], &list->items[i], NULL, &v))
            jinja_add_str(&b, &v);
    }
    return give_text(builder_text(&b), out);
}

static bool reverse_text(struct run *run, const struct value *v, struct value *out)
{
    const struct value bounds[3] = {value_none(), value_none(), value_int(-1)};
    return jinja_slice(run, v, bounds, out);
}

bool filter_reverse(struct run *run, const struct call *call, struct value *out)
{
    if (call->self.kind == V_TEXT)
        return reverse_text(run, &call->self, out);
    struct list *list = copy(run, &call->self);
    for (size_t i = 0; list && i < list->n / 2; i++) {
        struct value v = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = v;
    }
    return list && give_stream(run, list, out);
}

/* How many of something are asked for; limited, so that filling up ends. */
static bool want_count(struct run *run, const struct call *call, int64_t *n)
{
    if (!call_int(run, call, 0, 0, n))
        return false;
    return (*n > 0 && *n <= RUN_RANGE_MAX) ||
           run_fail(run, "%s: a number from 1 to %d is needed", call->builtin->name, RUN_RANGE_MAX);
}

bool filter_batch(struct run *run, const struct call *call, struct value *out)
{
    struct list *all = jinja_iterate(run, &call->self), *rows = jinja_list(run, 0), *row = NULL;
    const struct value *fill = &call->slots[1];
    int64_t n;
    if (!all || !rows || !want_count(run, call, &n))
        return false;
    for (size_t i = 0; i < all->n; i++) {
        if (!row || row->n == (size_t)n)
            if (!(row = jinja_list(run, 0)) || !jinja_list_add(run, rows, value_list(row)))
                return false;
        if (!jinja_list_add(run, row, all->items[i]))
            return false;
    }
    while (row && call_has(call, 1) && fill->kind != V_NONE && row->n < (size_t)n)
        if (!jinja_list_add(run, row, *fill))
            return false;
    return give_stream(run, rows, out);
}

bool filter_slice(struct run *run, const struct call *call, struct value *out)
{
    struct list *all = jinja_iterate(run, &call->self), *rows = jinja_list(run, 0);
    bool fill = call_has(call, 1) && call->slots[1].kind != V_NONE;
    int64_t n;
    size_t at = 0;
    if (!all || !rows || !want_count(run, call, &n))
        return false;
    for (size_t i = 0; i < (size_t)n; i++) {
        size_t extra = all->n % (size_t)n, length = all->n / (size_t)n + (i < extra);
        struct list *row = jinja_list(run, 0);
        for (size_t k = 0; row && k < length; k++)
            if (!jinja_list_add(run, row, all->items[at++]))
                return false;
        if (!row || (fill && i >= extra && !jinja_list_add(run, row, call->slots[1])) ||
            !jinja_list_add(run, rows, value_list(row)))
            return false;
    }
    return give_stream(run, rows, out);
}

bool filter_items(struct run *run, const struct call *call, struct value *out)
{
    struct list *pairs = jinja_list(run, 0);
    if (call->self.kind != V_DICT && call->self.kind != V_UNDEFINED)
        return run_fail(run, "items needs a dict, not a %s", jinja_type_name(&call->self));
    const struct dict *dict = call->self.dict;
    for (size_t i = 0; pairs && call->self.kind == V_DICT && i < dict->n; i++) {
        struct list *pair = jinja_list(run, 2);
        if (!pair || !jinja_list_add(run, pair, dict->entries[i].key) ||
            !jinja_list_add(run, pair, dict->entries[i].value) || !jinja_list_add(run, pairs, value_tuple(pair)))
            return false;
    }
    return give_stream(run, pairs, out);
}

bool filter_sum(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_iterate(run, &call->self);
    struct value v, sum = call_has(call, 1) ? call->slots[1] : value_int(0);
    if (sum.kind == V_TEXT)
        return run_fail(run, "sum does not join texts");
    for (size_t i = 0; list && i < list->n; i++)
        if (!filter_attribute(run, &call->slots[0], &list->items[i], NULL, &v) ||
            !jinja_binary(run, OP_ADD, &sum, &v, &sum))
            return false;
    *out = sum;
    return list != NULL;
}

/* A filter or test named by an argument, with the arguments behind it. */
struct named_builtin {
    const struct builtin *builtin; /* NULL: none was named */
    struct arguments args;
};

static bool read_builtin(struct run *run, const struct call *call, size_t at, bool test, struct named_builtin *out)
{
    const struct arguments *given = call->given;
    *out = (struct named_builtin){.args = {.named = given->named}};
    if (at >= given->positional.n)
        return true;
    const struct value *name = &given->positional.items[at];
    if (name->kind == V_TEXT)
        out->builtin = test ? jinja_test(text_span(name->text)) : jinja_filter(text_span(name->text));
    if (!out->builtin)
        return run_fail(run, "%s: there is no such %s", call->builtin->name, test ? "test" : "filter");
    out->args.positional.items = given->positional.items + at + 1;
    out->args.positional.n = out->args.positional.capacity = given->positional.n - at - 1;
    return true;
}

/* What map, select and their kin run over: jinja2 takes all that is false for nothing, even what cannot be iterated. */
static struct list *items_if_true(struct run *run, const struct value *v)
{
    return jinja_truth(v) ? jinja_iterate(run, v) : jinja_list(run, 0);
}

bool filter_map(struct run *run, const struct call *call, struct value *out)
{
    struct list *all = items_if_true(run, &call->self), *mapped = jinja_list(run, 0);
    struct value *attribute = jinja_dict_get_name(&call->given->named, span_of("attribute"));
    struct value *fallback = jinja_dict_get_name(&call->given->named, span_of("default")), v;
    struct named_builtin filter;
    bool by_attribute = attribute && call->given->positional.n == 0;
    if (!all || !mapped || (!by_attribute && !read_builtin(run, call, 0, false, &filter)))
        return false;
    if (!by_attribute && !filter.builtin)
        return run_fail(run, "map needs a filter's name or attribute=");
    for (size_t i = 0; i < all->n; i++) {
        bool good = by_attribute ? filter_attribute(run, attribute, &all->items[i], fallback, &v)
                                 : jinja_call_builtin(run, filter.builtin, &all->items[i], &filter.args, &v);
        if (!good || !jinja_list_add(run, mapped, v))
            return false;
    }
    return give_stream(run, mapped, out);
}

static bool choose(struct run *run, const struct call *call, bool by_attribute, bool wanted, struct value *out)
{
    struct list *all = items_if_true(run, &call->self), *chosen = jinja_list(run, 0);
    struct value v, result, missing = {.kind = V_MISSING};
    struct named_builtin test;
    if (by_attribute && call->given->positional.n == 0)
        return run_fail(run, "%s needs an attribute", call->builtin->name);
    const struct value *attribute = by_attribute ? &call->given->positional.items[0] : &missing;
    if (!all || !chosen || !read_builtin(run, call, by_attribute, true, &test))
        return false;
    for (size_t i = 0; i < all->n; i++) {
        if (!filter_attribute(run, attribute, &all->items[i], NULL, &v))
            return false;
        result = v;
        if (test.builtin && !jinja_call_builtin(run, test.builtin, &v, &test.args, &result))
            return false;
        if (jinja_truth(&result) == wanted && !jinja_list_add(run, chosen, all->items[i]))
            return false;
    }
    return give_stream(run, chosen, out);
}

bool filter_select(struct run *run, const struct call *call, struct value *out)
{
    return choose(run, call, false, true, out);
}

bool filter_reject(struct run *run, const struct call *call, struct value *out)
{
    return choose(run, call, false, false, out);
}

bool filter_selectattr(struct run *run, const struct call *call, struct value *out)
{
    return choose(run, call, true, true, out);
}

bool filter_rejectattr(struct run *run, const struct call *call, struct value *out)
{
    return choose(run, call, true, false, out);
}

bool filter_attr(struct run *run, const struct call *call, struct value *out)
{
    struct text *name = jinja_str(run, &call->slots[0]);
    if (!name || !jinja_attribute(run, &call->self, text_span(name), out))
        return false;
    if (call->self.kind == V_DICT && out->kind != V_FUNCTION) /* attributes only, no items */
        *out = jinja_undefined(run, text_span(name));
    return true;
}
