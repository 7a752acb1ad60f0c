/* safetensors.h - writes one f32 matrix as a safetensors file, row by row, so that memory stays small.
 *
 * The file: u64 length of the header, the header as JSON padded with spaces to 8 bytes, the data (little-endian).
 * https://github.com/huggingface/safetensors#format */
#ifndef CLI_SAFETENSORS_H
#define CLI_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct safetensors_writer {
    FILE *file;
    const char *path; /* borrowed until finish */
    char *unfinished; /* where the data goes until it is whole; NULL: straight to the path */
    size_t n_columns;
};

/* Begin [n_rows, n_columns] under the tensor name `tensor`. What `path` names already stays what it is (a link, a
 * device, a pipe) and is written into, unless it is a plain file, which is replaced. False with a sentence on stderr;
 * nothing to close then. */
bool safetensors_begin(struct safetensors_writer *w, const char *path, const char *tensor, size_t n_rows,
                       size_t n_columns);
bool safetensors_row(struct safetensors_writer *w, const float *row); /* false with a sentence on stderr */
/* With `keep` the file appears under its path, whole; else no trace of it stays. False with a sentence on stderr. */
bool safetensors_finish(struct safetensors_writer *w, bool keep);

#endif
