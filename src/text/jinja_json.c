/* jinja_json.c - a small JSON reader that makes values: straight in the run's arena, under its budgets and with every
 * text marked content (a library's tree would stand outside all three). */
#include "text/jinja_run.h"
#include "text/jinja_unicode.h"
#include <errno.h>
#include <stdlib.h>

struct reader {
    struct run *run;
    const char *p, *end;
};

static bool read_value(struct reader *r, struct value *out);

static bool fail(struct reader *r, const char *what)
{
    if (!r->run->status)
        r->run->status = error_set(r->run->error, ANDIRON_E_ARGUMENT, "chat template: the JSON of its variables: %s",
                                   what);
    return false;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool hex4(struct reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        char c = r->p < r->end ? *r->p : 0;
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return fail(r, "a malformed \\u escape");
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

/* Behind a backslash. */
static bool read_escape(struct reader *r, struct builder *b)
{
    static const char plain[] = "\"\"\\\\//n\nt\tr\rb\bf\f";
    char c = r->p < r->end ? *r->p++ : 0;
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (plain[i] == c)
            return builder_add(b, &plain[i + 1], 1, false);
    uint32_t point, low;
    if (c != 'u')
        return fail(r, "an unknown escape");
    if (!hex4(r, &point))
        return false;
    if (point >= 0xD800 && point < 0xDC00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
        const char *back = r->p;
        r->p += 2;
        if (!hex4(r, &low))
            return false;
        if (low >= 0xDC00 && low < 0xE000)
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        else
            r->p = back;
    }
    return builder_add_char(b, point, false);
}

static bool read_text(struct reader *r, struct value *out)
{
    struct builder b;
    builder_init(&b, r->run);
    while (r->p < r->end && *r->p != '"') {
        const char *from = r->p;
        while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (unsigned char)*r->p >= 0x20)
            r->p++;
        if (!builder_add(&b, from, (size_t)(r->p - from), false))
            return false;
        if (r->p < r->end && (unsigned char)*r->p < 0x20)
            return fail(r, "a control character in a string");
        if (r->p < r->end && *r->p == '\\') {
            r->p++;
            if (!read_escape(r, &b))
                return false;
        }
    }
    if (r->p == r->end)
        return fail(r, "a string that does not end");
    r->p++;
    *out = value_text(builder_text(&b));
    if (out->text)
        out->text->markup = false;
    return out->text != NULL;
}

static bool read_number(struct reader *r, struct value *out)
{
    char text[64], *end;
    size_t n = 0;
    bool real = false;
    for (; r->p < r->end && strchr("+-0123456789.eE", *r->p) && *r->p; r->p++) {
        if (n == sizeof text - 1)
            return fail(r, "a number with too many digits");
        real |= *r->p == '.' || *r->p == 'e' || *r->p == 'E';
        text[n++] = *r->p;
    }
    text[n] = 0;
    errno = 0;
    *out = real ? value_float(strtod(text, &end)) : value_int(strtoll(text, &end, 10));
    if (n == 0 || *end || (!real && errno == ERANGE))
        return fail(r, "a malformed or too large number");
    return true;
}

static bool read_array(struct reader *r, struct value *out)
{
    struct value v;
    struct list *list = jinja_list(r->run, 0);
    if (!list)
        return false;
    *out = value_list(list);
    if (take(r, ']'))
        return true;
    do {
        if (!read_value(r, &v) || !jinja_list_add(r->run, list, v))
            return false;
    } while (take(r, ','));
    return take(r, ']') || fail(r, "',' or ']' expected");
}

static bool read_object(struct reader *r, struct value *out)
{
    struct value key, v;
    struct dict *dict = jinja_dict(r->run);
    if (!dict)
        return false;
    *out = value_dict(dict);
    if (take(r, '}'))
        return true;
    do {
        if (!take(r, '"'))
            return fail(r, "a key expected");
        if (!read_text(r, &key))
            return false;
        if (!take(r, ':'))
            return fail(r, "':' expected");
        if (!read_value(r, &v) || !jinja_dict_set(r->run, dict, key, v))
            return false;
    } while (take(r, ','));
    return take(r, '}') || fail(r, "',' or '}' expected");
}

static bool read_word(struct reader *r, struct value *out)
{
    static const struct {
        const char *word;
        struct value value;
    } words[] = {{"true", {.kind = V_BOOL, .truth = true}}, {"false", {.kind = V_BOOL}}, {"null", {.kind = V_NONE}}};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i].word);
        if ((size_t)(r->end - r->p) >= n && !memcmp(r->p, words[i].word, n)) {
            r->p += n;
            *out = words[i].value;
            return true;
        }
    }
    return read_number(r, out);
}

static bool read_value(struct reader *r, struct value *out)
{
    bool good = run_deeper(r->run);
    if (!good)
        ;
    else if (take(r, '"'))
        good = read_text(r, out);
    else if (take(r, '['))
        good = read_array(r, out);
    else if (take(r, '{'))
        good = read_object(r, out);
    else
        good = read_word(r, out);
    r->run->depth--;
    return good && !r->run->status;
}

bool jinja_read_json(struct run *run, struct span json, struct value *out)
{
    struct reader r = {run, json.p, json.p + json.n};
    if (!read_value(&r, out))
        return false;
    skip_space(&r);
    return r.p == r.end || fail(&r, "something follows the value");
}
