/* hf_packed.c - packed weights of a folder: which tensors make a matrix, and whether their shapes fit one another.
 *
 * Which modules are packed is decided by the tensors that are there, not by config.json's lists of those left out. */
#include "engine/hf_packed.h"
#include "base/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STEM_MAX = 200, NAME_BYTES = STEM_MAX + 40 };

/* ---- shapes of items ---- */

static bool is_matrix(const struct safetensors_tensor *t, uint64_t rows, uint64_t columns)
{
    return t->n_shape == 2 && t->shape[0] == rows && t->shape[1] == columns;
}

/* A matrix for each expert, one below the other. */
static bool are_matrices(const struct safetensors_tensor *t, const struct packed *p, uint64_t columns)
{
    return t->n_shape == 3 && t->shape[0] == p->n_experts && t->shape[0] * t->shape[1] == p->rows &&
           t->shape[2] == columns;
}

static uint64_t parts(uint64_t n, uint64_t of) { return (n + of - 1) / of; }

static bool shape_bytes(struct packed *p)
{
    p->rows = p->items->shape[0];
    p->columns = p->items->shape[1];
    p->bits = 8;
    return true;
}

/* Two FP4 items in a byte. */
static bool shape_fp4(struct packed *p)
{
    p->rows = p->items->shape[0];
    p->columns = p->items->shape[1] * 2;
    p->bits = 4;
    return true;
}

/* [experts, rows, blocks, 16 bytes], blocks of 32 items (gpt-oss). */
static bool shape_blocks(struct packed *p)
{
    const uint64_t *shape = p->items->shape;
    p->n_experts = shape[0];
    p->rows = shape[0] * shape[1];
    p->columns = shape[2] * 32;
    p->bits = 4;
    return shape[3] == 16;
}

/* weight_shape has rows and columns; how many bits an item has follows. */
static bool shape_words(struct packed *p)
{
    const struct safetensors_tensor *shape = p->shape;
    int64_t sizes[2] = {0};
    if (!shape || (shape->tensor.type != PACKED_I32 && shape->tensor.type != PACKED_I64) || shape->n_shape != 1 ||
        shape->shape[0] != 2)
        return false;
    for (size_t i = 0; i < 2; i++) { /* I32 or I64, little-endian */
        const size_t n = shape->tensor.type == PACKED_I32 ? 4 : 8;
        memcpy(&sizes[i], (const char *)shape->tensor.data + n * i, n);
    }
    if (sizes[0] < 1 || sizes[1] < 1 || sizes[1] > INT32_MAX || (uint64_t)sizes[0] != p->items->shape[0])
        return false;
    p->rows = (uint64_t)sizes[0];
    p->columns = (uint64_t)sizes[1];
    for (p->bits = 2; p->bits < 8 && parts(p->columns, 32 / p->bits) != p->items->shape[1];)
        p->bits *= 2;
    p->zero = 1 << (p->bits - 1);
    return parts(p->columns, 32 / p->bits) == p->items->shape[1];
}

static bool shape_gptq(struct packed *p)
{
    p->rows = p->items->shape[1];
    p->columns = p->items->shape[0] * (32 / p->bits);
    return p->zeros && p->rows % (32 / p->bits) == 0;
}

static bool shape_awq(struct packed *p)
{
    p->rows = p->items->shape[1] * 8;
    p->columns = p->items->shape[0];
    return p->zeros;
}

/* ---- the formats ---- */

