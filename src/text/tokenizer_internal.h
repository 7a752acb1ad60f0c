/* tokenizer_internal.h - what the tokenizer's files share: the vocabulary as it lies in memory, and one encoding run.
 *
 * Text goes: tokenizer_special.c cuts out tokens that are matched as wholes; what is left goes to tokenizer_bpe.c (by
 * way of tokenizer_pre.c, which splits it into words) or to tokenizer_spm.c, and both merge in tokenizer_merge.c; or
 * to tokenizer_cuts.c, which merges nothing. */
#ifndef TEXT_TOKENIZER_INTERNAL_H
#define TEXT_TOKENIZER_INTERNAL_H

#include "base/arena.h"
#include "text/tokenizer.h"
#include "text/tokenizer_table.h"

enum { SPECIAL_MAX_BYTES = 255 }; /* longer spellings are not matched as wholes */

enum vocabulary { VOCABULARY_BPE, VOCABULARY_SPM, VOCABULARY_RWKV, VOCABULARY_PLAMO, VOCABULARY_HF };

/* What the file does not say of a token and llama.cpp knows by names. */
enum trait {
    TRAIT_STRIP_LEFT = 1,  /* white space before it is dropped where it is matched as a whole */
    TRAIT_STRIP_RIGHT = 2, /* ... after it */
    TRAIT_MARKUP = 4,      /* shown like a user-defined token, but found in markup only, like a control token */
};

struct special_node; /* tokenizer_special.c */
struct pre;          /* tokenizer_pre.c */
struct bpe;          /* tokenizer_bpe.c */
struct trie;         /* tokenizer_trie.h */
struct hf;           /* tokenizer_hf_internal.h */

struct tokenizer {
    struct arena arena;
    enum vocabulary vocabulary;
    struct tokenizer_source source; /* checked: ids out of range are -1, defaults are filled in */
    uint8_t *kinds;                 /* [n_tokens] */
    uint8_t *traits;                /* [n_tokens] bits of enum trait, or NULL: none has any */
    uint32_t *piece_at;             /* [n_tokens + 1] into piece_bytes */
    char *piece_bytes;              /* what tokens stand for */
    struct hash_key key;
    struct table tokens;          /* texts -> ids */
    size_t longest;               /* bytes of the longest text */
    struct special_node *special; /* a trie over texts matched as wholes; node 0 is none */
    uint32_t special_root[256];   /* the nodes of first bytes */
    bool special_lengths[SPECIAL_MAX_BYTES + 1];
    struct pre *pre;       /* VOCABULARY_BPE */
    struct bpe *bpe;       /* VOCABULARY_BPE */
    struct trie *trie;     /* VOCABULARY_RWKV, VOCABULARY_PLAMO: of the tokens that texts become */
    struct hf *hf;         /* VOCABULARY_HF: out of a tokenizer.json; owned */
    bool ignore_merges;    /* a word that is a token is that token, whatever merging gives */
    bool raw;              /* texts are UTF-8 with U+2581 for a space, not GPT-2's printable alphabet */
    int32_t byte_ids[256]; /* raw, SPM and PLaMo: the fallback of a byte; -1: none */
    bool joins_space[256]; /* SPM: some token has this byte just before a U+2581 */
    andiron_token *ends;   /* tokens that end a turn */
    size_t n_ends;
};

/* One run of tokenizer_encode: memory that its steps share. */
struct encoder {
    const struct tokenizer *t;
    struct buffer *ids;
    struct buffer pieces[2]; /* lengths of what the pre-tokenizer's steps gave, uint32_t */
    void *heap, *before, *symbols, *text, *classes, *match;
    size_t heap_bytes, before_bytes, symbols_bytes, text_bytes, classes_bytes;
    const char *refused; /* why the text cannot be encoded, where it is not for memory; NULL */
};

/* At least `n` items at *p, which keeps what it holds. False: out of memory. */
bool encoder_reserve(void **p, size_t *bytes, size_t n, size_t item_bytes);
static inline bool encoder_add(struct encoder *e, int32_t id) { return id < 0 || buffer_add(e->ids, &id, sizeof id); }

/* The token with this text, or -1. `hash` is hash_bytes of it. */
int32_t tokenizer_lookup(const struct tokenizer *t, struct span text, uint64_t hash);
/* May merging make this token? Not one of another kind, whose text is not what it means: matching finds user-defined
 * ones before, and text never becomes a control token or a byte. */
