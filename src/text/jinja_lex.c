/* jinja_lex.c - follows jinja2's lexer state by state: text up to the next tag, then the tag's words.
 *
 * Which whitespace a tag eats is decided on both sides of it: before it by its sign and lstrip_blocks, when the text in
 * front is cut off; after it by the sign at its end and trim_blocks, when its end is read. */
#include "text/jinja_lex.h"
#include "text/jinja_unicode.h"
#include <errno.h>
#include <stdlib.h>

static const char *const names[] = {
    [T_END] = "the end of the template",
    [T_DATA] = "text",
    [T_BLOCK_BEGIN] = "'{%'",
    [T_BLOCK_END] = "'%}'",
    [T_PRINT_BEGIN] = "'{{'",
    [T_PRINT_END] = "'}}'",
    [T_NAME] = "a name",
    [T_STRING] = "a string",
    [T_INT] = "a number",
    [T_FLOAT] = "a number",
    [T_ADD] = "'+'",
    [T_SUB] = "'-'",
    [T_MUL] = "'*'",
    [T_DIV] = "'/'",
    [T_FLOORDIV] = "'//'",
    [T_MOD] = "'%'",
    [T_POW] = "'**'",
    [T_TILDE] = "'~'",
    [T_LBRACKET] = "'['",
    [T_RBRACKET] = "']'",
    [T_LPAREN] = "'('",
    [T_RPAREN] = "')'",
    [T_LBRACE] = "'{'",
    [T_RBRACE] = "'}'",
    [T_EQ] = "'=='",
    [T_NE] = "'!='",
    [T_GT] = "'>'",
    [T_GE] = "'>='",
    [T_LT] = "'<'",
    [T_LE] = "'<='",
    [T_ASSIGN] = "'='",
    [T_DOT] = "'.'",
    [T_COLON] = "':'",
    [T_PIPE] = "'|'",
    [T_COMMA] = "','",
    [T_SEMICOLON] = "';'",
};

const char *token_name(enum lex_kind kind) { return names[kind]; }

void lexer_init(struct lexer *lexer, struct arena *arena, struct span source, andiron_error *error)
{
    *lexer = (struct lexer){.arena = arena, .source = source, .line = 1, .line_starting = true, .error = error};
    if (source.n && source.p[source.n - 1] == '\n')
        lexer->source.n--;
}

static struct token fail(struct lexer *l, const char *what)
{
    if (!l->status)
        l->status = error_set(l->error, ANDIRON_E_FORMAT, "chat template, line %u: %s", (unsigned)l->line, what);
    l->at = l->source.n;
    return (struct token){.kind = T_END, .line = l->line};
}

static struct token fail_memory(struct lexer *l)
{
    if (!l->status)
        l->status = error_set(l->error, ANDIRON_E_MEMORY, "out of memory for the chat template");
    return fail(l, "");
}

static bool sees(const struct lexer *l, size_t at, const char *what)
{
    size_t n = strlen(what);
    return l->source.n - at >= n && !memcmp(l->source.p + at, what, n);
}

static size_t skip_space(const struct lexer *l, size_t at)
{
    uint32_t c;
    while (at < l->source.n) {
        size_t n = jinja_char(l->source.p + at, l->source.n - at, &c);
        if (!jinja_is_space(c))
            break;
        at += n;
    }
    return at;
}

/* Move to `end`, counting lines. */
static void advance(struct lexer *l, size_t end)
{
    for (; l->at < end; l->at++)
        l->line += l->source.p[l->at] == '\n';
    l->line_starting = l->at > 0 && l->source.p[l->at - 1] == '\n';
}

static size_t find_tag(const struct lexer *l, size_t at)
{
    for (; at + 1 < l->source.n; at++) {
        const char *brace = memchr(l->source.p + at, '{', l->source.n - 1 - at);
        if (!brace)
            break;
        at = (size_t)(brace - l->source.p);
        if (brace[1] == '%' || brace[1] == '{' || brace[1] == '#')
            return at;
    }
    return l->source.n;
}

/* The text [from, end) in front of a tag with `sign`, without what the tag eats of it. */
static struct span text_before(const struct lexer *l, size_t from, size_t end, char sign, bool block)
{
    const char *p = l->source.p;
    size_t to = end;
    uint32_t c;
    if (sign == '-' || (sign != '+' && block)) {
        while (to > from && (sign == '-' || p[to - 1] != '\n')) {
            size_t n = jinja_char_before(p + from, to - from, &c);
            if (!jinja_is_space(c))
                break;
            to -= n;
        }
        bool at_line_start = to > from ? p[to - 1] == '\n' : l->line_starting;
        if (sign != '-' && !at_line_start)
            to = end;
    }
    return (struct span){p + from, to - from};
}

