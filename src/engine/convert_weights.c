/* convert_weights.c - tensors of a folder as a GGUF file has them, rows of queries and keys in pairs where the
 * architecture's files hold pairs. */
#include "base/checked.h"
#include "base/error.h"
#include "engine/convert.h"
#include "kernels/pack.h"
#include <stdio.h>
#include <string.h>

/* A number of the architecture's metadata. */
static bool number(const struct gguf *file, const char *architecture, const char *name, uint64_t *out)
{
    char key[256];
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    return gguf_get_u64(file, key, out);
}

/* Vectors of Mamba 2 are matrices in files: a number for each head, and rows of groups; convolutions of Kimi delta
 * attention have a dimension more. */
static void shape_states(struct gguf_tensor *t, bool by_head, bool is_kimi, uint64_t groups)
{
    if (is_kimi && (span_ends(t->name, ".ssm_conv1d_q.weight") || span_ends(t->name, ".ssm_conv1d_k.weight") ||
                    span_ends(t->name, ".ssm_conv1d_v.weight"))) {
        t->n_dims = 3; /* [taps, 1, channels] */
        t->dims[2] = t->dims[1];
        t->dims[1] = 1;
    }
    const bool norm = span_ends(t->name, ".ssm_norm.weight") && groups && t->dims[0] % groups == 0;
    if (t->n_dims != 1 || !by_head || !(norm || span_ends(t->name, ".ssm_a") || span_ends(t->name, ".ssm_d")))
        return;
    t->n_dims = 2;
    t->dims[1] = norm ? groups : t->dims[0];
    t->dims[0] = norm ? t->dims[0] / groups : 1;
}

andiron_status convert_plan(struct conversion *c, andiron_error *error)
{
    const struct gguf_tensor *decay = convert_first_of(c, ".ssm_a");
    uint64_t heads = 0, heads_kv = 0, groups = 1;
    const andiron_status s = convert_list(c, error);
    if (s)
        return s;
    number(c->file, c->model->architecture, "block_count", &c->n_layers);
    number(c->file, c->model->architecture, "expert_count", &c->n_experts);
    if (number(c->file, c->model->architecture, "attention.head_count", &heads) &&
        number(c->file, c->model->architecture, "attention.head_count_kv", &heads_kv) && heads_kv)
        c->heads_each = heads / heads_kv;
    const bool by_head = c->folder && decay && decay->n_dims == 1 &&
                         (convert_first_of(c, ".ssm_d") || !strcmp(c->model->architecture, "kimi-linear"));
    number(c->file, c->model->architecture, "ssm.group_count", &groups);
    for (size_t i = 0; i < c->n_tensors; i++) {
        struct gguf_tensor *t = &c->tensors[i];
        t->type = convert_type_of(c, t);
        shape_states(t, by_head, convert_number(c, "kda.head_dim") != 0, groups);
        const struct type_info *info = type_info(t->type);
        t->n_bytes = type_bytes(info, t->dims[0]) * t->dims[1] * t->dims[2] * t->dims[3];
        c->n_bytes += t->n_bytes;
    }
    return ANDIRON_OK;
}

/* ---- rows in pairs, heads of values ---- */

/* Heads of values that folders have in turn for each head of keys (Qwen3.5). */
static bool value_heads(const struct gguf *file, const struct hf_model *folder, struct row_order *o, uint64_t *of_keys)
{
    const char *architecture = folder->architecture;
    uint64_t heads = 0, inner = 0, size = 0;
    double in_turn = 0;
    if (!hf_said(folder, "ssm.heads_in_turn", &in_turn) || !number(file, architecture, "ssm.group_count", &o->groups) ||
        !o->groups || !number(file, architecture, "ssm.time_step_rank", &heads) || heads <= o->groups ||
        !number(file, architecture, "ssm.inner_size", &inner) || !number(file, architecture, "ssm.state_size", &size))
        return false;
    o->each = heads / o->groups;
    o->unit = inner / heads;
    *of_keys = 2 * o->groups * size;
    return true;
}

