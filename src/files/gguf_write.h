/* gguf_write.h - GGUF files, version 3, written: values, then tensors in the order of their list.
 *
 * The file appears whole or not at all: bytes go to PATH.partial-XXXXXX, which takes its name when all are written. */
#ifndef FILES_GGUF_WRITE_H
#define FILES_GGUF_WRITE_H

#include "base/buffer.h"
#include "files/gguf.h"

/* ---- values ---- */

struct gguf_values {
    struct buffer bytes; /* ->failed: out of memory; look once, at the end */
    uint64_t n;
};

void gguf_put_number(struct gguf_values *v, const char *key, enum gguf_value_type type, double x); /* no strings */
void gguf_put_text(struct gguf_values *v, const char *key, struct span text);
void gguf_put_texts(struct gguf_values *v, const char *key, const struct span *texts, size_t n);
/* Items as they stand in memory; of `type`, item_bytes each. */
void gguf_put_array(struct gguf_values *v, const char *key, enum gguf_value_type type, const void *items, size_t n,
                    size_t item_bytes);
void gguf_put_value(struct gguf_values *v, const struct gguf_value *value); /* as it was read */

/* ---- the file ---- */

struct gguf_writer;

/* `tensors`: all that come, their n_bytes set; data is not looked at. Without `overwrite`, a file that is there already
 * is ANDIRON_E_ARGUMENT. */
andiron_status gguf_write_open(struct gguf_writer **out, const char *path, bool overwrite,
                               const struct gguf_values *values, const struct gguf_tensor *tensors, size_t n,
                               andiron_error *error);
/* The next bytes of the tensors' data; a tensor that is complete is padded. */
andiron_status gguf_write_data(struct gguf_writer *w, const void *p, size_t n, andiron_error *error);
/* All data was written: the file takes its name. Closes w in any case. */
andiron_status gguf_write_finish(struct gguf_writer *w, andiron_error *error);
void gguf_write_abandon(struct gguf_writer *w); /* nothing is left; NULL is fine */

#endif