static const struct packed_layout layouts[] = {
    {HF_FP8, "weight", "weight_scale_inv", NULL, NULL, NULL, SAFETENSORS_F8_E4M3, shape_bytes, items_f8, NULL},
    {HF_FP8, "weight", "weight_scale", NULL, NULL, NULL, SAFETENSORS_F8_E4M3, shape_bytes, items_f8, NULL},
    {HF_FP8, "weight", "weight_scale", NULL, NULL, "weight_scale_2", SAFETENSORS_U8, shape_fp4, items_fp4, NULL},
    {HF_COMPRESSED, "weight", "weight_scale", NULL, NULL, NULL, SAFETENSORS_F8_E4M3, shape_bytes, items_f8, NULL},
    {HF_COMPRESSED, "weight", "weight_scale", "weight_zero_point", "weight_g_idx", NULL, PACKED_I8, shape_bytes,
     items_i8, zero_i8},
    {HF_COMPRESSED, "weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx", NULL, PACKED_I32, shape_words,
     items_words, zero_words},
    {HF_COMPRESSED, "weight_packed", "weight_scale", NULL, NULL, "weight_global_scale", SAFETENSORS_U8, shape_fp4,
     items_fp4, NULL},
    {HF_GPTQ, "qweight", "scales", "qzeros", "g_idx", NULL, PACKED_I32, shape_gptq, items_gptq, zero_gptq},
    {HF_AWQ, "qweight", "scales", "qzeros", NULL, NULL, PACKED_I32, shape_awq, items_awq, zero_awq},
    {HF_MXFP4, "_blocks", "_scales", NULL, NULL, NULL, SAFETENSORS_U8, shape_blocks, items_fp4, NULL},
    {HF_BNB, "weight", "weight.absmax", NULL, NULL, NULL, SAFETENSORS_U8, shape_nested, items_nested, NULL},
    {HF_BNB, "weight", "SCB", NULL, NULL, NULL, PACKED_I8, shape_bytes, items_i8, NULL},
};

/* What stands beside the items, but for what layouts name. Scales of activations are not needed: activations are
 * computed with as they are. */
static const char *const beside[] = {"weight_shape", "weight_format",     "nested_absmax",     "nested_quant_map",
                                     "quant_map",    "bitsandbytes__nf4", "bitsandbytes__fp4", "input_scale",
                                     "output_scale", "activation_scale",  "q_scale",           "k_scale",
                                     "v_scale",      "input_zero_point",  "output_zero_point", "input_global_scale"};

/* "model.norm.weight" is "weight" of "model.norm"; gpt-oss's "experts.down_proj_blocks" "_blocks" of what is before. */
static bool split(const struct hf_model *m, struct span name, struct span *stem, struct span *last)
{
    const char mark = m->packing.method == HF_MXFP4 ? '_' : '.';
    size_t n = name.n;
    while (n > 0 && name.p[n - 1] != mark)
        n--;
    if (n < 2 || n > STEM_MAX)
        return false;
    *stem = (struct span){name.p, n - 1};
    n -= mark == '_';
    *last = (struct span){name.p + n, name.n - n};
    return true;
}

static const struct safetensors_tensor *sibling(const struct hf_model *m, struct span stem, const char *last)
{
    char name[NAME_BYTES];
    if (!last || stem.n > STEM_MAX)
        return NULL;
    snprintf(name, sizeof name, "%.*s%s%s", (int)stem.n, stem.p, *last == '_' ? "" : ".", last);
    return hf_find_tensor(m->dir, name);
}

/* Does a layout name it? Of "weight.absmax" the last part counts. */
static bool is_of_layout(struct span last)
{
    bool is = false;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts && !is; i++) {
        const char *const names[] = {layouts[i].scales, layouts[i].zeros, layouts[i].index, layouts[i].factor};
        for (size_t k = 0; k < sizeof names / sizeof *names && !is; k++) {
            const char *dot = names[k] ? strrchr(names[k], '.') : NULL;
            is = names[k] && span_is(last, dot ? dot + 1 : names[k]);
        }
    }
    return is;
}

bool hf_is_beside(const struct hf_model *m, const struct safetensors_tensor *t)
{
    struct span stem = {0}, last = {0};
    return m->packing.method && split(m, t->tensor.name, &stem, &last) &&
           (is_of_layout(last) || hf_is_among(last, beside, sizeof beside / sizeof *beside));
}

bool hf_has_matrix(const struct hf_model *m, const char *stem)
{
    return sibling(m, span_of(stem), "weight") || sibling(m, span_of(stem), "weight_packed") ||
           sibling(m, span_of(stem), "qweight");
}

/* ---- a matrix ---- */

static andiron_status bad(const struct hf_model *m, const struct safetensors_tensor *t, const char *what,
                          andiron_error *error)
{
    const struct span name = t->tensor.name;
    return error_set(error, ANDIRON_E_FORMAT, "%s: the packed tensor \"%.*s\" %s", hf_path(m->dir),
                     (int)(name.n < 120 ? name.n : 120), name.p, what);
}

