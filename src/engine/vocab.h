/* vocab.h - a GGUF file's vocabulary as a tokenizer, and rendered chats as tokens. */
#ifndef ENGINE_VOCAB_H
#define ENGINE_VOCAB_H

#include "engine/engine.h"

/* Open the tokenizer that `file` describes (keys tokenizer.ggml.*; specification: ggml/docs/gguf.md). Lists that it
 * borrows are put in `arena`; their texts point into the file. Both must outlive it. *out NULL: the file says that it
 * has none ("none"), or is an imported model without one; it takes token ids only. */
andiron_status vocab_open(struct tokenizer **out, const struct gguf *file, struct arena *arena, andiron_error *error);

/* Ids of a rendered chat, appended to *ids (int32_t): control tokens come from markup only. BOS stands in front once
 * where the vocabulary wants it, whether the template wrote it or not. */
andiron_status vocab_encode_chat(const struct tokenizer *t, const struct template_output *rendered, struct buffer *ids,
                                 andiron_error *error);

#endif
