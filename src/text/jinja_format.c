/* jinja_format.c - Python's "{}".format(x). */
#include "text/jinja_spec.h"
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

struct braces {
    struct run *run;
    const struct arguments *args;
    size_t n_automatic;
};

static int digits(const char *p, size_t n, size_t *at, int limit)
{
    int number = 0;
    for (; *at < n && p[*at] >= '0' && p[*at] <= '9'; ++*at)
        if ((number = number * 10 + (p[*at] - '0')) > limit)
            number = limit + 1;
    return number;
}

/* The next byte if it is one of `set`, else 0. */
static char take_one_of(struct span text, size_t *at, const char *set)
{
    return *at < text.n && spec_is_one_of(text.p[*at], set) ? text.p[(*at)++] : 0;
}

/* [fill]align, where the fill is any one character. */
static void read_align(struct span text, size_t *at, struct spec *s)
{
    uint32_t c;
    const size_t n = text.n ? jinja_char(text.p, text.n, &c) : 0;
    size_t behind = n;
    if (n < text.n && (s->align = take_one_of(text, &behind, "<>=^")) != 0) {
        s->fill = c;
        *at = behind;
    } else {
        s->align = take_one_of(text, at, "<>=^");
    }
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static bool read_spec(struct run *run, struct span text, struct spec *s)
{
    size_t at = 0;
    *s = (struct spec){.fill = ' ', .precision = -1};
    read_align(text, &at, s);
    s->sign = take_one_of(text, &at, "+- ");
    s->alternate = take_one_of(text, &at, "#") != 0;
    s->zero = take_one_of(text, &at, "0") != 0;
    s->width = digits(text.p, text.n, &at, WIDTH_MAX);
    s->grouping = take_one_of(text, &at, ",_");
    if (take_one_of(text, &at, "."))
        s->precision = digits(text.p, text.n, &at, PRECISION_MAX);
    if (at < text.n)
        s->type = text.p[at++];
    if (at != text.n || s->width > WIDTH_MAX || s->precision > PRECISION_MAX)
        return run_fail(run, "format: a format that is not understood, or too wide");
    if (s->sign == '-') /* what is done anyway, but not for a text */
        s->sign = 0;
    if (s->zero && !s->align)
        s->fill = '0';
    return true;
}

static bool takes_text(const struct spec *s)
{
    return (!s->type || s->type == 's') && s->align != '=' && !s->grouping && !s->sign && !s->alternate;
}

static bool add_formatted(struct builder *b, struct span spec, const struct value *v)
{
    struct spec s;
    if (spec.n == 0)
        return jinja_add_str(b, v);
    if (!read_spec(b->run, spec, &s))
        return false;
    if (v->kind == V_TEXT && takes_text(&s))
        return spec_add_text(b, &s, v->text);
    if (s.zero && !s.align)
        s.align = '='; /* zeros go between sign and digits */
    const bool as_int = value_is_int(v) && (!s.type || spec_is_one_of(s.type, "dxXobn"));
    if (as_int && s.precision < 0)
        return spec_add_int(b, &s, value_integer(v));
    if (as_int)
        return run_fail(b->run, "format: an integer takes no precision");
    if (value_is_number(v) && (s.type ? spec_is_one_of(s.type, "eEfFgG%") : s.precision < 0))
        return spec_add_real(b, &s, value_real(v));
    return run_fail(b->run, "format: this format does not go with a %s", jinja_type_name(v));
}

/* The first part of a field's name: a number, a name or nothing. */
static bool first_value(struct braces *f, struct span first, struct value *out)
{
    size_t used = 0;
    int index = digits(first.p, first.n, &used, 1 << 20);
    if (first.n == 0)
        index = (int)f->n_automatic++;
    if (used == first.n && (size_t)index >= f->args->positional.n)
        return run_fail(f->run, "format: too few arguments");
    run_charge(f->run, f->args->named.n * (1 + first.n / 64) / 8);
    struct value *there = used == first.n ? &f->args->positional.items[index]
                                          : jinja_dict_get_name(&f->args->named, first);
    if (!there)
        return run_fail(f->run, "format: an argument is missing");
    *out = *there;
    return true;
}

/* One .attribute or [item] of *out, named by `part`. */
static bool step_into(struct braces *f, struct span part, bool item, struct value *out)
{
    struct text *key = jinja_text_copy(f->run, part.p, part.n, true);
    struct value object = *out;
    size_t used = 0;
    const struct value number = value_int(digits(part.p, part.n, &used, 1 << 20)), text = value_text(key);
    if (!key)
        return false;
    if (!item)
        return jinja_attribute(f->run, &object, text_span(key), out);
    return jinja_item(f->run, &object, used && used == part.n ? &number : &text, out);
}

/* The value that a field's name means: its first part, then .attributes and [items]. `name` ends with a zero byte. */
static bool field_value(struct braces *f, struct span name, struct value *out)
{
    size_t at = strcspn(name.p, ".["), end;
    if (at > name.n)
        at = name.n;
    if (!first_value(f, (struct span){name.p, at}, out))
        return false;
    for (; at < name.n; at = end) {
        const bool item = name.p[at] == '[';
        at++;
        end = at + strcspn(name.p + at, item ? "]" : ".[");
        if (!step_into(f, (struct span){name.p + at, end - at}, item, out))
            return false;
        end += item;
    }
    return true;
}

/* One field between braces: name!conversion:spec. */
static bool add_field(struct braces *f, struct builder *b, struct span field)
{
    const char *colon = memchr(field.p, ':', field.n);
    struct span spec = {"", 0}, name = field;
    if (colon) {
        name.n = (size_t)(colon - field.p);
        spec = (struct span){colon + 1, field.n - name.n - 1};
    }
    char conversion = 0;
    if (name.n >= 2 && name.p[name.n - 2] == '!') {
        conversion = name.p[name.n - 1];
        name.n -= 2;
    }
    char *copy = run_alloc(f->run, name.n + 1, 1);
    struct value v;
    if (!copy)
        return false;
    memcpy(copy, name.p, name.n);
    if (!field_value(f, (struct span){copy, name.n}, &v))
        return false;
    if (conversion == 's') {
        v = value_text(jinja_str(f->run, &v));
    } else if (conversion) {
        struct builder repr;
        builder_init(&repr, f->run);
        jinja_add_repr(&repr, &v);
        v = value_text(builder_flat_text(&repr));
    }
    return !f->run->status && add_formatted(b, spec, &v);
}

bool jinja_format(struct run *run, const struct text *format, const struct arguments *args, struct value *out)
{
    struct braces f = {.run = run, .args = args};
    struct builder b;
    builder_init(&b, run);
    for (size_t at = 0; at < format->n && !run->status;) {
        char c = format->p[at];
        bool doubled = at + 1 < format->n && format->p[at + 1] == c;
        if (c != '{' && c != '}') {
            size_t end = at;
            while (end < format->n && format->p[end] != '{' && format->p[end] != '}')
                end++;
            builder_add_range(&b, format, at, end);
            at = end;
        } else if (doubled) {
            builder_add_range(&b, format, at, at + 1);
            at += 2;
        } else {
            const char *end = memchr(format->p + at, '}', format->n - at);
            if (c == '}' || !end)
                return run_fail(run, "format: a single brace");
            struct span field = {format->p + at + 1, (size_t)(end - format->p) - at - 1};
            if (!add_field(&f, &b, field))
                return false;
            at = (size_t)(end - format->p) + 1;
        }
    }
    return spec_give(format, &b, out);
}