/* Do scales for blocks of so many rows and columns fit the tensor of scales? Then they are placed so. */
static bool place(struct packed *p, uint64_t rows, uint64_t columns)
{
    const struct safetensors_tensor *s = p->scales;
    const uint64_t down = parts(p->rows, rows), along = parts(p->columns, columns);
    const bool turned = p->layout->method == HF_GPTQ || p->layout->method == HF_AWQ;
    const bool vector = s->n_shape < 2 && along == 1 && s->tensor.dims[0] == down;
    if (!vector && !is_matrix(s, turned ? along : down, turned ? down : along) && !are_matrices(s, p, along))
        return false;
    p->row_block = rows;
    p->column_block = columns;
    p->n_groups = along;
    p->scale_row = turned ? 1 : along;
    p->scale_group = turned ? down : 1;
    return true;
}

/* One of config_groups fits the matrix. */
static bool place_by_group(struct packed *p, const json_t *weights)
{
    uint64_t bits = 0, size = 0, block[2] = {0};
    struct span type = span_of("int"), strategy = span_of("");
    const bool is_float = p->layout->type == SAFETENSORS_F8_E4M3 || p->layout->type == SAFETENSORS_U8;
    json_at_u64(weights, "num_bits", &bits);
    json_at_text(weights, "type", &type);
    if (bits != p->bits || !span_is(type, is_float ? "float" : "int"))
        return false;
    json_at_text(weights, "strategy", &strategy);
    if (hf_read_block(weights, "block_structure", block) && span_is(strategy, "block"))
        return place(p, block[0], block[1]);
    if (!hf_read_group(weights, "group_size", &size))
        return false;
    if (size > 0)
        return place(p, 1, size);
    return place(p, span_is(strategy, "tensor") ? p->rows : 1, p->columns);
}

static bool place_compressed(const struct hf_model *m, struct packed *p)
{
    const char *key;
    json_t *group;
    json_object_foreach((json_t *)(uintptr_t)m->packing.groups, key, group)
    {
        bool symmetric = true;
        json_at_bool(group, "weights.symmetric", &symmetric);
        if ((symmetric || p->zeros) && place_by_group(p, json_at(group, "weights")))
            return true;
    }
    return false;
}

/* Scales of so many items each, row after row. */
static bool place_in_turn(struct packed *p)
{
    p->row_block = 1;
    p->column_block = p->group;
    p->n_groups = p->scale_row = p->columns / p->group;
    p->scale_group = 1;
    return p->scales->tensor.dims[0] == p->rows * p->n_groups;
}

static bool place_scales(const struct hf_model *m, struct packed *p)
{
    const struct hf_packing *k = &m->packing;
    if (k->method == HF_MXFP4)
        return place(p, 1, 32);
    if (k->method == HF_BNB)
        return p->group ? place_in_turn(p) : place(p, 1, p->columns);
    if (p->factor)
        return place(p, 1, 16);
    if (k->method == HF_COMPRESSED)
        return place_compressed(m, p);
    if (k->method != HF_FP8)
        return place(p, 1, k->group ? k->group : p->columns);
    return k->block[0] ? place(p, k->block[0], k->block[1]) : place(p, p->rows, p->columns) || place(p, 1, p->columns);
}

/* One zero for each scale, packed as the items are. */
static bool zeros_fit(const struct packed *p)
{
    const struct safetensors_tensor *z = p->zeros;
    const uint64_t n = 32 / p->bits;
    if (!z)
        return true;
    if (z->tensor.type != p->layout->type)
        return false;
    if (p->layout->zero == zero_i8)
        return z->tensor.n_bytes == parts(p->rows, p->row_block) * p->n_groups;
    if (p->layout->zero == zero_words)
        return p->row_block == 1 && is_matrix(z, parts(p->rows, n), p->n_groups);
    return is_matrix(z, p->n_groups, p->rows / n);
}

static bool index_fits(const struct packed *p)
{
    const struct safetensors_tensor *t = p->index;
    bool fits = !t || (t->tensor.type == PACKED_I32 && t->n_shape == 1 && t->shape[0] == p->columns);
    for (uint64_t i = 0; t && fits && i < p->columns; i++) {
        uint32_t group;
        memcpy(&group, (const char *)t->tensor.data + 4 * i, sizeof group);
        fits = group < p->n_groups;
    }
    return fits;
}

static bool is_float(const struct safetensors_tensor *t)
{
    const uint32_t type = t->tensor.type;
    return (type == TYPE_F32 || type == TYPE_F16 || type == TYPE_BF16) && t->tensor.n_bytes > 0;
}

