/* gguf_read.c - one part's bytes: header, key-values, tensor infos. Every number is checked against what is left of the
 * file before it is used; each value and tensor takes at least some bytes of the file, so work and memory are bounded
 * by its size. */
#include "base/checked.h"
#include "base/error.h"
#include "base/types.h"
#include "files/gguf_internal.h"
#include <inttypes.h>

enum {
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8 /* the specification's */,
    MAX_ALIGNMENT = 1 << 24,
    NAME_MAX_BYTES = 1 << 16
};
enum { VALUE_MIN_BYTES = 8 + 4 + 1, TENSOR_MIN_BYTES = 8 + 4 + 8 + 4 + 8 };

struct reader {
    struct gguf_part *part;
    size_t at;
    andiron_error *error;
};

static size_t left(const struct reader *r) { return r->part->bytes.n - r->at; }

static andiron_status truncated(const struct reader *r, const char *what)
{
    return error_set(r->error, ANDIRON_E_FORMAT, "%s: the file ends at byte %zu inside %s; it is cut off or damaged",
                     r->part->path, r->part->bytes.n, what);
}

static andiron_status read_number(struct reader *r, void *out, size_t n, const char *what)
{
    if (left(r) < n)
        return truncated(r, what);
    memcpy(out, r->part->bytes.p + r->at, n);
    r->at += n;
    return ANDIRON_OK;
}

static andiron_status read_text(struct reader *r, struct span *out, const char *what)
{
    uint64_t n = 0;
    andiron_status s = read_number(r, &n, sizeof n, what);
    if (s)
        return s;
    if (n > left(r))
        return error_set(r->error, ANDIRON_E_FORMAT, "%s: %s at byte %zu claims %" PRIu64 " bytes where %zu are left",
                         r->part->path, what, r->at - sizeof n, n, left(r));
    *out = (struct span){r->part->bytes.p + r->at, n};
    r->at += n;
    return ANDIRON_OK;
}

static const uint8_t scalar_bytes[] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};

static andiron_status bad_type(const struct reader *r, struct span key, uint32_t type)
{
    return error_set(r->error, ANDIRON_E_FORMAT,
                     "%s: key \"%.*s\" has value type %" PRIu32 ", which GGUF does not know", r->part->path,
                     (int)(key.n < 100 ? key.n : 100), key.p, type);
}

/* Pass over `n` items of `type`. Nested arrays are passed over too, to a small depth. */
static andiron_status skip_items(struct reader *r, struct span key, uint32_t type, uint64_t n, int depth)
{
    struct span text;
    andiron_status s = ANDIRON_OK;
    if (type == GGUF_STRING) {
        for (uint64_t i = 0; i < n && !s; i++)
            s = read_text(r, &text, "a string");
        return s;
    }
    if (type == GGUF_ARRAY) {
        if (depth == GGUF_MAX_DEPTH)
            return error_set(r->error, ANDIRON_E_FORMAT, "%s: key \"%.*s\" nests arrays more than %d deep",
                             r->part->path, (int)(key.n < 100 ? key.n : 100), key.p, GGUF_MAX_DEPTH);
        for (uint64_t i = 0; i < n && !s; i++) {
            uint32_t inner = 0;
            uint64_t count = 0;
            s = read_number(r, &inner, sizeof inner, "an array");
            if (!s)
                s = read_number(r, &count, sizeof count, "an array");
            if (!s)
                s = skip_items(r, key, inner, count, depth + 1);
        }
        return s;
    }
    uint64_t bytes;
    if (type > GGUF_F64)
        return bad_type(r, key, type);
    if (!checked_mul(n, scalar_bytes[type], &bytes) || bytes > left(r))
        return error_set(r->error, ANDIRON_E_FORMAT,
                         "%s: key \"%.*s\" claims %" PRIu64 " items, more than the file holds", r->part->path,
                         (int)(key.n < 100 ? key.n : 100), key.p, n);
    r->at += bytes;
    return ANDIRON_OK;
}

