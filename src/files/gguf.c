/* gguf.c - a GGUF file as a whole: its parts, finding keys and tensors, typed reads. */
#include "files/gguf.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "files/gguf_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BASE = 1 << 20, BYTES_PER_BYTE = 16 }; /* our lists are a few times the bytes that describe them */

/* ---- finding: names sorted once, then binary search. Sorting is n log n whatever the names are. ---- */

static int compare(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static int by_key(const void *a, const void *b, void *values)
{
    const struct gguf_value *v = values;
    return compare(v[*(const uint32_t *)a].key, v[*(const uint32_t *)b].key);
}

static int by_name(const void *a, const void *b, void *tensors)
{
    const struct gguf_tensor *t = tensors;
    return compare(t[*(const uint32_t *)a].name, t[*(const uint32_t *)b].name);
}

static uint32_t *in_order(struct arena *arena, size_t n)
{
    uint32_t *order = arena_alloc(arena, n, sizeof *order);
    for (size_t i = 0; order && i < n; i++)
        order[i] = (uint32_t)i;
    return order;
}

static andiron_status twice(const struct gguf *g, const char *what, struct span name, andiron_error *error)
{
    return error_set(error, ANDIRON_E_FORMAT, "%s: %s \"%.*s\" stands in the file twice", gguf_path(g), what,
                     (int)(name.n < 100 ? name.n : 100), name.p);
}

static andiron_status sort_names(struct gguf *g, andiron_error *error)
{
    struct gguf_part *first = &g->parts[0];
    if (first->n_values > UINT32_MAX || g->n_tensors > UINT32_MAX)
        return error_set(error, ANDIRON_E_FORMAT, "%s: has too many keys or tensors", gguf_path(g));
    g->value_order = in_order(&g->arena, first->n_values);
    g->tensor_order = in_order(&g->arena, g->n_tensors);
    if (!g->value_order || !g->tensor_order)
        return error_memory(error, (first->n_values + g->n_tensors) * sizeof(uint32_t), "an index of names");
    qsort_r(g->value_order, first->n_values, sizeof(uint32_t), by_key, first->values);
    qsort_r(g->tensor_order, g->n_tensors, sizeof(uint32_t), by_name, g->tensors);
    for (size_t i = 1; i < first->n_values; i++)
        if (!by_key(&g->value_order[i - 1], &g->value_order[i], first->values))
            return twice(g, "key", first->values[g->value_order[i]].key, error);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (!by_name(&g->tensor_order[i - 1], &g->tensor_order[i], g->tensors))
            return twice(g, "tensor", g->tensors[g->tensor_order[i]].name, error);
    return ANDIRON_OK;
}

const struct gguf_value *gguf_find(const struct gguf *g, const char *key)
{
    const struct gguf_part *p = &g->parts[0];
    struct span wanted = span_of(key);
    for (size_t low = 0, high = p->n_values; low < high;) {
        size_t middle = low + (high - low) / 2;
        const struct gguf_value *v = &p->values[g->value_order[middle]];
        int c = compare(wanted, v->key);
        if (c == 0)
            return v;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    struct span wanted = span_of(name);
    for (size_t low = 0, high = g->n_tensors; low < high;) {
        size_t middle = low + (high - low) / 2;
        const struct gguf_tensor *t = &g->tensors[g->tensor_order[middle]];
        int c = compare(wanted, t->name);
        if (c == 0)
            return t;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- parts ---- */

/* "NAME-00001-of-0000N.gguf": where the number of the part stands; NULL for any other name. */
static char *part_digits(char *path, unsigned *number, unsigned *of)
{
    static const size_t tail = sizeof "00001-of-00002.gguf" - 1;
    size_t n = strlen(path);
    int used = 0;
    if (n <= tail || sscanf(path + n - tail, "%5u-of-%5u.gguf%n", number, of, &used) != 2 || (size_t)used != tail)
        return NULL;
    return path + n - tail;
}

static andiron_status open_part(struct gguf *g, size_t i, const char *path, andiron_error *error)
{
    struct gguf_part *p = &g->parts[i];
    andiron_status s = mapped_open(&p->mapping, path, error);
    if (s)
        return s;
    p->bytes = (struct span){p->mapping.data, p->mapping.n_bytes};
    uint64_t more;
    if (checked_mul(p->bytes.n, BYTES_PER_BYTE, &more) && checked_add(more, g->arena.max_bytes, &more))
        g->arena.max_bytes = more;
    if (!(p->path = arena_text(&g->arena, path, strlen(path))))
        return error_memory(error, strlen(path), "a path");
    return gguf_read_part(p, &g->arena, error);
}

/* split.count and split.no of a part that stands alone so far; no keys mean one part. */
static void read_split(const struct gguf_part *p, uint64_t *count, uint64_t *number)
{
    *count = 1;
    *number = 0;
    for (size_t i = 0; i < p->n_values; i++) {
        double x;
        if (!gguf_item_f64(&p->values[i], 0, &x) || !(x >= 0 && x <= UINT32_MAX))
            continue;
        if (span_is(p->values[i].key, "split.count") && x >= 1)
            *count = (uint64_t)x;
        if (span_is(p->values[i].key, "split.no"))
            *number = (uint64_t)x;
    }
}

static andiron_status open_other_parts(struct gguf *g, char *path, uint64_t count, andiron_error *error)
{
    unsigned number, of;
    uint64_t their_count, their_number;
    char *digits = part_digits(path, &number, &of);
    if (!digits || of != count || number != 1)
        return error_set(error, ANDIRON_E_FORMAT,
                         "%s: is part of a model in %" PRIu64 " files; its name must end in -00001-of-%05" PRIu64
                         ".gguf",
                         path, count, count);
    struct gguf_part *parts = arena_alloc(&g->arena, count, sizeof *parts);
    if (!parts)
        return error_memory(error, count * sizeof *parts, "the parts of a model");
    parts[0] = g->parts[0];
    g->parts = parts;
    for (size_t i = 1; i < count; i++) {
        char text[16];
        g->n_parts = i + 1;
        snprintf(text, sizeof text, "%05u", (unsigned)i + 1);
        memcpy(digits, text, 5);
        andiron_status s = open_part(g, i, path, error);
        if (s)
            return s;
        read_split(&parts[i], &their_count, &their_number);
        if (their_count != count || their_number != i)
            return error_set(error, ANDIRON_E_FORMAT,
                             "%s: says it is part %" PRIu64 " of %" PRIu64 ", not %zu of %" PRIu64, path,
                             their_number + 1, their_count, i + 1, count);
    }
    return ANDIRON_OK;
}

static andiron_status join_tensors(struct gguf *g, andiron_error *error)
{
    double expected;
    for (size_t i = 0; i < g->n_parts; i++)
        g->n_tensors += g->parts[i].n_tensors;
    g->tensors = g->n_parts == 1 ? g->parts[0].tensors : arena_alloc(&g->arena, g->n_tensors, sizeof *g->tensors);
    if (!g->tensors)
        return error_memory(error, g->n_tensors * sizeof *g->tensors, "the list of tensors");
    for (size_t i = 0, n = 0; i < g->n_parts && g->n_parts > 1; n += g->parts[i++].n_tensors)
        memcpy(g->tensors + n, g->parts[i].tensors, g->parts[i].n_tensors * sizeof *g->tensors);
    andiron_status s = sort_names(g, error);
    const struct gguf_value *v = s ? NULL : gguf_find(g, "split.tensors.count");
    if (v && g->n_parts > 1 && gguf_item_f64(v, 0, &expected) && expected != (double)g->n_tensors)
        return error_set(error, ANDIRON_E_FORMAT, "%s: its parts hold %zu tensors where split.tensors.count says %.0f",
                         gguf_path(g), g->n_tensors, expected);
    return s;
}

static andiron_status open_path(struct gguf *g, const char *path, andiron_error *error)
{
    uint64_t count, number;
    andiron_status s = open_part(g, 0, path, error);
    if (s)
        return s;
    read_split(&g->parts[0], &count, &number);
    if (number > 0)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "%s: is part %" PRIu64 " of %" PRIu64 "; name the first, -00001-of-%05" PRIu64 ".gguf", path,
                         number + 1, count, count);
    if (count > GGUF_MAX_PARTS)
        return error_set(error, ANDIRON_E_FORMAT, "%s: claims to be in %" PRIu64 " parts; at most %d", path, count,
                         GGUF_MAX_PARTS);
    if (count > 1) {
        char *other = arena_text(&g->arena, path, strlen(path));
        s = other ? open_other_parts(g, other, count, error) : error_memory(error, strlen(path), "a path");
    }
    return s ? s : join_tensors(g, error);
}

static struct gguf *new_gguf(size_t arena_max, andiron_error *error)
{
    struct gguf *g = alloc_zeroed(1, sizeof *g);
    if (g) {
        arena_init(&g->arena, arena_max);
        g->n_parts = 1;
        g->parts = arena_alloc(&g->arena, 1, sizeof *g->parts);
    }
    if (g && g->parts)
        return g;
    alloc_free(g);
    error_memory(error, sizeof *g, "a GGUF file");
    return NULL;
}

andiron_status gguf_open(struct gguf **out, const char *path, andiron_error *error)
{
    *out = NULL;
    struct gguf *g = new_gguf(ARENA_BASE, error);
    if (!g)
        return ANDIRON_E_MEMORY;
    andiron_status s = open_path(g, path, error);
    if (s)
        gguf_close(g);
    else
        *out = g;
    return s;
}

andiron_status gguf_open_memory(struct gguf **out, struct span bytes, andiron_error *error)
{
    *out = NULL;
    struct gguf *g = new_gguf(ARENA_BASE + bytes.n * BYTES_PER_BYTE, error);
    if (!g)
        return ANDIRON_E_MEMORY;
    g->parts[0].bytes = bytes;
    g->parts[0].path = "memory";
    andiron_status s = gguf_read_part(&g->parts[0], &g->arena, error);
    if (!s)
        s = join_tensors(g, error);
    if (s)
        gguf_close(g);
    else
        *out = g;
    return s;
}

andiron_status gguf_open_made(struct gguf **out, const char *path, struct span header, struct gguf_tensor *tensors,
                              size_t n, uint64_t n_bytes, andiron_error *error)
{
    *out = NULL;
    struct gguf *g = new_gguf(ARENA_BASE + (header.n + n * sizeof *tensors) * BYTES_PER_BYTE, error);
    if (!g)
        return ANDIRON_E_MEMORY;
    g->parts[0].bytes = header;
    andiron_status s = (g->parts[0].path = arena_text(&g->arena, path, strlen(path)))
                           ? gguf_read_part(&g->parts[0], &g->arena, error)
                           : error_memory(error, strlen(path), "a path");
    g->parts[0].tensors = tensors;
    g->parts[0].n_tensors = n;
    if (!s)
        s = join_tensors(g, error);
    g->parts[0].bytes.n = n_bytes;
    if (s)
        gguf_close(g);
    else
        *out = g;
    return s;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_parts; i++)
        mapped_close(&g->parts[i].mapping);
    arena_reset(&g->arena);
    alloc_free(g);
}

struct span gguf_mapping(const struct gguf *g, size_t i)
{
    if (i >= g->n_parts)
        return (struct span){0};
    return (struct span){g->parts[i].mapping.data, g->parts[i].mapping.n_bytes};
}

/* ---- reading ---- */

uint32_t gguf_version(const struct gguf *g) { return g->parts[0].version; }

const char *gguf_path(const struct gguf *g) { return g->parts[0].path; }

uint64_t gguf_file_bytes(const struct gguf *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < g->n_parts; i++)
        sum += g->parts[i].bytes.n;
    return sum;
}

size_t gguf_n_values(const struct gguf *g) { return g->parts[0].n_values; }

const struct gguf_value *gguf_value_at(const struct gguf *g, size_t i) { return &g->parts[0].values[i]; }

size_t gguf_n_tensors(const struct gguf *g) { return g->n_tensors; }

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i) { return &g->tensors[i]; }

