/* convert_weights.c - tensors of a folder as a GGUF file has them: which type each becomes, and rows of queries and
 * keys in pairs where architecture's files hold pairs. */
#include "base/checked.h"
#include "base/error.h"
#include "engine/convert.h"
#include "kernels/pack.h"
#include <stdio.h>

/* ---- types ---- */

/* What llama.cpp keeps whole, too: vectors, routers, positions. */
static bool stays_whole(const struct gguf_tensor *t)
{
    static const char *const names[] = {"ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "position_embd.weight",
                                        "token_types.weight"};
    bool whole = t->n_dims < 2 || !span_ends(t->name, ".weight");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        whole = whole || span_ends(t->name, names[i]);
    return whole;
}

/* Tables of tokens have 8 bits where others have fewer; rows that are no whole blocks have 16. */
static enum weight_type type_for(const struct conversion *c, const struct gguf_tensor *t)
{
    const enum weight_type type = c->type->type;
    const uint32_t items = type_info(type)->block_items;
    if (stays_whole(t))
        return TYPE_F32;
    if (t->dims[0] % items)
        return TYPE_F16;
    return items > 1 && (span_is(t->name, "token_embd.weight") || span_is(t->name, "output.weight")) ? TYPE_Q8_0 : type;
}

andiron_status convert_plan(struct conversion *c, andiron_error *error)
{
    c->n_tensors = gguf_n_tensors(c->file);
    c->tensors = arena_alloc(&c->arena, c->n_tensors, sizeof *c->tensors);
    if (!c->tensors)
        return error_memory(error, c->n_tensors * sizeof *c->tensors, "the list of tensors");
    for (size_t i = 0; i < c->n_tensors; i++) {
        struct gguf_tensor *t = &c->tensors[i];
        *t = *gguf_tensor_at(c->file, i);
        t->type = type_for(c, t);
        const struct type_info *info = type_info(t->type);
        t->n_bytes = t->dims[0] / info->block_items * info->block_bytes * t->dims[1] * t->dims[2] * t->dims[3];
    }
    return ANDIRON_OK;
}

/* ---- rows in pairs ---- */

struct order {
    uint64_t head, rotated; /* rows of a head, and how many of them RoPE turns; head 0: rows stay where they are */
};

static bool number(const struct conversion *c, const char *name, uint64_t *out)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", c->model->kind->architecture, name);
    return gguf_get_u64(c->file, key, out);
}

static struct order order_of(const struct conversion *c, struct span name)
{
    static const char *const names[] = {".attn_q.weight", ".attn_k.weight",      ".attn_q.bias",
                                        ".attn_k.bias",   ".attn_q_norm.weight", ".attn_k_norm.weight"};
    struct order o = {0, 0};
    uint64_t width = 0, heads = 0;
    bool turned = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        turned = turned || span_ends(name, names[i]);
    if (!turned || !(c->model->kind->flags & HF_NEOX))
        return o;
    if (!number(c, "attention.key_length", &o.head) && number(c, "embedding_length", &width) &&
        number(c, "attention.head_count", &heads) && heads)
        o.head = width / heads;
    if (!number(c, "rope.dimension_count", &o.rotated) || o.rotated > o.head)
        o.rotated = o.head;
    return o;
}

/* Where row r of the file comes from. */
static uint64_t row_of(struct order o, uint64_t r)
{
    const uint64_t in = o.head ? r % o.head : 0;
    return in < o.rotated ? r - in + in % 2 * (o.rotated / 2) + in / 2 : r;
}

/* ---- numbers ---- */

/* Can rows of this type hold them? Blocks have factors of 16 bits. */
static bool fits(enum weight_type type, const float *x, uint64_t n)
{
    bool all = true;
    for (uint64_t i = 0; i < n && type != TYPE_F32 && type != TYPE_BF16; i++)
        all = all && x[i] > -65520.0f && x[i] < 65520.0f;
    return all;
}

struct rows {
    uint64_t n, width;
    struct order order;
    const struct kernels *kernels;
    float *numbers;
    void *packed;
    size_t row_bytes;
};

static andiron_status write_rows(const struct rows *rows, const struct gguf_tensor *from, const struct gguf_tensor *to,
                                 struct gguf_writer *w, andiron_error *error)
{
    andiron_status s = ANDIRON_OK;
    for (uint64_t r = 0; r < rows->n && !s; r++) {
        const uint64_t at = row_of(rows->order, r) * rows->width;
        for (uint64_t i = 0; i < rows->width; i++)
            rows->numbers[i] = hf_number(from, at + i);
        if (!fits(to->type, rows->numbers, rows->width))
            return error_set(error, ANDIRON_E_ARGUMENT,
                             "%.*s has a number that %s cannot hold; choose --type f32 or bf16", (int)from->name.n,
                             from->name.p, type_info(to->type)->name);
        pack_row(rows->kernels, to->type, rows->numbers, rows->width, rows->packed);
        s = gguf_write_data(w, rows->packed, rows->row_bytes, error);
    }
    return s;
}

static andiron_status write_tensor(struct conversion *c, size_t i, struct gguf_writer *w, andiron_error *error)
{
    const struct gguf_tensor *from = gguf_tensor_at(c->file, i), *to = &c->tensors[i];
    struct arena arena;
    struct rows rows = {.n = from->dims[1] * from->dims[2] * from->dims[3], .width = from->dims[0]};
    rows.order = order_of(c, from->name);
    rows.kernels = &c->kernels;
    if (from->type == to->type && !rows.order.head)
        return gguf_write_data(w, from->data, to->n_bytes, error);
    if (rows.order.head && from->n_dims == 1) {
        rows.n = rows.width;
        rows.width = 1;
    }
    rows.row_bytes = to->n_bytes / rows.n;
    if (rows.order.head && (rows.n % rows.order.head || rows.order.rotated % 2))
        return error_set(error, ANDIRON_E_FORMAT, "%.*s has rows that are no whole heads", (int)from->name.n,
                         from->name.p);
    arena_init(&arena, SIZE_MAX);
    rows.numbers = arena_alloc(&arena, rows.width, sizeof *rows.numbers);
    rows.packed = arena_alloc(&arena, rows.row_bytes, 1);
    andiron_status s = rows.numbers && rows.packed
                           ? write_rows(&rows, from, to, w, error)
                           : error_memory(error, rows.width * sizeof *rows.numbers, "a row of weights");
    arena_reset(&arena);
    return s;
}

andiron_status convert_weights(struct conversion *c, struct gguf_writer *w, andiron_error *error)
{
    andiron_status s = ANDIRON_OK;
    for (size_t i = 0; i < c->n_tensors && !s; i++)
        s = write_tensor(c, i, w, error);
    return s;
}
