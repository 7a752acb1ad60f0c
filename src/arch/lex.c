/* lex.c - from text to words. A line's end means nothing; `#` begins a comment that ends with its line. */
#include "arch/syntax.h"
#include "base/error.h"
#include <inttypes.h>
#include <string.h>

static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void skip_blank(struct lexer *l)
{
    while (l->at < l->end) {
        if (*l->at == '\n')
            l->line++;
        else if (*l->at == '#')
            while (l->at + 1 < l->end && l->at[1] != '\n')
                l->at++;
        else if (*l->at != ' ' && *l->at != '\t' && *l->at != '\r')
            return;
        l->at++;
    }
}

static bool sees_digit(const struct lexer *l) { return l->at < l->end && is_digit(*l->at); }

static double power_of_ten(int e) /* 0 to 116; exact up to 22 */
{
    double p = 1;
    for (int i = 0; i < e; i++)
        p *= 10;
    return p;
}

/* Digits behind those in *n; how many. */
static int lex_digits(struct lexer *l, int most, double *n)
{
    int count = 0;
    for (; sees_digit(l) && count < most; l->at++, count++)
        *n = *n * 10 + (*l->at - '0');
    return count;
}

/* `e` with a sign and at most two digits; 0 where there is none, -1000 where it is wrong. */
static int lex_exponent(struct lexer *l)
{
    double exponent = 0;
    int sign = 1;
    if (l->at == l->end || (*l->at != 'e' && *l->at != 'E'))
        return 0;
    l->at++;
    if (l->at < l->end && (*l->at == '-' || *l->at == '+'))
        sign = *l->at++ == '-' ? -1 : 1;
    return lex_digits(l, 2, &exponent) ? sign * (int)exponent : -1000;
}

/* Decimal digits, at most 17 of them, with a fraction and an exponent. */
static andiron_status lex_number(struct lexer *l)
{
    double digits = 0;
    int n = lex_digits(l, 18, &digits), n_fraction = 0;
    if (l->at < l->end && *l->at == '.') {
        l->at++;
        n_fraction = lex_digits(l, 18, &digits);
    }
    int exponent = lex_exponent(l), all = exponent - n_fraction;
    if (n + n_fraction > 17 || exponent == -1000 || sees_digit(l) || (l->at < l->end && is_name_start(*l->at)))
        return error_set(l->error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": expected a number such as 32, 0.5 or 1e-5",
                         l->file, l->line);
    l->word.number = all < 0 ? digits / power_of_ten(-all) : digits * power_of_ten(all);
    l->word.kind = WORD_NUMBER;
    return ANDIRON_OK;
}

static andiron_status lex_text(struct lexer *l)
{
    const char *from = ++l->at;
    while (l->at < l->end && *l->at != '"' && *l->at != '\n')
        l->at++;
    if (l->at == l->end || *l->at != '"')
        return error_set(l->error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": expected a closing \" on the same line", l->file,
                         l->line);
    l->word.kind = WORD_TEXT;
    l->word.text = (struct span){from, (size_t)(l->at++ - from)};
    return ANDIRON_OK;
}

static andiron_status lex_sign(struct lexer *l)
{
    static const char *const two[] = {"==", "!=", "<=", ">="};
    size_t n = 1;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (l->end - l->at >= 2 && !memcmp(l->at, two[i], 2))
            n = 2;
    if (n == 1 && (*l->at == 0 || !strchr("(){},:=+-*/%<>.|", *l->at)))
        return error_set(l->error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": the character '%c' has no meaning here", l->file,
                         l->line, *l->at);
    l->word.kind = WORD_SIGN;
    l->word.text = (struct span){l->at, n};
    l->at += n;
    return ANDIRON_OK;
}

andiron_status lex_next(struct lexer *l)
{
    skip_blank(l);
    l->word = (struct word){.line = l->line};
    if (l->at == l->end)
        return ANDIRON_OK;
    if (is_digit(*l->at))
        return lex_number(l);
    if (*l->at == '"')
        return lex_text(l);
    if (!is_name_start(*l->at))
        return lex_sign(l);
    const char *from = l->at;
    while (l->at < l->end && (is_name_start(*l->at) || is_digit(*l->at)))
        l->at++;
    if (l->at - from > MAX_NAME)
        return error_set(l->error, ANDIRON_E_FORMAT,
                         "%s:%" PRIu32 ": a name has at most %d bytes, \"%.40s...\" has %zu", l->file, l->line,
                         MAX_NAME, from, (size_t)(l->at - from));
    l->word.kind = WORD_NAME;
    l->word.text = (struct span){from, (size_t)(l->at - from)};
    return ANDIRON_OK;
}

bool lex_in_name(const struct lexer *l, const char *p) { return p < l->end && (is_name_start(*p) || is_digit(*p)); }
