/* tokenizer_hf_dialect.c - Oniguruma's patterns (Ruby's dialect) written over for PCRE2.
 *
 * What both read alike is copied; what they read differently (\w, \s, \h, \v, scripts, {n,m}+, (?i), the set of a
 * class) is spelled out; what is not known to be alike is refused. */
#include "text/tokenizer_hf_regex.h"
#include <stdint.h>

enum { MAX_GROUPS = 100, MAX_REPEAT = 1000 };
static const size_t NO_ATOM = SIZE_MAX;

#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}" /* in a class */
#define LONE_WORD WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define SPACE "\\p{White_Space}"
#define HEX "0-9A-Fa-f"

struct dialect {
    struct span in;
    size_t at;
    struct buffer *out;
    size_t atom; /* where what a quantifier would repeat begins in *out */
    size_t groups[MAX_GROUPS];
    bool folds[MAX_GROUPS + 1]; /* case does not count */
    size_t depth;
    bool spelled; /* a character beyond ASCII is spelled */
    const char *why;
};

static bool no(struct dialect *d, const char *why)
{
    d->why = why;
    return false;
}

static int peek(const struct dialect *d, size_t ahead)
{
    return d->at + ahead < d->in.n ? (uint8_t)d->in.p[d->at + ahead] : -1;
}

static bool put(struct dialect *d, const char *text)
{
    buffer_add_text(d->out, text);
    return true;
}

static void copy(struct dialect *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        d->spelled |= (uint8_t)d->in.p[d->at + i] >= 0x80;
    buffer_add(d->out, d->in.p + d->at, n);
    d->at += n;
}