/* Is there, at `at` behind "{%" and its sign, a raw tag? Returns its end, or 0. */
static size_t raw_begin_end(const struct lexer *l, size_t at)
{
    at = skip_space(l, at);
    if (!sees(l, at, "raw"))
        return 0;
    at = skip_space(l, at + 3);
    if (sees(l, at, "-%}"))
        return skip_space(l, at + 3);
    return sees(l, at, "%}") ? at + 2 : 0;
}

/* Is there, at `at` behind "{%" and its sign, an endraw tag? Returns its end, or 0. */
static size_t raw_end_end(const struct lexer *l, size_t at)
{
    at = skip_space(l, at);
    if (!sees(l, at, "endraw"))
        return 0;
    at = skip_space(l, at + 6);
    if (sees(l, at, "-%}"))
        return skip_space(l, at + 3);
    if (sees(l, at, "+%}"))
        return at + 3;
    if (!sees(l, at, "%}"))
        return 0;
    return at + 2 + sees(l, at + 2, "\n");
}

static char sign_at(const struct lexer *l, size_t at)
{
    return at < l->source.n && (l->source.p[at] == '-' || l->source.p[at] == '+') ? l->source.p[at] : 0;
}

/* Behind a raw tag: its text up to the endraw tag. */
static struct token raw_text(struct lexer *l)
{
    for (size_t at = l->at; at + 1 < l->source.n; at++) {
        if (!sees(l, at, "{%"))
            continue;
        char sign = sign_at(l, at + 2);
        size_t end = raw_end_end(l, at + 2 + (sign != 0));
        if (!end)
            continue;
        struct token t = {.kind = T_DATA, .line = l->line, .text = text_before(l, l->at, at, sign, true)};
        advance(l, end);
        return t;
    }
    return fail(l, "{% raw %} without {% endraw %}");
}

static bool skip_comment(struct lexer *l, size_t at)
{
    for (; at + 1 < l->source.n; at++) {
        if (!sees(l, at, "#}"))
            continue;
        char before = at > l->at ? l->source.p[at - 1] : 0;
        size_t end = at + 2;
        if (before == '-')
            end = skip_space(l, end);
        else if (before != '+')
            end += sees(l, end, "\n");
        advance(l, end);
        return true;
    }
    fail(l, "a comment that does not end: '#}' is missing");
    return false;
}

/* Outside tags: text up to the next tag, which is entered. The text may be empty; lexer_next drops it then. */
static struct token next_text(struct lexer *l)
{
    size_t from = l->at, tag = find_tag(l, from);
    struct token t = {.kind = T_DATA, .line = l->line, .text = {l->source.p + from, tag - from}};
    if (tag == l->source.n) {
        advance(l, tag);
        return t;
    }
    char kind = l->source.p[tag + 1], sign = sign_at(l, tag + 2);
    t.text = text_before(l, from, tag, sign, kind != '{');
    size_t inside = tag + 2 + (sign != 0), raw = kind == '%' ? raw_begin_end(l, inside) : 0;
    if (raw) {
        advance(l, raw);
        l->pending = T_DATA; /* raw text follows */
        return t;
    }
    advance(l, inside);
    if (kind == '#') {
        if (!skip_comment(l, inside))
            t.kind = T_END;
        return t;
    }
    l->state = kind == '%' ? LEX_BLOCK : LEX_PRINT;
    l->pending = kind == '%' ? T_BLOCK_BEGIN : T_PRINT_BEGIN;
    return t;
}

/* The end of the tag we are in, if it is here: how far it reaches, or 0. */
static size_t tag_end(const struct lexer *l)
{
    const char *end = l->state == LEX_BLOCK ? "%}" : "}}";
    char c = l->at < l->source.n ? l->source.p[l->at] : 0;
    if (c == '-' && sees(l, l->at + 1, end))
        return skip_space(l, l->at + 3);
    if (c == '+' && l->state == LEX_BLOCK && sees(l, l->at + 1, end))
        return l->at + 3;
    if (!sees(l, l->at, end))
        return 0;
    return l->at + 2 + (l->state == LEX_BLOCK && sees(l, l->at + 2, "\n"));
}

static bool is_digit(char c, int base)
{
    if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
        return true;
    return c >= '0' && c <= (base < 10 ? '0' + base - 1 : '9');
}

/* From `at`: digits of `base` with single underscores between them; the end. */
static size_t skip_digits(const struct lexer *l, size_t at, int base)
{
    const char *p = l->source.p;
    while (at < l->source.n &&
           (is_digit(p[at], base) || (p[at] == '_' && at + 1 < l->source.n && at > l->at && is_digit(p[at + 1], base))))
        at++;
    return at;
}

