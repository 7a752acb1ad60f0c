/* gguf_write.c - GGUF files written: values, infos of tensors, padded data. Little-endian machines only. */
#include "files/gguf_write.h"
#include "base/alloc.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALIGNMENT = 32, MOST_HEADER_BYTES = 1 << 30 };

/* ---- values ---- */

static void put_span(struct buffer *b, struct span text)
{
    const uint64_t n = text.n;
    buffer_add(b, &n, sizeof n);
    buffer_add(b, text.n ? text.p : "", text.n);
}

static void begin(struct gguf_values *v, struct span key, uint32_t type)
{
    put_span(&v->bytes, key);
    buffer_add(&v->bytes, &type, sizeof type);
    v->n++;
}

void gguf_put_number(struct gguf_values *v, const char *key, enum gguf_value_type type, double x)
{
    begin(v, span_of(key), type);
    switch (type) {
    case GGUF_F32: buffer_add(&v->bytes, &(float){(float)x}, 4); break;
    case GGUF_F64: buffer_add(&v->bytes, &x, 8); break;
    case GGUF_BOOL:
    case GGUF_U8:
    case GGUF_I8: buffer_add(&v->bytes, &(int8_t){(int8_t)x}, 1); break;
    case GGUF_U16:
    case GGUF_I16: buffer_add(&v->bytes, &(int16_t){(int16_t)x}, 2); break;
    case GGUF_U64:
    case GGUF_I64: buffer_add(&v->bytes, &(int64_t){(int64_t)x}, 8); break;
    default: buffer_add(&v->bytes, &(uint32_t){(uint32_t)(int64_t)x}, 4); break;
    }
}

void gguf_put_text(struct gguf_values *v, const char *key, struct span text)
{
    begin(v, span_of(key), GGUF_STRING);
    put_span(&v->bytes, text);
}

static void begin_array(struct gguf_values *v, struct span key, uint32_t type, uint64_t n)
{
    begin(v, key, GGUF_ARRAY);
    buffer_add(&v->bytes, &type, sizeof type);
    buffer_add(&v->bytes, &n, sizeof n);
}

void gguf_put_texts(struct gguf_values *v, const char *key, const struct span *texts, size_t n)
{
    begin_array(v, span_of(key), GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_span(&v->bytes, texts[i]);
}

void gguf_put_array(struct gguf_values *v, const char *key, enum gguf_value_type type, const void *items, size_t n,
                    size_t item_bytes)
{
    begin_array(v, span_of(key), type, n);
    buffer_add(&v->bytes, items, n * item_bytes);
}

void gguf_put_value(struct gguf_values *v, const struct gguf_value *value)
{
    if (value->type == GGUF_ARRAY)
        begin_array(v, value->key, value->item_type, value->n);
    else
        begin(v, value->key, value->type);
    if (value->type == GGUF_STRING)
        put_span(&v->bytes, value->bytes);
    else
        buffer_add_span(&v->bytes, value->bytes);
}

/* ---- the file ---- */

struct gguf_writer {
    char *path, *partial;
    FILE *file;
    const struct gguf_tensor *tensors;
    size_t n_tensors, tensor; /* the one that is written now */
    uint64_t done;            /* bytes of it */
    bool overwrite;
};

static uint64_t padding(uint64_t n) { return (ALIGNMENT - n % ALIGNMENT) % ALIGNMENT; }

static andiron_status failed(const struct gguf_writer *w, const char *what, andiron_error *error)
{
    return error_set(error, ANDIRON_E_IO, "%s: %s: %s", w->path, what, strerror(errno));
}

static andiron_status check_free(const struct gguf_writer *w, andiron_error *error)
{
    struct stat there;
    if (!w->overwrite && !lstat(w->path, &there))
        return error_set(error, ANDIRON_E_ARGUMENT, "%s is there already; nothing was written", w->path);
    return ANDIRON_OK;
}

static void put_infos(struct buffer *out, const struct gguf_tensor *tensors, size_t n)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = &tensors[i];
        put_span(out, t->name);
        buffer_add(out, &t->n_dims, 4);
        buffer_add(out, t->dims, t->n_dims * sizeof *t->dims);
        buffer_add(out, &t->type, 4);
        buffer_add(out, &at, 8);
        at += t->n_bytes + padding(t->n_bytes);
    }
}

static andiron_status put(struct gguf_writer *w, const void *p, size_t n, andiron_error *error)
{
    return n == 0 || fwrite(p, 1, n, w->file) == n ? ANDIRON_OK : failed(w, "cannot be written", error);
}

