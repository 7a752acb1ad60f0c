/* vocabulary.h - small vocabularies for tests: read from a GGUF, or made from lists. */
#ifndef TESTS_TEXT_VOCABULARY_H
#define TESTS_TEXT_VOCABULARY_H

#include "files/gguf.h"
#include "text/tokenizer.h"

/* All that a tokenizer is opened with, and what owns it. */
struct vocabulary {
    struct tokenizer_source source;
    struct gguf *file; /* NULL: made from lists */
    struct span *texts, *merges;
    float *scores;
    uint8_t *kinds;
};

bool vocabulary_read(struct vocabulary *v, const char *path);
/* From lists that end with NULL; `kinds` has a digit (enum token_kind) for each token, NULL: all normal. The lists'
 * texts are borrowed. Scores fall with the ids. */
void vocabulary_make(struct vocabulary *v, const char *model, const char *const *tokens, const char *kinds,
                     const char *const *merges);
void vocabulary_free(struct vocabulary *v);

#endif
