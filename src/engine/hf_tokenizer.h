/* hf_tokenizer.h - what hf_tokenizer.c (classes, special tokens) and hf_vocabulary.c (files of vocabularies) share. */
#ifndef ENGINE_HF_TOKENIZER_H
#define ENGINE_HF_TOKENIZER_H

#include "base/error.h"
#include "engine/hf_internal.h"

/* FILES_NAMED: a SentencePiece model, whose pieces have the ids that vocab.json says. */
enum hf_files { FILES_SPIECE, FILES_NAMED, FILES_BYTES, FILES_WORDS };
/* Pieces of the model after the first `dropped` follow what fairseq had in front; the mask is the last. Those of more
 * than `before` names are called <unk_2>, ... (Pegasus). */
struct hf_reordering {
    size_t dropped, n_before;
    const char *before[5];
    const char *languages; /* a language's token stands before a text: what is around its code in it; NULL: none does */
};
/* What is done to a text before it is cut into pieces, as tokenizer.json says it; NULL: as T5's. */
struct hf_steps {
    const char *normalizers, *pre_tokenizers; /* lists */
    const char *behind;                       /* a token behind the pieces, where none of them is it */
    bool first_is_last;                       /* what others have before a text stands behind the last token */
};
struct hf_class {
    const char *name;  /* in tokenizer_config.json; "Fast" may follow */
    const char *types; /* model_types that have it where nothing is said */
    enum hf_files files;
    const char *first, *last, *unknown; /* tokens; the first two stand around a text: */
    int around[2];                      /* 1: always, 0: where asked for, -1: unless said otherwise */
    const struct hf_reordering *order;
    int n_extra; /* sentinels at the end */
    bool of_qwen;
    const struct hf_steps *steps;
};

struct hf_parts {
    struct hf_model *m;
    const struct hf_class *kind;
    json_t *config, *special, *ids; /* tokenizer_config.json, special_tokens_map.json, added_tokens.json */
    json_t *added;                  /* as tokenizer.json lists them */
    struct tokenizer_source *out;
    size_t n_least; /* tokens */
    struct span *texts;
    float *scores;
    uint8_t *kinds;
    andiron_error *error;
};

static inline andiron_status hf_no_vocabulary(const struct hf_parts *p)
{
    return error_memory(p->error, 1 << 20, "the vocabulary");
}

/* The token of the language of a text. */
struct span hf_language(const struct hf_parts *p);
/* A token by its role ("bos_token"), as the folder says, or as the class does; empty: there is none. */
struct span hf_named_token(const struct hf_parts *p, const char *role, const char *usual);
const char *hf_role(const struct hf_parts *p, bool last); /* of what stands before a text, or behind it */
bool hf_add_token(struct hf_parts *p, json_int_t id, const char *text,
                  bool special); /* to p->added; false: no memory */
bool hf_is_added(const struct hf_parts *p, const char *text);

/* To p->added: languages' tokens, behind n others. */
andiron_status hf_add_languages(struct hf_parts *p, size_t n);

/* A SentencePiece model, vocab.txt: p->out. merges.txt, beside which vocab.json lies: *root. */
andiron_status hf_read_pieces(struct hf_parts *p, struct span file, const char *name);
andiron_status hf_read_words(struct hf_parts *p, struct span file);
andiron_status hf_read_bytes(struct hf_parts *p, struct span merges, json_t **root);

#endif