/* Where a float that starts here ends, or 0 if it is none. */
static size_t float_end(const struct lexer *l)
{
    const char *p = l->source.p;
    if (l->at > 0 && p[l->at - 1] == '.')
        return 0;
    size_t at = skip_digits(l, l->at, 10), end = 0;
    if (at + 1 < l->source.n && p[at] == '.' && is_digit(p[at + 1], 10))
        end = at = skip_digits(l, at + 1, 10);
    if (at + 1 < l->source.n && (p[at] == 'e' || p[at] == 'E')) {
        size_t digits = at + 1 + (p[at + 1] == '+' || p[at + 1] == '-');
        if (digits < l->source.n && is_digit(p[digits], 10))
            end = skip_digits(l, digits, 10);
    }
    return end;
}

/* Where an integer that starts here ends; its base, and how many characters name that. */
static size_t integer_end(const struct lexer *l, int *base, size_t *prefix)
{
    const char *p = l->source.p;
    const char x = p[l->at] == '0' && l->at + 1 < l->source.n ? (char)(p[l->at + 1] | 32) : 0;
    *base = x == 'x' ? 16 : x == 'o' ? 8 : x == 'b' ? 2 : 10;
    *prefix = 2;
    size_t end = l->at;
    if (*base != 10 && (end = skip_digits(l, l->at + 2, *base)) > l->at + 2)
        return end;
    *base = 10;
    *prefix = 0;
    if (p[l->at] != '0')
        return skip_digits(l, l->at, 10);
    for (end = l->at; end < l->source.n && p[end] == '0';) /* none but zeros behind a zero */
        end++;
    return end;
}

/* The digits [from, to) without underscores; false: too many. */
static bool copy_digits(const struct lexer *l, size_t from, size_t to, char out[64])
{
    size_t n = 0;
    for (; from < to; from++)
        if (l->source.p[from] != '_') {
            if (n == 63)
                return false;
            out[n++] = l->source.p[from];
        }
    out[n] = 0;
    return true;
}

