/* jinja_strings.c - see jinja_strings.h. Characters keep their marks through all of these. */
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

bool call_int(struct run *run, const struct call *call, int slot, int64_t otherwise, int64_t *out)
{
    const struct value *v = &call->slots[slot];
    *out = otherwise;
    if (v->kind == V_MISSING)
        return true;
    if (!value_is_int(v))
        return run_fail(run, "%s needs an integer, not a %s", call->builtin->name, jinja_type_name(v));
    *out = value_integer(v);
    return true;
}

struct text *call_text(struct run *run, const struct call *call, int slot)
{
    const struct value *v = &call->slots[slot];
    if (v->kind == V_TEXT)
        return v->text;
    if (v->kind != V_MISSING && v->kind != V_NONE)
        run_fail(run, "%s needs a text, not a %s", call->builtin->name, jinja_type_name(v));
    return NULL;
}

bool give_stream(struct run *run, struct list *list, struct value *out)
{
    struct stream *s = run_alloc(run, 1, sizeof *s);
    if (!s || !list)
        return false;
    s->list = list;
    *out = (struct value){.kind = V_STREAM, .stream = s};
    return true;
}

static bool mark_at(const struct text *t, size_t at) { return t->marks ? t->marks[at] : t->markup; }

static bool is_cased(uint32_t c) { return jinja_is_upper(c) || jinja_is_lower(c); }

/* A capital sigma that ends a word becomes another small letter than one inside it. */
static bool is_final_sigma(const struct text *t, size_t at, uint32_t c, bool in_word)
{
    size_t behind = at + 2;
    uint32_t next = ' ';
    if (behind < t->n)
        jinja_char(t->p + behind, t->n - behind, &next);
    return c == 0x3A3 && in_word && !jinja_is_letter(next);
}

static bool goes_up(enum text_case to, uint32_t c, bool first, bool in_word)
{
    switch (to) {
    case CASE_UPPER: return true;
    case CASE_CAPITAL: return first;
    case CASE_TITLE: return !in_word;
    case CASE_SWAP: return jinja_is_lower(c);
    default: return false;
    }
}

struct text *text_case(struct run *run, struct text *t, enum text_case to)
{
    struct builder b;
    uint32_t c;
    char out[8];
    bool in_word = false;
    builder_init(&b, run);
    for (size_t at = 0, n; at < t->n && !run->status; at += n) {
        n = jinja_char(t->p + at, t->n - at, &c);
        const bool up = goes_up(to, c, at == 0, in_word), final_sigma = !up && is_final_sigma(t, at, c, in_word);
        in_word = is_cased(c);
        if (final_sigma)
            builder_add_char(&b, 0x3C2, mark_at(t, at));
        else if (to == CASE_FOLD && c == 0xDF) /* a sharp s */
            builder_add(&b, "ss", 2, mark_at(t, at));
        else if (n == 1 && c >= 0x80) /* not UTF-8: left alone */
            builder_add(&b, t->p + at, 1, mark_at(t, at));
        else
            builder_add(&b, out, up ? jinja_to_upper(c, out) : jinja_to_lower(c, out), mark_at(t, at));
    }
    return builder_text(&b);
}

static bool is_one_of(const struct text *chars, uint32_t c)
{
    uint32_t other;
    for (size_t at = 0; chars && at < chars->n;) {
        at += jinja_char(chars->p + at, chars->n - at, &other);
        if (other == c)
            return true;
    }
    return chars ? false : jinja_is_space(c);
}

struct text *text_strip(struct run *run, struct text *t, const struct text *chars, int ends)
{
    size_t from = 0, to = t->n, n, per_char = 1 + (chars ? chars->n / 8 : 0);
    uint32_t c;
    while ((ends & STRIP_LEFT) && from < to && run_charge(run, per_char)) {
        n = jinja_char(t->p + from, to - from, &c);
        if (!is_one_of(chars, c))
            break;
        from += n;
    }
    while ((ends & STRIP_RIGHT) && from < to && run_charge(run, per_char)) {
        n = jinja_char_before(t->p + from, to - from, &c);
        if (!is_one_of(chars, c))
            break;
        to -= n;
    }
    return jinja_text_slice(run, t, from, to);
}

size_t text_find(const struct text *t, const struct text *part, size_t from, size_t to)
{
    if (from > to || part->n > to - from)
        return SIZE_MAX;
    if (part->n == 0)
        return from;
    const char *found = memmem(t->p + from, to - from, part->p, part->n);
    return found ? (size_t)(found - t->p) : SIZE_MAX;
}

/* Replacing nothing: `with` before every character and at the end. */
static struct text *replace_nothing(struct run *run, struct text *t, const struct text *with, int64_t count)
{
    struct builder b;
    uint32_t c;
    builder_init(&b, run);
    for (size_t at = 0, n; !run->status; at += n) {
        if (count-- > 0)
            builder_add_text(&b, with);
        if (at >= t->n)
            break;
        n = jinja_char(t->p + at, t->n - at, &c);
        builder_add_range(&b, t, at, at + n);
    }
    return builder_text(&b);
}

struct text *text_replace(struct run *run, struct text *t, const struct text *old, const struct text *with,
                          int64_t count)
{
    struct builder b;
    if (count < 0)
        count = INT64_MAX;
    if (old->n == 0)
        return replace_nothing(run, t, with, count);
    if (!run_charge(run, 1 + t->n / 16))
        return NULL;
    builder_init(&b, run);
    size_t at = 0, found;
    for (; count > 0 && !run->status && (found = text_find(t, old, at, t->n)) != SIZE_MAX; count--) {
        builder_add_range(&b, t, at, found);
        builder_add_text(&b, with);
        at = found + old->n;
    }
    if (at == 0 && b.n == 0)
        return t;
    builder_add_range(&b, t, at, t->n);
    return builder_text(&b);
}