const char *gguf_type_name(enum gguf_value_type type)
{
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "?";
}

bool gguf_item_f64(const struct gguf_value *v, uint64_t i, double *out)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        float f32;
        uint64_t u64;
        int64_t i64;
        double f64;
    } x;
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (i >= v->n || bytes[v->item_type] == 0)
        return false;
    memcpy(&x, v->bytes.p + i * bytes[v->item_type], bytes[v->item_type]);
    switch (v->item_type) {
    case GGUF_U8: *out = x.u8; return true;
    case GGUF_I8: *out = x.i8; return true;
    case GGUF_U16: *out = x.u16; return true;
    case GGUF_I16: *out = x.i16; return true;
    case GGUF_U32: *out = x.u32; return true;
    case GGUF_I32: *out = x.i32; return true;
    case GGUF_F32: *out = (double)x.f32; return true;
    case GGUF_BOOL: *out = x.u8 != 0; return true;
    case GGUF_U64: *out = (double)x.u64; return true;
    case GGUF_I64: *out = (double)x.i64; return true;
    default: *out = x.f64; return true;
    }
}

bool gguf_get_f64(const struct gguf *g, const char *key, double *out)
{
    const struct gguf_value *v = gguf_find(g, key);
    return v && v->type != GGUF_ARRAY && v->type != GGUF_BOOL && gguf_item_f64(v, 0, out);
}

