/* jinja_objects.c - what a dot, brackets and a call do to a value.
 *
 * As in jinja2: a dot tries methods first and items then, brackets the other way round; what is not there is undefined
 * and no error. Methods that would change a value are not there: the sandbox is immutable. */
#include "text/jinja_run.h"
#include "text/jinja_unicode.h"

struct value jinja_undefined(struct run *run, struct span what)
{
    struct value v = value_undefined();
    v.text = jinja_text(run, what, true);
    return v;
}

bool jinja_fail_undefined(struct run *run, const struct value *v)
{
    if (!v->text)
        return run_fail(run, "a value is undefined");
    return run_fail(run, "'%.*s' is undefined", v->text->n > 60 ? 60 : (int)v->text->n, v->text->p);
}

static bool function_value(struct run *run, const struct builtin *builtin, const struct value *self, struct value *out)
{
    struct function *f = run_alloc(run, 1, sizeof *f);
    if (!f)
        return false;
    *f = (struct function){builtin, *self};
    *out = (struct value){.kind = V_FUNCTION, .function = f};
    return true;
}

static bool loop_attribute(struct run *run, const struct loop *loop, struct span name, struct value *out)
{
    int64_t at = (int64_t)loop->at, n = (int64_t)loop->n;
    const struct {
        const char *name;
        struct value value;
    } numbers[] = {
        {"index", value_int(at + 1)},
        {"index0", value_int(at)},
        {"first", value_bool(at == 0)},
        {"last", value_bool(at + 1 == n)},
        {"length", value_int(n)},
        {"revindex", value_int(n - at)},
        {"revindex0", value_int(n - at - 1)},
        {"depth", value_int(1)}, /* counts recursive loops */
        {"depth0", value_int(0)},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (span_is(name, numbers[i].name)) {
            *out = numbers[i].value;
            return true;
        }
    if (span_is(name, "previtem") && loop->at > 0)
        *out = loop->items[loop->at - 1];
    else if (span_is(name, "nextitem") && loop->at + 1 < loop->n)
        *out = loop->items[loop->at + 1];
    else
        *out = jinja_undefined(run, name);
    return !run->status;
}

/* Attributes that are no methods. */
static bool plain_attribute(struct run *run, const struct value *object, struct span name, struct value *out)
{
    struct value *there = NULL;
    switch (object->kind) {
    case V_LOOP: return loop_attribute(run, object->loop, name, out);
    case V_NAMESPACE:
    case V_DICT:
        run_charge(run, object->dict->n / 8 + object->dict->n * (name.n / 64));
        there = jinja_dict_get_name(object->dict, name);
        break;
    case V_MACRO:
        if (span_is(name, "name"))
            return (*out = value_text(jinja_text(run, object->macro->node->name, true))).text != NULL;
        break;
    case V_CYCLER:
        if (span_is(name, "current"))
            there = &object->cycler->list->items[object->cycler->at];
        break;
    case V_TUPLE: /* what groupby gives is a tuple with names */
        if (object->list->n == 2 && span_is(name, "grouper"))
            there = &object->list->items[0];
        if (object->list->n == 2 && span_is(name, "list"))
            there = &object->list->items[1];
        break;
    default: break;
    }
    *out = there ? *there : jinja_undefined(run, name);
    return !run->status;
}

static bool changes_its_object(enum value_kind kind, struct span name)
{
    static const char *const of_lists[] = {"append", "clear",  "pop",    "reverse", "insert",
                                           "sort",   "extend", "remove", NULL};
    static const char *const of_dicts[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    for (const char *const *p = kind == V_LIST ? of_lists : of_dicts; *p; p++)
        if ((kind == V_LIST || kind == V_DICT) && span_is(name, *p))
            return true;
    return false;
}

bool jinja_attribute(struct run *run, const struct value *object, struct span name, struct value *out)
{
    if (object->kind == V_UNDEFINED && (name.n < 2 || name.p[0] != '_' || name.p[1] != '_'))
        return jinja_fail_undefined(run, object);
    if (changes_its_object(object->kind, name)) {
        *out = jinja_undefined(run, name);
        return !run->status;
    }
    const struct builtin *method = object->kind == V_TEXT ? jinja_text_method(name)
                                                          : jinja_other_method(object->kind, name);
    if (method)
        return function_value(run, method, object, out);
    return plain_attribute(run, object, name, out);
}

/* Python's index into `n` items; false: beyond. */
static bool place(int64_t index, size_t n, size_t *at)
{
    if (index < 0)
        index += (int64_t)n;
    *at = (size_t)index;
    return index >= 0 && (uint64_t)index < n;
}

static bool character_at(struct run *run, struct text *t, int64_t index, struct value *out)
{
    size_t at;
    uint32_t point;
    if (!place(index, jinja_text_chars(run, t), &at))
        return true;
    at = jinja_text_offset(run, t, at);
    *out = value_text(jinja_text_slice(run, t, at, at + jinja_char(t->p + at, t->n - at, &point)));
    return out->text != NULL;
}

bool jinja_item(struct run *run, const struct value *object, const struct value *key, struct value *out)
{
    size_t at;
    int64_t index = value_is_int(key) ? value_integer(key) : 0;
    *out = value_undefined();
    if (object->kind == V_UNDEFINED)
        return jinja_fail_undefined(run, object);
    if (object->kind == V_DICT) {
        struct value *there = jinja_hashable(key) ? jinja_dict_get(run, object->dict, key) : NULL;
        if (there) {
            *out = *there;
            return true;
        }
    } else if (value_is_int(key)) {
        if ((object->kind == V_LIST || object->kind == V_TUPLE) && place(index, object->list->n, &at))
            *out = object->list->items[at];
        else if (object->kind == V_RANGE && place(index, object->range->n, &at))
            *out = value_int(object->range->start + (int64_t)at * object->range->step);
        else if (object->kind == V_TEXT)
            return character_at(run, object->text, index, out);
    }
    if (out->kind == V_UNDEFINED && key->kind == V_TEXT)
        return jinja_attribute(run, object, text_span(key->text), out);
    return !run->status;
}

/* Where a slice begins or ends: `bound`, from the end if negative, held within [low, high]. */
static int64_t slice_bound(const struct value *bound, int64_t n, int64_t low, int64_t high, int64_t otherwise)
{
    if (bound->kind == V_NONE)
        return otherwise;
    int64_t x = value_integer(bound);
    if (x < 0)
        x += n;
    return x < low ? low : x > high ? high : x;
}

/* Python's slice.indices. */
static bool slice_bounds(struct run *run, const struct value bounds[3], int64_t n, int64_t out[3])
{
    const int64_t far = INT64_MAX / 2;
    for (int i = 0; i < 3; i++)
        if (bounds[i].kind != V_NONE && !value_is_int(&bounds[i]))
            return run_fail(run, "a slice needs integers, not a %s", jinja_type_name(&bounds[i]));
    int64_t step = bounds[2].kind == V_NONE ? 1 : value_integer(&bounds[2]);
    if (step == 0)
        return run_fail(run, "a slice with step zero");
    const bool back = step < 0;
    const int64_t low = back ? -1 : 0, high = back ? n - 1 : n;
    out[0] = slice_bound(&bounds[0], n, low, high, back ? high : low);
    out[1] = slice_bound(&bounds[1], n, low, high, back ? low : high);
    out[2] = step < -far ? -far : step > far ? far : step;
    return true;
}

static size_t slice_length(const int64_t s[3])
{
    if (s[2] > 0)
        return s[0] < s[1] ? (size_t)((s[1] - s[0] - 1) / s[2] + 1) : 0;
    return s[1] < s[0] ? (size_t)((s[0] - s[1] - 1) / -s[2] + 1) : 0;
}

static bool slice_text(struct run *run, struct text *t, const int64_t s[3], struct value *out)
{
    size_t n = slice_length(s);
    if (s[2] == 1) {
        size_t from = jinja_text_offset(run, t, (size_t)s[0]), to = n ? jinja_text_offset(run, t, (size_t)s[1]) : from;
        *out = value_text(jinja_text_slice(run, t, from, to));
        return run_charge(run, t->n / 16) && out->text;
    }
    const struct value whole = value_text(t);
    struct list *chars = jinja_iterate(run, &whole);
    struct builder b;
    builder_init(&b, run);
    for (size_t i = 0; chars && i < n && !run->status; i++)
        builder_add_text(&b, chars->items[s[0] + (int64_t)i * s[2]].text);
    *out = value_text(builder_text(&b));
    return !run->status;
}

static bool slice_range(struct run *run, const struct range *r, const int64_t s[3], struct value *out)
{
    struct range *part = run_alloc(run, 1, sizeof *part);
    if (!part)
        return false;
    *part = (struct range){r->start + s[0] * r->step, r->start + s[1] * r->step, 0, slice_length(s)};
    if (__builtin_mul_overflow(r->step, s[2], &part->step))
        return run_fail(run, "a number beyond 64 bits");
    *out = (struct value){.kind = V_RANGE, .range = part};
    return true;
}

bool jinja_slice(struct run *run, const struct value *object, const struct value bounds[3], struct value *out)
{
    int64_t s[3] = {0, 0, 1};
    size_t n;
    *out = value_undefined();
    if (object->kind == V_UNDEFINED)
        return jinja_fail_undefined(run, object);
    bool sliceable = object->kind == V_TEXT || object->kind == V_LIST || object->kind == V_TUPLE ||
                     object->kind == V_RANGE;
    if (!sliceable || !jinja_length(run, object, &n))
        return run_fail(run, "a %s cannot be sliced", jinja_type_name(object));
    if (!slice_bounds(run, bounds, (int64_t)n, s))
        return false;
    if (object->kind == V_TEXT)
        return slice_text(run, object->text, s, out);
    if (object->kind == V_RANGE)
        return slice_range(run, object->range, s, out);
    struct list *items = jinja_iterate(run, object), *list = jinja_list(run, slice_length(s));
    for (size_t i = 0; items && list && i < list->capacity; i++)
        list->items[list->n++] = items->items[s[0] + (int64_t)i * s[2]];
    *out = object->kind == V_TUPLE ? value_tuple(list) : value_list(list);
    return run_charge(run, n) && list != NULL;
}

/* The slot that `name` has in `params`, or -1. */
static int slot_of(const char *params, struct span name)
{
    for (int slot = 0; *params; slot++) {
        size_t n = strcspn(params, " ");
        if (n == name.n && !memcmp(params, name.p, n))
            return slot;
        params += n + (params[n] == ' ');
    }
    return -1;
}

static int count_params(const char *params)
{
    int n = *params != 0;
    for (; *params; params++)
        n += *params == ' ';
    return n;
}

static bool sort_into_slots(struct run *run, struct call *call, const struct arguments *args)
{
    const struct builtin *b = call->builtin;
    if (args->positional.n > (size_t)count_params(b->params))
        return run_fail(run, "%s takes at most %d arguments", b->name, count_params(b->params));
    for (size_t i = 0; i < args->positional.n; i++)
        call->slots[i] = args->positional.items[i];
    for (size_t i = 0; i < args->named.n; i++) {
        struct span name = text_span(args->named.entries[i].key.text);
        int slot = slot_of(b->params, name);
        if (slot < 0 || call->slots[slot].kind != V_MISSING)
            return run_fail(run, "%s: unexpected argument '%.*s'", b->name, name.n > 40 ? 40 : (int)name.n, name.p);
        call->slots[slot] = args->named.entries[i].value;
    }
    for (int i = 0; i < b->n_required; i++)
        if (call->slots[i].kind == V_MISSING)
            return run_fail(run, "%s needs %d arguments", b->name, b->n_required);
    return true;
}

bool jinja_call_builtin(struct run *run, const struct builtin *builtin, const struct value *self,
                        const struct arguments *args, struct value *out)
{
    struct call call = {.builtin = builtin, .self = *self, .given = args};
    if (!run_charge(run, 1) || (builtin->params && !sort_into_slots(run, &call, args)))
        return false;
    *out = value_none();
    return builtin->function(run, &call, out) && !run->status;
}

static bool call_joiner(struct run *run, struct joiner *joiner, struct value *out)
{
    *out = joiner->used ? joiner->separator : value_text(jinja_text(run, span_of(""), true));
    joiner->used = true;
    return !run->status;
}

bool jinja_call(struct run *run, const struct value *callee, const struct arguments *args, struct value *out)
{
    switch (callee->kind) {
    case V_FUNCTION: return jinja_call_builtin(run, callee->function->builtin, &callee->function->self, args, out);
    case V_MACRO: return jinja_call_macro(run, callee->macro, args, out);
    case V_JOINER: return call_joiner(run, callee->joiner, out);
    case V_UNDEFINED: return jinja_fail_undefined(run, callee);
    default: return run_fail(run, "a %s cannot be called", jinja_type_name(callee));
    }
}
