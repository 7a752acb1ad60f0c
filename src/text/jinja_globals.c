/* jinja_globals.c - functions that every template can call, and the methods of all values but text. */
#include "text/jinja_strings.h"
#include <time.h>

/* range(start, stop, step): how many items; false: more than allowed. */
static bool count_range(struct range *r)
{
    uint64_t step = r->step > 0 ? (uint64_t)r->step : 0 - (uint64_t)r->step, span = 0;
    if (r->step > 0 && r->start < r->stop)
        span = (uint64_t)r->stop - (uint64_t)r->start;
    if (r->step < 0 && r->start > r->stop)
        span = (uint64_t)r->start - (uint64_t)r->stop;
    r->n = span ? (size_t)((span - 1) / step + 1) : 0;
    return r->n <= RUN_RANGE_MAX;
}

static bool global_range(struct run *run, const struct call *call, struct value *out)
{
    const struct list *args = &call->given->positional;
    int64_t numbers[3] = {0, 0, 1};
    if (args->n < 1 || args->n > 3 || call->given->named.n)
        return run_fail(run, "range takes one to three integers");
    for (size_t i = 0; i < args->n; i++) {
        if (!value_is_int(&args->items[i]))
            return run_fail(run, "range needs integers, not a %s", jinja_type_name(&args->items[i]));
        numbers[i] = value_integer(&args->items[i]);
    }
    struct range *r = run_alloc(run, 1, sizeof *r);
    if (!r)
        return false;
    *r = (struct range){args->n > 1 ? numbers[0] : 0, args->n > 1 ? numbers[1] : numbers[0], numbers[2], 0};
    if (r->step == 0)
        return run_fail(run, "range with step zero");
    if (!count_range(r))
        return run_fail(run, "a range of more than %d items", RUN_RANGE_MAX);
    *out = (struct value){.kind = V_RANGE, .range = r};
    return true;
}

static bool add_pairs(struct run *run, struct dict *dict, const struct value *v)
{
    if (v->kind == V_DICT) {
        for (size_t i = 0; i < v->dict->n; i++)
            if (!jinja_dict_set(run, dict, v->dict->entries[i].key, v->dict->entries[i].value))
                return false;
        return true;
    }
    struct list *pairs = jinja_iterate(run, v);
    for (size_t i = 0; pairs && i < pairs->n; i++) {
        struct list *pair = jinja_iterate(run, &pairs->items[i]);
        if (!pair || pair->n != 2)
            return run_fail(run, "dict needs pairs of key and value");
        if (!jinja_dict_set(run, dict, pair->items[0], pair->items[1]))
            return false;
    }
    return pairs != NULL;
}

static struct dict *make_dict(struct run *run, const struct call *call)
{
    struct dict *dict = jinja_dict(run);
    const struct value named = {.kind = V_DICT,
                                .dict = &(struct dict){call->given->named.entries, call->given->named.n, 0}};
    if (call->given->positional.n > 1)
        run_fail(run, "%s takes at most one argument and named ones", call->builtin->name);
    if (!dict || (call->given->positional.n && !add_pairs(run, dict, &call->given->positional.items[0])))
        return NULL;
    return add_pairs(run, dict, &named) ? dict : NULL;
}

static bool global_dict(struct run *run, const struct call *call, struct value *out)
{
    *out = value_dict(make_dict(run, call));
    return out->dict != NULL;
}

static bool global_namespace(struct run *run, const struct call *call, struct value *out)
{
    struct dict *dict = make_dict(run, call);
    for (size_t i = 0; dict && i < dict->n; i++)
        if (dict->entries[i].key.kind == V_TEXT && dict->entries[i].key.text->n &&
            dict->entries[i].key.text->p[0] == '_')
            return run_fail(run, "a namespace takes no names that begin with an underscore");
    *out = (struct value){.kind = V_NAMESPACE, .dict = dict};
    return dict != NULL;
}

static bool global_raise_exception(struct run *run, const struct call *call, struct value *out)
{
    struct text *message = jinja_str(run, &call->slots[0]);
    (void)out;
    if (message)
        run->status = error_set(run->error, ANDIRON_E_ARGUMENT, "%.*s", message->n > 400 ? 400 : (int)message->n,
                                message->p);
    return false;
}

