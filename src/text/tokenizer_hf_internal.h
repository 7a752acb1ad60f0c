/* tokenizer_hf_internal.h - what the files of tokenizer_hf share: tokenizer.json as steps, and one encoding run.
 *
 * Text goes: tokenizer_hf_added.c cuts out added tokens of the raw text; tokenizer_hf_norm.c normalizes what is
 * left; added tokens of normalized text are cut out; tokenizer_hf_split.c makes words; tokenizer_hf_bpe.c,
 * tokenizer_hf_words.c or tokenizer_hf_unigram.c makes tokens of each; tokenizer_hf_post.c knows what stands around
 * them, and what tokens stand for. Inside, text is always whole UTF-8. */
#ifndef TEXT_TOKENIZER_HF_INTERNAL_H
#define TEXT_TOKENIZER_HF_INTERNAL_H

#include "text/tokenizer_internal.h"
#include <jansson.h>

enum {
    HF_MAX_STEPS = 24,       /* of each part, sequences within sequences counted out */
    HF_MAX_TOKENS = 1 << 24, /* the highest id, and the number of merges */
    HF_MAX_AROUND = 64,      /* tokens put before or behind a text */
};

struct hf_regex; /* tokenizer_hf_regex.c */

/* ---- normalizers ---- */

enum hf_norm_kind {
    HF_NORM_FORM, /* NFC, NFD, NFKC, NFKD: utf8proc's options in `options` */
    HF_NORM_LOWER,
    HF_NORM_STRIP,
    HF_NORM_STRIP_ACCENTS,
    HF_NORM_STRIP_NONSPACING,
    HF_NORM_CLEAN, /* BertNormalizer's clean_text */
    HF_NORM_CHINESE,
    HF_NORM_PREPEND,
    HF_NORM_REPLACE,
    HF_NORM_REPLACE_REGEX,
    HF_NORM_CHARSMAP,
    HF_NORM_NMT,
    HF_NORM_BYTES,
};

struct hf_norm {
    enum hf_norm_kind kind;
    unsigned options; /* HF_NORM_FORM: 1 compose, 2 compatibility; HF_NORM_STRIP: 1 left, 2 right */
    struct span from, to;
    struct hf_regex *regex;
    struct hf_charsmap *charsmap;
};

/* ---- pre-tokenizers ---- */

enum hf_behavior { HF_REMOVED, HF_ISOLATED, HF_MERGED_PREVIOUS, HF_MERGED_NEXT, HF_CONTIGUOUS };

enum hf_split_kind {
    HF_SPLIT_REGEX,
    HF_SPLIT_TEXT,
    HF_SPLIT_SPACE, /* by characters of a class */
    HF_SPLIT_PUNCTUATION,
    HF_SPLIT_DIGITS,
    HF_SPLIT_WORDS, /* \w+|[^\w\s]+ */
    HF_PUT_SPACE,   /* a space before a piece that begins with none */
    HF_PUT_BYTES,   /* bytes as GPT-2's printable alphabet */
    HF_PUT_MARKS,   /* Metaspace: spaces as `text`, one before the piece */
};

struct hf_split {
    enum hf_split_kind kind;
    enum hf_behavior behavior;
    bool invert;
    unsigned prepend; /* HF_PUT_MARKS: 0 never, 1 the piece at the text's beginning, 2 always */
    struct span text;
    struct hf_regex *regex;
};

/* ---- added tokens ---- */

struct hf_added {
    int32_t id;
    struct span content;
    bool special, normalized, single_word, lstrip, rstrip;
};

struct hf_trie {
    struct special_trie_node *nodes; /* node 0 is none */
    uint32_t root[256];
};

/* ---- decoders ---- */

enum hf_decode_kind { HF_DECODE_BYTES, HF_DECODE_FALLBACK, HF_DECODE_REPLACE, HF_DECODE_WORDPIECE, HF_DECODE_SPACED };

struct hf_decode {
    enum hf_decode_kind kind;
    bool cleanup;
    struct span from, to;
};

/* ---- the whole ---- */

enum hf_model { HF_BPE, HF_WORDPIECE, HF_WORDLEVEL, HF_UNIGRAM };

