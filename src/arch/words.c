/* words.c - what the parser does with the word at hand. */
#include "arch/parse.h"
#include "base/error.h"
#include <inttypes.h>

void *parse_fail(struct parser *p, const char *expected)
{
    const struct word *w = &p->lexer.word;
    int n = (int)(w->text.n < 40 ? w->text.n : 40);
    if (p->status)
        return NULL;
    if (w->kind == WORD_END)
        p->status = error_set(p->lexer.error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": expected %s, got the end of the text",
                              p->lexer.file, w->line, expected);
    else
        p->status = error_set(p->lexer.error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": expected %s, got \"%.*s\"",
                              p->lexer.file, w->line, expected, w->kind == WORD_NUMBER ? 8 : n,
                              w->kind == WORD_NUMBER ? "a number" : w->text.p);
    return NULL;
}

/* A mistake that is not about the word at hand. */
void parse_refuse(struct parser *p, uint32_t line, const char *why, struct span name)
{
    if (!p->status)
        p->status = error_set(p->lexer.error, ANDIRON_E_FORMAT, "%s:%" PRIu32 ": %s \"%.*s\"", p->lexer.file, line, why,
                              (int)(name.n < 60 ? name.n : 60), name.p);
}

void parse_advance(struct parser *p)
{
    if (!p->status)
        p->status = lex_next(&p->lexer);
}

bool parse_sees(const struct parser *p, const char *text)
{
    const struct word *w = &p->lexer.word;
    return !p->status && (w->kind == WORD_SIGN || w->kind == WORD_NAME) && span_is(w->text, text);
}

bool parse_take(struct parser *p, const char *text)
{
    if (!parse_sees(p, text))
        return false;
    parse_advance(p);
    return !p->status;
}

bool parse_expect(struct parser *p, const char *text, const char *expected)
{
    if (parse_take(p, text))
        return true;
    parse_fail(p, expected);
    return false;
}

static bool is_reserved(struct span name)
{
    static const char *const words[] = {"arch", "param", "block", "graph", "return", "if",     "else",
                                        "for",  "in",    "or",    "and",   "not",    "parent", "none"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is(name, words[i]))
            return true;
    return false;
}

struct span parse_take_name(struct parser *p, const char *expected)
{
    struct span name = p->lexer.word.text;
    if (p->status || p->lexer.word.kind != WORD_NAME || is_reserved(name)) {
        parse_fail(p, expected);
        return (struct span){0};
    }
    parse_advance(p);
    return name;
}

/* Names of architectures may have hyphens within: gpt-oss. */
struct span parse_take_arch_name(struct parser *p, const char *expected)
{
    struct span name = parse_take_name(p, expected);
    const char *end = name.p ? name.p + name.n : NULL;
    while (!p->status && end && parse_sees(p, "-") && p->lexer.word.text.p == end && lex_in_name(&p->lexer, end + 1)) {
        for (end++; lex_in_name(&p->lexer, end); end++)
            ;
        name.n = (size_t)(end - name.p);
        p->lexer.at = end;
        parse_advance(p);
    }
    return name;
}

void *parse_make(struct parser *p, size_t bytes)
{
    void *out = p->status ? NULL : arena_alloc(p->arena, 1, bytes);
    if (!out && !p->status)
        p->status = error_set(p->lexer.error, ANDIRON_E_MEMORY,
                              "%s:%" PRIu32 ": the definition needs more memory than it may have", p->lexer.file,
                              p->lexer.line);
    return out;
}
