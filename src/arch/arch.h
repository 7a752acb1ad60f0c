/* arch.h - the .arch language: read a definition, inherit, expand it to a graph. The language is described in
 * docs/arch-language.md.
 *
 * Definitions may come from an untrusted file: no recursion, loops over layers only, a fixed list of ops
 * (graph/ops.def), checked arithmetic, and budgets on source bytes, steps, depth, nodes and layers. Every mistake is an
 * error with file:line and what was expected. */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "graph/graph.h"

struct arch; /* a parsed definition with all its parents */

/* Where parents come from: the text of the definition called `name`, or false. `file` names it in errors. */
typedef bool (*arch_find_fn)(void *user, struct span name, struct span *text, const char **file);

/* Built-in definitions, embedded at build from arch/ (an arch_find_fn; `user` is not used). */
bool arch_builtin(void *user, struct span name, struct span *text, const char **file);
/* Names of the built-in definitions, in order; NULL at the end. */
const char *arch_builtin_name(size_t i);

/* Parse `text` (called `file` in errors) and, through `find`, its parents. Text is copied. */
andiron_status arch_open(struct arch **out, struct span text, const char *file, arch_find_fn find, void *user,
                         andiron_error *error);
void arch_close(struct arch *a); /* NULL is fine */
const char *arch_name(const struct arch *a);

/* ---- Hugging Face's folders: what config.json and the tensors are called there, and here ---- */

enum arch_verb {
    ARCH_FOLDER,
    ARCH_CONFIG,
    ARCH_EXPECT,
    ARCH_TENSOR,
    ARCH_LAYER,
    ARCH_ACTIVATION,
    ARCH_PREFIX,
    ARCH_GGUF,
    ARCH_NEED,
    ARCH_IGNORE,
    ARCH_HEED
};

enum arch_word {
    /* of a type of folders */
    ARCH_HALVES = 1 << 0,           /* query and key rows stand as halves where GGUF files hold pairs */
    ARCH_NORMS_LESS_ONE = 1 << 1,   /* norms hold their weights less 1 */
    ARCH_ENCODER = 1 << 2,          /* a head of scores of tokens is left out where a vector is asked for */
    ARCH_WINDOWED = 1 << 3,         /* sliding_window holds for every layer */
    ARCH_WINDOW_IF_USED = 1 << 4,   /* sliding_window holds where use_sliding_window is true */
    ARCH_WINDOWS_LATER = 1 << 5,    /* and from layer max_window_layers on, whose default is 28 */
    ARCH_WINDOWS_BETWEEN = 1 << 6,  /* or in every other layer before it */
    ARCH_KEYS_BY_WORDS = 1 << 7,    /* heads of keys by multi_query and new_decoder_architecture */
    ARCH_ROPE_IF_SAID = 1 << 8,     /* no RoPE unless position_embedding_type is "rope" */
    ARCH_TWO_HEAD_SIZES = 1 << 9,   /* global layers have heads of their own size */
    ARCH_PART_TURNS = 1 << 10,      /* partial_rotary_factor counts */
    ARCH_OWN_ACTIVATIONS = 1 << 11, /* no other hidden_act than the definition's own */
    ARCH_POOLS_BY_LAYER = 1 << 12,  /* attention pools so many rows to one, by layer_types or compress_ratios */
    ARCH_SOURCE = 1 << 13,          /* reads a source; the encoder's and the decoder's names begin with that */
    /* of a number; without: a whole one */
    ARCH_REAL = 1 << 14,
    ARCH_TRUTH = 1 << 15, /* 1 or 0 */
    ARCH_SUM = 1 << 16,   /* with `by` */
    ARCH_TEXT = 1 << 17,
    ARCH_LIST = 1 << 18, /* each of them; of texts, 1 where it is `by` */
    /* of a tensor: how its numbers change on their way here, in this order */
    ARCH_TRANSPOSED = 1 << 19,       /* each matrix stands as [in, out] */
    ARCH_HEADS_IN_TURN = 1 << 20,    /* rows of q, k and v in turn for each head of k: all q, all k, all v */
    ARCH_PAIRS_IN_TURN = 1 << 21,    /* rows of two matrices in turn: one matrix, then the other */
    ARCH_SQUEEZED = 1 << 22,         /* [d, 1, taps] is [d, taps] */
    ARCH_NEGATIVE_EXP = 1 << 23,     /* -exp(x) */
    ARCH_F32 = 1 << 24,              /* in F32 */
    ARCH_WITHOUT_TWO_ROWS = 1 << 25, /* the first two */
    ARCH_WHOLE_NUMBERS = 1 << 26,    /* from 0 on, as I32; alone */
    ARCH_OF_EXPERTS = 1 << 27,       /* a matrix for each expert, one below the other; before all else */
    /* of a number, again */
    ARCH_NULL_IS_0 = 1 << 28,    /* where the definition would have another without a word */
    ARCH_INVERSE_ROOT = 1 << 29, /* 1 / sqrt(x); with ARCH_REAL */
    ARCH_ALONE = 1 << 30,        /* not where the text is a part of a model */
    /* of a tensor that a GGUF file has as two; a bit that means something else of other lines */
    ARCH_HEADS_APART = 1 << 0, /* each head's keys, as columns, and its values; without: one half of the rows each */
    ARCH_STATELESS = 1 << 2,   /* an architecture's name, of models without recurrent layers and experts */
    ARCH_NUMBERS = 1 << 1,     /* one number of each layer, which are a list of the metadata, under a whole key */
};