static struct row_order order_of_values(const struct gguf *file, const struct hf_model *folder, struct span name)
{
    static const struct {
        const char *name;
        bool behind_keys, one; /* rows of keys are before them; a head has one row */
    } names[] = {{".attn_qkv.weight", true, false},
                 {".ssm_conv1d.weight", true, false},
                 {".attn_gate.weight", false, false},
                 {".ssm_alpha.weight", false, true},
                 {".ssm_beta.weight", false, true},
                 {".ssm_dt.bias", false, true},
                 {".ssm_a", false, true}};
    struct row_order o = {0};
    uint64_t of_keys = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!span_ends(name, names[i].name) || !value_heads(file, folder, &o, &of_keys))
            continue;
        o.first = names[i].behind_keys ? of_keys : 0;
        o.unit = names[i].one ? 1 : o.unit;
        return o;
    }
    return (struct row_order){0};
}

struct row_order convert_columns_of(const struct gguf *file, const struct hf_model *folder, struct span name)
{
    struct row_order o = {0};
    uint64_t of_keys;
    return folder && span_ends(name, ".ssm_out.weight") && value_heads(file, folder, &o, &of_keys)
               ? o
               : (struct row_order){0};
}

/* Latent attention whose last rows of a head turn in halves; latent rows are one head before them. */
static struct row_order order_of_latent(const struct gguf *file, const char *architecture, struct span name)
{
    struct row_order o = {0};
    uint64_t size = 0, turned = 0, latent = 0;
    number(file, architecture, "attention.key_length_mla", &size);
    number(file, architecture, "attention.kv_lora_rank", &latent);
    number(file, architecture, "rope.dimension_count", &turned);
    const bool of_queries = span_ends(name, ".attn_q_b.weight") || span_ends(name, ".attn_q.weight");
    if (!of_queries && !span_ends(name, ".attn_kv_a_mqa.weight"))
        return o;
    o.head = of_queries ? size : latent + turned;
    o.rotated = turned;
    o.plain = o.head > turned ? o.head - turned : 0;
    return o;
}

struct row_order convert_order_of(const struct gguf *file, const struct hf_model *folder, struct span name)
{
    static const char *const names[] = {".attn_q.weight", ".attn_k.weight",      ".attn_q.bias",
                                        ".attn_k.bias",   ".attn_q_norm.weight", ".attn_k_norm.weight"};
    struct row_order o = {0};
    uint64_t width = 0, heads = 0;
    bool turned = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        turned = turned || span_ends(name, names[i]);
    if (folder && convert_latent_halves(file, folder))
        return order_of_latent(file, folder->architecture, name);
    if (!folder || !turned)
        return folder ? order_of_values(file, folder, name) : o;
    if (!(folder->folder.words & ARCH_HALVES))
        return o;
    const char *architecture = folder->architecture;
    if (!number(file, architecture, "attention.key_length", &o.head) &&
        number(file, architecture, "embedding_length", &width) &&
        number(file, architecture, "attention.head_count", &heads) && heads)
        o.head = width / heads;
    if (!number(file, architecture, "rope.dimension_count", &o.rotated) || o.rotated > o.head)
        o.rotated = o.head;
    return o;
}

bool convert_stays(struct row_order o) { return o.head == 0 && o.unit == 0; }

bool convert_fits(struct row_order o, uint64_t n)
{
    return o.unit ? n == o.first + o.unit * o.groups * o.each : !o.head || (n % o.head == 0 && o.rotated % 2 == 0);
}

uint64_t convert_row_of(struct row_order o, uint64_t r)
{
    if (o.unit) {
        const uint64_t head = r < o.first ? 0 : (r - o.first) / o.unit, group = head % o.groups;
        return r < o.first ? r : r + (group * o.each + head / o.groups - head) * o.unit;
    }
    const uint64_t of_head = o.head ? r % o.head : 0, in = of_head - o.plain;
    return of_head >= o.plain && in < o.rotated ? r - in + in % 2 * (o.rotated / 2) + in / 2 : r;
}

/* ---- numbers ---- */

enum { CHUNK_ROWS = 8, BATCH_BYTES = 8 << 20 };

