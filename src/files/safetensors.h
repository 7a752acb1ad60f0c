/* safetensors.h - one .safetensors file (https://huggingface.co/docs/safetensors): u64 length, JSON header, data.
 *
 * The file is mapped and never copied: tensors' data and nothing else points into it. The rules are those of the
 * reference implementation: a header of at most 100 MB, data without holes or overlaps from the header's end to the
 * file's, sizes that match type and shape. Shapes there run slowest first; here dims[0] runs fastest, as in a GGUF, so
 * that both look alike. */
#ifndef FILES_SAFETENSORS_H
#define FILES_SAFETENSORS_H

#include "files/gguf.h"

struct safetensors;

/* Types that have no id of GGUF's get one that no build knows (type_info gives NULL). */
enum safetensors_type {
    SAFETENSORS_U8 = 0x5A00,
    SAFETENSORS_U16,
    SAFETENSORS_U32,
    SAFETENSORS_U64,
    SAFETENSORS_BOOL,
    SAFETENSORS_F8_E4M3,
    SAFETENSORS_F8_E5M2,
    SAFETENSORS_OTHER, /* a type this build cannot measure: dtype has its name, tensor.data is NULL */
};

enum { SAFETENSORS_MAX_DIMS = 8 };

struct safetensors_tensor {
    /* As of a GGUF. type: of base/types.h where it has one (F32, F16, BF16, F64, I8 to I64), else of the enum above.
     * Dimensions beyond the fourth are multiplied into dims[3], which changes no byte of the data; a scalar has one
     * dimension of 1. A dimension may be 0, and then n_bytes is 0. */
    struct gguf_tensor tensor;
    struct span dtype;                    /* as the file writes it: "BF16" */
    bool aligned;                         /* the data stands at a multiple of its items' size */
    uint32_t n_shape;                     /* 0 to 8 */
    uint64_t shape[SAFETENSORS_MAX_DIMS]; /* as in the file, slowest first */
};

/* Spans and tensors live until safetensors_close. */
andiron_status safetensors_open(struct safetensors **out, const char *path, andiron_error *error);
/* As safetensors_open, from memory, which must outlive it (for fuzzing). */
andiron_status safetensors_open_memory(struct safetensors **out, struct span bytes, andiron_error *error);
void safetensors_close(struct safetensors *s);                /* NULL is fine */
struct span safetensors_mapping(const struct safetensors *s); /* empty where it was opened from memory */

const char *safetensors_path(const struct safetensors *s);
uint64_t safetensors_file_bytes(const struct safetensors *s);
size_t safetensors_n_tensors(const struct safetensors *s);
/* In the order of their data; NULL past the end. */
const struct safetensors_tensor *safetensors_tensor_at(const struct safetensors *s, size_t i);
const struct safetensors_tensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL: absent */
/* What __metadata__ says ("format": "pt"); false: nothing. */
bool safetensors_metadata(const struct safetensors *s, const char *key, struct span *out);

#endif
