/* tokenizer_hf.h - a tokenizer out of tokenizer.json, as the `tokenizers` package writes it.
 *
 * Models: BPE, WordPiece, WordLevel, Unigram, with the normalizers, pre-tokenizers, post-processors and decoders that
 * published models use. Ids equal those of the package. What cannot be represented is an ANDIRON_E_SUPPORT error that
 * names the component. `truncation` and `padding` are not read: texts are given whole. */
#ifndef TEXT_TOKENIZER_HF_H
#define TEXT_TOKENIZER_HF_H

#include "base/arena.h"
#include "text/tokenizer.h"
#include <jansson.h>

/* Documents as parsed; all but the first may be NULL. Nothing of them is borrowed beyond the call. */
struct tokenizer_hf_source {
    const json_t *tokenizer;    /* tokenizer.json */
    const json_t *config;       /* tokenizer_config.json: bos_token, eos_token, ... */
    const json_t *special;      /* special_tokens_map.json: the same, where tokenizer_config.json does not say */
    const json_t *generation;   /* generation_config.json: eos_token_id, one or many, all of which end a turn */
    const json_t *model_config; /* config.json: bos_token_id, eos_token_id, where nothing else says */
};

/* With ANDIRON_TOKENIZE_BOS, what the post-processor puts around a text is put around it; with
 * ANDIRON_TOKENIZE_SPECIAL, ids are those of tokenizer.encode(text); without it, those of a tokenizer whose
 * encode_special_tokens is set, but that a control token comes of content in no way at all. Bytes that are no UTF-8
 * are read as U+FFFD. */
andiron_status tokenizer_hf_open(struct tokenizer **out, const struct tokenizer_hf_source *source,
                                 andiron_error *error);

/* The same tokenizer as a GGUF file says it, with n_tokens tokens (0: its own number; those without a text are
 * unused): what tokenizer_open takes. Lists are put in `arena`, texts belong to `t`; `root` is its tokenizer.json. A
 * tokenizer that GGUF cannot say is an ANDIRON_E_SUPPORT error. */
andiron_status tokenizer_hf_say(const struct tokenizer *t, const json_t *root, size_t n_tokens, struct arena *arena,
                                struct tokenizer_source *out, andiron_error *error);

#endif
