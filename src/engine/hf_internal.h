/* hf_internal.h - what hf_model.c (metadata) and hf_weights.c (tensors) share. */
#ifndef ENGINE_HF_INTERNAL_H
#define ENGINE_HF_INTERNAL_H

#include "base/arena.h"
#include "engine/hf_model.h"
#include "files/hf_dir.h"

enum {
    HF_NEOX = 1,
    HF_ONE_MORE = 2,
    HF_AROUND = 4,
    HF_WINDOWED = 8,
    HF_SIGMOID = 16,
    HF_ENCODER = 32
}; /* hf_names.def */

struct hf_kind {
    const char *model_type, *architecture, *act;
    unsigned flags;
};

struct hf_model {
    struct arena arena; /* names, vectors */
    struct hf_dir *dir;
    const struct hf_kind *kind;
    struct buffer header; /* metadata as a GGUF file has it */
    uint64_t n_values;
    bool full; /* the header is not whole: no memory */
    struct gguf_tensor *tensors;
    size_t n_tensors, capacity;
    bool tied;               /* the head of scores is the table of tokens */
    uint64_t n_experts_said; /* by config.json */
    uint32_t *n_experts;     /* [capacity] so far brought together in that tensor; 0: it is another */
};

/* All tensors of the folder by their names here, or an error that names what is not known, or missing. */
andiron_status hf_take_weights(struct hf_model *m, andiron_error *error);
/* A vector of n numbers for the caller to fill. NULL: no memory. */
float *hf_add_vector(struct hf_model *m, const char *name, size_t n);

#endif