struct arch_line {
    enum arch_verb verb;
    bool is_truth;    /* EXPECT: the number is true or false */
    unsigned words;   /* ARCH_REAL, ... */
    struct span from; /* a path in config.json; a tensor's name, a layer's within it; an activation; a model_type; of
                         IGNORE and HEED keys of config.json, between spaces */
    struct span by;   /* CONFIG: the path of a second factor, or summand, or empty; of an ARCH_LIST the text that is 1;
                         NEED: a path that does as well, or empty; GGUF: the second of two tensors, or, where `to`
                         is empty, the key of a factor */
    struct span to;   /* what it is here; empty: left out; of an EXPECT the text, or empty; of an ACTIVATION: the
                         definition's own; of a PREFIX that stands before a layer's number: "layer" */
    double number;    /* CONFIG without from; EXPECT; of a GGUF without `to` and `by` what others take the key as */
    struct arch_line *inner, *next;
};

struct arch_folder {
    const char *type;               /* NULL: none was found */
    unsigned words;                 /* ARCH_HALVES, ... */
    const struct arch_line **lines; /* in the order in which they hold: the first of those that tell the same */
    size_t n;
};

/* What `a` says of folders whose config.json has this model_type; out->type NULL: nothing. As long as `a` lives. */
andiron_status arch_find_folder(struct arch *a, struct span type, struct arch_folder *out, andiron_error *error);
/* The built-in definition that has a line for this model_type, or NULL. */
const char *arch_builtin_of_folder(struct span type);

/* ---- expanding ---- */

/* Two matrices whose product, times `scale`, is added to a weight: A narrows, B widens again. a NULL: none here. */
struct arch_adapter {
    const struct weight *a, *b;
    double scale;
};

/* A model's metadata and tensors, whatever kind of file they stand in. Keys are given without the architecture's name
 * ("attention.head_count" for "llama.attention.head_count"); a key that begins with a dot is looked up without its dot
 * as it is (".general.name"). */
struct arch_source {
    void *user;
    /* Number `i` of the key (a scalar is an array of one); false: absent, not a number, or past the end. *n, if not
     * NULL, is the count. Bools are 0 and 1. */
    bool (*number)(void *user, const char *key, uint64_t i, double *out, uint64_t *n);
    /* Likewise, whole numbers of 64 bits without a sign. */
    bool (*whole)(void *user, const char *key, uint64_t i, uint64_t *out, uint64_t *n);
    bool (*text)(void *user, const char *key, struct span *out);
    /* The tensor of that full name ("blk.0.attn_q.weight"), or NULL; lives as long as the graph. */
    const struct weight *(*weight)(void *user, const char *name);
    /* What adapter number i adds to that weight; false: there are fewer. NULL: there are none. */
    bool (*adapter)(void *user, const struct weight *w, size_t i, struct arch_adapter *out);
};

/* Expand the definition for one model. `arena` keeps the graph. Runs graph(tokens); parameters are evaluated
 * when first used. */
andiron_status arch_expand(const struct arch *a, const struct arch_source *source, struct arena *arena,
                           struct graph *out, andiron_error *error);

#endif
