/* convert_files.c - the file that a conversion writes, or the files, where none is to be larger than so much. The first
 * has the metadata; all tell which they are (split.no, split.count, split.tensors.count: ggml/docs/gguf.md). */
#include "base/error.h"
#include "engine/convert.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MOST_FILES = 500 }; /* they are open together */

/* Fills c->first; as many files as that takes. */
static andiron_status plan_files(struct conversion *c, andiron_error *error)
{
    const uint64_t most = c->options->split_bytes;
    uint64_t bytes = 0;
    c->first = arena_alloc(&c->arena, MOST_FILES, sizeof *c->first);
    if (!c->first)
        return error_memory(error, MOST_FILES * sizeof *c->first, "a list of files");
    c->n_files = 1;
    for (size_t i = 0; i < c->n_tensors; i++) {
        const uint64_t n = c->tensors[i].n_bytes;
        if (most && i > c->first[c->n_files - 1] && (n > most || bytes > most - n)) {
            if (c->n_files == MOST_FILES)
                return error_set(error, ANDIRON_E_ARGUMENT,
                                 "files of %" PRIu64 " bytes would be more than %d; ask for larger ones", most,
                                 MOST_FILES);
            c->first[c->n_files++] = i;
            bytes = 0;
        }
        bytes += n;
    }
    c->writers = arena_alloc(&c->arena, c->n_files, sizeof(struct gguf_writer *));
    return c->writers ? ANDIRON_OK : error_memory(error, c->n_files * sizeof *c->writers, "a list of files");
}

static void put_split(const struct conversion *c, struct gguf_values *v, size_t file)
{
    gguf_put_number(v, "split.no", GGUF_U16, (double)file);
    gguf_put_number(v, "split.count", GGUF_U16, (double)c->n_files);
    gguf_put_number(v, "split.tensors.count", GGUF_I32, (double)c->n_tensors);
}

static andiron_status open_part(struct conversion *c, size_t file, const char *path, andiron_error *error)
{
    const size_t first = c->first[file], end = file + 1 < c->n_files ? c->first[file + 1] : c->n_tensors,
                 stem = strlen(path) - (span_ends(span_of(path), ".gguf") ? 5 : 0), room = stem + 64;
    struct gguf_values split = {0}, *values = file ? &split : &c->values;
    char *name = arena_alloc(&c->arena, room, 1);
    if (!name)
        return error_memory(error, room, "a file's name");
    snprintf(name, room, "%.*s-%05zu-of-%05zu.gguf", (int)stem, path, file + 1, c->n_files);
    buffer_init(&split.bytes, 1 << 16);
    put_split(c, values, file);
    andiron_status s = gguf_write_open(&c->writers[file], name, c->options->overwrite, values, c->tensors + first,
                                       end - first, error);
    buffer_reset(&split.bytes);
    return s;
}

andiron_status convert_open_files(struct conversion *c, const char *path, andiron_error *error)
{
    andiron_status s = plan_files(c, error);
    if (!s && c->n_files == 1)
        return gguf_write_open(&c->writers[0], path, c->options->overwrite, &c->values, c->tensors, c->n_tensors,
                               error);
    for (size_t file = 0; file < c->n_files && !s; file++)
        s = open_part(c, file, path, error);
    return s;
}

andiron_status convert_finish_files(struct conversion *c, andiron_error *error)
{
    andiron_status s = ANDIRON_OK;
    for (size_t i = 0; i < c->n_files && !s; i++) {
        s = gguf_write_finish(c->writers[i], error);
        c->writers[i] = NULL;
    }
    return s;
}

void convert_abandon_files(struct conversion *c)
{
    for (size_t i = 0; c->writers && i < c->n_files; i++)
        gguf_write_abandon(c->writers[i]);
}
