/* jinja_print.c - values as text: Python's str and repr, and json.dumps.
 *
 * What mixes characters of several values (the repr of a list, JSON) is made flat: all content if any part of it is. */
#include "text/jinja_run.h"
#include "text/jinja_unicode.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The digits of `f` (without point) and its decimal exponent, as few as read back to the same number. */
static int shortest_digits(double f, char digits[24], int *exponent)
{
    char text[40];
    for (int n = 0; n < 17; n++) {
        snprintf(text, sizeof text, "%.*e", n, f);
        if (n < 16 && strtod(text, NULL) != f)
            continue;
        const char *e = strchr(text, 'e');
        int count = 0;
        for (const char *p = text; p < e; p++)
            if (*p >= '0' && *p <= '9')
                digits[count++] = *p;
        *exponent = (int)strtol(e + 1, NULL, 10);
        while (count > 1 && digits[count - 1] == '0')
            count--;
        return count;
    }
    return 0;
}

/* 1.5e-07 */
static size_t print_with_exponent(const char *digits, int count, int exponent, char *out)
{
    size_t n = 0;
    out[n++] = digits[0];
    if (count > 1)
        out[n++] = '.';
    for (int i = 1; i < count; i++)
        out[n++] = digits[i];
    return n + (size_t)snprintf(out + n, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

/* 0.0015, 15.0, 1500.0: at least one digit on either side of the point. */
static size_t print_plain(const char *digits, int count, int exponent, char *out)
{
    size_t n = 0;
    const int first = exponent < 0 ? exponent : 0, last = exponent + 1 > count - 1 ? exponent + 1 : count - 1;
    for (int i = first; i <= last; i++) {
        if (i == exponent + 1)
            out[n++] = '.';
        out[n++] = i >= 0 && i < count ? digits[i] : '0';
    }
    return n;
}

size_t jinja_print_float(double f, char out[40])
{
    char digits[24] = "0";
    int exponent = 0;
    if (isnan(f) || isinf(f))
        return (size_t)snprintf(out, 40, "%s", isnan(f) ? "nan" : f > 0 ? "inf" : "-inf");
    const size_t sign = signbit(f) != 0;
    out[0] = '-';
    int count = shortest_digits(fabs(f), digits, &exponent);
    if (exponent < -4 || exponent >= 16)
        return sign + print_with_exponent(digits, count, exponent, out + sign);
    return sign + print_plain(digits, count, exponent, out + sign);
}

/* How Python's repr writes `c` inside `quote`; 0: as it is. */
static int quoted_char(uint32_t c, char quote, char out[16])
{
    if (c == (unsigned char)quote || c == '\\')
        return snprintf(out, 16, "\\%c", (char)c);
    if (c == '\n' || c == '\r' || c == '\t')
        return snprintf(out, 16, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    if (jinja_is_printable(c))
        return 0;
    if (c < 0x100)
        return snprintf(out, 16, "\\x%02x", (unsigned)c);
    return snprintf(out, 16, c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

/* repr of a text: quoted, with escapes. */
static bool add_quoted(struct builder *b, const struct text *t)
{
    const bool single = memchr(t->p, '\'', t->n) && !memchr(t->p, '"', t->n), markup = jinja_text_is_markup(t);
    char quote = single ? '"' : '\'', escape[16];
    uint32_t c;
    builder_add(b, &quote, 1, true);
    for (size_t at = 0, n; at < t->n && !b->run->status; at += n) {
        n = jinja_char(t->p + at, t->n - at, &c);
        const int used = quoted_char(c, quote, escape);
        builder_add(b, used ? escape : t->p + at, used ? (size_t)used : n, markup);
    }
    return builder_add(b, &quote, 1, true);
}

static bool add(struct builder *b, const char *text) { return builder_add(b, text, strlen(text), true); }

static bool add_items(struct builder *b, const struct list *list, const char *open, const char *close)
{
    add(b, open);
    for (size_t i = 0; i < list->n && !b->run->status; i++) {
        if (i)
            add(b, ", ");
        jinja_add_repr(b, &list->items[i]);
    }
    return add(b, close);
}

static bool add_dict(struct builder *b, const struct dict *dict)
{
    add(b, "{");
    for (size_t i = 0; i < dict->n && !b->run->status; i++) {
        if (i)
            add(b, ", ");
        jinja_add_repr(b, &dict->entries[i].key);
        add(b, ": ");
        jinja_add_repr(b, &dict->entries[i].value);
    }
    return add(b, "}");
}

static bool add_range(struct builder *b, const struct range *r)
{
    char text[80];
    if (r->step == 1)
        snprintf(text, sizeof text, "range(%lld, %lld)", (long long)r->start, (long long)r->stop);
    else
        snprintf(text, sizeof text, "range(%lld, %lld, %lld)", (long long)r->start, (long long)r->stop,
                 (long long)r->step);
    return add(b, text);
}

/* Containers and objects; what holds itself ends at the depth limit. */
static bool add_compound(struct builder *b, const struct value *v)
{
    char text[64];
    switch (v->kind) {
    case V_LIST: return add_items(b, v->list, "[", "]");
    case V_TUPLE: return add_items(b, v->list, "(", v->list->n == 1 ? ",)" : ")");
    case V_DICT: return add_dict(b, v->dict);
    case V_RANGE: return add_range(b, v->range);
    case V_VIEW: return add(b, v->view->name) && add_items(b, v->view->list, "([", "])");
    case V_NAMESPACE: return add(b, "<Namespace ") && add_dict(b, v->dict) && add(b, ">");
    case V_MACRO:
        add(b, "<Macro '");
        builder_add(b, v->macro->node->name.p, v->macro->node->name.n, true);
        return add(b, "'>");
    case V_LOOP: snprintf(text, sizeof text, "<LoopContext %zu/%zu>", v->loop->at + 1, v->loop->n); return add(b, text);
    default: return add(b, "<") && add(b, jinja_type_name(v)) && add(b, " object>");
    }
}

enum { FLOAT_STEPS = 100 }; /* what finding the shortest digits costs */

static bool add_number(struct builder *b, const struct value *v)
{
    char text[40];
    if (v->kind == V_FLOAT)
        return run_charge(b->run, FLOAT_STEPS) && builder_add(b, text, jinja_print_float(v->real, text), true);
    snprintf(text, sizeof text, "%lld", (long long)v->integer);
    return add(b, text);
}

bool jinja_add_repr(struct builder *b, const struct value *v)
{
    switch (v->kind) {
    case V_MISSING:
    case V_UNDEFINED: return add(b, "Undefined");
    case V_NONE: return add(b, "None");
    case V_BOOL: return add(b, v->truth ? "True" : "False");
    case V_INT:
    case V_FLOAT: return add_number(b, v);
    case V_TEXT:
        if (v->text->safe)
            return add(b, "Markup(") && add_quoted(b, v->text) && add(b, ")");
        return add_quoted(b, v->text);
    default: break;
    }
    bool good = run_deeper(b->run) && add_compound(b, v);
    b->run->depth--;
    return good;
}

bool jinja_add_str(struct builder *b, const struct value *v)
{
    if (v->kind == V_TEXT)
        return builder_add_text(b, v->text);
    if (v->kind == V_UNDEFINED)
        return !b->run->status;
    if (v->kind < V_LIST)
        return jinja_add_repr(b, v);
    struct text *t = jinja_str(b->run, v);
    return t && builder_add_text(b, t);
}

struct text *jinja_str(struct run *run, const struct value *v)
{
    if (v->kind == V_TEXT)
        return v->text;
    struct builder b;
    builder_init(&b, run);
    if (v->kind == V_UNDEFINED)
        return builder_text(&b);
    return jinja_add_repr(&b, v) ? builder_flat_text(&b) : NULL;
}

static bool json_text(struct builder *b, const struct text *t, bool ascii)
{
    static const char plain[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    bool markup = jinja_text_is_markup(t);
    char escape[24];
    uint32_t c;
    builder_add(b, "\"", 1, true);
    size_t kept = 0; /* bytes before it are written */
    for (size_t at = 0, n; at < t->n && !b->run->status; at += n) {
        n = jinja_char(t->p + at, t->n - at, &c);
        if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\')
            continue;
        if (c >= 0x7F && !ascii)
            continue;
        const char *found = c < 0x80 ? memchr(plain, (int)c, sizeof plain - 1) : NULL;
        int used;
        if (found)
            used = snprintf(escape, sizeof escape, "\\%c", found[1]);
        else if (c < 0x10000)
            used = snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        else
            used = snprintf(escape, sizeof escape, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((c - 0x10000) >> 10)),
                            (unsigned)(0xDC00 + (c & 0x3FF)));
        builder_add(b, t->p + kept, at - kept, markup);
        builder_add(b, escape, (size_t)used, markup);
        kept = at + n;
    }
    builder_add(b, t->p + kept, t->n - kept, markup);
    return builder_add(b, "\"", 1, true);
}

struct json {
    struct builder *b;
    const struct json_style *style;
    size_t level;
};

static bool json_value(struct json *j, const struct value *v);

static bool json_newline(struct json *j)
{
    if (!j->style->indent)
        return !j->b->run->status;
    add(j->b, "\n");
    for (size_t i = 0; i < j->level && !j->b->run->status; i++)
        builder_add_text(j->b, j->style->indent);
    return !j->b->run->status;
}

static bool json_list(struct json *j, const struct list *list)
{
    if (list->n == 0)
        return add(j->b, "[]");
    add(j->b, "[");
    j->level++;
    for (size_t i = 0; i < list->n && !j->b->run->status; i++) {
        if (i)
            builder_add_text(j->b, j->style->item_separator);
        json_newline(j);
        json_value(j, &list->items[i]);
    }
    j->level--;
    json_newline(j);
    return add(j->b, "]");
}

static bool json_key(struct json *j, const struct value *key)
{
    if (key->kind == V_TEXT)
        return json_text(j->b, key->text, j->style->ascii);
    if (key->kind < V_NONE || key->kind > V_FLOAT)
        return run_fail(j->b->run, "a %s cannot be a key in JSON", jinja_type_name(key));
    return add(j->b, "\"") && json_value(j, key) && add(j->b, "\"");
}

/* Entries in the order of their keys. A simple sort: n is small, and each comparison is charged. */
static bool sorted_entries(struct run *run, const struct dict *dict, struct dict *sorted)
{
    sorted->n = dict->n;
    if (!(sorted->entries = run_alloc(run, dict->n, sizeof *sorted->entries)))
        return false;
    for (size_t i = 0; i < dict->n; i++) {
        size_t at = i;
        bool less;
        for (; at > 0; at--) {
            if (!jinja_less(run, &dict->entries[i].key, &sorted->entries[at - 1].key, &less))
                return false;
            if (!less)
                break;
            sorted->entries[at] = sorted->entries[at - 1];
        }
        sorted->entries[at] = dict->entries[i];
    }
    return true;
}

static bool json_dict(struct json *j, const struct dict *dict)
{
    struct dict sorted;
    if (dict->n == 0)
        return add(j->b, "{}");
    if (j->style->sort_keys) {
        if (!sorted_entries(j->b->run, dict, &sorted))
            return false;
        dict = &sorted;
    }
    add(j->b, "{");
    j->level++;
    for (size_t i = 0; i < dict->n && !j->b->run->status; i++) {
        if (i)
            builder_add_text(j->b, j->style->item_separator);
        json_newline(j);
        json_key(j, &dict->entries[i].key);
        builder_add_text(j->b, j->style->key_separator);
        json_value(j, &dict->entries[i].value);
    }
    j->level--;
    json_newline(j);
    return add(j->b, "}");
}

static bool json_simple(struct json *j, const struct value *v)
{
    switch (v->kind) {
    case V_NONE: return add(j->b, "null");
    case V_BOOL: return add(j->b, v->truth ? "true" : "false");
    case V_FLOAT:
        if (isnan(v->real) || isinf(v->real))
            return add(j->b, isnan(v->real) ? "NaN" : v->real > 0 ? "Infinity" : "-Infinity");
        return add_number(j->b, v);
    case V_INT: return add_number(j->b, v);
    case V_TEXT: return json_text(j->b, v->text, j->style->ascii);
    default: return run_fail(j->b->run, "a %s cannot be written as JSON", jinja_type_name(v));
    }
}

static bool json_value(struct json *j, const struct value *v)
{
    bool good = run_deeper(j->b->run);
    if (v->kind == V_LIST || v->kind == V_TUPLE)
        good = good && json_list(j, v->list);
    else if (v->kind == V_DICT)
        good = good && json_dict(j, v->dict);
    else
        good = good && json_simple(j, v);
    j->b->run->depth--;
    return good;
}

bool jinja_add_json(struct builder *b, const struct value *v, const struct json_style *style)
{
    struct json j = {b, style, 0};
    return json_value(&j, v);
}
