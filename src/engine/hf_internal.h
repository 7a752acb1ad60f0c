/* hf_internal.h - what hf_model.c (metadata) and hf_weights.c (tensors) share. */
#ifndef ENGINE_HF_INTERNAL_H
#define ENGINE_HF_INTERNAL_H

#include "arch/arch.h"
#include "base/arena.h"
#include "engine/hf_model.h"
#include "files/hf_dir.h"

/* How a folder packs its weights; hf_packed.h has the rest. */
enum hf_packing_method { HF_PLAIN, HF_FP8, HF_COMPRESSED, HF_GPTQ, HF_AWQ, HF_MXFP4, HF_BNB };

struct hf_packing {
    enum hf_packing_method method;
    uint64_t block[2];    /* FP8: rows and columns that share a scale; 0: config.json says nothing */
    uint32_t bits;        /* GPTQ, AWQ: of an item */
    uint64_t group;       /* GPTQ, AWQ: columns that share a scale; 0: all */
    bool less_one;        /* GPTQ: zeros are stored less 1 */
    const json_t *groups; /* compressed-tensors: config_groups */
    void *room;           /* where what is passing is unpacked */
    uint64_t n_room;
    struct pool *pool; /* while weights are unpacked */
};

enum { HF_NAME_BYTES = 256, HF_NO_TYPE = UINT32_MAX, HF_TYPE_OF_SIBLINGS = UINT32_MAX - 1, HF_DENSE_PARTS = 2 };

struct hf_model {
    struct arena arena; /* names, vectors, unpacked weights */
    struct hf_dir *dir;
    const json_t *config; /* hf_text_config */
    json_t *generation;   /* generation_config.json; NULL: there is none */
    struct arch *arch;    /* the definition that tells of this type of folders */
    struct span text;     /* its own, without its parents' */
    bool is_builtin;      /* it is none of the user's */
    struct arch_folder folder;
    const char *architecture; /* its name */
    struct span act;          /* the activation's name here; empty: the definition's own */
    struct buffer header;     /* metadata as a GGUF file has it */
    struct buffer keys;       /* those that are put, each with a zero behind it */
    uint64_t n_values;
    bool full; /* the header is not whole: no memory */
    struct gguf_tensor *tensors;
    size_t n_tensors, capacity;
    uint32_t n_layers;       /* that tensors belong to */
    bool vectors;            /* of an encoder, without the head of scores that it may have */
    bool tied;               /* the head of scores is the table of tokens */
    uint64_t n_experts_said; /* by config.json */
    struct hf_packing packing;
    struct safetensors *dense[HF_DENSE_PARTS]; /* of sentence-transformers */
    size_t n_dense;
    uint32_t *n_experts; /* [capacity] so far brought together in that tensor; 0: it is another */
};

enum { HF_LAYERS_MAX = 4096 };
/* Metadata as a GGUF file has it; put_key begins a value. Keys are the architecture's, or general.x, tokenizer.x. */
void hf_put_key(struct hf_model *m, const char *key, enum gguf_value_type type);
void hf_put_number(struct hf_model *m, uint64_t x, size_t n_bytes);
bool hf_is_put(const struct hf_model *m, const char *key);
void hf_put_u32(struct hf_model *m, const char *key, uint64_t x);
void hf_put_f64(struct hf_model *m, const char *key, double x);
/* Begin a list of n; its items follow. */
void hf_put_array(struct hf_model *m, const char *key, enum gguf_value_type type, uint64_t n);
void hf_put_string(struct hf_model *m, const char *key, struct span text);
/* Of a list of texts 1 where one is `yes`, else 0. */
void hf_put_list(struct hf_model *m, const char *key, const json_t *list, const char *yes);
andiron_status hf_put_keys(struct hf_model *m, andiron_error *error);                      /* what CONFIG lines say */
andiron_status hf_wrong(const struct hf_model *m, const char *what, andiron_error *error); /* of config.json */
/* A number by the first of two paths that has one. */
bool hf_number_at(const struct hf_model *m, const char *path, const char *or_path, double *out);
/* The definition for the folder's model_type, and its names. */
andiron_status hf_find_folder(struct hf_model *m, const andiron_model_options *options, andiron_error *error);
/* The next line of this kind from number *at on, which moves behind it; NULL: no more. */
const struct arch_line *hf_next_line(const struct hf_model *m, enum arch_verb verb, size_t *at);
/* As a text that ends with 0; false: too long. */
bool hf_copy(char to[HF_NAME_BYTES], struct span text);
struct span hf_next_word(struct span *words); /* between spaces; taken off */
bool hf_is_one_of(struct span words, struct span word);
/* What the definition says where config.json has no number for a key. */
bool hf_said(const struct hf_model *m, const char *key, double *out);
andiron_status hf_put_heads(struct hf_model *m, andiron_error *error);
bool hf_is_latent(const struct hf_model *m); /* the definition tells attention.latent_epsilon */
andiron_status hf_put_rope(struct hf_model *m, andiron_error *error);
/* `from` changed as `how` says (ARCH_TRANSPOSED, ...), by its name here. */
andiron_status hf_take_changed(struct hf_model *m, const char *name, unsigned how, const struct gguf_tensor *from,
                               andiron_error *error);