static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_letter(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* ---- properties ---- */

static bool is_one_of(struct span name, const char *const *names)
{
    for (; *names; names++)
        if (span_is(name, *names))
            return true;
    return false;
}

/* PCRE2 reads a script's name as "may be used with this script" unless told so, and knows no long names of categories.
 */
static bool put_property_name(struct dialect *d, struct span name)
{
    static const char *const cased[] = {"Lu", "Ll", "Lt", "Uppercase", "Lowercase", NULL};
    static const char *const binary[] = {"Alphabetic", "White_Space", "Uppercase", "Lowercase",
                                         "Emoji",      "Ideographic", "Any",       NULL};
    static const char *const longs[][2] = {
        {"Letter", "L"},
        {"Mark", "M"},
        {"Number", "N"},
        {"Punctuation", "P"},
        {"Symbol", "S"},
        {"Separator", "Z"},
        {"Alpha", "Alphabetic"},
        {"Space", "White_Space"},
        {"Upper", "Lu"},
        {"Lower", "Ll"},
        {"Uppercase_Letter", "Lu"},
        {"Lowercase_Letter", "Ll"},
        {"Digit", "Nd"},
        {"Other_Letter", "Lo"},
        {"Other_Number", "No"},
        {"Letter_Number", "Nl"},
    };
    if (is_one_of(name, cased) && d->folds[d->depth])
        return no(d, "letters of one case where case does not count");
    for (size_t i = 0; i < sizeof longs / sizeof *longs; i++)
        if (span_is(name, longs[i][0]))
            name = span_of(longs[i][1]);
    if (name.n > 2 && !is_one_of(name, binary))
        buffer_add_text(d->out, "sc:");
    buffer_add_span(d->out, name);
    return true;
}

/* At the backslash of \p{...} or \P{...}. */
static bool property(struct dialect *d)
{
    size_t end = d->at + 3;
    if (peek(d, 2) != '{')
        return no(d, "a property without {}");
    bool turned = peek(d, 3) == '^';
    end += turned;
    size_t begin = end;
    while (end < d->in.n && (is_letter((uint8_t)d->in.p[end]) || d->in.p[end] == '_'))
        end++;
    if (end == begin || end >= d->in.n || d->in.p[end] != '}')
        return no(d, "a property of an unknown form");
    turned ^= peek(d, 1) == 'P';
    put(d, turned ? "\\P{" : "\\p{");
    if (!put_property_name(d, (struct span){d->in.p + begin, end - begin}))
        return false;
    d->at = end + 1;
    return put(d, "}");
}

/* ---- escapes ---- */

static int hex_value(int c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_usable(uint32_t c) { return c <= 0x10FFFF && (c < 0xD800 || c >= 0xE000); }

/* At the backslash of \xHH, \x{H...} or \uHHHH. */
static bool number(struct dialect *d)
{
    bool braces = peek(d, 1) == 'x' && peek(d, 2) == '{';
    size_t n = 0, most = braces ? 6 : peek(d, 1) == 'u' ? 4 : 2, from = braces ? 3 : 2;
    uint32_t c = 0;
    for (; n < most && hex_value(peek(d, from + n)) >= 0; n++)
        c = c << 4 | (uint32_t)hex_value(peek(d, from + n));
    bool ends = braces ? n && peek(d, from + n) == '}' : n == most;
    if (!ends || !is_usable(c) || (most == 2 && c >= 0x80))
        return no(d, "a character's number of an unknown form");
    d->spelled |= c >= 0x80;
    buffer_printf(d->out, "\\x{%x}", (unsigned)c);
    d->at += from + n + braces;
    return true;
}

/* An escape that means the same within a class and without. False with why NULL: not one of these. */
static bool common_escape(struct dialect *d)
{
    static const struct {
        char c;
        const char *text;
    } plain[] = {
        {'d', "\\p{Nd}"}, {'D', "\\P{Nd}"}, {'s', SPACE},   {'S', "\\P{White_Space}"},
        {'r', "\\r"},     {'n', "\\n"},     {'t', "\\t"},   {'f', "\\f"},
        {'a', "\\a"},     {'e', "\\e"},     {'v', "\\x0b"},
    };
    int c = peek(d, 1);
    if (c == 'p' || c == 'P')
        return property(d);
    if (c == 'x' || c == 'u')
        return number(d);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (c == plain[i].c) {
            d->at += 2;
            return put(d, plain[i].text);
        }
    if (c < 0 || is_letter(c) || is_digit(c))
        return false;
    if (c >= 0x80) {
        d->at++; /* the character alone */
        size_t n = 1;
        while (peek(d, n) >= 0x80 && peek(d, n) < 0xC0)
            n++;
        copy(d, n);
    } else {
        copy(d, 2);
    }
    return true;
}

static bool escape(struct dialect *d)
{
    static const struct {
        char c;
        bool atom;
        const char *text;
    } plain[] = {
        {'w', true, "[" LONE_WORD "]"},
        {'W', true, "[^" LONE_WORD "]"},
        {'h', true, "[" HEX "]"},
        {'H', true, "[^" HEX "]"},
        {'A', false, "\\A"},
        {'z', false, "\\z"},
        {'Z', false, "\\Z"},
        {'b', false, "(?:(?<=[" LONE_WORD "])(?![" LONE_WORD "])|(?<![" LONE_WORD "])(?=[" LONE_WORD "]))"},
    };
    d->atom = d->out->n;
    if (common_escape(d))
        return true;
    for (size_t i = 0; !d->why && i < sizeof plain / sizeof *plain; i++)
        if (peek(d, 1) == plain[i].c) {
            d->at += 2;
            d->atom = plain[i].atom ? d->atom : NO_ATOM;
            return put(d, plain[i].text);
        }
    return d->why ? false : no(d, "an escape that is not known");
}

/* ---- classes ---- */

/* An escape of a class; *is_set: it stands for many characters. */
static bool class_escape(struct dialect *d, bool *is_set)
{
    int c = peek(d, 1);
    *is_set = c > 0 && strchr("dDsSpPwh", c);
    if (common_escape(d))
        return true;
    if (d->why)
        return false;
    if (c != 'w' && c != 'h' && c != 'b')
        return no(d, "an escape in a class that is not known");
    d->at += 2;
    return put(d, c == 'w' ? WORD : c == 'h' ? HEX : "\\x08");
}

/* One thing of a class. */
static bool class_item(struct dialect *d, bool *is_set, bool after_set)
{
    int c = peek(d, 0);
    *is_set = false;
    if (c < 0)
        return no(d, "a class without end");
    if (c == '[')
        return no(d, "a class within a class");
    if (c == '&' && peek(d, 1) == '&')
        return no(d, "the common part of classes");
    if (c == '\\')
        return class_escape(d, is_set);
    if (c == '-' && after_set && peek(d, 1) != ']')
        put(d, "\\");
    copy(d, 1);
    return true;
}

static bool class(struct dialect *d)
{
    bool is_set = false;
    d->atom = d->out->n;
    copy(d, 1);
    if (peek(d, 0) == '^')
        copy(d, 1);
    if (peek(d, 0) == ']')
        return no(d, "a class that begins with ]");
    while (peek(d, 0) != ']')
        if (!class_item(d, &is_set, is_set))
            return false;
    copy(d, 1);
    return true;
}

/* ---- groups and quantifiers ---- */

static bool open_group(struct dialect *d)
{
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?-i:"};
    size_t begin = d->out->n;
    bool fold = d->folds[d->depth], known = peek(d, 1) != '?' && peek(d, 1) != '*';
    if (d->depth == MAX_GROUPS)
        return no(d, "groups that are nested too deep");
    struct span rest = {d->in.p + d->at, d->in.n - d->at};
    if (rest.n >= 4 && !memcmp(rest.p, "(?i)", 4)) {
        bool first = d->depth ? d->groups[d->depth - 1] + 3 == begin : begin == 0;
        if (!first)
            return no(d, "(?i) in the middle");
        d->folds[d->depth] = true;
        d->atom = NO_ATOM;
        copy(d, 4);
        return true;
    }
    if (known) {
        put(d, "(?:");
        d->at++;
    }
    for (size_t i = 0; !known && i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i]);
        if (rest.n >= n && !memcmp(rest.p, kinds[i], n)) {
            copy(d, n);
            known = true;
            fold = kinds[i][2] == 'i' || (fold && kinds[i][2] != '-');
        }
    }
    if (!known)
        return no(d, "a group of a kind that is not known");
    d->groups[d->depth++] = begin;
    d->folds[d->depth] = fold;
    d->atom = NO_ATOM;
    return true;
}