static bool global_lipsum(struct run *run, const struct call *call, struct value *out)
{
    (void)call;
    (void)out;
    return run_fail(run, "lipsum is not supported in a chat template");
}

static bool global_cycler(struct run *run, const struct call *call, struct value *out)
{
    struct cycler *c = run_alloc(run, 1, sizeof *c);
    struct list *list = jinja_list(run, 0);
    for (size_t i = 0; list && i < call->given->positional.n; i++)
        if (!jinja_list_add(run, list, call->given->positional.items[i]))
            return false;
    if (!c || !list)
        return false;
    if (list->n == 0)
        return run_fail(run, "cycler needs something to cycle through");
    c->list = list;
    *out = (struct value){.kind = V_CYCLER, .cycler = c};
    return true;
}

static bool global_joiner(struct run *run, const struct call *call, struct value *out)
{
    struct joiner *j = run_alloc(run, 1, sizeof *j);
    if (!j)
        return false;
    j->separator = call_has(call, 0) ? call->slots[0] : value_text(jinja_text(run, span_of(", "), true));
    *out = (struct value){.kind = V_JOINER, .joiner = j};
    return !run->status;
}

/* `conversion` is one conversion of a known kind. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t print_time(char *out, size_t n, const char *conversion, const struct tm *tm)
{
    return strftime(out, n, conversion, tm);
}
#pragma GCC diagnostic pop

enum { TIME_STEPS = 50 }; /* what one conversion costs */

/* One conversion after the other, so that no single one can grow large. */
static bool global_strftime_now(struct run *run, const struct call *call, struct value *out)
{
    static const char conversions[] = "aAbBcdHIjmMpSUwWxXyYZzGeuVDFTRrnthklPsC%";
    struct text *format = call_text(run, call, 0);
    time_t now = (time_t)run->now_s;
    struct tm tm;
    struct builder b;
    builder_init(&b, run);
    if (!format || !run_charge(run, TIME_STEPS) || !localtime_r(&now, &tm))
        return run_fail(run, "strftime_now needs a format");
    const bool markup = jinja_text_is_markup(format);
    for (size_t at = 0; at < format->n && !run->status;) {
        char one[8] = {0}, text[128];
        size_t n = 1;
        run_charge(run, TIME_STEPS);
        if (format->p[at] == '%' && at + 1 < format->n)
            n = 2 + (memchr("-_0^#", format->p[at + 1], 5) != NULL && at + 2 < format->n);
        memcpy(one, format->p + at, n);
        at += n;
        if (one[0] == '%' && n > 1 && one[n - 1] == 'f')
            builder_add(&b, "000000", 6, markup);
        else if (one[0] == '%' && n > 1 && memchr(conversions, one[n - 1], sizeof conversions - 1))
            builder_add(&b, text, print_time(text, sizeof text, one, &tm), markup);
        else
            builder_add(&b, one, n, markup);
    }
    return give_text(builder_text(&b), out);
}

static const struct builtin globals[] = {
    {"cycler", NULL, 0, global_cycler},
    {"dict", NULL, 0, global_dict},
    {"joiner", "sep", 0, global_joiner},
    {"lipsum", NULL, 0, global_lipsum},
    {"namespace", NULL, 0, global_namespace},
    {"raise_exception", "message", 1, global_raise_exception},
    {"range", NULL, 0, global_range},
    {"strftime_now", "format", 1, global_strftime_now},
    {0},
};

const struct builtin *jinja_global(struct span name) { return jinja_lookup(globals, name); }

/* ---- methods ---- */

static bool give_view(struct run *run, const char *name, struct list *list, struct value *out)
{
    struct view *view = run_alloc(run, 1, sizeof *view);
    if (!view || !list)
        return false;
    *view = (struct view){name, list};
    *out = (struct value){.kind = V_VIEW, .view = view};
    return true;
}

static bool dict_keys(struct run *run, const struct call *call, struct value *out)
{
    return give_view(run, "dict_keys", jinja_iterate(run, &call->self), out);
}

