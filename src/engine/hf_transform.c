/* hf_transform.c - tensors that stand otherwise in Hugging Face's folders: each output row has one source row. */
#include "base/checked.h"
#include "base/error.h"
#include "base/types.h"
#include "engine/hf_internal.h"
#include "kernels/math.h"
#include <inttypes.h>
#include <string.h>

/* One slab of the source: numbers at row * row_step + column * column_step. */
struct slabs {
    uint64_t n, rows, columns, row_step, column_step;
    uint64_t heads, queries, head; /* ARCH_HEADS_IN_TURN: of keys, of queries for each of these, rows of one */
};

/* How the source is read; false: its shape does not allow it. */
static bool lay_out_rows(const struct gguf_tensor *t, const char *name, unsigned how, struct slabs *s)
{
    *s = (struct slabs){t->dims[2], t->dims[1], t->dims[0], t->dims[0], 1, 0, 0, 0};
    if (t->n_dims > 3 || ((how & ARCH_SQUEEZED) && (t->n_dims != 3 || t->dims[1] != 1)) ||
        ((how & ARCH_PAIRS_IN_TURN) && t->n_dims < 2))
        return false;
    if (how & ARCH_SQUEEZED) /* [d, 1, taps] */
        *s = (struct slabs){1, t->dims[2], t->dims[0], t->dims[0], 1, 0, 0, 0};
    else if (t->n_dims == 1 || span_ends(span_of(name), ".bias")) /* a number a row; a row of numbers for each expert */
        *s = (struct slabs){t->dims[1] * t->dims[2], t->dims[0], 1, 1, 1, 0, 0, 0};
    else if (how & ARCH_TRANSPOSED)
        *s = (struct slabs){t->dims[2], t->dims[0], t->dims[1], 1, t->dims[0], 0, 0, 0};
    if (how & ARCH_WITHOUT_TWO_ROWS) {
        if (t->n_dims != 2 || s->rows < 3)
            return false;
        s->rows -= 2;
    }
    return !(how & ARCH_PAIRS_IN_TURN) || s->rows % 2 == 0;
}

/* Also a vector that stands as [1, n, 1]. */
static bool lay_out(const struct gguf_tensor *t, const char *name, unsigned how, struct slabs *s)
{
    const uint64_t n = t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    const bool alone = t->dims[0] == n || t->dims[1] == n || t->dims[2] == n || t->dims[3] == n;
    if (!alone || !(how & ARCH_NEGATIVE_EXP))
        return lay_out_rows(t, name, how, s);
    *s = (struct slabs){1, n, 1, 1, 1, 0, 0, 0};
    return true;
}

static bool lay_heads(const struct hf_model *m, struct slabs *s)
{
    uint64_t n;
    if (!hf_heads(m, &n, &s->heads) || s->n != 1 || s->rows % (n + 2 * s->heads))
        return false;
    s->queries = n / s->heads;
    s->head = s->rows / (n + 2 * s->heads);
    return true;
}

static uint64_t source_row(const struct slabs *s, unsigned how, uint64_t row)
{
    if (how & ARCH_PAIRS_IN_TURN)
        row = row < s->rows / 2 ? 2 * row : 2 * (row - s->rows / 2) + 1;
    if (!(how & ARCH_HEADS_IN_TURN))
        return row + (how & ARCH_WITHOUT_TWO_ROWS ? 2 : 0);
    const uint64_t block = (s->queries + 2) * s->head, of_q = s->queries * s->head, q = s->heads * of_q,
                   k = s->heads * s->head;
    if (row < q)
        return row / of_q * block + row % of_q;
    row -= q;
    const uint64_t value = row >= k;
    row -= value * k;
    return row / s->head * block + (s->queries + value) * s->head + row % s->head;
}

static void change(const struct slabs *s, unsigned how, const struct gguf_tensor *from, struct gguf_tensor *to)
{
    const size_t item = from->type == TYPE_F32 ? 4 : 2;
    const bool floats = to->type == TYPE_F32;
    char *out = (char *)(uintptr_t)to->data;
    for (uint64_t i = 0, at = 0; i < s->n * s->rows; i++) {
        const uint64_t first = i / s->rows * s->rows * s->columns + source_row(s, how, i % s->rows) * s->row_step;
        if (s->column_step == 1 && from->type == to->type && !(how & ARCH_NEGATIVE_EXP)) {
            const uint64_t bytes = type_bytes(type_info(from->type), s->columns);
            memcpy(out + i * bytes, (const char *)from->data + first / s->columns * bytes, bytes);
            continue;
        }
        for (uint64_t c = 0; c < s->columns; c++, at++) {
            const uint64_t source = first + c * s->column_step;
            if (floats) {
                const float x = hf_number(from, source);
                ((float *)(void *)out)[at] = how & ARCH_NEGATIVE_EXP ? (float)-math_exp((double)x) : x;
            } else {
                memcpy(out + at * item, (const char *)from->data + source * item, item);
            }
        }
    }
}

