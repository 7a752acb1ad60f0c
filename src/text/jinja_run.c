/* jinja_run.c - memory and budgets of a run, and the containers its values are made of.
 *
 * All memory is the run's arena; a container that grows leaves its old items behind in it, so growth doubles. */
#include "text/jinja_run.h"
#include "text/jinja_unicode.h"
#include <stdarg.h>
#include <stdio.h>

bool run_fail(struct run *run, const char *format, ...)
{
    if (run->status)
        return false;
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (run->line)
        run->status = error_set(run->error, ANDIRON_E_FORMAT, "chat template, line %u: %s", (unsigned)run->line, text);
    else
        run->status = error_set(run->error, ANDIRON_E_ARGUMENT, "chat template: its variables: %s", text);
    return false;
}

void *run_alloc(struct run *run, size_t n, size_t item_bytes)
{
    size_t bytes;
    if (run->status)
        return NULL;
    void *p = arena_alloc(&run->arena, n, item_bytes);
    if (p)
        return p;
    if (__builtin_mul_overflow(n, item_bytes, &bytes))
        bytes = SIZE_MAX;
    if (bytes >= RUN_MEMORY_MAX || run->arena.used_bytes + bytes + 1024 >= RUN_MEMORY_MAX)
        run_fail(run, "more than %d MiB of memory", RUN_MEMORY_MAX >> 20);
    else
        run->status = error_memory(run->error, bytes, "the chat template");
    return NULL;
}

bool run_charge(struct run *run, size_t work)
{
    run->n_steps += work;
    if (run->n_steps > RUN_STEPS_MAX)
        return run_fail(run, "more than %d steps: it may never end", RUN_STEPS_MAX);
    return !run->status;
}

bool run_deeper(struct run *run)
{
    return ++run->depth <= RUN_DEPTH_MAX || run_fail(run, "nested more than %d deep", RUN_DEPTH_MAX);
}

struct text *jinja_text(struct run *run, struct span borrowed, bool markup)
{
    struct text *t = run_alloc(run, 1, sizeof *t);
    if (t)
        *t = (struct text){.p = borrowed.p, .n = borrowed.n, .n_chars = SIZE_MAX, .markup = markup};
    return t;
}

struct text *jinja_text_copy(struct run *run, const char *p, size_t n, bool markup)
{
    char *copy = run_alloc(run, n + 1, 1);
    if (!copy)
        return NULL;
    memcpy(copy, p, n);
    return jinja_text(run, (struct span){copy, n}, markup);
}

struct text *jinja_text_slice(struct run *run, const struct text *t, size_t from, size_t to)
{
    struct text *s = jinja_text(run, (struct span){t->p + from, to - from}, t->markup);
    if (s && t->marks)
        s->marks = t->marks + from;
    if (s && t->n_chars == t->n)
        s->n_chars = s->n;
    if (s)
        s->safe = t->safe;
    return s;
}

size_t jinja_text_chars(struct run *run, struct text *t)
{
    if (t->n_chars == SIZE_MAX) {
        run_charge(run, t->n / 16);
        t->n_chars = jinja_count_chars(text_span(t));
    }
    return t->n_chars;
}

size_t jinja_text_offset(struct run *run, struct text *t, size_t n_chars)
{
    if (jinja_text_chars(run, t) == t->n)
        return n_chars < t->n ? n_chars : t->n;
    size_t at = 0;
    run_charge(run, (n_chars < t->n_chars ? n_chars : t->n_chars) / 8);
    uint32_t point;
    for (; n_chars > 0 && at < t->n; n_chars--)
        at += jinja_char(t->p + at, t->n - at, &point);
    return at;
}

bool jinja_text_is_markup(const struct text *t)
{
    return t->marks ? !memchr(t->marks, 0, t->n) : t->markup || t->n == 0;
}

void builder_init(struct builder *b, struct run *run) { *b = (struct builder){.run = run, .markup = true}; }

static bool grow(struct builder *b, size_t n)
{
    size_t capacity = b->capacity ? b->capacity * 2 : 64;
    if (n > RUN_OUTPUT_MAX - b->n)
        return run_fail(b->run, "a text of more than %d MiB", RUN_OUTPUT_MAX >> 20);
    if (capacity < b->n + n)
        capacity = b->n + n;
    char *p = run_alloc(b->run, capacity, 1), *marks = b->marks ? run_alloc(b->run, capacity, 1) : NULL;
    if (!p || (b->marks && !marks))
        return false;
    if (b->n)
        memcpy(p, b->p, b->n);
    if (b->marks)
        memcpy(marks, b->marks, b->n);
    b->p = p;
    b->marks = marks;
    b->capacity = capacity;
    return true;
}

/* Room for `n` more bytes; false on failure. */
static bool reserve(struct builder *b, size_t n)
{
    return run_charge(b->run, n / 16 + 1) && (n <= b->capacity - b->n || grow(b, n));
}

/* From now on every byte has a mark of its own. */
static bool need_marks(struct builder *b)
{
    if (b->marks)
        return true;
    if (!(b->marks = run_alloc(b->run, b->capacity, 1)))
        return false;
    memset(b->marks, b->markup, b->n);
    return true;
}

bool builder_add(struct builder *b, const char *p, size_t n, bool markup)
{
    if (n == 0)
        return !b->run->status;
    if (!reserve(b, n))
        return false;
    if (b->n == 0 && !b->marks)
        b->markup = markup;
    if (markup != b->markup && !need_marks(b))
        return false;
    memcpy(b->p + b->n, p, n);
    if (b->marks)
        memset(b->marks + b->n, markup, n);
    b->n += n;
    return true;
}