struct text *text_escape(struct run *run, struct text *t)
{
    static const char *const escapes[][2] = {
        {"&", "&amp;"}, {">", "&gt;"}, {"<", "&lt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
    const bool markup = jinja_text_is_markup(t);
    t = jinja_text_slice(run, t, 0, t->n);
    for (size_t i = 0; t && i < sizeof escapes / sizeof *escapes; i++) {
        const struct text from = {.p = escapes[i][0], .n = 1, .markup = markup};
        const struct text to = {.p = escapes[i][1], .n = strlen(escapes[i][1]), .markup = markup};
        t = text_replace(run, t, &from, &to, -1);
    }
    if (t)
        t->safe = true;
    return t;
}

static bool add_part(struct run *run, struct list *list, struct text *t, size_t from, size_t to)
{
    struct text *part = jinja_text_slice(run, t, from, to);
    return part && jinja_list_add(run, list, value_text(part));
}

struct list *text_lines(struct run *run, struct text *t, bool keep_ends)
{
    struct list *list = jinja_list(run, 0);
    size_t from = 0, n;
    uint32_t c;
    for (size_t at = 0; list && at < t->n;) {
        n = jinja_char(t->p + at, t->n - at, &c);
        if (!jinja_is_line_end(c)) {
            at += n;
            continue;
        }
        size_t end = at + n + (c == '\r' && at + 1 < t->n && t->p[at + 1] == '\n');
        if (!add_part(run, list, t, from, keep_ends ? end : at))
            return NULL;
        from = at = end;
    }
    if (list && from < t->n && !add_part(run, list, t, from, t->n))
        return NULL;
    return run_charge(run, t->n / 8) ? list : NULL;
}

static size_t skip_kind(const struct text *t, size_t at, bool space)
{
    uint32_t c;
    while (at < t->n) {
        size_t n = jinja_char(t->p + at, t->n - at, &c);
        if (jinja_is_space(c) != space)
            break;
        at += n;
    }
    return at;
}

static size_t skip_kind_back(const struct text *t, size_t at, bool space)
{
    uint32_t c;
    while (at > 0) {
        size_t n = jinja_char_before(t->p, at, &c);
        if (jinja_is_space(c) != space)
            break;
        at -= n;
    }
    return at;
}

static bool split_words(struct run *run, struct text *t, int64_t count, struct list *list)
{
    for (size_t at = skip_kind(t, 0, true); at < t->n; count--) {
        size_t end = count == 0 ? t->n : skip_kind(t, at, false);
        if (!add_part(run, list, t, at, end))
            return false;
        at = skip_kind(t, end, true);
    }
    return true;
}

static bool split_words_back(struct run *run, struct text *t, int64_t count, struct list *list)
{
    for (size_t at = skip_kind_back(t, t->n, true); at > 0; count--) {
        size_t from = count == 0 ? 0 : skip_kind_back(t, at, false);
        if (!add_part(run, list, t, from, at))
            return false;
        at = skip_kind_back(t, from, true);
    }
    return true;
}

static size_t find_last(const struct text *t, const struct text *part, size_t end)
{
    for (size_t at = end; at >= part->n; at--)
        if (!memcmp(t->p + at - part->n, part->p, part->n))
            return at - part->n;
    return SIZE_MAX;
}

static bool split_at(struct run *run, struct text *t, const struct text *separator, int64_t count, struct list *list)
{
    size_t at = 0, found;
    for (; count > 0 && (found = text_find(t, separator, at, t->n)) != SIZE_MAX; count--) {
        if (!add_part(run, list, t, at, found))
            return false;
        at = found + separator->n;
    }
    return add_part(run, list, t, at, t->n);
}

static bool split_back_at(struct run *run, struct text *t, const struct text *separator, int64_t count,
                          struct list *list)
{
    size_t end = t->n, found;
    if (!run_charge(run, t->n * separator->n / 256)) /* looks at every place, and there compares */
        return false;
    for (; count > 0 && (found = find_last(t, separator, end)) != SIZE_MAX; count--) {
        if (!add_part(run, list, t, found + separator->n, end))
            return false;
        end = found;
    }
    return add_part(run, list, t, 0, end);
}

static void turn_around(struct list *list)
{
    for (size_t i = 0; i < list->n / 2; i++) {
        struct value v = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = v;
    }
}

struct list *text_split(struct run *run, struct text *t, const struct text *separator, int64_t count, bool from_right)
{
    struct list *list = jinja_list(run, 0);
    bool good;
    if (separator && separator->n == 0)
        run_fail(run, "split needs a separator that is not empty");
    if (!list || !run_charge(run, t->n / 8))
        return NULL;
    if (count < 0)
        count = INT64_MAX;
    if (separator)
        good = from_right ? split_back_at(run, t, separator, count, list) : split_at(run, t, separator, count, list);
    else
        good = from_right ? split_words_back(run, t, count, list) : split_words(run, t, count, list);
    if (from_right)
        turn_around(list);
    return good ? list : NULL;
}

struct text *text_pad(struct run *run, struct text *t, int64_t left, int64_t right, const struct text *fill)
{
    const struct text space = {.p = " ", .n = 1, .markup = true};
    struct builder b;
    if (left > RUN_OUTPUT_MAX || right > RUN_OUTPUT_MAX) {
        run_fail(run, "a text of more than %d MiB", RUN_OUTPUT_MAX >> 20);
        return NULL;
    }
    builder_init(&b, run);
    while (left-- > 0 && builder_add_text(&b, fill ? fill : &space))
        ;
    builder_add_text(&b, t);
    while (right-- > 0 && builder_add_text(&b, fill ? fill : &space))
        ;
    return builder_text(&b);
}