/* All of the file's room at once: where it is not there, that is told now. Not all file systems know how. */
static andiron_status take_room(const struct gguf_writer *w, uint64_t n, andiron_error *error)
{
    for (size_t i = 0; i < w->n_tensors; i++)
        n += w->tensors[i].n_bytes + padding(w->tensors[i].n_bytes);
    if (!fallocate(fileno(w->file), 0, 0, (off_t)n) || (errno != ENOSPC && errno != EDQUOT && errno != EFBIG))
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_IO, "%s: its %.1f MiB cannot be written: %s", w->path, (double)n / (1 << 20),
                     strerror(errno));
}

static andiron_status put_header(struct gguf_writer *w, const struct gguf_values *values, andiron_error *error)
{
    static const char zeros[ALIGNMENT];
    struct buffer out;
    const uint64_t n_tensors = w->n_tensors;
    buffer_init(&out, MOST_HEADER_BYTES);
    buffer_add(&out, "GGUF\3\0\0", 8);
    buffer_add(&out, &n_tensors, 8);
    buffer_add(&out, &values->n, 8);
    buffer_add_span(&out, buffer_span(&values->bytes));
    put_infos(&out, w->tensors, w->n_tensors);
    buffer_add(&out, zeros, padding(out.n));
    andiron_status s = out.failed || values->bytes.failed ? error_memory(error, out.n, "a file's header")
                                                          : take_room(w, out.n, error);
    if (!s)
        s = put(w, out.data, out.n, error);
    buffer_reset(&out);
    return s;
}

static andiron_status open_partial(struct gguf_writer *w, andiron_error *error)
{
    const mode_t mask = umask(0);
    umask(mask);
    int fd = mkstemp(w->partial);
    if (fd < 0) {
        w->partial[0] = 0;
        return failed(w, "cannot be written", error);
    }
    if (!fchmod(fd, 0666 & ~mask) && (w->file = fdopen(fd, "wb")) != NULL)
        return ANDIRON_OK;
    close(fd);
    return failed(w, "cannot be written", error);
}

static struct gguf_writer *new_writer(const char *path)
{
    static const char ending[] = ".partial-XXXXXX";
    const size_t n = strlen(path);
    struct gguf_writer *w = alloc_zeroed(1, sizeof *w);
    char *names = w ? alloc_zeroed(2 * n + 2 + sizeof ending, 1) : NULL;
    if (!names) {
        alloc_free(w);
        return NULL;
    }
    w->path = names;
    w->partial = names + n + 1;
    memcpy(w->path, path, n);
    memcpy(w->partial, path, n);
    memcpy(w->partial + n, ending, sizeof ending);
    return w;
}

andiron_status gguf_write_open(struct gguf_writer **out, const char *path, bool overwrite,
                               const struct gguf_values *values, const struct gguf_tensor *tensors, size_t n,
                               andiron_error *error)
{
    struct gguf_writer *w = *out = new_writer(path);
    if (!w)
        return error_memory(error, 2 * strlen(path), "a file's name");
    w->overwrite = overwrite;
    w->tensors = tensors;
    w->n_tensors = n;
    andiron_status s = check_free(w, error);
    if (s)
        w->partial[0] = 0;
    if (!s)
        s = open_partial(w, error);
    if (!s)
        s = put_header(w, values, error);
    if (s) {
        gguf_write_abandon(w);
        *out = NULL;
    }
    return s;
}

andiron_status gguf_write_data(struct gguf_writer *w, const void *p, size_t n, andiron_error *error)
{
    static const char zeros[ALIGNMENT];
    const struct gguf_tensor *t = &w->tensors[w->tensor];
    andiron_status s = put(w, p, n, error);
    w->done += n;
    if (s || w->done < t->n_bytes)
        return s;
    w->tensor++;
    w->done = 0;
    return put(w, zeros, padding(t->n_bytes), error);
}

static void free_writer(struct gguf_writer *w)
{
    alloc_free(w->path);
    alloc_free(w);
}

andiron_status gguf_write_finish(struct gguf_writer *w, andiron_error *error)
{
    andiron_status s = ANDIRON_OK;
    if (fflush(w->file) || fsync(fileno(w->file)))
        s = failed(w, "cannot be written", error);
    const bool closed = fclose(w->file) == 0;
    w->file = NULL;
    if (!s && !closed)
        s = failed(w, "cannot be written", error);
    if (!s)
        s = check_free(w, error);
    if (!s && rename(w->partial, w->path))
        s = failed(w, "cannot take its name", error);
    if (!s)
        w->partial[0] = 0;
    gguf_write_abandon(w);
    return s;
}

void gguf_write_abandon(struct gguf_writer *w)
{
    if (!w)
        return;
    if (w->file)
        fclose(w->file);
    if (w->partial[0])
        unlink(w->partial);
    free_writer(w);
}
