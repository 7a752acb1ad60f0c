/* mapped.h - a file's bytes, read-only, as memory. */
#ifndef FILES_MAPPED_H
#define FILES_MAPPED_H

#include "andiron.h"
#include "base/span.h"

struct mapped {
    const char *data; /* NULL for an empty file */
    size_t n_bytes;
};

/* Only regular files; a directory, pipe or missing file is an ANDIRON_E_IO error that names it. */
andiron_status mapped_open(struct mapped *out, const char *path, andiron_error *error);
void mapped_close(struct mapped *m); /* leaves it empty; empty is fine */

#endif