struct hf {
    struct arena arena;
    enum hf_model model;
    struct hf_norm norms[HF_MAX_STEPS];
    struct hf_split splits[HF_MAX_STEPS];
    struct hf_decode decodes[HF_MAX_STEPS];
    size_t n_norms, n_splits, n_decodes, n_added;
    struct hf_added *added;
    struct hf_trie raw, normalized, all_raw; /* all_raw: the raw ones, and the control tokens of the others */
    uint8_t *in_model;                       /* [n_tokens] bool: the model's own vocabulary has it */
    bool strips_first;                       /* decoding drops the first space of a text */
    int32_t before[HF_MAX_AROUND], behind[HF_MAX_AROUND];
    size_t n_before, n_behind;
    void *regex_memory, *regex_limits; /* pcre2_general_context, pcre2_match_context */
    struct hf_regex *regexes;          /* all of them */
    /* of the model */
    int32_t unknown;            /* -1: none */
    struct span prefix, suffix; /* BPE's and WordPiece's continuing_subword_prefix, BPE's end_of_word_suffix */
    bool fuse_unknown, byte_fallback, ignore_merges;
    uint64_t max_word;       /* WordPiece: characters of a word */
    int32_t bytes[256];      /* tokens <0x00> to <0xFF>, or -1 */
    struct table pairs;      /* BPE */
    struct hf_merge *merges; /* BPE, in the order of ranks */
    size_t n_merges;
    const double *scores; /* Unigram, [n_tokens] */
    double unknown_score;
    bool single_sums;        /* of scores, as SentencePiece has them */
    struct trie *beginnings; /* Unigram: of its tokens */
};

struct hf_merge {
    int32_t left, right, id;
};

/* One run of encoding. */
struct hf_run {
    struct encoder *e;
    const struct tokenizer *t;
    const struct hf *h;
    struct buffer norms[2];            /* normalized text, step by step */
    struct buffer texts[HF_MAX_STEPS]; /* what each pre-tokenizer's step made of a piece */
    struct buffer scratch;
    uint64_t began_ns, n_bytes; /* for the time that patterns may take */
    unsigned n_matches;
};

struct hf_piece {
    struct span text;
    bool first; /* it begins where the raw text begins */
};

static inline struct span hf_text_of(const json_t *v)
{
    return json_is_string(v) ? (struct span){json_string_value(v), json_string_length(v)} : (struct span){NULL, 0};
}
/* Copies of texts that live as long as the tokenizer; .p NULL: out of memory. */
struct span hf_keep(struct hf *h, struct span text);
/* The word of a component's "type"; "" where there is none. */
const char *hf_type(const json_t *component);
andiron_status hf_refuse(andiron_error *error, const char *part, const char *what); /* E_SUPPORT */
andiron_status hf_broken(andiron_error *error, const char *part, const char *what); /* E_FORMAT */

/* tokenizer_hf_chars.c: characters of whole UTF-8, and what they are. */
uint32_t hf_char(const char *p, size_t *bytes);
size_t hf_put_char(char *out, uint32_t c); /* at most 4 bytes */
/* The item whose range c is in, of n rising ones of so many bytes that begin as struct hf_range; NULL: none. */
const void *hf_find_range(const void *ranges, size_t n, size_t bytes, uint32_t c);
bool hf_is_space(uint32_t c);       /* White_Space */
bool hf_is_word(uint32_t c);        /* \w */
bool hf_is_punctuation(uint32_t c); /* P, and ASCII's symbols */
bool hf_is_number(uint32_t c);      /* N */
bool hf_is_mark(uint32_t c);        /* M */
bool hf_is_nonspacing(uint32_t c);  /* Mn */
bool hf_is_cleaned(uint32_t c);     /* BertNormalizer's clean_text takes it out */
bool hf_is_combining(uint32_t c);   /* it has a combining class */
bool hf_is_indivisible(uint32_t c); /* it has no decomposition, whatever newer tables say */
uint32_t hf_lower_of(uint32_t c);   /* but for U+0130, whose small form is two characters */
bool hf_is_whole(struct span text); /* valid UTF-8 */

/* tokenizer_hf_regex.c: patterns of Oniguruma's, written over for PCRE2. */
andiron_status hf_regex_open(struct hf *h, struct hf_regex **out, struct span pattern, andiron_error *error);
void hf_regex_close(struct hf *h);
bool hf_regex_matches_nothing(const struct hf_regex *r); /* can it match the empty text? */
/* The text as PCRE2 is to see it: characters that are newer than its tables have stand-ins of as many bytes, in *copy.
 * .p NULL: out of memory. */
