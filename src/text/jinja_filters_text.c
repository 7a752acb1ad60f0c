/* jinja_filters_text.c - filters that give text. */
#include "text/jinja_filters.h"
#include "text/jinja_unicode.h"
#include <stdio.h>

static bool change_case(struct run *run, const struct call *call, enum text_case to, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    return t && give_text(text_case(run, t, to), out);
}

bool filter_upper(struct run *run, const struct call *call, struct value *out)
{
    return change_case(run, call, CASE_UPPER, out);
}

bool filter_lower(struct run *run, const struct call *call, struct value *out)
{
    return change_case(run, call, CASE_LOWER, out);
}

bool filter_capitalize(struct run *run, const struct call *call, struct value *out)
{
    return change_case(run, call, CASE_CAPITAL, out);
}

/* Other than str.title: words begin after white space, '-' and opening brackets only. */
bool filter_title(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self), *lower = t ? text_case(run, t, CASE_LOWER) : NULL;
    struct builder b;
    uint32_t c;
    bool start = true;
    builder_init(&b, run);
    for (size_t at = 0, n; lower && at < lower->n && !run->status; at += n) {
        n = jinja_char(lower->p + at, lower->n - at, &c);
        struct text *one = start ? jinja_text_slice(run, lower, at, at + n) : NULL;
        if (one && (one = text_case(run, one, CASE_UPPER)) != NULL)
            builder_add_text(&b, one);
        else
            builder_add_range(&b, lower, at, at + n);
        start = jinja_is_space(c) || (c && c < 0x80 && strchr("-({[<", (int)c));
    }
    return give_text(builder_text(&b), out);
}

bool filter_trim(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self), *chars = call_text(run, call, 0);
    return t && !run->status && give_text(text_strip(run, t, chars, STRIP_LEFT | STRIP_RIGHT), out);
}

bool filter_replace(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self), *old = jinja_str(run, &call->slots[0]);
    struct text *with = jinja_str(run, &call->slots[1]);
    int64_t count = -1;
    if (call->slots[2].kind != V_NONE && !call_int(run, call, 2, -1, &count))
        return false;
    return t && old && with && give_text(text_replace(run, t, old, with, count), out);
}

bool filter_string(struct run *run, const struct call *call, struct value *out)
{
    return give_text(jinja_str(run, &call->self), out);
}

static struct text *spaces(struct run *run, int64_t n)
{
    const struct text none = {.p = "", .markup = true};
    struct text *t = jinja_text(run, text_span(&none), true);
    return t ? text_pad(run, t, n, 0, NULL) : NULL;
}

/* The lines of a text as jinja2 indents them: it adds a newline before it splits, so that a text that ends with one
 * keeps an empty last line. */
static struct list *lines_to_indent(struct run *run, struct text *t)
{
    struct list *lines = text_lines(run, t, false);
    uint32_t c = '\n';
    if (t->n)
        jinja_char_before(t->p, t->n, &c);
    if (!lines || !jinja_is_line_end(c))
        return lines;
    struct text *empty = jinja_text(run, span_of(""), true);
    return empty && jinja_list_add(run, lines, value_text(empty)) ? lines : NULL;
}

/* What stands in front of a line: a text, or so many spaces. */
static struct text *margin_of(struct run *run, const struct call *call)
{
    int64_t width = 4;
    if (call->slots[0].kind == V_TEXT)
        return call->slots[0].text;
    return call_int(run, call, 0, 4, &width) ? spaces(run, width) : NULL;
}

bool filter_indent(struct run *run, const struct call *call, struct value *out)
{
    if (call->self.kind != V_TEXT)
        return run_fail(run, "indent needs a text, not a %s", jinja_type_name(&call->self));
    struct text *margin = margin_of(run, call);
    struct list *lines = margin ? lines_to_indent(run, call->self.text) : NULL;
    const bool first = call_truth(call, 1), blank = call_truth(call, 2);
    struct builder b;
    builder_init(&b, run);
    for (size_t i = 0; lines && i < lines->n && !run->status; i++) {
        struct text *line = lines->items[i].text;
        if (i)
            builder_add(&b, "\n", 1, true);
        if (i ? blank || line->n : first)
            builder_add_text(&b, margin);
        builder_add_text(&b, line);
    }
    return lines && give_text(builder_text(&b), out);
}

bool filter_escape(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    return t && give_text(t->safe ? t : text_escape(run, t), out);
}

bool filter_forceescape(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    return t && give_text(text_escape(run, t), out);
}

bool filter_safe(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self), *safe = t ? jinja_text_slice(run, t, 0, t->n) : NULL;
    if (safe)
        safe->safe = true;
    return give_text(safe, out);
}

bool filter_wordcount(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    int64_t count = 0;
    uint32_t c;
    bool inside = false;
    for (size_t at = 0; t && at < t->n;) {
        at += jinja_char(t->p + at, t->n - at, &c);
        count += jinja_is_word(c) && !inside;
        inside = jinja_is_word(c);
    }
    return t && run_charge(run, t->n) && give_int(count, out);
}