/* Whole numbers of I64 or I32 as I32. */
andiron_status hf_take_whole(struct hf_model *m, const char *name, const struct gguf_tensor *from,
                             andiron_error *error);
/* A number of a tensor of I64 or I32. */
int64_t hf_whole(const struct gguf_tensor *t, size_t i);
/* Has the folder a head that scores a text by one row, as ...ForSequenceClassification of decoders and RoBERTa? */
bool hf_scores_texts(const struct hf_model *m);
/* An encoder's head of a whole text that no line tells of is not left out in silence. */
andiron_status hf_check_class(const struct hf_model *m, andiron_error *error);
/* The pooling of a text's rows, and Dense parts (hf_sentence.c). */
andiron_status hf_put_sentence(struct hf_model *m, andiron_error *error);
/* The folder's tokenizer (hf_tokenizer.c): *root is tokenizer.json, or made of vocab.json; else *out, where n_tokens is
 * not 0, has what tokenizer_open takes, at least n_tokens, the last of which are unused. */
andiron_status hf_read_vocabulary(struct hf_model *m, size_t n_tokens, json_t **root, struct tokenizer_source *out,
                                  andiron_error *error);
/* ---- hf_ngrams.c ---- */

/* Is it a part of a table of n-grams? */
bool hf_is_shard(struct span name);
/* Its rows, where they belong in the table of all. */
andiron_status hf_take_shard(struct hf_model *m, const struct safetensors_tensor *from, andiron_error *error);
/* What picks its rows. */
andiron_status hf_put_ngrams(struct hf_model *m, andiron_error *error);

/* A truth at a path, as Python has it: null and 0 are false. False: there is none. */
bool hf_truth(const struct hf_model *m, const char *path, bool *out);
/* Heads of queries, and of keys, as config.json says them in one of its ways. False: it does not, or nonsense. */
bool hf_heads(const struct hf_model *m, uint64_t *n, uint64_t *n_kv);
/* The value at a path: a whole number from 0 to 2^31 - 1 (GGUF_U32), a number (F32), a truth (BOOL) or a text (STRING);
 * a list of values that are all the same counts as one. *out is NULL where there is none, or null. */
andiron_status hf_value(const struct hf_model *m, const char *path, enum gguf_value_type type, const json_t **out,
                        andiron_error *error);
/* What config.json says beyond plain keys: products, constants of a type, heads; and options that are not covered. */
andiron_status hf_check_options(const struct hf_model *m, andiron_error *error);
/* A tensor without data yet. NULL: no memory. */
struct gguf_tensor *hf_add_tensor(struct hf_model *m, const char *name);
/* Number i of a tensor of F32, F16 or BF16, aligned or not. */
float hf_number(const struct gguf_tensor *t, size_t i);
/* The name here of a tensor of the folder that is a matrix of its own, its rows as they stand. False: it is none. */
bool hf_matrix_here(struct hf_model *m, struct span name, char out[HF_NAME_BYTES]);
/* A vector, as F32, or a matrix that stays where it is mapped, by its name here. */
andiron_status hf_take_plain(struct hf_model *m, const char *name, const struct safetensors_tensor *from,
                             andiron_error *error);
/* All tensors of the folder by their names here, or an error that names what is not known, or missing. */
andiron_status hf_take_weights(struct hf_model *m, andiron_error *error);
/* A vector of n numbers for the caller to fill. NULL: no memory. */
float *hf_add_vector(struct hf_model *m, const char *name, size_t n);

/* ---- hf_packed.c ---- */

/* What quantization_config says, or an error that names what is not read here. */
andiron_status hf_packing_read(struct hf_model *m, andiron_error *error);
void hf_packing_done(struct hf_model *m); /* nothing will be unpacked any more */
/* Is this a part of a packed matrix (its scales, zeros, ...), of no use alone? */
bool hf_is_beside(const struct hf_model *m, const struct safetensors_tensor *t);
/* Is there a weight of the module of this name, packed or not? */
bool hf_has_matrix(const struct hf_model *m, const char *stem);
/* *as: the tensor as if it were not packed, without data; a plain one as it is. name: room for its name. */
andiron_status hf_packed_look(const struct hf_model *m, const struct safetensors_tensor *from,
                              struct safetensors_tensor *as, char name[HF_NAME_BYTES], andiron_error *error);
/* Unpack what hf_packed_look gave; a plain tensor stays. The data live as long as the model, or, of what is passing (it
 * will be copied to where it belongs), until the next passing one. type: HF_NO_TYPE, or one that the caller wants:
 * TYPE_F32, that of the experts before this one, or of the first expert one that holds all of its siblings. */
andiron_status hf_packed_fill(struct hf_model *m, const struct safetensors_tensor *from, struct safetensors_tensor *as,
                              bool passing, uint32_t type, andiron_error *error);

#endif
