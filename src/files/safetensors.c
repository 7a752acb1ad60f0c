/* safetensors.c - the header of a .safetensors file: parsed, and every number held against the file. */
#include "files/safetensors.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/types.h"
#include "files/json.h"
#include "files/mapped.h"
#include <stdlib.h>

enum { LENGTH_BYTES = 8, MAX_HEADER = 100000000 };

struct entry {
    struct safetensors_tensor t; /* first: tensor_at gives it out */
    uint64_t begin, end;         /* in the data */
};

struct safetensors {
    struct mapped file;
    bool mapped; /* else the caller's memory */
    struct arena arena;
    const char *path;
    json_t *header;
    struct entry *entries; /* in the order of their data */
    uint32_t *by_name;     /* [n] places of entries, in the order of names */
    size_t n;
};

struct reader {
    struct safetensors *s;
    andiron_error *error;
    const char *data; /* where offsets begin */
    uint64_t n_data;
};

/* ---- types ---- */

static const struct dtype {
    const char *name;
    uint32_t type, bytes;
} dtypes[] = {
    {"F32", TYPE_F32, 4},
    {"F16", TYPE_F16, 2},
    {"BF16", TYPE_BF16, 2},
    {"F64", 28, 8},
    {"I64", 27, 8},
    {"I32", 26, 4},
    {"I16", 25, 2},
    {"I8", 24, 1},
    {"U8", SAFETENSORS_U8, 1},
    {"U16", SAFETENSORS_U16, 2},
    {"U32", SAFETENSORS_U32, 4},
    {"U64", SAFETENSORS_U64, 8},
    {"BOOL", SAFETENSORS_BOOL, 1},
    {"F8_E4M3", SAFETENSORS_F8_E4M3, 1},
    {"F8_E5M2", SAFETENSORS_F8_E5M2, 1},
};

static const struct dtype *find_dtype(struct span name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (span_is(name, dtypes[i].name))
            return &dtypes[i];
    return NULL;
}

/* ---- one tensor ---- */

static andiron_status bad(const struct reader *r, struct span name, const char *what)
{
    return error_set(r->error, ANDIRON_E_FORMAT, "%s: tensor \"%.*s\" %s", r->s->path,
                     (int)(name.n < 120 ? name.n : 120), name.p, what);
}

/* A list of exactly `n` unsigned integers, or of at most `most` where `n` is NULL's. */
static bool read_numbers(const json_t *list, size_t most, uint64_t *out, uint32_t *n)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > most)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!json_at_u64(json_array_get(list, i), "", &out[i]))
            return false;
    *n = (uint32_t)count;
    return true;
}

/* Slowest first to fastest first; what is beyond the fourth is multiplied into the fourth. False: overflow. */
static bool turn_shape(struct safetensors_tensor *t, uint64_t *items)
{
    struct gguf_tensor *g = &t->tensor;
    *items = 1;
    g->n_dims = t->n_shape < 1 ? 1 : t->n_shape > GGUF_MAX_DIMS ? GGUF_MAX_DIMS : t->n_shape;
    for (size_t i = 0; i < GGUF_MAX_DIMS; i++)
        g->dims[i] = 1;
    for (size_t i = 0; i < t->n_shape; i++) {
        uint64_t size = t->shape[t->n_shape - 1 - i], *dim = &g->dims[i < GGUF_MAX_DIMS ? i : GGUF_MAX_DIMS - 1];
        if (!checked_mul(*dim, size, dim) || !checked_mul(*items, size, items))
            return false;
    }
    return true;
}

static andiron_status place(const struct reader *r, struct entry *e, uint64_t items)
{
    struct gguf_tensor *g = &e->t.tensor;
    const struct dtype *d = find_dtype(e->t.dtype);
    uint64_t bytes;
    if (e->begin > e->end || e->end > r->n_data)
        return bad(r, g->name, "ends past the end of the file or before its beginning (data_offsets)");
    g->type = d ? d->type : SAFETENSORS_OTHER;
    if (!d)
        return ANDIRON_OK;
    if (!checked_mul(items, d->bytes, &bytes) || bytes != e->end - e->begin)
        return bad(r, g->name, "has data_offsets that do not fit its dtype and shape");
    g->n_bytes = bytes;
    g->data = r->data + e->begin;
    e->t.aligned = (uintptr_t)g->data % d->bytes == 0;
    return ANDIRON_OK;
}

static andiron_status read_tensor(const struct reader *r, struct entry *e, const char *name, const json_t *info)
{
    struct safetensors_tensor *t = &e->t;
    uint64_t offsets[2], items;
    uint32_t n_offsets = 0;
    t->tensor.name = span_of(name);
    if (!json_is_object(info) || !json_at_text(info, "dtype", &t->dtype))
        return bad(r, t->tensor.name, "has no dtype");
    if (!read_numbers(json_object_get(info, "shape"), SAFETENSORS_MAX_DIMS, t->shape, &t->n_shape))
        return bad(r, t->tensor.name, "has no shape of at most 8 sizes");
    if (!read_numbers(json_object_get(info, "data_offsets"), 2, offsets, &n_offsets) || n_offsets != 2)
        return bad(r, t->tensor.name, "has no two data_offsets");
    e->begin = offsets[0];
    e->end = offsets[1];
    if (!turn_shape(t, &items))
        return bad(r, t->tensor.name, "has a shape that overflows");
    return place(r, e, items);
}

/* ---- the header ---- */

