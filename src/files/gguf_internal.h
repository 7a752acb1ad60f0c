/* gguf_internal.h - what gguf.c (the file as a whole) and gguf_read.c (one part's bytes) share. */
#ifndef FILES_GGUF_INTERNAL_H
#define FILES_GGUF_INTERNAL_H

#include "base/arena.h"
#include "files/gguf.h"
#include "files/mapped.h"

enum { GGUF_MAX_PARTS = 4096, GGUF_MAX_DEPTH = 4 };

/* One file of a split model, or the only one. */
struct gguf_part {
    struct mapped mapping; /* empty for memory */
    struct span bytes;
    const char *path;
    uint32_t version;
    size_t n_values, n_tensors;
    struct gguf_value *values;
    struct gguf_tensor *tensors;
};

struct gguf {
    struct arena arena;
    struct gguf_part *parts;
    size_t n_parts;
    struct gguf_tensor *tensors; /* of all parts */
    size_t n_tensors;
    uint32_t *value_order, *tensor_order; /* sorted by name, for finding */
};

/* Read the header, values and tensors of part->bytes into `arena`, checking everything. */
andiron_status gguf_read_part(struct gguf_part *part, struct arena *arena, andiron_error *error);

#endif