/* Rows of one tensor, packed by all threads, a batch at a time. */
struct rows {
    const struct conversion *c;
    const struct gguf_tensor *from, *to;
    const struct convert_part *part;
    struct row_order order, columns;
    uint64_t n, width;
    size_t from_bytes, to_bytes; /* of a row */
    uint64_t first, n_batch;
    float *numbers; /* a row for each thread */
    char *turned;   /* the same of the folder's, its columns as the file has them */
    char *packed;   /* a batch */
    _Atomic bool too_large;
};

/* Can rows of this type hold them? Blocks have factors of 16 bits. */
static bool fits(enum weight_type type, const float *x, uint64_t n)
{
    int others = 0; /* NaN is one */
    for (uint64_t i = 0; i < n && type != TYPE_F32 && type != TYPE_BF16; i++)
        others |= !(__builtin_fabsf(x[i]) < 65520.0f);
    return !others;
}

/* A row of the folder, its columns in the file's order. */
static const char *row_of(const struct rows *rows, uint64_t r, int thread)
{
    const struct convert_part *p = rows->part;
    const bool cut = p->slab && !p->turned;
    const uint64_t at = cut ? r / p->n * p->slab + p->first + r % p->n : convert_row_of(rows->order, r);
    const char *from = gguf_row(rows->from, at, rows->from_bytes);
    char *turned = rows->turned + (size_t)thread * rows->from_bytes;
    const uint64_t unit = rows->columns.unit, bytes = unit ? unit * rows->from_bytes / rows->width : 0;
    if (!unit)
        return from;
    for (uint64_t i = 0; i < rows->width; i += unit)
        memcpy(turned + i / unit * bytes, from + convert_row_of(rows->columns, i) / unit * bytes, bytes);
    return turned;
}

static void pack_chunk(void *context, size_t phase, uint32_t chunk, int thread)
{
    struct rows *rows = context;
    const struct kernels *k = &rows->c->kernels;
    float *numbers = rows->numbers + (size_t)thread * rows->width;
    (void)phase;
    for (uint64_t r = (uint64_t)chunk * CHUNK_ROWS; r < rows->n_batch && r < (chunk + 1ull) * CHUNK_ROWS; r++) {
        const char *from = row_of(rows, rows->first + r, thread);
        char *to = rows->packed + r * rows->to_bytes;
        const float factor = convert_factor(rows->c, rows->part, rows->first + r);
        if (rows->from->type == rows->to->type && factor == 1) {
            memcpy(to, from, rows->to_bytes);
            continue;
        }
        kernels_dequantize(k, rows->from->type)(numbers, from, rows->width);
        for (uint64_t i = 0; factor != 1 && i < rows->width; i++)
            numbers[i] *= factor;
        if (fits(rows->to->type, numbers, rows->width))
            pack_row(k, rows->to->type, numbers, rows->width, to);
        else
            rows->too_large = true;
    }
}

static void tell(const struct conversion *c)
{
    if (c->options->progress)
        c->options->progress(c->options->user, (double)c->n_done / (double)c->n_bytes);
}

static andiron_status write_rows(struct rows *rows, struct conversion *c, struct gguf_writer *w, andiron_error *error)
{
    const uint64_t fit = BATCH_BYTES / rows->to_bytes, most = fit > CHUNK_ROWS ? fit : CHUNK_ROWS;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    rows->numbers = arena_alloc(&arena, (size_t)pool_threads(c->pool) * rows->width, sizeof *rows->numbers);
    rows->packed = arena_alloc(&arena, most < rows->n ? most : rows->n, rows->to_bytes);
    rows->turned = arena_alloc(&arena, (size_t)pool_threads(c->pool), rows->from_bytes);
    andiron_status s = rows->numbers && rows->packed && rows->turned
                           ? ANDIRON_OK
                           : error_memory(error, BATCH_BYTES, "rows of weights");
    for (rows->first = 0; rows->first < rows->n && !s; rows->first += rows->n_batch) {
        rows->n_batch = rows->n - rows->first < most ? rows->n - rows->first : most;
        const uint32_t n_chunks = (uint32_t)((rows->n_batch + CHUNK_ROWS - 1) / CHUNK_ROWS);
        pool_run(c->pool, &(struct work){rows, 1, &n_chunks, pack_chunk});
        if (rows->too_large)
            s = error_set(error, ANDIRON_E_ARGUMENT, "%.*s has a number that %s cannot hold; choose type f32 or bf16",
                          (int)rows->from->name.n, rows->from->name.p, type_info(rows->to->type)->name);
        else
            s = gguf_write_data(w, rows->packed, rows->n_batch * rows->to_bytes, error);
        c->n_done += rows->n_batch * rows->to_bytes;
        tell(c);
    }
    arena_reset(&arena);
    return s;
}

