/* jinja_filters_order.c - filters that compare items: a stable merge sort over keys computed once. */
#include "text/jinja_filters.h"

struct keyed {
    struct value key, item;
};

/* The key of one attribute; texts in lower case unless case matters. */
static bool simple_key(struct run *run, const struct value *attribute, const struct value *item, bool case_sensitive,
                       const struct value *fallback, struct value *key)
{
    if (!filter_attribute(run, attribute, item, fallback, key))
        return false;
    return key->kind != V_TEXT || case_sensitive || give_text(text_case(run, key->text, CASE_LOWER), key);
}

/* sort's keys are lists, one item for each attribute of "a,b": lists compare equal items without ordering them, so that
 * what is undefined throughout can be sorted by. */
static bool sort_key(struct run *run, const struct value *attribute, const struct value *item, bool case_sensitive,
                     struct value *key)
{
    const struct text comma = {.p = ",", .n = 1};
    struct list one = {.items = &(struct value){0}, .n = 1}, *names = &one, *keys = jinja_list(run, 1);
    one.items[0] = *attribute;
    if (attribute->kind == V_TEXT)
        names = text_split(run, attribute->text, &comma, -1, false);
    for (size_t i = 0; names && keys && i < names->n; i++) {
        struct value part;
        if (!simple_key(run, &names->items[i], item, case_sensitive, NULL, &part) || !jinja_list_add(run, keys, part))
            return false;
    }
    return names && give_list(keys, key);
}

/* Merge [from, middle) and [middle, to) of `a` into `b`. */
static bool merge(struct run *run, const struct keyed *a, struct keyed *b, size_t from, size_t middle, size_t to,
                  bool reverse)
{
    size_t left = from, right = middle;
    for (size_t at = from; at < to; at++) {
        bool take_right = left == middle;
        if (left < middle && right < to) {
            const struct value *first = &a[reverse ? left : right].key, *second = &a[reverse ? right : left].key;
            if (!jinja_less(run, first, second, &take_right))
                return false;
        }
        b[at] = take_right ? a[right++] : a[left++];
    }
    return true;
}

static bool sort(struct run *run, struct keyed **items, size_t n, bool reverse)
{
    struct keyed *a = *items, *b = run_alloc(run, n, sizeof *b);
    for (size_t width = 1; b && width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            size_t middle = from + width < n ? from + width : n, to = from + 2 * width < n ? from + 2 * width : n;
            if (!merge(run, a, b, from, middle, to, reverse))
                return false;
        }
        struct keyed *swap = a;
        a = b;
        b = swap;
    }
    *items = a;
    return b != NULL;
}

static struct list *items_of(struct run *run, const struct keyed *items, size_t n)
{
    struct list *list = jinja_list(run, n);
    for (size_t i = 0; list && i < n; i++)
        list->items[list->n++] = items[i].item;
    return list;
}

bool filter_sort(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_iterate(run, &call->self);
    struct keyed *items = list ? run_alloc(run, list->n, sizeof *items) : NULL;
    for (size_t i = 0; items && i < list->n; i++) {
        items[i].item = list->items[i];
        if (!sort_key(run, &call->slots[2], &list->items[i], call_truth(call, 1), &items[i].key))
            return false;
    }
    return items && sort(run, &items, list->n, call_truth(call, 0)) && give_list(items_of(run, items, list->n), out);
}

bool filter_dictsort(struct run *run, const struct call *call, struct value *out)
{
    const struct value none = value_none();
    bool by_value = text_is(&call->slots[1], "value");
    if (call->self.kind != V_DICT)
        return run_fail(run, "dictsort needs a dict, not a %s", jinja_type_name(&call->self));
    if (call_has(call, 1) && !by_value && !text_is(&call->slots[1], "key"))
        return run_fail(run, "dictsort sorts by \"key\" or \"value\"");
    const struct dict *dict = call->self.dict;
    struct keyed *items = run_alloc(run, dict->n, sizeof *items);
    for (size_t i = 0; items && i < dict->n; i++) {
        struct list *pair = jinja_list(run, 2);
        if (!pair || !jinja_list_add(run, pair, dict->entries[i].key) ||
            !jinja_list_add(run, pair, dict->entries[i].value) ||
            !simple_key(run, &none, &pair->items[by_value], call_truth(call, 0), NULL, &items[i].key))
            return false;
        items[i].item = value_tuple(pair);
    }
    return items && sort(run, &items, dict->n, call_truth(call, 2)) && give_list(items_of(run, items, dict->n), out);
}

bool filter_unique(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_iterate(run, &call->self), *kept = jinja_list(run, 0), *keys = jinja_list(run, 0);
    struct value key;
    for (size_t i = 0; list && kept && keys && i < list->n; i++) {
        if (!simple_key(run, &call->slots[1], &list->items[i], call_truth(call, 0), NULL, &key))
            return false;
        if (!jinja_hashable(&key))
            return run_fail(run, "unique cannot take a %s", jinja_type_name(&key));
        bool seen = false;
        for (size_t k = 0; k < keys->n && !seen; k++)
            seen = jinja_equal(run, &keys->items[k], &key);
        if (!seen && (!jinja_list_add(run, keys, key) || !jinja_list_add(run, kept, list->items[i])))
            return false;
    }
    return list && keys && kept && give_stream(run, kept, out);
}

static bool extreme(struct run *run, const struct call *call, bool max, struct value *out)
{
    struct list *list = jinja_iterate(run, &call->self);
    struct value best, key;
    *out = value_undefined();
    for (size_t i = 0; list && i < list->n; i++) {
        bool better = i == 0;
        if (!simple_key(run, &call->slots[1], &list->items[i], call_truth(call, 0), NULL, &key))
            return false;
        if (i && !jinja_less(run, max ? &best : &key, max ? &key : &best, &better))
            return false;
        if (better) {
            best = key;
            *out = list->items[i];
        }
    }
    return list != NULL;
}

bool filter_min(struct run *run, const struct call *call, struct value *out) { return extreme(run, call, false, out); }

bool filter_max(struct run *run, const struct call *call, struct value *out) { return extreme(run, call, true, out); }

/* A tuple (what they share, list of them) for each run of equal keys. */
static bool add_group(struct run *run, const struct call *call, const struct keyed *items, size_t n,
                      struct list *groups)
{
    struct list *group = jinja_list(run, 2), *members = items_of(run, items, n);
    struct value name;
    return group && members && filter_attribute(run, &call->slots[0], &items[0].item, &call->slots[1], &name) &&
           jinja_list_add(run, group, name) && jinja_list_add(run, group, value_list(members)) &&
           jinja_list_add(run, groups, value_tuple(group));
}

bool filter_groupby(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_iterate(run, &call->self), *groups = jinja_list(run, 0);
    struct keyed *items = list ? run_alloc(run, list->n, sizeof *items) : NULL;
    for (size_t i = 0; items && i < list->n; i++) {
        items[i].item = list->items[i];
        if (!simple_key(run, &call->slots[0], &list->items[i], call_truth(call, 2), &call->slots[1], &items[i].key))
            return false;
    }
    if (!items || !groups || !sort(run, &items, list->n, false))
        return false;
    for (size_t from = 0, to; from < list->n; from = to) {
        for (to = from + 1; to < list->n && jinja_equal(run, &items[from].key, &items[to].key);)
            to++;
        if (!add_group(run, call, items + from, to - from, groups))
            return false;
    }
    return give_list(groups, out);
}
