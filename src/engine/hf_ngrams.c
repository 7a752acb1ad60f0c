/* hf_ngrams.c - tables of n-grams (Qwen4-Exp): parts of one table, brought together, and the lists that pick rows. */
#include "base/checked.h"
#include "base/error.h"
#include "base/types.h"
#include "engine/hf_internal.h"
#include <stdio.h>
#include <string.h>

static const char marker[] = ".ple.ple_embedding.";

/* What follows the marker; p NULL: it is none of a table of n-grams. */
static struct span after_marker(struct span name)
{
    const char *at = memmem(name.p, name.n, marker, strlen(marker));
    return at ? (struct span){at + strlen(marker), (size_t)(name.p + name.n - at) - strlen(marker)} : (struct span){0};
}

/* Which part of the table it is, -1: none. */
static int64_t shard_number(struct span name)
{
    static const char before[] = "ngram_embedding.shard_", whole[] = "ngram_embedding.weight";
    const size_t n = sizeof before - 1;
    const struct span rest = after_marker(name);
    int64_t number = 0;
    if (rest.p && span_is(rest, whole))
        return 0;
    if (!rest.p || rest.n <= n || memcmp(rest.p, before, n) != 0 || !span_ends(rest, ".weight"))
        return -1;
    const size_t end = rest.n - strlen(".weight");
    for (size_t i = n; i < end; i++) {
        if (rest.p[i] < '0' || rest.p[i] > '9' || end - n > 6)
            return -1;
        number = number * 10 + (rest.p[i] - '0');
    }
    return end > n ? number : -1;
}

bool hf_is_shard(struct span name) { return shard_number(name) >= 0; }

static andiron_status refuse(const struct hf_model *m, struct span name, const char *why, andiron_error *error)
{
    return error_set(error, ANDIRON_E_FORMAT, "%s: the tensor \"%.*s\" %s", hf_path(m->dir),
                     (int)(name.n < 120 ? name.n : 120), name.p, why);
}

/* Rows of all parts, and of those before this one. */
static bool count_rows(const struct hf_model *m, int64_t number, uint64_t *all, uint64_t *before)
{
    bool fits = true;
    *all = *before = 0;
    for (size_t i = 0; i < hf_n_tensors(m->dir) && fits; i++) {
        const struct gguf_tensor *t = &hf_tensor_at(m->dir, i)->tensor;
        const int64_t at = shard_number(t->name);
        if (at < 0)
            continue;
        fits = checked_add(*all, t->dims[1], all);
        *before += at < number ? t->dims[1] : 0;
    }
    return fits;
}

static const char table_name[] = "per_layer_token_embd.weight";

/* The table, with room for all rows; found, or made by its first part. */
static andiron_status table_of(struct hf_model *m, const struct gguf_tensor *part, uint64_t rows, uint64_t bytes,
                               struct gguf_tensor **out, andiron_error *error)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (span_is(m->tensors[i].name, table_name)) {
            *out = &m->tensors[i];
            return ANDIRON_OK;
        }
    void *data = arena_alloc(&m->arena, bytes, 1);
    struct gguf_tensor *to = *out = data ? hf_add_tensor(m, table_name) : NULL;
    if (!to)
        return error_memory(error, bytes, "a table of n-grams");
    *to = (struct gguf_tensor){.name = to->name,
                               .type = part->type,
                               .n_dims = 2,
                               .dims = {part->dims[0], rows, 1, 1},
                               .data = data,
                               .n_bytes = bytes};
    return ANDIRON_OK;
}

andiron_status hf_take_shard(struct hf_model *m, const struct safetensors_tensor *from, andiron_error *error)
{
    const struct gguf_tensor *t = &from->tensor;
    struct gguf_tensor *to;
    uint64_t all, before, bytes = 0;
    if (json_array_size(json_at(m->config, "ple_layer_ids")) != 1)
        return hf_wrong(m, "n-grams in other than one layer (ple_layer_ids) are not covered", error);
    if (t->n_dims != 2 || (t->type != TYPE_F32 && t->type != TYPE_F16 && t->type != TYPE_BF16) || t->n_bytes == 0)
        return refuse(m, t->name, "is no matrix of F32, F16 or BF16", error);
    const uint64_t row = t->n_bytes / t->dims[1];
    if (!count_rows(m, shard_number(t->name), &all, &before) || !checked_mul(all, row, &bytes))
        return refuse(m, t->name, "has too many rows", error);
    const andiron_status s = table_of(m, t, all, bytes, &to, error);
    if (s)
        return s;
    if (to->type != t->type || to->dims[0] != t->dims[0])
        return refuse(m, t->name, "differs from other parts' in type or columns", error);
    memcpy((char *)(uintptr_t)to->data + before * row, t->data, t->n_bytes);
    return ANDIRON_OK;
}

/* ---- the lists ---- */

static andiron_status put_wholes(struct hf_model *m, const char *from, const char *key, andiron_error *error)
{
    const struct gguf_tensor *t = NULL;
    for (size_t i = 0; i < hf_n_tensors(m->dir) && !t; i++) {
        const struct gguf_tensor *one = &hf_tensor_at(m->dir, i)->tensor;
        const struct span rest = after_marker(one->name);
        t = rest.p && span_is(rest, from) ? one : NULL;
    }
    char what[160];
    snprintf(what, sizeof what, "ple_layer_ids needs a tensor ple.ple_embedding.%s, a list of I64", from);
    if (!t || t->n_dims != 1 || (t->type != TYPE_I64 && t->type != TYPE_I32))
        return hf_wrong(m, what, error);
    hf_put_array(m, key, GGUF_U64, t->dims[0]);
    for (uint64_t i = 0; i < t->dims[0]; i++)
        hf_put_number(m, (uint64_t)hf_whole(t, i), 8);
    return ANDIRON_OK;
}

andiron_status hf_put_ngrams(struct hf_model *m, andiron_error *error)
{
    uint64_t eos = 0;
    const json_t *said = json_at(m->config, "eos_token_id");
    if (json_array_size(json_at(m->config, "ple_layer_ids")) == 0 || m->n_tensors == 0)
        return ANDIRON_OK;
    said = json_is_array(said) ? json_array_get(said, 0) : said;
    if (!json_is_integer(said) || json_integer_value(said) < 0 || json_integer_value(said) > INT32_MAX)
        return hf_wrong(m, "layers with n-grams (ple_layer_ids) need an eos_token_id", error);
    eos = (uint64_t)json_integer_value(said);
    hf_put_u32(m, "ple.eos_token_id", eos);
    andiron_status s = put_wholes(m, "layer_multipliers", "ple.layer_multipliers", error);
    if (!s)
        s = put_wholes(m, "ngram_heads_vocab_sizes", "ple.head_vocab_sizes", error);
    return s ? s : put_wholes(m, "ngram_heads_offsets", "ple.head_offsets", error);
}