static bool dict_values(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_list(run, call->self.dict->n);
    for (size_t i = 0; list && i < call->self.dict->n; i++)
        list->items[list->n++] = call->self.dict->entries[i].value;
    return give_view(run, "dict_values", list, out);
}

static bool dict_items(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_list(run, call->self.dict->n);
    for (size_t i = 0; list && i < call->self.dict->n; i++) {
        struct list *pair = jinja_list(run, 2);
        if (!pair || !jinja_list_add(run, pair, call->self.dict->entries[i].key) ||
            !jinja_list_add(run, pair, call->self.dict->entries[i].value))
            return false;
        list->items[list->n++] = value_tuple(pair);
    }
    return give_view(run, "dict_items", list, out);
}

static bool dict_get(struct run *run, const struct call *call, struct value *out)
{
    if (!jinja_hashable(&call->slots[0]))
        return run_fail(run, "a %s cannot be a key", jinja_type_name(&call->slots[0]));
    struct value *there = jinja_dict_get(run, call->self.dict, &call->slots[0]);
    *out = there ? *there : call_has(call, 1) ? call->slots[1] : value_none();
    return !run->status;
}

static bool copy_object(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    *out = call->self; /* nothing can change it */
    return true;
}

static bool list_index(struct run *run, const struct call *call, struct value *out)
{
    const struct list *list = jinja_iterate(run, &call->self);
    for (size_t i = 0; list && i < list->n; i++)
        if (jinja_equal(run, &list->items[i], &call->slots[0]))
            return give_int((int64_t)i, out);
    return run_fail(run, "index: what is looked for is not in the list");
}

static bool list_count(struct run *run, const struct call *call, struct value *out)
{
    const struct list *list = jinja_iterate(run, &call->self);
    int64_t count = 0;
    for (size_t i = 0; list && i < list->n; i++)
        count += jinja_equal(run, &list->items[i], &call->slots[0]);
    return give_int(count, out);
}

static bool loop_cycle(struct run *run, const struct call *call, struct value *out)
{
    const struct list *items = &call->given->positional;
    if (items->n == 0)
        return run_fail(run, "loop.cycle needs something to cycle through");
    *out = items->items[call->self.loop->at % items->n];
    return true;
}

static bool loop_changed(struct run *run, const struct call *call, struct value *out)
{
    struct loop *loop = call->self.loop;
    struct list *now = run_alloc(run, 1, sizeof *now);
    if (!now)
        return false;
    *now = call->given->positional;
    const struct value a = value_list(loop->changed), b = value_list(now);
    bool changed = !loop->changed || !jinja_equal(run, &a, &b);
    loop->changed = now;
    return give_bool(changed, out);
}

static bool cycler_next(struct run *run, const struct call *call, struct value *out)
{
    struct cycler *c = call->self.cycler;
    (void)run;
    *out = c->list->items[c->at];
    c->at = (c->at + 1) % c->list->n;
    return true;
}

static bool cycler_reset(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    (void)out;
    call->self.cycler->at = 0;
    return true;
}

static const struct builtin of_dicts[] = {
    {"copy", "", 0, copy_object}, {"get", "key default", 1, dict_get}, {"items", "", 0, dict_items},
    {"keys", "", 0, dict_keys},   {"values", "", 0, dict_values},      {0},
};
static const struct builtin of_lists[] = {
    {"copy", "", 0, copy_object}, {"count", "value", 1, list_count}, {"index", "value", 1, list_index}, {0}};
static const struct builtin of_loops[] = {{"changed", NULL, 0, loop_changed}, {"cycle", NULL, 0, loop_cycle}, {0}};
static const struct builtin of_cyclers[] = {{"next", "", 0, cycler_next}, {"reset", "", 0, cycler_reset}, {0}};

const struct builtin *jinja_other_method(enum value_kind kind, struct span name)
{
    switch (kind) {
    case V_DICT: return jinja_lookup(of_dicts, name);
    case V_LIST: return jinja_lookup(of_lists, name);
    case V_RANGE:
    case V_TUPLE: return span_is(name, "copy") ? NULL : jinja_lookup(of_lists, name);
    case V_LOOP: return jinja_lookup(of_loops, name);
    case V_CYCLER: return jinja_lookup(of_cyclers, name);
    default: return NULL;
    }
}