bool builder_add_range(struct builder *b, const struct text *t, size_t from, size_t to)
{
    if (!t->marks)
        return builder_add(b, t->p + from, to - from, t->markup);
    if (from == to)
        return !b->run->status;
    if (!reserve(b, to - from) || !need_marks(b))
        return false;
    memcpy(b->p + b->n, t->p + from, to - from);
    memcpy(b->marks + b->n, t->marks + from, to - from);
    b->n += to - from;
    return true;
}

bool builder_add_text(struct builder *b, const struct text *t) { return builder_add_range(b, t, 0, t->n); }

bool builder_add_char(struct builder *b, uint32_t point, bool markup)
{
    char bytes[4];
    return builder_add(b, bytes, jinja_encode(point, bytes), markup);
}

struct text *builder_text(struct builder *b)
{
    struct text *t = jinja_text(b->run, (struct span){b->p ? b->p : "", b->n}, b->markup);
    if (t)
        t->marks = b->marks;
    return t;
}

struct text *builder_flat_text(struct builder *b)
{
    struct text *t = builder_text(b);
    if (!t)
        return NULL;
    t->markup = jinja_text_is_markup(t);
    t->marks = NULL;
    return t;
}

struct list *jinja_list(struct run *run, size_t capacity)
{
    struct list *list = run_alloc(run, 1, sizeof *list);
    if (!list || !run_charge(run, 1 + capacity / 4) || !(list->items = run_alloc(run, capacity, sizeof *list->items)))
        return NULL;
    list->capacity = capacity;
    return list;
}

bool jinja_list_add(struct run *run, struct list *list, struct value v)
{
    if (!run_charge(run, 1))
        return false;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        struct value *items = run_alloc(run, capacity, sizeof *items);
        if (!items)
            return false;
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = v;
    return true;
}

struct dict *jinja_dict(struct run *run) { return run_alloc(run, 1, sizeof(struct dict)); }

struct value *jinja_dict_get_name(const struct dict *dict, struct span name)
{
    for (size_t i = 0; i < dict->n; i++)
        if (dict->entries[i].key.kind == V_TEXT && span_same(text_span(dict->entries[i].key.text), name))
            return &dict->entries[i].value;
    return NULL;
}

struct value *jinja_dict_get(struct run *run, const struct dict *dict, const struct value *key)
{
    size_t key_bytes = key->kind == V_TEXT ? key->text->n : 0;
    if (!run_charge(run, 1 + dict->n / 8 + dict->n * (key_bytes / 64)))
        return NULL;
    if (key->kind == V_TEXT)
        return jinja_dict_get_name(dict, text_span(key->text));
    for (size_t i = 0; i < dict->n; i++)
        if (jinja_equal(run, &dict->entries[i].key, key))
            return &dict->entries[i].value;
    return NULL;
}

bool jinja_dict_set(struct run *run, struct dict *dict, struct value key, struct value v)
{
    if (!jinja_hashable(&key))
        return run_fail(run, "a %s cannot be a key", jinja_type_name(&key));
    struct value *there = jinja_dict_get(run, dict, &key);
    if (there)
        *there = v;
    if (there || run->status)
        return !run->status;
    if (dict->n == dict->capacity) {
        size_t capacity = dict->capacity ? dict->capacity * 2 : 4;
        struct dict_entry *entries = run_alloc(run, capacity, sizeof *entries);
        if (!entries)
            return false;
        if (dict->n)
            memcpy(entries, dict->entries, dict->n * sizeof *entries);
        dict->entries = entries;
        dict->capacity = capacity;
    }
    dict->entries[dict->n++] = (struct dict_entry){key, v};
    return true;
}

static struct list *characters(struct run *run, struct text *t)
{
    struct list *list = jinja_list(run, jinja_text_chars(run, t));
    uint32_t point;
    for (size_t at = 0, n; list && at < t->n; at += n) {
        n = jinja_char(t->p + at, t->n - at, &point);
        struct text *c = jinja_text_slice(run, t, at, at + n);
        if (!c || !jinja_list_add(run, list, value_text(c)))
            return NULL;
        c->safe = false; /* as Python: a character read from a Markup is a plain str */
    }
    return list;
}

static struct list *keys_of(struct run *run, const struct dict *dict)
{
    struct list *list = jinja_list(run, dict->n);
    for (size_t i = 0; list && i < dict->n; i++)
        list->items[list->n++] = dict->entries[i].key;
    return list;
}

static struct list *numbers_of(struct run *run, const struct range *range)
{
    struct list *list = run_charge(run, range->n) ? jinja_list(run, range->n) : NULL;
    for (size_t i = 0; list && i < range->n; i++)
        list->items[list->n++] = value_int(range->start + (int64_t)i * range->step);
    return list;
}

static struct list *rest_of(struct run *run, struct stream *stream)
{
    struct list *list = run_alloc(run, 1, sizeof *list);
    if (!list)
        return NULL;
    list->items = stream->list->items + stream->at;
    list->n = list->capacity = stream->list->n - stream->at;
    stream->at = stream->list->n;
    return list;
}

struct list *jinja_iterate(struct run *run, const struct value *v)
{
    switch (v->kind) {
    case V_LIST:
    case V_TUPLE: return v->list;
    case V_VIEW: return v->view->list;
    case V_UNDEFINED: return jinja_list(run, 0);
    case V_TEXT: return characters(run, v->text);
    case V_DICT: return keys_of(run, v->dict);
    case V_RANGE: return numbers_of(run, v->range);
    case V_STREAM: return rest_of(run, v->stream);
    default: run_fail(run, "a %s cannot be iterated", jinja_type_name(v)); return NULL;
    }
}