struct span hf_regex_subject(const struct hf_regex *r, struct span text, struct buffer *copy);
/* The first match at or after `at`. 1: found; 0: none; -1: memory, or a pattern that takes too long (e->refused). */
int hf_regex_find(struct hf_run *run, const struct hf_regex *r, struct span text, size_t at, size_t *begin,
                  size_t *end);

/* tokenizer_hf_norm.c, tokenizer_hf_form.c, tokenizer_hf_charsmap.c */
andiron_status hf_norm_open(struct hf *h, const json_t *normalizer, andiron_error *error);
bool hf_normalize(struct hf_run *run, struct hf_piece *piece); /* to memory of the run's */
bool hf_form(struct hf_run *run, struct span text, unsigned options, struct buffer *out);
/* `longest`: the longest characters that the map has are looked for, as SentencePiece does; the package has another
 * way. */
andiron_status hf_charsmap_open(struct hf *h, struct hf_charsmap **out, struct span base64, bool longest,
                                andiron_error *error);
struct span hf_charsmap_bytes(const struct hf_charsmap *map); /* as SentencePiece keeps it */
bool hf_charsmap_run(const struct hf_charsmap *map, struct span text, struct buffer *out, bool *lost_first);

/* tokenizer_hf_split.c */
andiron_status hf_split_open(struct hf *h, const json_t *pre_tokenizer, andiron_error *error);
bool hf_split_run(struct hf_run *run, size_t step, struct hf_piece piece); /* calls hf_word for each word */
bool hf_spell_bytes(struct buffer *out, struct span text);                 /* GPT-2's printable alphabet */

/* tokenizer_hf_say.c: what tokenizer_hf_say needs for kinds that are not BPE. */
andiron_status hf_say_words(const struct tokenizer *t, const json_t *root, struct tokenizer_source *out,
                            andiron_error *error);
andiron_status hf_mark_words(const struct tokenizer_source *out, struct span *texts, struct arena *arena,
                             andiron_error *error);
andiron_status hf_say_unigrams(const struct tokenizer *t, const json_t *root, struct tokenizer_source *out,
                               struct arena *arena, andiron_error *error);

/* tokenizer_hf_added.c */
andiron_status hf_added_read(struct hf *h, const json_t *list, andiron_error *error);
andiron_status hf_added_build(struct tokenizer *t, andiron_error *error);
struct hf_finder {
    const struct tokenizer *t;
    const struct hf_trie *trie;
    struct span text;
    const struct tokenizer_run *runs;
    size_t n_runs, run, run_end, at, last_next;
};
struct hf_match {
    size_t at, next; /* the text before `at` is no token's; it goes on at `next` */
    int32_t id;
};
bool hf_added_next(struct hf_finder *f, struct hf_match *m); /* false: no more */

/* tokenizer_hf_bpe.c, tokenizer_hf_words.c, tokenizer_hf_unigram.c */
int32_t hf_lookup(const struct tokenizer *t, struct span text); /* a token of the model's that content may make; -1 */
bool hf_word(struct hf_run *run, struct span word);
andiron_status hf_bpe_open(struct tokenizer *t, const json_t *model, andiron_error *error);
bool hf_bpe_word(struct hf_run *run, struct span word);
bool hf_wordpiece_word(struct hf_run *run, struct span word);
andiron_status hf_unigram_open(struct tokenizer *t, const json_t *model, andiron_error *error);
bool hf_unigram_word(struct hf_run *run, struct span word);
void hf_find_bytes(struct tokenizer *t); /* fills h->bytes */

/* tokenizer_hf_post.c */
andiron_status hf_post_open(struct hf *h, const json_t *post_processor, andiron_error *error);
andiron_status hf_decode_open(struct hf *h, const json_t *decoder, andiron_error *error);
andiron_status hf_pieces_build(struct tokenizer *t, andiron_error *error); /* as pieces_build */

/* tokenizer_hf_encode.c */
bool hf_encode(struct encoder *e, struct span text, const struct tokenizer_run *runs, size_t n_runs, bool around);
bool hf_run_open(struct hf_run *run, struct encoder *e);
void hf_run_close(struct hf_run *run);

/* tokenizer_hf.c */
void hf_close(struct hf *h); /* NULL is fine */

#endif
