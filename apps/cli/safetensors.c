/* safetensors.c - header by jansson, rows as they come. */
#include "safetensors.h"
#include "text.h"
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows are written as they lie in memory, which must be little-endian"
#endif

static bool failed(const struct safetensors_writer *w) { return fail("%s: %s", w->path, strerror(errno)); }

static bool write_header(FILE *file, const char *tensor, size_t n_rows, size_t n_columns)
{
    json_t *root = json_pack("{s:{s:s, s:[I,I], s:[I,I]}}", tensor, "dtype", "F32", "shape", (json_int_t)n_rows,
                             (json_int_t)n_columns, "data_offsets", (json_int_t)0,
                             (json_int_t)(n_rows * n_columns * sizeof(float)));
    char *header = root ? json_dumps(root, JSON_COMPACT) : NULL;
    size_t n = header ? strlen(header) : 0, padded = (n + 7) & ~(size_t)7;
    uint64_t length = padded;
    bool ok = header && fwrite(&length, sizeof length, 1, file) == 1 &&
              fprintf(file, "%-*s", (int)padded, header) == (int)padded;
    free(header);
    json_decref(root);
    return ok;
}

bool safetensors_begin(struct safetensors_writer *w, const char *path, const char *tensor, size_t n_rows,
                       size_t n_columns)
{
    size_t n = strlen(path) + 32;
    struct stat s;
    *w = (struct safetensors_writer){.path = path, .n_columns = n_columns};
    if (lstat(path, &s) || S_ISREG(s.st_mode)) {
        w->unfinished = malloc(n);
        if (!w->unfinished)
            return fail_memory();
        snprintf(w->unfinished, n, "%s.%ld.part", path, (long)getpid());
    }
    w->file = fopen(w->unfinished ? w->unfinished : path, "wb");
    if (w->file && write_header(w->file, tensor, n_rows, n_columns))
        return true;
    failed(w);
    safetensors_finish(w, false);
    return false;
}

bool safetensors_row(struct safetensors_writer *w, const float *row)
{
    return fwrite(row, sizeof *row, w->n_columns, w->file) == w->n_columns ? true : failed(w);
}

bool safetensors_finish(struct safetensors_writer *w, bool keep)
{
    bool ok = true;
    if (w->file && fclose(w->file) && keep)
        ok = failed(w);
    if (ok && keep && w->unfinished && rename(w->unfinished, w->path))
        ok = failed(w);
    if (w->file && w->unfinished && !(ok && keep))
        remove(w->unfinished);
    free(w->unfinished);
    *w = (struct safetensors_writer){0};
    return ok;
}
