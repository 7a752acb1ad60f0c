/* file_source.c - a GGUF as an arch_source; as the engine's, without the engine. */
#include "file_source.h"
#include "base/types.h"
#include <stdio.h>

static const struct gguf_value *find(const struct file_source *s, const char *key)
{
    char full[320];
    if (key[0] == '.')
        return gguf_find(s->file, key + 1);
    snprintf(full, sizeof full, "%s.%s", s->architecture, key);
    return gguf_find(s->file, full);
}

static bool number(void *user, const char *key, uint64_t i, double *out, uint64_t *n)
{
    const struct gguf_value *v = find(user, key);
    if (!v || !gguf_item_f64(v, i, out))
        return false;
    if (n)
        *n = v->n;
    return true;
}

static bool whole(void *user, const char *key, uint64_t i, uint64_t *out, uint64_t *n)
{
    const struct gguf_value *v = find(user, key);
    if (!v || !gguf_item_u64(v, i, out))
        return false;
    if (n)
        *n = v->n;
    return true;
}

static bool text(void *user, const char *key, struct span *out)
{
    const struct gguf_value *v = find(user, key);
    if (!v || v->type != GGUF_STRING)
        return false;
    *out = v->bytes;
    return true;
}

static const struct weight *weight(void *user, const char *name)
{
    struct file_source *s = user;
    const struct gguf_tensor *t = gguf_find_tensor(s->file, name);
    if (!t)
        return NULL;
    size_t at = (size_t)(t - gguf_tensor_at(s->file, 0));
    s->used[at] = true;
    return &s->weights[at];
}

bool file_source_open(struct file_source *s, const char *path, andiron_error *error)
{
    struct span name;
    *s = (struct file_source){.source = {s, number, whole, text, weight, NULL}};
    arena_init(&s->arena, 16 << 20);
    if (gguf_open(&s->file, path, error) || !gguf_get_text(s->file, "general.architecture", &name))
        return false;
    size_t n = gguf_n_tensors(s->file);
    s->architecture = arena_text(&s->arena, name.p, name.n);
    s->weights = arena_alloc(&s->arena, n, sizeof *s->weights);
    s->used = arena_alloc(&s->arena, n, sizeof *s->used);
    if (!s->architecture || !s->weights || !s->used)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(s->file, i);
        const struct type_info *type = type_info(t->type);
        s->weights[i] = (struct weight){.name = arena_text(&s->arena, t->name.p, t->name.n),
                                        .type = t->type,
                                        .n_dims = t->n_dims,
                                        .data = t->data,
                                        .row_bytes = t->dims[0] / type->block_items * type->block_bytes};
        memcpy(s->weights[i].dims, t->dims, sizeof t->dims);
    }
    return true;
}

void file_source_close(struct file_source *s)
{
    gguf_close(s->file);
    arena_reset(&s->arena);
}