static struct token number(struct lexer *l)
{
    char text[64];
    struct token t = {.kind = T_INT, .line = l->line};
    int base = 10;
    size_t prefix = 0, end = float_end(l);
    if (end)
        t.kind = T_FLOAT;
    else
        end = integer_end(l, &base, &prefix);
    if (!copy_digits(l, l->at + prefix, end, text))
        return fail(l, "a number with too many digits");
    errno = 0;
    if (t.kind == T_FLOAT)
        t.real = strtod(text, NULL);
    else
        t.integer = strtoll(text, NULL, base);
    if (t.kind == T_INT && errno == ERANGE)
        return fail(l, "a number beyond 64 bits");
    advance(l, end);
    return t;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Reads exactly `digits` hexadecimal digits. */
static bool hex(struct span s, size_t at, size_t digits, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = at + i < s.n ? hex_digit(s.p[at + i]) : -1;
        if (d < 0)
            return false;
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

/* \123, one to three octal digits. */
static uint32_t octal(struct span s, size_t *at)
{
    uint32_t point = 0;
    for (int n = 0; n < 3 && *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '7'; n++)
        point = point << 3 | (uint32_t)(s.p[(*at)++] - '0');
    return point;
}

/* One escape, s.p[*at] being the character behind the backslash. Appends to out; false if it is malformed. */
static bool escape(struct span s, size_t *at, char *out, size_t *n)
{
    static const char plain[] = "n\nt\tr\r\\\\'\'\"\"a\ab\bf\fv\v";
    char c = s.p[*at];
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (plain[i] == c) {
            out[(*n)++] = plain[i + 1];
            ++*at;
            return true;
        }
    uint32_t point = 0;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == '\n') {
        ++*at;
    } else if (digits) {
        if (!hex(s, *at + 1, digits, &point) || point > 0x10FFFF)
            return false;
        *at += 1 + digits;
        *n += jinja_encode(point, out + *n);
    } else if (is_digit(c, 8)) {
        *n += jinja_encode(octal(s, at), out + *n);
    } else {
        out[(*n)++] = '\\'; /* an unknown escape stays as it is */
    }
    return c != 'N'; /* \N{...}, a character by its name, is not supported */
}

static struct token string(struct lexer *l)
{
    char quote = l->source.p[l->at];
    size_t end = l->at + 1;
    bool escapes = false;
    while (end < l->source.n && l->source.p[end] != quote) {
        escapes |= l->source.p[end] == '\\';
        end += 1 + (l->source.p[end] == '\\');
    }
    if (end >= l->source.n)
        return fail(l, "a string that does not end");
    struct span inside = {l->source.p + l->at + 1, end - l->at - 1};
    struct token t = {.kind = T_STRING, .line = l->line, .text = inside};
    if (escapes) {
        /* No escape is shorter than the bytes it stands for, but \x80 to \xff: 2 for 4. */
        char *out = arena_alloc(l->arena, inside.n + 4, 1);
        if (!out)
            return fail_memory(l);
        size_t n = 0;
        for (size_t i = 0; i < inside.n;) {
            if (inside.p[i] != '\\')
                out[n++] = inside.p[i++];
            else if (++i >= inside.n || !escape(inside, &i, out, &n))
                return fail(l, "a malformed escape in a string");
        }
        t.text = (struct span){out, n};
    }
    advance(l, end + 1);
    return t;
}

static bool bracket(struct lexer *l, char c)
{
    const char *pairs = "()[]{}", *found = strchr(pairs, c);
    if (!found)
        return true;
    if (!((found - pairs) & 1)) {
        if (l->n_brackets == LEX_BRACKETS_MAX)
            return false;
        l->brackets[l->n_brackets++] = found[1];
        return true;
    }
    return l->n_brackets > 0 && l->brackets[--l->n_brackets] == c;
}

static struct token operator_token(struct lexer *l)
{
    static const struct {
        char text[3];
        enum lex_kind kind;
    } operators[] = {
        {"//", T_FLOORDIV}, {"**", T_POW},      {"==", T_EQ},    {"!=", T_NE},    {">=", T_GE},    {"<=", T_LE},
        {"+", T_ADD},       {"-", T_SUB},       {"/", T_DIV},    {"*", T_MUL},    {"%", T_MOD},    {"~", T_TILDE},
        {"[", T_LBRACKET},  {"]", T_RBRACKET},  {"(", T_LPAREN}, {")", T_RPAREN}, {"{", T_LBRACE}, {"}", T_RBRACE},
        {">", T_GT},        {"<", T_LT},        {"=", T_ASSIGN}, {".", T_DOT},    {":", T_COLON},  {"|", T_PIPE},
        {",", T_COMMA},     {";", T_SEMICOLON},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!sees(l, l->at, operators[i].text))
            continue;
        if (!bracket(l, l->source.p[l->at]))
            return fail(l, "a closing bracket without its opening one, or too many brackets in one another");
        struct token t = {.kind = operators[i].kind, .line = l->line};
        advance(l, l->at + strlen(operators[i].text));
        return t;
    }
    return fail(l, "a character that means nothing inside a tag");
}

static struct token word(struct lexer *l)
{
    size_t end = l->at;
    while (end < l->source.n) {
        uint32_t c;
        size_t n = jinja_char(l->source.p + end, l->source.n - end, &c);
        if (!jinja_is_word(c))
            break;
        end += n;
    }
    if (end - l->at > LEX_NAME_MAX)
        return fail(l, "a name of more than 1000 bytes");
    struct token t = {.kind = T_NAME, .line = l->line, .text = {l->source.p + l->at, end - l->at}};
    advance(l, end);
    return t;
}

static struct token next_in_tag(struct lexer *l)
{
    for (;;) {
        size_t end = l->n_brackets ? 0 : tag_end(l);
        if (end) {
            struct token t = {.kind = l->state == LEX_BLOCK ? T_BLOCK_END : T_PRINT_END, .line = l->line};
            l->state = LEX_TEXT;
            advance(l, end);
            return t;
        }
        end = skip_space(l, l->at);
        if (end == l->at)
            break;
        advance(l, end);
    }
    if (l->at >= l->source.n)
        return (struct token){.kind = T_END, .line = l->line};
    uint32_t c;
    jinja_char(l->source.p + l->at, l->source.n - l->at, &c);
    if (c >= '0' && c <= '9')
        return number(l);
    if (c == '\'' || c == '"')
        return string(l);
    return jinja_is_word(c) ? word(l) : operator_token(l);
}

struct token lexer_next(struct lexer *l)
{
    for (;;) {
        enum lex_kind pending = l->pending;
        l->pending = T_END;
        if (pending == T_BLOCK_BEGIN || pending == T_PRINT_BEGIN)
            return (struct token){.kind = pending, .line = l->line};
        if (l->state != LEX_TEXT)
            return next_in_tag(l);
        if (l->at >= l->source.n && pending != T_DATA)
            return (struct token){.kind = T_END, .line = l->line};
        struct token t = pending == T_DATA ? raw_text(l) : next_text(l);
        if (t.kind != T_DATA || t.text.n || l->status)
            return t;
    }
}
