/* jinja_percent.c - Python's "%s" % x. */
#include "text/jinja_spec.h"
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"
#include <math.h>

struct percent {
    struct run *run;
    const struct text *format;
    size_t at;
    const struct value *args;
    size_t n_used;
    bool named; /* a %(name)s was met */
};

static char peek(const struct percent *p) { return p->at < p->format->n ? p->format->p[p->at] : 0; }

static bool next_arg(struct percent *p, struct value *out)
{
    if (p->args->kind == V_TUPLE) {
        if (p->n_used >= p->args->list->n)
            return run_fail(p->run, "%%: not enough arguments for the format");
        *out = p->args->list->items[p->n_used++];
        return true;
    }
    if (p->n_used++)
        return run_fail(p->run, "%%: not enough arguments for the format");
    *out = *p->args;
    return true;
}

/* Behind "%(": the argument of that name. */
static bool named_arg(struct percent *p, struct value *out)
{
    size_t from = ++p->at;
    while (p->at < p->format->n && p->format->p[p->at] != ')')
        p->at++;
    if (p->at == p->format->n || p->args->kind != V_DICT)
        return run_fail(p->run, "%%(name) needs a closing bracket and a dict");
    struct value *there = jinja_dict_get_name(p->args->dict, (struct span){p->format->p + from, p->at - from});
    run_charge(p->run, p->args->dict->n * (1 + (p->at - from) / 64) / 8);
    p->at++;
    p->named = true;
    if (!there)
        return run_fail(p->run, "%%: an argument is missing");
    *out = *there;
    return true;
}

static bool read_count(struct percent *p, int limit, int *out)
{
    struct value v = {.kind = V_MISSING};
    if (peek(p) == '*') {
        p->at++;
        if (!next_arg(p, &v) || !value_is_int(&v) || value_integer(&v) < 0 || value_integer(&v) > limit)
            return run_fail(p->run, "%%: '*' needs a number up to %d", limit);
        *out = (int)value_integer(&v);
        return true;
    }
    for (*out = 0; peek(p) >= '0' && peek(p) <= '9'; p->at++)
        if ((*out = *out * 10 + (peek(p) - '0')) > limit)
            return run_fail(p->run, "%%: a width or precision of more than %d", limit);
    return true;
}

static bool add_percent_char(struct builder *b, const struct spec *s, const struct value *v)
{
    char bytes[4];
    if (v->kind == V_TEXT && jinja_text_chars(b->run, v->text) == 1)
        return spec_add_filled(b, s, "", v->text, '>');
    if (!value_is_int(v) || value_integer(v) < 0 || value_integer(v) > 0x10FFFF)
        return run_fail(b->run, "%%c needs a character");
    /* Content: the number may be a message's, and would choose the character. */
    const struct text t = {.p = bytes, .n = jinja_encode((uint32_t)value_integer(v), bytes)};
    return spec_add_filled(b, s, "", &t, '>');
}

static bool add_percent_int(struct builder *b, const struct spec *s, const struct value *v)
{
    bool good = value_is_int(v);
    if (v->kind == V_FLOAT) /* %d cuts; %x takes none */
        good = spec_is_one_of(s->type, "diu") && fabs(v->real) < 9e18;
    if (!good)
        return run_fail(b->run, "%%%c needs an integer, not a %s", s->type, jinja_type_name(v));
    return spec_add_int(b, s, v->kind == V_FLOAT ? (int64_t)v->real : value_integer(v));
}

static bool add_percent_value(struct builder *b, struct spec *s, const struct value *v)
{
    struct builder repr;
    if (!s->align)
        s->align = '>';
    if (s->type == 's')
        return spec_add_text(b, s, jinja_str(b->run, v));
    if (s->type == 'c')
        return add_percent_char(b, s, v);
    if (s->type == 'r' || s->type == 'a') {
        builder_init(&repr, b->run);
        return jinja_add_repr(&repr, v) && spec_add_text(b, s, builder_flat_text(&repr));
    }
    if (spec_is_one_of(s->type, "diuxXo"))
        return add_percent_int(b, s, v);
    if (!spec_is_one_of(s->type, "eEfFgG"))
        return run_fail(b->run, "%%: an unknown conversion");
    if (!value_is_number(v))
        return run_fail(b->run, "%%%c needs a number, not a %s", s->type, jinja_type_name(v));
    return spec_add_real(b, s, value_real(v));
}

static void read_flags(struct percent *p, struct spec *s)
{
    for (; spec_is_one_of(peek(p), "-+ #0"); p->at++)
        switch (peek(p)) {
        case '-': s->align = '<'; break;
        case '+': s->sign = '+'; break;
        case ' ': s->sign = s->sign ? s->sign : ' '; break;
        case '#': s->alternate = true; break;
        default: s->zero = true;
        }
}

static bool read_width_and_precision(struct percent *p, struct spec *s)
{
    if (!read_count(p, WIDTH_MAX, &s->width))
        return false;
    if (peek(p) != '.')
        return true;
    p->at++;
    return read_count(p, PRECISION_MAX, &s->precision);
}

/* Behind a '%'. */
static bool add_conversion(struct percent *p, struct builder *b)
{
    struct spec s = {.fill = ' ', .precision = -1};
    struct value v = {.kind = V_MISSING};
    if (peek(p) == '(' && !named_arg(p, &v))
        return false;
    read_flags(p, &s);
    if (!read_width_and_precision(p, &s))
        return false;
    while (spec_is_one_of(peek(p), "lhL")) /* C's sizes mean nothing */
        p->at++;
    s.type = peek(p);
    p->at++;
    if (s.type == '%')
        return builder_add(b, "%", 1, true);
    if (v.kind == V_MISSING && !next_arg(p, &v))
        return false;
    if (s.zero && !s.align && spec_is_one_of(s.type, "diuxXoeEfFgG")) {
        s.fill = '0';
        s.align = '=';
    }
    return add_percent_value(b, &s, &v);
}

bool jinja_percent(struct run *run, const struct text *format, const struct value *args, struct value *out)
{
    struct percent p = {.run = run, .format = format, .args = args};
    struct builder b;
    builder_init(&b, run);
    while (p.at < format->n && !run->status) {
        const char *next = memchr(format->p + p.at, '%', format->n - p.at);
        size_t end = next ? (size_t)(next - format->p) : format->n;
        builder_add_range(&b, format, p.at, end);
        p.at = end + 1;
        if (next && !add_conversion(&p, &b))
            return false;
    }
    const enum value_kind k = args->kind; /* what has items passes for a mapping, which may be left unused */
    bool mapping = k == V_DICT || k == V_LIST || k == V_RANGE || k == V_UNDEFINED;
    bool all = p.named || (k == V_TUPLE ? p.n_used == args->list->n : p.n_used || mapping);
    if (!run->status && !all)
        return run_fail(run, "%%: not all arguments were used by the format");
    return spec_give(format, &b, out);
}
