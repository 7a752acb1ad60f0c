/* engine.h - the objects of andiron.h from inside. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "andiron.h"
#include "arch/arch.h"
#include "base/arena.h"
#include "base/threads.h"
#include "engine/hf_model.h"
#include "files/gguf.h"
#include "files/mapped.h"
#include "graph/plan.h"
#include "text/template.h"
#include "text/tokenizer.h"
#include <pthread.h>

struct andiron_model {
    struct arena arena; /* everything below that is not opened and closed by itself */
    struct gguf *file;
    struct lora *loras; /* [n_loras] */
    size_t n_loras;
    struct hf_model *hf;         /* NULL: the file is a GGUF; else it is this folder seen as one */
    struct tokenizer *tokenizer; /* NULL: a folder without one, which takes token ids alone */
    struct chat_template *chat;  /* NULL: the file has none, or chat_error tells why it cannot be used */
    andiron_error chat_error;
    struct kernels kernels;
    struct pool *pool;
    struct weight *weights; /* [n_tensors] in the file's order */
    bool *weight_used;      /* [n_tensors] the graph reads it */
    struct graph graph;
    bool wants_embeddings; /* asked for when it was opened */
    bool has_all_keys;     /* llama.cpp itself wrote the file: metadata.c */
    struct plan *plan;     /* NULL: vocab_only */
    struct kv_layout layouts[KV_TYPES];
    size_t max_rows, max_head_rows;
    size_t step_bytes;               /* the plan's memory */
    uint64_t copied_bytes;           /* of the files: into large pages */
    size_t n_vocab;                  /* scores for each row */
    size_t n_embedded;               /* token ids below this may be fed */
    const char *architecture, *name; /* zero-terminated copies */
    pthread_mutex_t step;            /* held while the plan runs */
    _Atomic uint64_t n_steps;        /* steps run so far: tells whether a batch's rows are still in the plan */
};

struct andiron_session {
    andiron_model *model;
    const struct kv_layout *layout;
    size_t n_ctx;
    andiron_token *rows;   /* [graph's n_begin + n_ctx] zeros, then */
    andiron_token *tokens; /* [n_ctx] the text so far */
    size_t n_tokens;
    size_t n_source; /* tokens of the source that its text is about; 0: none was read */
    char *kv;        /* all pages; the system gives memory as it is touched */
    char **pages;    /* [n_ctx / KV_PAGE, rounded up] */
    float *state;    /* [graph's n_state] after the first n_state_tokens tokens; NULL: the model keeps none */
    size_t n_state_tokens;
    float *logits; /* [n_vocab] after the last token, where has_logits */
    bool has_logits;
    andiron_batch *batch; /* for append; opened with the session */
    size_t n_queued;      /* tokens of this session in the batch being filled */
    andiron_batch *queue; /* that batch, where n_queued > 0 */
};

/* Rows of the model's own that stand before a text in the one step in which it comes; other texts have theirs before.
 */
static inline size_t model_begun_rows(const andiron_model *m) { return m->graph.whole_texts ? m->graph.n_begin : 0; }

/* A definition's text with the name it goes by in errors, and the mapping that holds it, if any. */
struct definition_text {
    struct span text;
    const char *file; /* NULL: none was found */
    struct mapped mapping;
    char path[4096];
};
/* The definition that is called `name`: from options' arch_path, arch_dir, or the build. options may be NULL. */
andiron_status definition_find(struct definition_text *out, const char *name, const andiron_model_options *options,
                               andiron_error *error);
void definition_done(struct definition_text *d);

/* Where a model's bytes are: a file, or memory that outlives the model (for fuzzing). */
struct model_source {
    const char *path;
    struct span bytes; /* where path is NULL */
    bool to_look;      /* at its tensors and graph: nothing will run, no text is read */
};
/* As andiron_model_open. */
andiron_status model_open_source(andiron_model **out, const struct model_source *source,
                                 const andiron_model_options *options, andiron_error *error);
/* Open only the file, to describe what cannot run: metadata, tensors and, where it has them, names. */
andiron_status model_open_file(andiron_model **out, const struct model_source *source, andiron_error *error);
/* What andiron_describe is asked for besides the model. */
struct describe_options {
    size_t n_ctx;
    const char *kv_type;
    unsigned flags;
    andiron_write_fn write;
    void *user;
};
/* As andiron_describe. */
andiron_status describe_source(const struct model_source *source, const andiron_model_options *options,
                               const struct describe_options *wanted, andiron_error *error);
size_t sampler_n_vocab(const andiron_sampler *sampler); /* scores it reads */
/* lora.c: the adapters that options name, opened for model->file; what they add to a weight (arch_source's adapter);
 * after the expansion, whether all of theirs was taken. */
andiron_status lora_open(andiron_model *model, const andiron_model_options *options, andiron_error *error);
void lora_close(andiron_model *model);
bool lora_of_weight(void *user, const struct weight *w, size_t i, struct arch_adapter *out);
andiron_status lora_check_used(const andiron_model *model, andiron_error *error);
/* A file's tensors as weights, with a flag for each. */
andiron_status model_list_weights(struct arena *arena, const struct gguf *file, struct weight **weights, bool **used,
                                  andiron_error *error);
/* general.architecture and general.name of model->file into model->architecture and model->name. */
andiron_status model_read_names(andiron_model *model, andiron_error *error);
/* metadata.c: struct arch_source's functions; `user` is the model. */
void metadata_init(andiron_model *model);
bool metadata_number(void *user, const char *key, uint64_t i, double *out, uint64_t *n);
bool metadata_whole(void *user, const char *key, uint64_t i, uint64_t *out, uint64_t *n);
bool metadata_text(void *user, const char *key, struct span *out);
/* The architecture of model->file expanded into model->graph. Fills weights, weight_used, n_embedded and n_vocab. */
andiron_status model_build_graph(andiron_model *model, const andiron_model_options *options, andiron_error *error);
bool kv_type_from_name(const char *name, enum kv_type *out); /* NULL: f16 */
const char *kv_type_name(enum kv_type type);
/* Bytes of cache for n_ctx positions; false on overflow. */
bool kv_bytes(const struct kv_layout *layout, size_t n_ctx, uint64_t *out);
/* The weights' files into large pages, as options->mmap wants it. */
andiron_status model_place_weights(andiron_model *model, const andiron_model_options *options, andiron_error *error);
/* Refuse with the figures when `bytes` more for `what` do not fit beside the weights. */
andiron_status memory_check(const andiron_model *model, uint64_t bytes, const char *what, andiron_error *error);

#endif
