/* jinja_format.c - Python's two ways of filling in a text: "%s" % x and "{}".format(x).
 *
 * Widths and precisions come from the template and are limited, as what they produce is. */
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"
#include <math.h>
#include <stdio.h>

enum { WIDTH_MAX = 10000, PRECISION_MAX = 300, REAL_STEPS = 50 /* what printing a float costs */ };

/* How one value is to be written. */
struct spec {
    uint32_t fill;
    char align; /* '<', '>', '^', '=' or 0: as its type wants */
    char sign;  /* '+', ' ' or 0 */
    bool zero, alternate;
    char grouping;        /* ',' , '_' or 0 */
    int width, precision; /* precision -1: not given */
    char type;
};

/* `body` with a sign in front, filled up to the width. */
static bool add_filled(struct builder *b, const struct spec *s, const char *sign, const struct text *body,
                       char align_default)
{
    char fill[4], align = s->align ? s->align : align_default;
    size_t n_fill = jinja_encode(s->fill, fill), n = jinja_count_chars(text_span(body)) + strlen(sign);
    size_t missing = n < (size_t)s->width ? (size_t)s->width - n : 0;
    size_t left = align == '>' || align == '=' ? missing : align == '^' ? missing / 2 : 0;
    if (align == '=')
        builder_add(b, sign, strlen(sign), true);
    for (size_t i = 0; i < left; i++)
        builder_add(b, fill, n_fill, true);
    if (align != '=')
        builder_add(b, sign, strlen(sign), true);
    builder_add_text(b, body);
    for (size_t i = left; i < missing; i++)
        builder_add(b, fill, n_fill, true);
    return !b->run->status;
}

/* The digits in front of a point, in groups of three. */
static size_t group_digits(const char *digits, char separator, char *out)
{
    size_t n = strspn(digits, "0123456789"), at = 0;
    for (size_t i = 0; i < n; i++) {
        if (separator && i && (n - i) % 3 == 0)
            out[at++] = separator;
        out[at++] = digits[i];
    }
    size_t rest = strlen(digits + n);
    memcpy(out + at, digits + n, rest);
    return at + rest;
}

static bool add_digits(struct builder *b, const struct spec *s, bool negative, const char *prefix, const char *digits)
{
    char grouped[1024], sign[8];
    snprintf(sign, sizeof sign, "%s%s", negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "", prefix);
    struct text body = {.p = grouped, .n = group_digits(digits, s->grouping, grouped), .markup = true};
    return add_filled(b, s, sign, &body, '>');
}

static bool add_int(struct builder *b, const struct spec *s, int64_t i)
{
    char digits[400];
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    const char *prefix = "";
    int zeros = s->precision < 0 ? 1 : s->precision;
    switch (s->type) {
    case 'x':
        prefix = s->alternate ? "0x" : "";
        snprintf(digits, sizeof digits, "%.*llx", zeros, (unsigned long long)u);
        break;
    case 'X':
        prefix = s->alternate ? "0X" : "";
        snprintf(digits, sizeof digits, "%.*llX", zeros, (unsigned long long)u);
        break;
    case 'o':
        prefix = s->alternate ? "0o" : "";
        snprintf(digits, sizeof digits, "%.*llo", zeros, (unsigned long long)u);
        break;
    case 'b': {
        size_t n = 0;
        for (int bit = 63; bit >= 0; bit--)
            if (n || (u >> bit & 1) || bit == 0)
                digits[n++] = (char)('0' + (u >> bit & 1));
        digits[n] = 0;
        prefix = s->alternate ? "0b" : "";
        break;
    }
    default: snprintf(digits, sizeof digits, "%.*llu", zeros, (unsigned long long)u);
    }
    return add_digits(b, s, i < 0, prefix, digits);
}

