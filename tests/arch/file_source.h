/* file_source.h - a GGUF as an arch_source, and which of its tensors were asked for. */
#ifndef TESTS_FILE_SOURCE_H
#define TESTS_FILE_SOURCE_H

#include "arch/arch.h"
#include "files/gguf.h"

struct file_source {
    struct gguf *file;
    const char *architecture;
    struct weight *weights; /* in the file's order */
    bool *used;
    struct arena arena;
    struct arch_source source;
};

/* False: the file cannot be read; `error` says why. */
bool file_source_open(struct file_source *s, const char *path, andiron_error *error);
void file_source_close(struct file_source *s);

#endif