/* Scales of the type that the format has: MX exponents of a byte, NVFP4's of FP8, bitsandbytes' packed ones. */
static bool scales_are_typed(const struct packed *p)
{
    const uint32_t type = p->scales->tensor.type;
    if (p->layout->type != SAFETENSORS_U8)
        return is_float(p->scales);
    if (p->layout->method == HF_BNB)
        return type == (p->nested.scales ? (uint32_t)SAFETENSORS_U8 : TYPE_F32);
    if (p->factor)
        return type == SAFETENSORS_F8_E4M3 && p->factor->tensor.type == TYPE_F32 && p->factor->tensor.n_bytes == 4;
    return type == SAFETENSORS_U8;
}

/* Of a shape that sizes here hold. */
static bool is_sized(const struct packed *p)
{
    const struct safetensors_tensor *t = p->items;
    const bool bounded = p->layout->method == HF_BNB ||
                         (t->shape[0] <= INT32_MAX / 32 && t->shape[1] <= INT32_MAX / 32);
    return t->n_shape == (p->layout->method == HF_MXFP4 ? 4 : 2) && t->tensor.n_bytes > 0 && bounded;
}

static andiron_status check(const struct hf_model *m, struct packed *p, andiron_error *error)
{
    const struct safetensors_tensor *t = p->items;
    if (!p->scales || !scales_are_typed(p))
        return bad(m, t,
                   "has no scales of F32, F16 or BF16 (MXFP4: U8, NVFP4: F8_E4M3) beside it; download the folder "
                   "again",
                   error);
    if (!is_sized(p))
        return bad(m, t, "is no matrix of a size that is read here; take a GGUF file of the model", error);
    if (!p->layout->shape(p))
        return bad(m, t, "does not fit its weight_shape, qzeros or quant_state; download the folder again", error);
    if (!place_scales(m, p))
        return bad(m, t, "has scales that fit no bits and group or block size of config.json's quantization_config",
                   error);
    if (!zeros_fit(p))
        return bad(m, t, "has zero points that do not fit its scales in type or shape; take a GGUF file of the model",
                   error);
    return index_fits(p)
               ? ANDIRON_OK
               : bad(m, t, "has a g_idx that is not one group for each column; download the folder again", error);
}

static void find_nested(const struct hf_model *m, struct span stem, struct packed *p)
{
    p->nested.map = sibling(m, stem, "weight.quant_map");
    p->nested.scales = sibling(m, stem, "weight.nested_absmax");
    p->nested.scale_map = sibling(m, stem, "weight.nested_quant_map");
    p->shape = sibling(m, stem, "weight.quant_state.bitsandbytes__nf4");
    p->shape = p->shape ? p->shape : sibling(m, stem, "weight.quant_state.bitsandbytes__fp4");
}

/* The matrix whose items are `t`; p->layout NULL: it is no packed one. */
static andiron_status find(const struct hf_model *m, const struct safetensors_tensor *t, struct packed *p,
                           andiron_error *error)
{
    struct span stem = {0}, last = {0};
    *p = (struct packed){.items = t};
    if (!m->packing.method || !split(m, t->tensor.name, &stem, &last))
        return ANDIRON_OK;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts && !p->scales; i++) {
        const struct packed_layout *l = &layouts[i];
        if (l->method != m->packing.method || l->type != t->tensor.type || !span_is(last, l->items))
            continue;
        *p = (struct packed){.layout = l, .items = t, .bits = m->packing.bits, .n_experts = 1, .rounds = TYPE_F32};
        p->scales = sibling(m, stem, l->scales);
        p->zeros = sibling(m, stem, l->zeros);
        p->index = sibling(m, stem, l->index);
        p->factor = sibling(m, stem, l->factor);
        p->shape = sibling(m, stem, "weight_shape");
        if (l->shape == shape_nested)
            find_nested(m, stem, p);
    }
    if (!p->layout)
        return is_float(t) && (sibling(m, stem, "weight_scale_inv") || sibling(m, stem, "weight_scale"))
                   ? bad(m, t, "has scales, but is of no packed type; take a GGUF file of the model", error)
                   : ANDIRON_OK;
    if (m->packing.less_one)
        p->plus = UINT32_MAX / ((1u << p->bits) - 1); /* 1 in each zero */
    return check(m, p, error);
}