static bool add_real(struct builder *b, const struct spec *s, double f)
{
    char digits[800];
    int precision = s->precision < 0 ? 6 : s->precision;
    double a = fabs(f);
    bool upper = s->type == 'E' || s->type == 'F' || s->type == 'G';
    if (!run_charge(b->run, REAL_STEPS))
        return false;
    if (isnan(f) || isinf(f)) {
        snprintf(digits, sizeof digits, "%s", isnan(f) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
    } else {
        switch (s->type) {
        case 'e': snprintf(digits, sizeof digits, "%.*e", precision, a); break;
        case 'E': snprintf(digits, sizeof digits, "%.*E", precision, a); break;
        case 'g': snprintf(digits, sizeof digits, s->alternate ? "%#.*g" : "%.*g", precision, a); break;
        case 'G': snprintf(digits, sizeof digits, s->alternate ? "%#.*G" : "%.*G", precision, a); break;
        case '%': snprintf(digits, sizeof digits, "%.*f%%", precision, a * 100); break;
        case 0: digits[jinja_print_float(a, digits)] = 0; break;
        default: snprintf(digits, sizeof digits, "%.*f", precision, a);
        }
    }
    return add_digits(b, s, signbit(f) && !isnan(f), "", digits);
}

static bool add_cut_text(struct builder *b, const struct spec *s, struct text *t)
{
    if (!t)
        return false;
    if (s->precision >= 0)
        t = jinja_text_slice(b->run, t, 0, jinja_text_offset(b->run, t, (size_t)s->precision));
    return t && add_filled(b, s, "", t, '<');
}

/* What a format gave: all of it content if any of the format is, which then chose fills, digits and places. */
static bool give_formatted(const struct text *format, struct builder *b, struct value *out)
{
    struct text *t = builder_text(b);
    if (t && !jinja_text_is_markup(format)) {
        t->marks = NULL;
        t->markup = false;
    }
    return give_text(t, out);
}

/* ---- "%s" % x ---- */

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
        return add_filled(b, s, "", v->text, '>');
    if (!value_is_int(v) || value_integer(v) < 0 || value_integer(v) > 0x10FFFF)
        return run_fail(b->run, "%%c needs a character");
    /* Content: the number may be a message's, and would choose the character. */
    const struct text t = {.p = bytes, .n = jinja_encode((uint32_t)value_integer(v), bytes)};
    return add_filled(b, s, "", &t, '>');
}

static bool add_percent_value(struct builder *b, struct spec *s, const struct value *v)
{
    struct builder repr;
    if (!s->align)
        s->align = '>';
    switch (s->type) {
    case 's': return add_cut_text(b, s, jinja_str(b->run, v));
    case 'r':
    case 'a':
        builder_init(&repr, b->run);
        return jinja_add_repr(&repr, v) && add_cut_text(b, s, builder_flat_text(&repr));
    case 'c': return add_percent_char(b, s, v);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        if (!value_is_number(v) ||
            (v->kind == V_FLOAT && (strchr("xXo", s->type) || fabs(v->real) >= 9e18 || isnan(v->real))))
            return run_fail(b->run, "%%%c needs an integer, not a %s", s->type, jinja_type_name(v));
        return add_int(b, s, v->kind == V_FLOAT ? (int64_t)v->real : value_integer(v));
    default:
        if (!strchr("eEfFgG", s->type) || !s->type)
            return run_fail(b->run, "%%: an unknown conversion");
        if (!value_is_number(v))
            return run_fail(b->run, "%%%c needs a number, not a %s", s->type, jinja_type_name(v));
        return add_real(b, s, value_real(v));
    }
}