/* Where a text of `length` characters with `end` behind it is cut: whole words, unless they may be killed. */
static size_t truncated_at(struct run *run, struct text *t, size_t length, bool kill_words)
{
    const size_t cut = jinja_text_offset(run, t, length);
    run_charge(run, cut / 16);
    for (size_t at = cut; at > 0 && !kill_words; at--)
        if (t->p[at - 1] == ' ')
            return at - 1;
    return cut;
}

bool filter_truncate(struct run *run, const struct call *call, struct value *out)
{
    enum { FAR = 1 << 30 };
    int64_t length, leeway;
    struct text *end = call_has(call, 2) ? call_text(run, call, 2) : jinja_text(run, span_of("..."), true);
    size_t items;
    if (!jinja_length(run, &call->self, &items))
        return run_fail(run, "truncate: a %s has no length", jinja_type_name(&call->self));
    if (!end || !call_int(run, call, 0, 255, &length) || !call_int(run, call, 3, 5, &leeway))
        return run_fail(run, "truncate: the end must be a text");
    const int64_t n_end = (int64_t)jinja_text_chars(run, end);
    if (leeway < 0 || length < n_end)
        return run_fail(run, "truncate: the length is less than that of what is put at the end");
    *out = call->self;
    if ((int64_t)items <= (length < FAR ? length : FAR) + (leeway < FAR ? leeway : FAR))
        return true;
    if (call->self.kind != V_TEXT)
        return run_fail(run, "truncate needs a text, not a %s", jinja_type_name(&call->self));
    struct builder b;
    builder_init(&b, run);
    builder_add_range(&b, call->self.text, 0,
                      truncated_at(run, call->self.text, (size_t)(length - n_end), call_truth(call, 1)));
    builder_add_text(&b, end);
    return give_text(builder_text(&b), out);
}

bool filter_center(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    int64_t width;
    if (!t || !call_int(run, call, 0, 80, &width))
        return false;
    int64_t missing = width > RUN_OUTPUT_MAX ? RUN_OUTPUT_MAX : width - (int64_t)jinja_text_chars(run, t);
    if (missing < 0)
        missing = 0;
    int64_t left = missing / 2 + (missing & width & 1); /* as CPython's str.center */
    return give_text(text_pad(run, t, left, missing - left, NULL), out);
}

bool filter_format(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    struct list positional = call->given->positional;
    struct dict named = call->given->named;
    if (positional.n && named.n)
        return run_fail(run, "format takes positional or named arguments, not both");
    struct value args = named.n ? value_dict(&named) : value_tuple(&positional);
    return t && jinja_percent(run, t, &args, out);
}

bool filter_urlencode(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = jinja_str(run, &call->self);
    struct builder b;
    char escape[8];
    builder_init(&b, run);
    bool markup = t && jinja_text_is_markup(t);
    if (call->self.kind >= V_LIST)
        return run_fail(run, "urlencode of a %s is not supported", jinja_type_name(&call->self));
    for (size_t at = 0; t && at < t->n && !run->status; at++) {
        unsigned char c = (unsigned char)t->p[at];
        bool kept = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr("_.-~/", c));
        if (!kept)
            snprintf(escape, sizeof escape, "%%%02X", c);
        builder_add(&b, kept ? t->p + at : escape, kept ? 1 : 3, markup);
    }
    return give_text(builder_text(&b), out);
}

/* (item separator, key separator) from a list or tuple of two. */
static bool separators(struct run *run, const struct value *v, struct json_style *style)
{
    style->item_separator = jinja_text(run, span_of(style->indent ? "," : ", "), true);
    style->key_separator = jinja_text(run, span_of(": "), true);
    if (v->kind == V_MISSING || v->kind == V_NONE)
        return style->item_separator && style->key_separator;
    if ((v->kind != V_LIST && v->kind != V_TUPLE) || v->list->n != 2 || v->list->items[0].kind != V_TEXT ||
        v->list->items[1].kind != V_TEXT)
        return run_fail(run, "tojson: separators must be two texts");
    style->item_separator = v->list->items[0].text;
    style->key_separator = v->list->items[1].text;
    return true;
}

bool filter_tojson(struct run *run, const struct call *call, struct value *out)
{
    struct json_style style = {.ascii = call_truth(call, 0), .sort_keys = call_truth(call, 3)};
    const struct value *indent = &call->slots[1];
    int64_t width = 0;
    if (indent->kind == V_TEXT)
        style.indent = indent->text;
    else if (call_has(call, 1) && indent->kind != V_NONE &&
             (!call_int(run, call, 1, 0, &width) || !(style.indent = spaces(run, width))))
        return false;
    if (!separators(run, &call->slots[2], &style))
        return false;
    struct builder b;
    builder_init(&b, run);
    return jinja_add_json(&b, &call->self, &style) && give_text(builder_flat_text(&b), out);
}