/* ---- as other tensors ---- */

andiron_status hf_packed_look(const struct hf_model *m, const struct safetensors_tensor *from,
                              struct safetensors_tensor *as, char name[HF_NAME_BYTES], andiron_error *error)
{
    struct span stem = {0}, last = {0};
    struct packed p;
    andiron_status s = find(m, from, &p, error);
    *as = *from;
    if (s || !p.layout)
        return s;
    split(m, from->tensor.name, &stem, &last);
    snprintf(name, HF_NAME_BYTES, "%.*s%s", (int)stem.n, stem.p, *last.p == '_' ? "_blocks" : ".weight");
    const enum weight_type type = packed_type(&p);
    as->tensor = (struct gguf_tensor){.name = span_of(name),
                                      .type = type,
                                      .n_dims = p.n_experts > 1 ? 3 : 2,
                                      .dims = {p.columns, p.rows / p.n_experts, p.n_experts, 1},
                                      .n_bytes = packed_bytes(&p, type)};
    as->aligned = true;
    return ANDIRON_OK;
}

/* The widest type that any of a matrix's experts needs: F32, or the largest block. */
static uint32_t wider(uint32_t a, uint32_t b)
{
    const bool blocks = type_info(a)->block_items > 1 && type_info(b)->block_items > 1 && a != TYPE_MXFP4 &&
                        b != TYPE_MXFP4;
    return a == b ? a : !blocks ? (uint32_t)TYPE_F32 : a > b ? a : b;
}

/* "experts.7." in a name: all the others' matrices of that name. */
static andiron_status widen(const struct hf_model *m, struct span name, uint32_t *type, andiron_error *error)
{
    static const char word[] = ".experts.";
    const char *at = memmem(name.p, name.n, word, sizeof word - 1), *end = name.p + name.n;
    const char *rest = at ? memchr(at + sizeof word - 1, '.', (size_t)(end - at) - (sizeof word - 1)) : NULL;
    andiron_status s = ANDIRON_OK;
    for (uint64_t i = 0; rest && i < m->n_experts_said && i < hf_n_tensors(m->dir) && !s; i++) {
        char other[NAME_BYTES];
        struct packed p = {0};
        snprintf(other, sizeof other, "%.*s%s%u%.*s", (int)(at - name.p), name.p, word, (unsigned)i, (int)(end - rest),
                 rest);
        const struct safetensors_tensor *t = hf_find_tensor(m->dir, other);
        s = t ? find(m, t, &p, error) : ANDIRON_OK;
        if (!s && p.layout)
            *type = wider(*type, packed_type(&p));
    }
    return s;
}

static void *room_for(struct hf_model *m, uint64_t bytes, bool keep)
{
    struct hf_packing *k = &m->packing;
    if (keep)
        return arena_alloc(&m->arena, bytes, 1);
    if (bytes > k->n_room) {
        k->room = arena_alloc(&m->arena, bytes, 1);
        k->n_room = k->room ? bytes : 0;
    }
    return k->room;
}

andiron_status hf_packed_fill(struct hf_model *m, const struct safetensors_tensor *from, struct safetensors_tensor *as,
                              bool passing, uint32_t type, andiron_error *error)
{
    struct packed p;
    andiron_status s = find(m, from, &p, error);
    if (s || !p.layout)
        return s;
    struct gguf_tensor *t = &as->tensor;
    if (type == HF_TYPE_OF_SIBLINGS)
        s = widen(m, from->tensor.name, &t->type, error);
    else if (type != HF_NO_TYPE && wider(t->type, type) == type)
        t->type = type;
    if (s)
        return s;
    if (!m->packing.pool) /* closed when all tensors are taken; all usable cores, as opening a folder has no options */
        s = pool_open(&m->packing.pool, 0, error);
    if (!s)
        s = pool_reserve(m->packing.pool, 1, error);
    if (s)
        return s;
    t->n_bytes = packed_bytes(&p, t->type);
    t->data = room_for(m, t->n_bytes, !passing);
    if (!t->data || !packed_unpack(&p, t->type, m->packing.pool, (void *)(uintptr_t)t->data))
        return error_memory(error, t->n_bytes, "unpacked weights");
    return ANDIRON_OK;
}

void hf_packing_done(struct hf_model *m)
{
    pool_close(m->packing.pool);
    m->packing.pool = NULL;
}
