/* convert.h - what convert.c (metadata) and convert_weights.c share. */
#ifndef ENGINE_CONVERT_H
#define ENGINE_CONVERT_H

#include "base/types.h"
#include "engine/hf_internal.h"
#include "files/gguf_write.h"
#include "kernels/kernels.h"

struct convert_type {
    const char *name;
    enum weight_type type;
    uint32_t file_type; /* general.file_type, a number of llama.cpp's */
};

struct conversion {
    struct arena arena;
    struct hf_model *model;
    struct gguf *file; /* the folder */
    struct tokenizer *tokenizer;
    json_t *root; /* tokenizer.json */
    const struct convert_type *type;
    struct kernels kernels;
    struct gguf_values values;
    struct gguf_tensor *tensors; /* as they will be; data: what they come of */
    size_t n_tensors;
};

/* Fills c->tensors. */
andiron_status convert_plan(struct conversion *c, andiron_error *error);
andiron_status convert_weights(struct conversion *c, struct gguf_writer *w, andiron_error *error);

#endif