static andiron_status read_value(struct reader *r, struct gguf_value *v)
{
    uint32_t type = 0, item_type = 0;
    andiron_status s = read_text(r, &v->key, "a key");
    if (!s)
        s = read_number(r, &type, sizeof type, "a value's type");
    if (s)
        return s;
    if (type > GGUF_F64)
        return bad_type(r, v->key, type);
    v->type = (enum gguf_value_type)type;
    item_type = type;
    v->n = 1;
    if (type == GGUF_ARRAY) {
        s = read_number(r, &item_type, sizeof item_type, "an array");
        if (!s)
            s = read_number(r, &v->n, sizeof v->n, "an array");
        if (s)
            return s;
        if (item_type > GGUF_F64)
            return bad_type(r, v->key, item_type);
    }
    v->item_type = (enum gguf_value_type)item_type;
    if (type == GGUF_STRING)
        return read_text(r, &v->bytes, "a string");
    size_t begin = r->at;
    s = skip_items(r, v->key, item_type, v->n, 0);
    v->bytes = (struct span){r->part->bytes.p + begin, r->at - begin};
    return s;
}

static andiron_status bad_tensor(const struct reader *r, const struct gguf_tensor *t, const char *why)
{
    return error_set(r->error, ANDIRON_E_FORMAT, "%s: tensor \"%.*s\" %s", r->part->path,
                     (int)(t->name.n < 100 ? t->name.n : 100), t->name.p, why);
}

/* Dimensions, type and size of the tensor whose fields were read. */
static andiron_status check_tensor(const struct reader *r, struct gguf_tensor *t)
{
    uint64_t items = 1;
    for (uint32_t d = 0; d < t->n_dims; d++) {
        if (t->dims[d] == 0)
            return bad_tensor(r, t, "has a dimension of zero");
        if (!checked_mul(items, t->dims[d], &items) || items > INT64_MAX)
            return bad_tensor(r, t, "has more numbers than any machine can address");
    }
    const struct type_info *type = type_info(t->type);
    if (!type)
        return ANDIRON_OK; /* listed; whoever needs it says that it cannot run */
    if (t->dims[0] % type->block_items)
        return bad_tensor(r, t, "has rows that are no whole number of its type's blocks");
    if (!checked_mul(items / type->block_items, type->block_bytes, &t->n_bytes))
        return bad_tensor(r, t, "is larger than any machine can address");
    return ANDIRON_OK;
}

static andiron_status read_tensor(struct reader *r, struct gguf_tensor *t, uint64_t *offset)
{
    *t = (struct gguf_tensor){.dims = {1, 1, 1, 1}};
    andiron_status s = read_text(r, &t->name, "a tensor's name");
    if (!s)
        s = read_number(r, &t->n_dims, sizeof t->n_dims, "a tensor");
    if (s)
        return s;
    if (t->name.n > NAME_MAX_BYTES || memchr(t->name.p, 0, t->name.n))
        return bad_tensor(r, t, "has a name that is too long or holds a zero byte");
    if (t->n_dims < 1 || t->n_dims > GGUF_MAX_DIMS)
        return bad_tensor(r, t, "must have 1 to 4 dimensions");
    for (uint32_t d = 0; d < t->n_dims && !s; d++)
        s = read_number(r, &t->dims[d], sizeof t->dims[d], "a tensor");
    if (!s)
        s = read_number(r, &t->type, sizeof t->type, "a tensor");
    if (!s)
        s = read_number(r, offset, sizeof *offset, "a tensor");
    return s ? s : check_tensor(r, t);
}

/* Where the data begins, and each tensor's place in it. `offsets` [n_tensors]. */
static andiron_status place_data(struct reader *r, const uint64_t *offsets, uint64_t alignment)
{
    struct gguf_part *p = r->part;
    uint64_t begin, at;
    if (!checked_align(r->at, alignment, &begin))
        return truncated(r, "its data");
    for (size_t i = 0; i < p->n_tensors; i++) {
        struct gguf_tensor *t = &p->tensors[i];
        if (!type_info(t->type))
            continue;
        if (offsets[i] % alignment)
            return bad_tensor(r, t, "does not begin on the file's alignment");
        if (!checked_add(begin, offsets[i], &at) || !checked_within(at, t->n_bytes, p->bytes.n))
            return bad_tensor(r, t, "ends past the end of the file; the file is cut off or damaged");
        t->data = p->bytes.p + at;
    }
    return ANDIRON_OK;
}

