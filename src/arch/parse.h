/* parse.h - what the parts of the parser share: parse.c (definitions), words.c (the word at hand), folder.c (what
 * folders call things). Internal to this room. */
#ifndef ARCH_PARSE_H
#define ARCH_PARSE_H

#include "arch/syntax.h"
#include "base/arena.h"

struct parser {
    struct lexer lexer;
    struct arena *arena;
    int depth;
    andiron_status status; /* of the first mistake; everything returns NULL after it */
};

/* "expected X, got" the word at hand. NULL. */
void *parse_fail(struct parser *p, const char *expected);
/* A mistake that is not about the word at hand. */
void parse_refuse(struct parser *p, uint32_t line, const char *why, struct span name);
void parse_advance(struct parser *p);
bool parse_sees(const struct parser *p, const char *text);
bool parse_take(struct parser *p, const char *text);
/* parse_take, or a mistake. */
bool parse_expect(struct parser *p, const char *text, const char *expected);
struct span parse_take_name(struct parser *p, const char *expected);
/* Names of architectures may have hyphens within: gpt-oss. */
struct span parse_take_arch_name(struct parser *p, const char *expected);
void *parse_make(struct parser *p, size_t bytes);
/* `folder`, and what may stand within it: does one of them begin here? Then it is read into d. */
bool parse_folder(struct parser *p, struct definition *d);

#endif