static bool close_group(struct dialect *d)
{
    if (d->depth == 0)
        return no(d, "a ) without (");
    d->atom = d->groups[--d->depth];
    copy(d, 1);
    return true;
}

/* Put "(?:" before the atom. */
static void wrap(struct dialect *d)
{
    size_t n = d->out->n - d->atom;
    if (!buffer_add_text(d->out, "(?:"))
        return;
    char *p = d->out->data + d->atom;
    memmove(p + 3, p, n);
    memcpy(p, "(?:", 3);
}

static bool quantifier(struct dialect *d)
{
    if (d->atom == NO_ATOM)
        return no(d, "a quantifier of nothing, or of a quantifier");
    copy(d, 1);
    if (peek(d, 0) == '+' || peek(d, 0) == '?')
        copy(d, 1);
    d->atom = NO_ATOM;
    return true;
}

static size_t read_count(const struct dialect *d, size_t ahead, unsigned *count)
{
    size_t n = 0;
    *count = 0;
    for (; is_digit(peek(d, ahead + n)) && n < 6; n++)
        *count = *count * 10 + (unsigned)(peek(d, ahead + n) - '0');
    return n;
}

struct interval {
    unsigned least, most;
    bool comma, open; /* {n,m}, {n,} */
    size_t n;         /* characters of it */
};

/* At a {: false where it is the sign itself. */
static bool read_interval(const struct dialect *d, struct interval *i)
{
    size_t n = read_count(d, 1, &i->least), m = n;
    i->most = i->least;
    i->n = 1 + n;
    i->comma = peek(d, i->n) == ',';
    i->open = false;
    if (i->comma) {
        m = read_count(d, i->n + 1, &i->most);
        i->open = m == 0;
        i->n += 1 + m;
    }
    return peek(d, i->n++) == '}' && (n || m);
}

static bool put_interval(struct dialect *d, const struct interval *i, int next)
{
    if (next == '+') /* greedy here, and not possessive */
        wrap(d);
    if (i->open)
        buffer_printf(d->out, "{%u,}", i->least);
    else
        buffer_printf(d->out, "{%u,%u}", i->least, i->most);
    if (next == '+')
        put(d, ")+");
    if (next == '?')
        put(d, "?");
    d->at += i->n + (next == '+' || next == '?');
    d->atom = NO_ATOM;
    return true;
}

static bool interval(struct dialect *d)
{
    struct interval i;
    if (!read_interval(d, &i)) {
        d->atom = d->out->n;
        d->at++;
        return put(d, "\\{");
    }
    if (d->atom == NO_ATOM || i.least > MAX_REPEAT || i.most > MAX_REPEAT || (!i.open && i.least > i.most))
        return no(d, "an interval that cannot be used");
    int next = peek(d, i.n);
    if ((next == '?' && !i.comma) || next == '*')
        return no(d, "a quantifier of an interval");
    return put_interval(d, &i, next);
}

/* A character that stands for itself, or a sign that both read alike. */
static bool plain(struct dialect *d, int c)
{
    size_t n = 1;
    d->atom = c == '|' || c == '^' || c == '$' ? NO_ATOM : d->out->n;
    if (c == ']' || c == '}')
        put(d, "\\");
    while (c >= 0xC0 && peek(d, n) >= 0x80 && peek(d, n) < 0xC0)
        n++;
    copy(d, n);
    return true;
}

static bool step(struct dialect *d)
{
    int c = peek(d, 0);
    switch (c) {
    case '\\': return escape(d);
    case '[': return class(d);
    case '(': return open_group(d);
    case ')': return close_group(d);
    case '*':
    case '+':
    case '?': return quantifier(d);
    case '{': return interval(d);
    default: return plain(d, c);
    }
}

bool hf_regex_translate(struct span pattern, struct buffer *out, bool *by_kind, const char **why)
{
    struct dialect d = {.in = pattern, .out = out, .atom = NO_ATOM};
    bool fine = true;
    while (fine && d.at < pattern.n && !out->failed)
        fine = step(&d);
    if (fine && d.depth)
        fine = no(&d, "a ( without )");
    if (fine && !out->data)
        buffer_add_text(out, "(?:)");
    *by_kind = !d.spelled;
    if (!fine)
        *why = d.why;
    return fine;
}
