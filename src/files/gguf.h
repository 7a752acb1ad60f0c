/* gguf.h - GGUF files, version 2 and 3 (specification: ggml/docs/gguf.md), little-endian, of one part or many.
 *
 * The file is mapped and never copied: keys, strings, arrays and tensor data point into it. Every count, length and
 * offset is checked against the file's size before it is used; duplicate keys and tensors, zero or overflowing
 * dimensions, unknown value types, bad alignment (not a power of two) and data past the end are errors that name the
 * place. Work and memory are bounded by the file's size. */
#ifndef FILES_GGUF_H
#define FILES_GGUF_H

#include "andiron.h"
#include "base/span.h"

struct gguf;

enum gguf_value_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

struct gguf_value {
    struct span key;
    enum gguf_value_type type;      /* of the value; GGUF_ARRAY for an array */
    enum gguf_value_type item_type; /* of an array's items; else the same as type */
    uint64_t n;                     /* items; 1 for a scalar. Strings of an array are reached in order only */
    struct span bytes;              /* the raw little-endian payload: scalar, string's bytes, or all items */
};

enum { GGUF_MAX_DIMS = 4 };

struct gguf_tensor {
    struct span name;
    uint32_t type;                /* kernels' enum weight_type, or an id this build does not know */
    uint32_t n_dims;              /* 1 to 4 */
    uint64_t dims[GGUF_MAX_DIMS]; /* dims[0] runs fastest; unused ones are 1 */
    const void *data;             /* in the mapping; NULL where the type's size is unknown */
    uint64_t n_bytes;             /* 0 where the type's size is unknown */
    /* [dims[2]] where each matrix stands, instead of one behind the other at data, which then is NULL; NULL: at data.
     * Only of folders' experts. */
    const void *const *parts;
};

/* Row r of all matrices, each of dims[1] rows of so many bytes. */
static inline const void *gguf_row(const struct gguf_tensor *t, uint64_t r, size_t row_bytes)
{
    const char *first = t->parts ? t->parts[r / t->dims[1]] : t->data;
    return first + (t->parts ? r % t->dims[1] : r) * row_bytes;
}

/* `path` is a whole file or the first part of a split one (NAME-00001-of-0000N.gguf with split.count in its metadata);
 * all parts are opened and checked to belong together. Naming another part is an error that names the first. */
andiron_status gguf_open(struct gguf **out, const char *path, andiron_error *error);
/* As gguf_open, from memory, which must outlive it (for fuzzing). One part only. */
andiron_status gguf_open_memory(struct gguf **out, struct span bytes, andiron_error *error);
/* A model of another format seen as a GGUF file: `header` is one with values and no tensors, as gguf_open_memory takes
 * it; the n tensors, with their data, and `header` outlive it. Its size is said to be n_bytes. */
andiron_status gguf_open_made(struct gguf **out, const char *path, struct span header, struct gguf_tensor *tensors,
                              size_t n, uint64_t n_bytes, andiron_error *error);
void gguf_close(struct gguf *g); /* NULL is fine */
/* The i-th of its files as it is mapped; empty beyond the last, and where it was opened from memory. */
struct span gguf_mapping(const struct gguf *g, size_t i);

uint32_t gguf_version(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g); /* of all parts */
const char *gguf_path(const struct gguf *g);
size_t gguf_n_values(const struct gguf *g);
const struct gguf_value *gguf_value_at(const struct gguf *g, size_t i);    /* in the file's order */
const struct gguf_value *gguf_find(const struct gguf *g, const char *key); /* NULL: absent */
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i); /* in the file's order, parts in turn */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Typed reads. Each returns false, and leaves *out, when the key is absent or has another kind. Integers of any width
 * convert when the value fits; floats accept f32, f64 and integers. */
bool gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out);
bool gguf_get_f64(const struct gguf *g, const char *key, double *out);
bool gguf_get_bool(const struct gguf *g, const char *key, bool *out);
bool gguf_get_text(const struct gguf *g, const char *key, struct span *out);
/* Item `i` of an array (or scalar) of numbers or bools, as a double. False: no number, or i >= n. */
bool gguf_item_f64(const struct gguf_value *v, uint64_t i, double *out);
/* The same of integers that are not negative. */
bool gguf_item_u64(const struct gguf_value *v, uint64_t i, uint64_t *out);
/* Walk an array of strings: set *cursor to 0, then call until false. Payload was checked when the file was opened. */
bool gguf_next_text(const struct gguf_value *v, size_t *cursor, struct span *out);
const char *gguf_type_name(enum gguf_value_type type); /* "u32", "string" */

#endif
