/* folder.c - what Hugging Face's folders call things: the lines of a definition that say it, and what of them holds for
 * one model_type.
 *
 *     line: folder TEXT [with WORDS] [{ line ... }] | config TEXT [(* | + | ==) TEXT] as TEXT [with WORDS]
 *           | config NUMBER as TEXT [with WORDS] | expect TEXT as (NUMBER | true | false | TEXT)
 *           | need TEXT [or TEXT] | (ignore | heed) TEXT
 *           | gguf TEXT (* TEXT | as (TEXT [and TEXT] | none | NUMBER) [with WORDS])
 *           | (tensor | layer) TEXT as (TEXT | none) [with WORDS] | activation TEXT [as TEXT] | prefix TEXT [as layer]
 */
#include "arch/parse.h"
#include "base/error.h"
#include <string.h>

static const struct {
    const char *name;
    enum arch_verb verb;
} verbs[] = {{"folder", ARCH_FOLDER},
             {"config", ARCH_CONFIG},
             {"expect", ARCH_EXPECT},
             {"need", ARCH_NEED},
             {"tensor", ARCH_TENSOR},
             {"layer", ARCH_LAYER},
             {"activation", ARCH_ACTIVATION},
             {"prefix", ARCH_PREFIX},
             {"ignore", ARCH_IGNORE},
             {"heed", ARCH_HEED},
             {"gguf", ARCH_GGUF}};

static const struct {
    const char *name;
    unsigned bit, verbs; /* what it may stand behind */
} known_words[] = {
#define WORD(name, bit, verbs) {name, bit, verbs},
#include "arch/folder_words.def"
};

static struct span take_text(struct parser *p, const char *expected)
{
    const struct span text = p->lexer.word.text;
    if (p->status || p->lexer.word.kind != WORD_TEXT || text.n == 0) {
        parse_fail(p, expected);
        return (struct span){0};
    }
    parse_advance(p);
    return text;
}

static void parse_words(struct parser *p, struct arch_line *line)
{
    if (!parse_take(p, "with"))
        return;
    do {
        const uint32_t at = p->lexer.word.line;
        const struct span name = parse_take_name(p, "a word that says how it differs");
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof known_words / sizeof *known_words; i++)
            if (span_is(name, known_words[i].name) && (known_words[i].verbs & 1u << line->verb))
                bit = known_words[i].bit;
        if (!bit)
            parse_refuse(p, at, "expected a word that docs/arch-language.md lists for such a line, got", name);
        line->words |= bit;
    } while (parse_take(p, ","));
}

static double take_number(struct parser *p, bool or_truth, bool *is_truth)
{
    const bool yes = parse_sees(p, "true");
    double number = p->lexer.word.number;
    *is_truth = or_truth && (yes || parse_sees(p, "false"));
    if (*is_truth)
        number = yes;
    else if (p->status || p->lexer.word.kind != WORD_NUMBER)
        parse_fail(p, or_truth ? "a number, true, false or a text" : "a number");
    parse_advance(p);
    return number;
}

/* What stands before "as". */
static void parse_from(struct parser *p, struct arch_line *line)
{
    bool is_truth;
    if (line->verb == ARCH_CONFIG && p->lexer.word.kind == WORD_NUMBER) {
        line->number = take_number(p, false, &is_truth);
        return;
    }
    line->from = take_text(p, "a name in quotes");
    if (line->verb == ARCH_NEED && parse_take(p, "or"))
        line->by = take_text(p, "the path that does as well");
    if (line->verb == ARCH_GGUF && parse_take(p, "*"))
        line->by = take_text(p, "the key of the factor");
    if (line->verb != ARCH_CONFIG)
        return;
    const bool product = parse_take(p, "*"), sum = !product && parse_take(p, "+");
    if (product || sum) {
        line->by = take_text(p, "the path of the second number");
        line->words |= sum ? ARCH_SUM : 0;
    } else if (parse_take(p, "==")) {
        line->by = take_text(p, "the text that counts as 1");
        line->words |= ARCH_LIST;
    }
}

static bool has_star(struct span text) { return text.n && memchr(text.p, '*', text.n); }

static bool sees_number(const struct parser *p, const struct arch_line *line)
{
    const bool is_number = p->lexer.word.kind == WORD_NUMBER;
    return line->verb == ARCH_EXPECT ? p->lexer.word.kind != WORD_TEXT : line->verb == ARCH_GGUF && is_number;
}

/* What stands behind it. */
static void parse_to(struct parser *p, struct arch_line *line)
{
    const bool named = line->verb == ARCH_TENSOR || line->verb == ARCH_LAYER || line->verb == ARCH_GGUF;
    if ((line->verb == ARCH_ACTIVATION || line->verb == ARCH_PREFIX) && !parse_sees(p, "as"))
        return;
    parse_expect(p, "as", "\"as\" and what it is here");
    if (line->verb == ARCH_PREFIX) {
        line->to = p->lexer.word.text;
        parse_expect(p, "layer", "\"layer\"");
    } else if (sees_number(p, line))
        line->number = take_number(p, line->verb == ARCH_EXPECT, &line->is_truth);
    else if (!named || !parse_take(p, "none"))
        line->to = take_text(p, named ? "a name in quotes, or none" : "a name in quotes");
    if (named && has_star(line->to) && !has_star(line->from))
        parse_refuse(p, p->lexer.word.line, "expected a \"*\" in what a name with one stands for, got", line->from);
}