/* general.alignment, or the default. */
static andiron_status find_alignment(const struct reader *r, uint64_t *out)
{
    *out = DEFAULT_ALIGNMENT;
    for (size_t i = 0; i < r->part->n_values; i++) {
        const struct gguf_value *v = &r->part->values[i];
        uint32_t alignment;
        if (!span_is(v->key, "general.alignment"))
            continue;
        if (v->type != GGUF_U32)
            return error_set(r->error, ANDIRON_E_FORMAT, "%s: general.alignment must be a u32", r->part->path);
        memcpy(&alignment, v->bytes.p, sizeof alignment);
        if (alignment < MIN_ALIGNMENT || (alignment & (alignment - 1)) || alignment > MAX_ALIGNMENT)
            return error_set(r->error, ANDIRON_E_FORMAT,
                             "%s: general.alignment %" PRIu32 " must be a power of two from %d to %d", r->part->path,
                             alignment, MIN_ALIGNMENT, MAX_ALIGNMENT);
        *out = alignment;
    }
    return ANDIRON_OK;
}

static andiron_status read_header(struct reader *r, uint64_t *n_tensors, uint64_t *n_values)
{
    struct gguf_part *p = r->part;
    if (left(r) < 4 || memcmp(p->bytes.p, "GGUF", 4))
        return error_set(r->error, ANDIRON_E_FORMAT, "%s: is not a GGUF file (it does not begin with GGUF)", p->path);
    r->at = 4;
    andiron_status s = read_number(r, &p->version, sizeof p->version, "the header");
    if (s)
        return s;
    if ((p->version & 0xffff) == 0 && p->version)
        return error_set(r->error, ANDIRON_E_SUPPORT, "%s: is a big-endian GGUF; convert it to little-endian", p->path);
    if (p->version != 2 && p->version != 3)
        return error_set(r->error, ANDIRON_E_SUPPORT, "%s: is GGUF version %" PRIu32 "; versions 2 and 3 can be read",
                         p->path, p->version);
    s = read_number(r, n_tensors, sizeof *n_tensors, "the header");
    if (!s)
        s = read_number(r, n_values, sizeof *n_values, "the header");
    if (s)
        return s;
    if (*n_values > left(r) / VALUE_MIN_BYTES || *n_tensors > left(r) / TENSOR_MIN_BYTES)
        return error_set(r->error, ANDIRON_E_FORMAT,
                         "%s: claims %" PRIu64 " keys and %" PRIu64 " tensors, more than its %zu bytes hold", p->path,
                         *n_values, *n_tensors, p->bytes.n);
    return ANDIRON_OK;
}

andiron_status gguf_read_part(struct gguf_part *p, struct arena *arena, andiron_error *error)
{
    struct reader r = {.part = p, .error = error};
    uint64_t n_tensors = 0, n_values = 0, alignment = 0;
    andiron_status s = read_header(&r, &n_tensors, &n_values);
    if (s)
        return s;
    p->values = arena_alloc(arena, n_values, sizeof *p->values);
    p->tensors = arena_alloc(arena, n_tensors, sizeof *p->tensors);
    uint64_t *offsets = arena_alloc(arena, n_tensors, sizeof *offsets);
    if (!p->values || !p->tensors || !offsets)
        return error_memory(error, n_values * sizeof *p->values + n_tensors * sizeof *p->tensors,
                            "a file's list of contents");
    p->n_values = n_values;
    p->n_tensors = n_tensors;
    for (size_t i = 0; i < n_values && !s; i++)
        s = read_value(&r, &p->values[i]);
    for (size_t i = 0; i < n_tensors && !s; i++)
        s = read_tensor(&r, &p->tensors[i], &offsets[i]);
    if (!s)
        s = find_alignment(&r, &alignment);
    return s ? s : place_data(&r, offsets, alignment);
}
