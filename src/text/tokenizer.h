/* tokenizer.h - bytes to token ids and back.
 *
 * Kinds: byte-level BPE ("gpt2" in GGUF, with a pre-tokenizer that splits text first) and SentencePiece BPE with byte
 * fallback ("llama" in GGUF), RWKV's longest tokens ("rwkv"), PLaMo-2's least costs ("plamo2"); ids equal llama.cpp's
 * for the same file. tokenizer_hf.h opens those of a tokenizer.json, and WordPiece ("bert") and Unigram ("t5") are run
 * as such: ids equal those of the tokenizers package.
 * Everything is read from struct tokenizer_source, so that other kinds of file can feed the same code. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "andiron.h"
#include "base/buffer.h"
#include "base/span.h"

struct tokenizer;

enum token_kind { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED, TOKEN_BYTE };

/* What a vocabulary consists of. Spans are borrowed for the tokenizer's whole life (they point into the mapped file).
 * Numbers come from an untrusted file: the tokenizer checks ids against n_tokens and kinds against enum token_kind. */
struct tokenizer_source {
    struct span model; /* "gpt2", "llama", "bert", "t5", "rwkv", "plamo2" */
    struct span pre;   /* "smollm", "qwen2", "llama-bpe", "default", ...; empty: not given */
    size_t n_tokens;
    const struct span *texts; /* [n_tokens] as in the file: byte-level BPE in GPT-2's printable alphabet */
    const float *scores;      /* [n_tokens], or NULL; "t5": -infinity where no text becomes the token */
    const uint8_t *kinds;     /* [n_tokens] enum token_kind, or NULL: all normal */
    bool as_spiece;           /* "t5": SentencePiece's own sums and spaces, not those of the package tokenizers; then */
    size_t n_nameless;        /* pieces of a text that have no id, and so are the unknown token: */
    const struct span *nameless;  /* [n_nameless] their texts, */
    const float *nameless_scores; /* and scores */
    size_t n_merges;
    const struct span *merges;                                        /* [n_merges] "left right", or NULL */
    int32_t bos, eos, eot, unknown, sep, padding;                     /* -1: none */
    int add_bos, add_eos, add_space_prefix, remove_extra_whitespaces; /* 0, 1, or -1: the kind's default */
    int32_t eom;                                                      /* end of message; -1: none */
    const int32_t *ends; /* [n_ends] more tokens that end a turn; read when the tokenizer is opened only */
    size_t n_ends;
    const char *steps;            /* "t5": normalizers and pretokenizers of a tokenizer.json; NULL: the usual ones */
    bool bos_last;                /* "t5": BOS stands behind EOS, not before the text */
    struct span charsmap;         /* "t5": SentencePiece's precompiled map of characters; empty: none */
    int lowercase, strip_accents; /* "bert": 0, 1, or -1: yes, as lowercase */
    struct span name;             /* general.name: with Phi-3, white space after an added token is dropped */
};

andiron_status tokenizer_open(struct tokenizer **out, const struct tokenizer_source *source, andiron_error *error);
void tokenizer_close(struct tokenizer *t); /* NULL is fine */

size_t tokenizer_n_tokens(const struct tokenizer *t);

/* Ids of `text` under `flags` (andiron_tokenize_flags), appended to *ids. `ids` holds int32_t in native order; fails
 * only for memory (ids->failed is then set, or E_MEMORY), or where a tokenizer.json's pattern takes too long
 * (E_SUPPORT). Any bytes are fine; time is O(n log n) in the text's length even for hostile text (no quadratic merge of
 * one long word). */
andiron_status tokenizer_encode(const struct tokenizer *t, struct span text, unsigned flags, struct buffer *ids,
                                andiron_error *error);
/* The same for text that consists of runs: control tokens (and the unknown token) are found only wholly inside one
 * `markup` run; everything else goes on across the runs' ends. `runs` cover the text. ANDIRON_TOKENIZE_SPECIAL in
 * `flags` changes nothing here. */
struct tokenizer_run {
    size_t n_bytes;
    bool markup;
};
andiron_status tokenizer_encode_runs(const struct tokenizer *t, struct span text, const struct tokenizer_run *runs,
                                     size_t n_runs, unsigned flags, struct buffer *ids, andiron_error *error);
/* BOS where encoding a text adds one (the vocabulary says add_bos), else -1. */
andiron_token tokenizer_added_bos(const struct tokenizer *t);
/* As andiron_token_piece: the bytes of one token; empty for an id out of range. */
struct span tokenizer_piece(const struct tokenizer *t, andiron_token id, bool special);
/* As andiron_detokenize: appends to *text. */
andiron_status tokenizer_decode(const struct tokenizer *t, const andiron_token *ids, size_t n, bool special,
                                struct buffer *text, andiron_error *error);
/* Id of the token spelled exactly so (a control token's spelling), or -1. */
andiron_token tokenizer_find(const struct tokenizer *t, struct span spelling);
enum token_kind tokenizer_kind(const struct tokenizer *t, andiron_token id);
/* End of sequence, end of turn, and the control tokens that the field uses for the same ("<|im_end|>", "<|eot_id|>",
 * "<end_of_turn>", "<|end|>", ...), as llama.cpp's set of end-of-generation tokens. */
bool tokenizer_ends_turn(const struct tokenizer *t, andiron_token id);
/* The spelling of BOS and EOS for chat templates; empty: none. */
struct span tokenizer_bos_text(const struct tokenizer *t);
struct span tokenizer_eos_text(const struct tokenizer *t);

#endif