static int by_offset(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int compare_spans(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_name(const void *a, const void *b, void *entries)
{
    const struct entry *e = entries;
    return compare_spans(e[*(const uint32_t *)a].t.tensor.name, e[*(const uint32_t *)b].t.tensor.name);
}

/* Each byte of the data belongs to one tensor. */
static andiron_status check_cover(const struct reader *r)
{
    uint64_t at = 0;
    for (size_t i = 0; i < r->s->n; i++) {
        const struct entry *e = &r->s->entries[i];
        if (e->begin != at)
            return bad(r, e->t.tensor.name, e->begin < at ? "overlaps another" : "leaves a hole before its data");
        at = e->end;
    }
    if (at != r->n_data)
        return error_set(r->error, ANDIRON_E_FORMAT, "%s: %llu bytes of data belong to no tensor", r->s->path,
                         (unsigned long long)(r->n_data - at));
    return ANDIRON_OK;
}

static andiron_status read_tensors(const struct reader *r)
{
    struct safetensors *s = r->s;
    size_t most = json_object_size(s->header);
    const char *key;
    json_t *info;
    s->entries = arena_alloc(&s->arena, most, sizeof *s->entries);
    s->by_name = arena_alloc(&s->arena, most, sizeof *s->by_name);
    if (!s->entries || !s->by_name || most > UINT32_MAX)
        return error_memory(r->error, most * sizeof *s->entries, "the tensors of a safetensors file");
    json_object_foreach(s->header, key, info)
    {
        if (!strcmp(key, "__metadata__"))
            continue;
        andiron_status status = read_tensor(r, &s->entries[s->n], key, info);
        if (status)
            return status;
        s->n++;
    }
    qsort(s->entries, s->n, sizeof *s->entries, by_offset);
    for (size_t i = 0; i < s->n; i++)
        s->by_name[i] = (uint32_t)i;
    qsort_r(s->by_name, s->n, sizeof *s->by_name, by_name, s->entries);
    return check_cover(r);
}

static andiron_status read_header(struct safetensors *s, andiron_error *error)
{
    uint64_t n = 0;
    if (s->file.n_bytes < LENGTH_BYTES)
        return error_set(error, ANDIRON_E_FORMAT, "%s: is too short for a safetensors file", s->path);
    for (size_t i = LENGTH_BYTES; i--;)
        n = n << 8 | (uint8_t)s->file.data[i];
    if (n > MAX_HEADER)
        return error_set(error, ANDIRON_E_FORMAT,
                         "%s: says that its header has %llu bytes, and 100 MB is the most; is it a safetensors file?",
                         s->path, (unsigned long long)n);
    if (!checked_within(LENGTH_BYTES, n, s->file.n_bytes))
        return error_set(error, ANDIRON_E_FORMAT, "%s: ends within its header; download it again", s->path);
    struct span text = {s->file.data + LENGTH_BYTES, n};
    if (n == 0 || text.p[0] != '{')
        return error_set(error, ANDIRON_E_FORMAT, "%s: its header does not begin with {", s->path);
    const struct json_limits limits = {MAX_HEADER, (1u << 20) + n * 32, 4};
    andiron_status status = json_read(&s->header, text, s->path, &limits, error);
    if (status)
        return status;
    if (!json_is_object(s->header))
        return error_set(error, ANDIRON_E_FORMAT, "%s: its header is no object", s->path);
    struct reader r = {s, error, text.p + n, s->file.n_bytes - LENGTH_BYTES - n};
    return read_tensors(&r);
}

/* ---- opening ---- */

static struct safetensors *make(const char *path)
{
    struct safetensors *s = alloc_zeroed(1, sizeof *s);
    if (!s)
        return NULL;
    arena_init(&s->arena, SIZE_MAX);
    s->path = arena_text(&s->arena, path, strlen(path));
    if (s->path)
        return s;
    alloc_free(s);
    return NULL;
}

static andiron_status finish(struct safetensors **out, struct safetensors *s, andiron_status status)
{
    *out = status ? NULL : s;
    if (status)
        safetensors_close(s);
    return status;
}

andiron_status safetensors_open(struct safetensors **out, const char *path, andiron_error *error)
{
    struct safetensors *s = make(path);
    *out = NULL;
    if (!s)
        return error_memory(error, sizeof *s, "a safetensors file");
    andiron_status status = mapped_open(&s->file, path, error);
    s->mapped = !status;
    if (!status)
        status = read_header(s, error);
    return finish(out, s, status);
}

struct span safetensors_mapping(const struct safetensors *s)
{
    return s->mapped ? (struct span){s->file.data, s->file.n_bytes} : (struct span){0};
}

andiron_status safetensors_open_memory(struct safetensors **out, struct span bytes, andiron_error *error)
{
    struct safetensors *s = make("(memory)");
    *out = NULL;
    if (!s)
        return error_memory(error, sizeof *s, "a safetensors file");
    s->file = (struct mapped){bytes.p, bytes.n};
    return finish(out, s, read_header(s, error));
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    json_decref(s->header);
    if (s->mapped)
        mapped_close(&s->file);
    arena_reset(&s->arena);
    alloc_free(s);
}

/* ---- asking ---- */

const char *safetensors_path(const struct safetensors *s) { return s->path; }
uint64_t safetensors_file_bytes(const struct safetensors *s) { return s->file.n_bytes; }
size_t safetensors_n_tensors(const struct safetensors *s) { return s->n; }

const struct safetensors_tensor *safetensors_tensor_at(const struct safetensors *s, size_t i)
{
    return i < s->n ? &s->entries[i].t : NULL;
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct safetensors_tensor *t = &s->entries[s->by_name[middle]].t;
        int order = compare_spans(span_of(name), t->tensor.name);
        if (order == 0)
            return t;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool safetensors_metadata(const struct safetensors *s, const char *key, struct span *out)
{
    return json_at_text(json_object_get(json_object_get(s->header, "__metadata__"), key), "", out);
}
