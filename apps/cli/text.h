/* text.h - text that grows, files read whole, lists of token ids, and messages for people. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "andiron.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Bytes that grow; zero it to begin. `bytes` is always followed by a NUL once something was added. */
struct text {
    char *bytes;
    size_t n, room;
};

bool text_add(struct text *text, const char *bytes, size_t n); /* false: out of memory, nothing added */
void text_close(struct text *text);
enum { MOST_TEXT = 1 << 30 };
/* All that is left of `file`, at most MOST_TEXT bytes. False with a sentence on stderr; `name` is for that sentence. */
bool text_read(struct text *text, FILE *file, const char *name);
bool text_read_path(struct text *text, const char *path); /* "-": standard input */

/* Token ids that grow; zero it to begin. */
struct tokens {
    andiron_token *ids;
    size_t n, room;
};

bool tokens_reserve(struct tokens *tokens, size_t n); /* room for n ids in all */
void tokens_close(struct tokens *tokens);
/* andiron_tokenize into `tokens`, replacing what was there. False with a sentence on stderr. */
bool tokens_from_text(struct tokens *tokens, const andiron_model *model, const char *text, size_t n, unsigned flags);
/* `n` bytes and a NUL: ids separated by commas, spaces or lines, with or without the brackets of JSON. False with a
 * sentence on stderr when something else stands there or an id is not below `n_vocab`. */
bool tokens_parse(struct tokens *tokens, const char *text, size_t n, size_t n_vocab);

/* Prints "andiron: sentence" on stderr; returns false. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool fail_memory(void);
bool fail_with(const andiron_error *error);

#endif
