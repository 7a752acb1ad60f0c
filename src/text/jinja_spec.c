/* jinja_spec.c - see jinja_spec.h. */
#include "text/jinja_spec.h"
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"
#include <math.h>
#include <stdio.h>

enum { REAL_STEPS = 50 }; /* what printing a float costs */

bool spec_is_one_of(char c, const char *set) { return c && strchr(set, c); }

/* `body` with a sign in front, filled up to the width. */
bool spec_add_filled(struct builder *b, const struct spec *s, const char *sign, const struct text *body,
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
    char grouped[1024], sign[8], plus[2] = {s->sign, 0};
    snprintf(sign, sizeof sign, "%s%s", negative ? "-" : plus, prefix);
    struct text body = {.p = grouped, .n = group_digits(digits, s->grouping, grouped), .markup = true};
    return spec_add_filled(b, s, sign, &body, '>');
}

static void print_binary(uint64_t u, char out[65])
{
    size_t n = 0;
    for (int bit = 63; bit >= 0; bit--)
        if (n || (u >> bit & 1) || bit == 0)
            out[n++] = (char)('0' + (u >> bit & 1));
    out[n] = 0;
}

bool spec_add_int(struct builder *b, const struct spec *s, int64_t i)
{
    char digits[400];
    const unsigned long long u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    const int zeros = s->precision < 0 ? 1 : s->precision;
    char prefix[3] = {'0', s->type, 0};
    switch (s->type) {
    case 'x': snprintf(digits, sizeof digits, "%.*llx", zeros, u); break;
    case 'X': snprintf(digits, sizeof digits, "%.*llX", zeros, u); break;
    case 'o': snprintf(digits, sizeof digits, "%.*llo", zeros, u); break;
    case 'b': print_binary(u, digits); break;
    default: snprintf(digits, sizeof digits, "%.*llu", zeros, u);
    }
    return add_digits(b, s, i < 0, s->alternate && spec_is_one_of(s->type, "xXob") ? prefix : "", digits);
}

static void print_real(const struct spec *s, double a, char digits[800])
{
    const int precision = s->precision < 0 ? 6 : s->precision;
    switch (s->type) {
    case 'e': snprintf(digits, 800, "%.*e", precision, a); break;
    case 'E': snprintf(digits, 800, "%.*E", precision, a); break;
    case 'g': snprintf(digits, 800, s->alternate ? "%#.*g" : "%.*g", precision, a); break;
    case 'G': snprintf(digits, 800, s->alternate ? "%#.*G" : "%.*G", precision, a); break;
    case '%': snprintf(digits, 800, "%.*f%%", precision, a * 100); break;
    case 0: digits[jinja_print_float(a, digits)] = 0; break;
    default: snprintf(digits, 800, "%.*f", precision, a);
    }
}

bool spec_add_real(struct builder *b, const struct spec *s, double f)
{
    static const char *const odd[2][2] = {{"inf", "INF"}, {"nan", "NAN"}};
    char digits[800];
    if (!run_charge(b->run, REAL_STEPS))
        return false;
    if (isnan(f) || isinf(f))
        return add_digits(b, s, signbit(f) && !isnan(f), "", odd[isnan(f) != 0][spec_is_one_of(s->type, "EFG")]);
    print_real(s, fabs(f), digits);
    return add_digits(b, s, signbit(f), "", digits);
}

bool spec_add_text(struct builder *b, const struct spec *s, struct text *t)
{
    if (!t)
        return false;
    if (s->precision >= 0)
        t = jinja_text_slice(b->run, t, 0, jinja_text_offset(b->run, t, (size_t)s->precision));
    return t && spec_add_filled(b, s, "", t, '<');
}

bool spec_give(const struct text *format, struct builder *b, struct value *out)
{
    struct text *t = builder_text(b);
    if (t && !jinja_text_is_markup(format)) {
        t->marks = NULL;
        t->markup = false;
    }
    return give_text(t, out);
}