static inline bool tokenizer_is_content(const struct tokenizer *t, int32_t id)
{
    return t->kinds[id] == TOKEN_NORMAL || t->kinds[id] == TOKEN_UNUSED;
}
bool tokenizer_set_trait(struct tokenizer *t, int32_t id, enum trait trait); /* false: out of memory */

/* tokenizer.c: as tokenizer_open, for a vocabulary whose own steps are `hf`, which it takes over in any case. */
andiron_status tokenizer_open_steps(struct tokenizer **out, const struct tokenizer_source *source, struct hf *hf,
                                    andiron_error *error);

/* tokenizer_gguf_json.c: vocabularies that are run as a tokenizer.json. */
bool tokenizer_is_of_words(struct span model);
andiron_status tokenizer_open_of_words(struct tokenizer **out, const struct tokenizer_source *source,
                                       andiron_error *error);

/* tokenizer_special.c. Runs cover the text; `markup` ones may hold control tokens. */
andiron_status special_build(struct tokenizer *t, andiron_error *error);
struct special_match {
    uint32_t at, next; /* text before `at` is the last of what stands before the token; text goes on at `next` */
    int32_t id;
};
/* The matches in `text`, in order, appended to *out. False: out of memory. */
bool special_find(const struct tokenizer *t, struct span text, const struct tokenizer_run *runs, size_t n_runs,
                  struct buffer *out);

/* tokenizer_pieces.c */
extern const char space_mark[3]; /* U+2581, which stands for a space */
andiron_status pieces_build(struct tokenizer *t, andiron_error *error);

/* tokenizer_names.c: what is known of tokens by their spelling only. */
andiron_status names_apply(struct tokenizer *t, andiron_error *error);

/* tokenizer_pre.c */
andiron_status pre_open(struct tokenizer *t, unsigned *flags, andiron_error *error); /* enum pre_flag */
void pre_close(struct pre *pre);
/* Split `text` and hand each word to bpe_word. False: out of memory. */
bool pre_split(const struct pre *pre, struct encoder *e, struct span text);
void pre_release(struct encoder *e);

/* tokenizer_merge.c: neighbours become one, best pair first, as long as there is a pair. */
struct symbol {
    uint32_t at, n; /* bytes in the word's text; not used by byte-level BPE */
    int32_t id;     /* the token, or -1: not looked up */
    uint32_t next;
};
/* May `left` and `right` be merged? Then the merged one's id, and its rank: the lowest is merged first, of equal ones
 * the leftmost. -1: no. */
typedef int32_t merge_pair_fn(const void *context, const struct symbol *left, const struct symbol *right,
                              uint32_t *rank);
/* Merge symbols[0..*n); the rest stand in symbols[0..*n) afterwards. `next` need not be set. False: out of memory. */
bool merge_symbols(struct encoder *e, struct symbol *symbols, size_t *n, merge_pair_fn *pair, const void *context);

/* tokenizer_bpe.c, tokenizer_spm.c */
andiron_status bpe_build(struct tokenizer *t, andiron_error *error);
bool bpe_word(struct encoder *e, struct span word);
size_t bpe_spell(char out[2], uint8_t byte); /* a byte's character of GPT-2's printable alphabet, as UTF-8 */
int bpe_byte_of(uint32_t codepoint); /* of a character of GPT-2's printable alphabet; -1: not of that alphabet */
andiron_status spm_build(struct tokenizer *t, andiron_error *error);
bool spm_fragment(struct encoder *e, struct span text, bool space_first);
/* tokenizer_cuts.c */
andiron_status cuts_build(struct tokenizer *t, andiron_error *error);
bool rwkv_fragment(struct encoder *e, struct span text);
bool plamo_fragment(struct encoder *e, struct span text);

/* For vocabularies that spell in bytes what they do not know; the last two where U+2581 is a space. */
void spm_find_bytes(struct tokenizer *t); /* fills byte_ids */
bool spm_emit(struct encoder *e, const char *text, const struct symbol *symbols, size_t n);
bool spm_emit_bytes(struct encoder *e, const char *text, size_t n); /* the unknown token if one of them has none */
/* Bytes of the next symbol of text[0..n): a character as its first byte tells it, cut off before a space or U+2581. */
size_t spm_symbol_bytes(const char *text, size_t n);
static inline bool spm_is_mark(const char *text, size_t n) { return n >= 3 && !memcmp(text, space_mark, 3); }

#endif