/* Rows of each slab as columns: [columns, slab * n] becomes [part, columns, n], in F32. */
static andiron_status turn(const struct conversion *c, const struct gguf_tensor *from, const struct gguf_tensor *to,
                           const struct convert_part *p, struct arena *arena, struct gguf_tensor *out,
                           andiron_error *error)
{
    const uint64_t width = from->dims[0], n_numbers = to->dims[0] * to->dims[1] * to->dims[2];
    const size_t row_bytes = from->n_bytes / from->dims[1];
    float *turned = arena_alloc(arena, n_numbers, sizeof *turned), *row = arena_alloc(arena, width, sizeof *row);
    if (!turned || !row)
        return error_memory(error, n_numbers * sizeof *turned, "a tensor that is turned");
    for (uint64_t r = 0; r < to->dims[2] * p->n; r++) {
        const uint64_t slab = r / p->n, column = r % p->n;
        kernels_dequantize(&c->kernels, from->type)(row, gguf_row(from, slab * p->slab + p->first + column, row_bytes),
                                                    width);
        for (uint64_t i = 0; i < width; i++)
            turned[(slab * width + i) * p->n + column] = row[i];
    }
    *out = *to;
    out->name = from->name;
    out->type = TYPE_F32;
    out->data = turned;
    out->n_bytes = n_numbers * sizeof *turned;
    return ANDIRON_OK;
}

/* `from` as it stands, or turned: then it is in the arena. */
static andiron_status write_from(struct conversion *c, size_t i, const struct gguf_tensor *from, struct gguf_writer *w,
                                 andiron_error *error)
{
    const struct gguf_tensor *to = &c->tensors[i];
    struct rows rows = {.c = c,
                        .from = from,
                        .to = to,
                        .part = &c->parts[i],
                        .order = convert_order_of(c->file, c->folder, from->name),
                        .columns = convert_columns_of(c->file, c->folder, from->name),
                        .width = from->dims[0]};
    rows.n = to->dims[1] * to->dims[2] * to->dims[3];
    if ((!convert_stays(rows.order) && from->n_dims == 1) || (to->dims[0] < rows.width && !rows.part->turned)) {
        rows.n *= to->dims[0]; /* a vector, or one for each expert: a number is a row */
        rows.width = 1;
    }
    rows.from_bytes = type_bytes(type_info(from->type), rows.width);
    rows.to_bytes = to->n_bytes / rows.n;
    const uint32_t items = type_info(from->type)->block_items;
    if (!convert_fits(rows.order, rows.n) || !convert_fits(rows.columns, rows.width) || rows.columns.unit % items)
        return error_set(error, ANDIRON_E_FORMAT, "%.*s has rows or columns that are no whole heads", (int)from->name.n,
                         from->name.p);
    return write_rows(&rows, c, w, error);
}

static andiron_status write_tensor(struct conversion *c, size_t i, struct gguf_writer *w, andiron_error *error)
{
    const struct gguf_tensor *from = gguf_tensor_at(c->file, c->parts[i].from);
    struct gguf_tensor turned;
    struct arena arena;
    if (!c->parts[i].turned)
        return write_from(c, i, from, w, error);
    arena_init(&arena, SIZE_MAX);
    andiron_status s = turn(c, from, &c->tensors[i], &c->parts[i], &arena, &turned, error);
    if (!s)
        s = write_from(c, i, &turned, w, error);
    arena_reset(&arena);
    return s;
}

andiron_status convert_weights(struct conversion *c, andiron_error *error)
{
    andiron_status s = pool_open(&c->pool, c->options->n_threads, error);
    tell(c);
    for (size_t i = 0, file = 0; i < c->n_tensors && !s; i++) {
        file += file + 1 < c->n_files && i == c->first[file + 1];
        s = write_tensor(c, i, c->writers[file], error);
    }
    pool_close(c->pool);
    return s;
}