static void parse_second(struct parser *p, struct arch_line *line)
{
    if (line->verb == ARCH_GGUF && line->to.n && parse_take(p, "and"))
        line->by = take_text(p, "the name of the second tensor in quotes");
}

static struct arch_line *keep_line(struct parser *p, struct definition *d, struct arch_line **first,
                                   enum arch_verb verb)
{
    struct arch_line *line = parse_make(p, sizeof *line), **last = first;
    if (!line)
        return NULL;
    line->verb = verb;
    if (d->n_lines++ == MAX_LINES)
        parse_fail(p, "at most 1024 lines on folders");
    while (*last)
        last = &(*last)->next;
    *last = line;
    return line;
}

/* Names once in a list; what is derived may have several ways. */
static void check_once(struct parser *p, const struct arch_line *first, const struct arch_line *line, uint32_t at)
{
    for (const struct arch_line *other = first; other && line->verb != ARCH_CONFIG; other = other->next)
        if (other != line && other->verb == line->verb && span_same(other->from, line->from) &&
            (line->verb != ARCH_ACTIVATION || !other->to.n == !line->to.n) && (line->verb != ARCH_GGUF || line->to.n))
            parse_refuse(p, at, "expected each name once, got a second", line->from);
}

static bool parse_line(struct parser *p, struct definition *d, struct arch_line **first, bool inner)
{
    const uint32_t at = p->lexer.word.line;
    for (size_t i = inner; i < sizeof verbs / sizeof *verbs; i++) {
        if (!parse_take(p, verbs[i].name))
            continue;
        struct arch_line *line = keep_line(p, d, first, verbs[i].verb);
        if (!line)
            return true;
        parse_from(p, line);
        const bool factor = line->verb == ARCH_GGUF && line->by.n;
        if (line->verb != ARCH_FOLDER && line->verb < ARCH_NEED && !factor) /* NEED, IGNORE, HEED: nothing */
            parse_to(p, line);
        parse_second(p, line);
        parse_words(p, line);
        check_once(p, *first, line, at);
        if (line->verb == ARCH_FOLDER && parse_take(p, "{")) {
            while (parse_line(p, d, &line->inner, true))
                ;
            parse_expect(p, "}",
                         "config, expect, need, ignore, heed, gguf, tensor, layer, activation, prefix or \"}\"");
        }
        return true;
    }
    return false;
}

bool parse_folder(struct parser *p, struct definition *d) { return parse_line(p, d, &d->lines, false); }

/* ---- of one model_type ---- */

static const struct arch_line *find_type(const struct definition *d, struct span type)
{
    for (const struct arch_line *line = d->lines; line; line = line->next)
        if (line->verb == ARCH_FOLDER && span_same(line->from, type))
            return line;
    return NULL;
}

/* Lines that say something, in order; out NULL: only their number. */
static size_t list_lines(const struct arch_line *first, const struct arch_line **out)
{
    size_t n = 0;
    for (const struct arch_line *line = first; line; line = line->next)
        if (line->verb != ARCH_FOLDER) {
            if (out)
                out[n] = line;
            n++;
        }
    return n;
}

andiron_status arch_find_folder(struct arch *a, struct span type, struct arch_folder *out, andiron_error *error)
{
    const struct arch_line *found = NULL, **lines;
    size_t n = 0;
    *out = (struct arch_folder){0};
    for (const struct definition *d = a->definition; d && !found; d = d->base)
        found = find_type(d, type);
    if (!found)
        return ANDIRON_OK;
    for (const struct definition *d = a->definition; d; d = d->base)
        n += list_lines(d->lines, NULL);
    n += list_lines(found->inner, NULL);
    lines = arena_alloc(&a->arena, n + 1, sizeof *lines);
    out->type = arena_text(&a->arena, type.p, type.n);
    if (!lines || !out->type)
        return error_memory(error, n * sizeof *lines, "a definition's names");
    out->n = list_lines(found->inner, lines);
    for (const struct definition *d = a->definition; d; d = d->base)
        out->n += list_lines(d->lines, lines + out->n);
    out->lines = lines;
    out->words = found->words;
    return ANDIRON_OK;
}

/* Does a definition begin a line with: folder "TYPE"? */
static bool tells_of(struct span text, struct span type)
{
    static const char line[] = "\nfolder \"";
    enum { N = sizeof line - 1 };
    for (size_t i = 0; i + N + type.n < text.n; i++)
        if (text.p[i] == '\n' && !memcmp(text.p + i, line, N) && !memcmp(text.p + i + N, type.p, type.n) &&
            text.p[i + N + type.n] == '"')
            return true;
    return false;
}

const char *arch_builtin_of_folder(struct span type)
{
    struct span text;
    const char *name, *file;
    for (size_t i = 0; (name = arch_builtin_name(i)); i++)
        if (arch_builtin(NULL, span_of(name), &text, &file) && tells_of(text, type))
            return name;
    return NULL;
}