bool gguf_item_u64(const struct gguf_value *v, uint64_t i, uint64_t *out)
{
    double x;
    if (v->item_type == GGUF_BOOL || v->item_type == GGUF_F32 || v->item_type == GGUF_F64)
        return false;
    if (!gguf_item_f64(v, i, &x) || x < 0)
        return false;
    if (v->item_type == GGUF_U64 || v->item_type == GGUF_I64) /* a double would round them */
        memcpy(out, v->bytes.p + i * sizeof *out, sizeof *out);
    else
        *out = (uint64_t)x;
    return true;
}

bool gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out)
{
    const struct gguf_value *v = gguf_find(g, key);
    return v && v->type != GGUF_ARRAY && gguf_item_u64(v, 0, out);
}

bool gguf_get_bool(const struct gguf *g, const char *key, bool *out)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v || v->type != GGUF_BOOL)
        return false;
    *out = v->bytes.p[0] != 0;
    return true;
}

bool gguf_get_text(const struct gguf *g, const char *key, struct span *out)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v || v->type != GGUF_STRING)
        return false;
    *out = v->bytes;
    return true;
}

bool gguf_next_text(const struct gguf_value *v, size_t *cursor, struct span *out)
{
    uint64_t n;
    if (v->item_type != GGUF_STRING)
        return false;
    if (v->type == GGUF_STRING) {
        *out = v->bytes;
        return (*cursor)++ == 0;
    }
    if (*cursor >= v->bytes.n)
        return false;
    memcpy(&n, v->bytes.p + *cursor, sizeof n); /* checked when the file was opened */
    *out = (struct span){v->bytes.p + *cursor + sizeof n, n};
    *cursor += sizeof n + n;
    return true;
}
