/* tokenizer_pre.h - pre-tokenizers as data: each a short list of patterns that cut text into words, and the names that
 * GGUF files give them. */
#ifndef TEXT_TOKENIZER_PRE_H
#define TEXT_TOKENIZER_PRE_H

#include "base/buffer.h"
#include "text/tokenizer_class.h"

enum { PRE_MAX_STEPS = 6 };

/* How a step cuts a piece. */
enum pre_how {
    PRE_PATTERN,     /* matches, and what lies between them */
    PRE_DIGITS,      /* runs of numbers in threes from the right; what stands before a run goes with its first group */
    PRE_ASCII_DIGITS /* runs of ASCII digits in threes from the right */
};

struct pre_step {
    const char *pattern; /* over classes (tokenizer_class.h), for PCRE2 without UTF; NULL ends the list */
    const struct class_set *set;
    enum pre_how how;
};

enum pre_flag {
    PRE_ADD_BOS = 1,       /* unless the file says otherwise */
    PRE_IGNORE_MERGES = 2, /* a word that is a token is that token */
    PRE_RAW = 4,           /* texts are UTF-8 with U+2581 for a space */
    PRE_ALWAYS_BOS = 8,    /* whatever the file says */
};

struct pre_kind {
    struct pre_step steps[PRE_MAX_STEPS + 1];
};

struct pre_name {
    const char *name;
    const struct pre_kind *kind;
    unsigned flags;
};

/* NULL: not known. An empty name is "default". */
const struct pre_name *pre_find(struct span name);
/* One name for each kind, with commas between them. */
void pre_list(struct buffer *out);
/* Memory for PCRE2. */
void *pre_take(size_t bytes, void *user);
void pre_give(void *p, void *user);

#endif