/* Behind a '%'. */
static bool add_conversion(struct percent *p, struct builder *b)
{
    struct spec s = {.fill = ' ', .precision = -1};
    struct value v = {.kind = V_MISSING};
    if (peek(p) == '(' && !named_arg(p, &v))
        return false;
    for (; peek(p) && strchr("-+ #0", peek(p)); p->at++) {
        char c = peek(p);
        s.align = c == '-' ? '<' : s.align;
        s.sign = c == '+' || (c == ' ' && !s.sign) ? c : s.sign;
        s.zero |= c == '0';
        s.alternate |= c == '#';
    }
    if (!read_count(p, WIDTH_MAX, &s.width))
        return false;
    if (peek(p) == '.') {
        p->at++;
        if (!read_count(p, PRECISION_MAX, &s.precision))
            return false;
    }
    while (peek(p) == 'l' || peek(p) == 'h' || peek(p) == 'L')
        p->at++;
    s.type = peek(p);
    p->at++;
    if (s.type == '%')
        return builder_add(b, "%", 1, true);
    if (v.kind == V_MISSING && !next_arg(p, &v))
        return false;
    if (s.zero && !s.align && s.type && strchr("diuxXoeEfFgG", s.type)) {
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
    return give_formatted(format, &b, out);
}

/* ---- "{}".format(x) ---- */

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

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static bool read_spec(struct run *run, struct span text, struct spec *s)
{
    size_t at = 0, n;
    uint32_t c;
    *s = (struct spec){.fill = ' ', .precision = -1};
    if (text.n && (n = jinja_char(text.p, text.n, &c)) < text.n && strchr("<>=^", text.p[n]) && text.p[n]) {
        s->fill = c;
        at = n;
    }
    if (at < text.n && text.p[at] && strchr("<>=^", text.p[at]))
        s->align = text.p[at++];
    if (at < text.n && text.p[at] && strchr("+- ", text.p[at])) {
        s->sign = text.p[at] == '-' ? 0 : text.p[at];
        at++;
    }
    if (at < text.n && text.p[at] == '#')
        s->alternate = text.p[at++] == '#';
    if (at < text.n && text.p[at] == '0') {
        s->zero = true;
        at++;
    }
    s->width = digits(text.p, text.n, &at, WIDTH_MAX);
    if (at < text.n && (text.p[at] == ',' || text.p[at] == '_'))
        s->grouping = text.p[at++];
    if (at < text.n && text.p[at] == '.') {
        at++;
        s->precision = digits(text.p, text.n, &at, PRECISION_MAX);
    }
    if (at < text.n)
        s->type = text.p[at++];
    if (at != text.n || s->width > WIDTH_MAX || s->precision > PRECISION_MAX)
        return run_fail(run, "format: a format that is not understood, or too wide");
    if (s->zero && !s->align)
        s->fill = '0';
    return true;
}

static bool add_formatted(struct builder *b, struct span spec, const struct value *v)
{
    struct spec s;
    if (spec.n == 0)
        return jinja_add_str(b, v);
    if (!read_spec(b->run, spec, &s))
        return false;
    if (s.zero && !s.align && v->kind != V_TEXT)
        s.align = '='; /* zeros go between sign and digits */
    if (value_is_int(v) && (!s.type || strchr("dxXobn", s.type)))
        return s.precision < 0 ? add_int(b, &s, value_integer(v))
                               : run_fail(b->run, "format: an integer takes no precision");
    if (value_is_number(v) && (s.type ? strchr("eEfFgG%", s.type) != NULL : s.precision < 0))
        return add_real(b, &s, value_real(v));
    if (v->kind == V_TEXT && (!s.type || s.type == 's') && s.align != '=' && !s.grouping && !s.sign && !s.alternate)
        return add_cut_text(b, &s, v->text);
    return run_fail(b->run, "format: this format does not go with a %s", jinja_type_name(v));
}

/* The value that a field's name means: a number, a name or nothing, then .attributes and [items]. */
static bool field_value(struct braces *f, struct span name, struct value *out)
{
    size_t at = strcspn(name.p, ".["), end;
    struct span first = {name.p, at < name.n ? at : name.n};
    size_t used = 0;
    int index = digits(first.p, first.n, &used, 1 << 20);
    if (first.n == 0)
        index = (int)f->n_automatic++;
    if (used == first.n) {
        if ((size_t)index >= f->args->positional.n)
            return run_fail(f->run, "format: too few arguments");
        *out = f->args->positional.items[index];
    } else {
        struct value *there = jinja_dict_get_name(&f->args->named, first);
        run_charge(f->run, f->args->named.n * (1 + first.n / 64) / 8);
        if (!there)
            return run_fail(f->run, "format: an argument is missing");
        *out = *there;
    }
    for (at = first.n; at < name.n; at = end) {
        bool item = name.p[at] == '[';
        for (end = ++at; end < name.n && (item ? name.p[end] != ']' : name.p[end] != '.' && name.p[end] != '[');)
            end++;
        struct text *key = jinja_text_copy(f->run, name.p + at, end - at, true);
        struct value object = *out;
        used = 0;
        index = digits(name.p + at, end - at, &used, 1 << 20);
        const struct value number = value_int(index), text = value_text(key);
        if (!key || !(item ? jinja_item(f->run, &object, used && used == end - at ? &number : &text, out)
                           : jinja_attribute(f->run, &object, text_span(key), out)))
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
    return give_formatted(format, &b, out);
}