static andiron_status wrong_shape(const struct hf_model *m, const struct gguf_tensor *t, andiron_error *error)
{
    return error_set(error, ANDIRON_E_FORMAT,
                     "%s: the tensor \"%.*s\" has a shape that config.json does not lead to: [%" PRIu64 ", %" PRIu64
                     ", %" PRIu64 "]",
                     hf_path(m->dir), (int)(t->name.n < 120 ? t->name.n : 120), t->name.p, t->dims[2], t->dims[1],
                     t->dims[0]);
}

/* What comes out, but for its data. */
static struct gguf_tensor changed_shape(const struct slabs *s, const struct gguf_tensor *from, bool floats)
{
    struct gguf_tensor t = {.type = floats ? TYPE_F32 : from->type, .n_dims = 1, .dims = {s->rows, 1, 1, 1}};
    if (s->columns == 1) { /* a number a row */
        t.dims[1] = s->n;
        t.n_dims = s->n == 1 ? 1 : 2;
    } else {
        t.dims[0] = s->columns;
        t.dims[1] = s->rows;
        t.dims[2] = s->n;
        t.n_dims = s->n > 1 ? 3 : 2;
    }
    return t;
}

andiron_status hf_take_changed(struct hf_model *m, const char *name, unsigned how, const struct gguf_tensor *from,
                               andiron_error *error)
{
    const bool floats = from->n_dims == 1 || span_ends(span_of(name), ".bias") ||
                        (how & (ARCH_NEGATIVE_EXP | ARCH_F32)) != 0 || from->type == TYPE_F32;
    struct slabs s;
    uint64_t bytes = 0;
    if (!lay_out(from, name, how, &s) || ((how & ARCH_HEADS_IN_TURN) && !lay_heads(m, &s)))
        return wrong_shape(m, from, error);
    struct gguf_tensor made = changed_shape(&s, from, floats);
    const bool fits = checked_mul(s.n * s.rows, type_bytes(type_info(made.type), s.columns), &bytes);
    struct gguf_tensor *to = fits ? hf_add_tensor(m, name) : NULL;
    void *data = to ? arena_alloc(&m->arena, bytes, 1) : NULL;
    if (!data)
        return error_memory(error, bytes, "a tensor of the model");
    made.name = to->name;
    made.data = data;
    made.n_bytes = bytes;
    *to = made;
    change(&s, how, from, to);
    return ANDIRON_OK;
}

int64_t hf_whole(const struct gguf_tensor *t, size_t i)
{
    int32_t narrow;
    int64_t x;
    if (t->type == TYPE_I32) {
        memcpy(&narrow, (const char *)t->data + 4 * i, sizeof narrow);
        return narrow;
    }
    memcpy(&x, (const char *)t->data + 8 * i, sizeof x);
    return x;
}

andiron_status hf_take_whole(struct hf_model *m, const char *name, const struct gguf_tensor *from, andiron_error *error)
{
    const uint64_t n = from->dims[0] * from->dims[1];
    if ((from->type != TYPE_I32 && from->type != TYPE_I64) || from->n_dims > 2)
        return error_set(error, ANDIRON_E_FORMAT, "%s: the tensor \"%.*s\" is no list or table of I64 or I32",
                         hf_path(m->dir), (int)(from->name.n < 120 ? from->name.n : 120), from->name.p);
    int32_t *data = arena_alloc(&m->arena, n, sizeof *data);
    struct gguf_tensor *to = data ? hf_add_tensor(m, name) : NULL;
    if (!to)
        return error_memory(error, n * sizeof *data, "a tensor of the model");
    for (uint64_t i = 0; i < n; i++) {
        const int64_t x = hf_whole(from, i);
        if (x < 0 || x > INT32_MAX)
            return error_set(error, ANDIRON_E_FORMAT,
                             "%s: the tensor \"%.*s\" holds %" PRId64 "; expected numbers from 0 to 2^31 - 1",
                             hf_path(m->dir), (int)(from->name.n < 120 ? from->name.n : 120), from->name.p, x);
        data[i] = (int32_t)x;
    }
    *to = (struct gguf_tensor){.name = to->name,
                               .type = TYPE_I32,
                               .n_dims = from->n_dims,
                               .dims = {from->dims[0], from->dims[1], 1, 1},
                               .data = data,
                               .n_bytes = n * sizeof *data};
    return ANDIRON_OK;
}
